"""Eight processes that write to one campaign at once: rows lost, doubled or refused, and rows per second.

Each process records its measurements one by one, each in a transaction of its own that ends on the disk.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

from common import RESULTS, finish, options
from databases import KINDS, databases

WRITERS = 8
EACH = 1000
NAME = "writers"


def prepare(address: str) -> None:
    from db.records import Candidate, Sample, SpecRevision
    from db.store import Store

    with Store.open(address, create=True) as store:
        candidate = Candidate("ni", {"Ni": 1.0}, "1 element")
        sample = Sample("s-1", NAME, "a", candidate.id, candidate.design, candidate.stratum)
        spec = SpecRevision(f"{NAME}/spec1", NAME, 1, {}, {})
        store.start(NAME, "campaign.started", {}, rows=[spec, candidate, sample], by="bench")


def write(address: str, writer: int, each: int, begin: Any, told: Any) -> None:
    from db.errors import Conflict
    from db.records import Measurement
    from db.store import Store

    waits, refused = [], 0
    with Store.open(address) as store:
        begin.wait()
        for i in range(each):
            row = Measurement(f"m-{writer}-{i}", NAME, "s-1", "loss", float(i), "mV", replicate=f"{writer}-{i}")
            while True:
                begun = time.perf_counter()
                try:
                    store.append(NAME, "results.recorded", {"i": i}, rows=[row], by=f"writer {writer}")
                    break
                except Conflict:
                    refused += 1
            waits.append(time.perf_counter() - begun)
    told.put((waits, refused))


def run(address: str, each: int) -> dict[str, Any]:
    from db.store import Store

    spawn = multiprocessing.get_context("spawn")
    begin, told = spawn.Barrier(WRITERS + 1), spawn.Queue()
    processes = [spawn.Process(target=write, args=(address, w, each, begin, told)) for w in range(WRITERS)]
    for process in processes:
        process.start()
    begin.wait()
    begun = time.perf_counter()
    done = [told.get() for _ in processes]
    seconds = time.perf_counter() - begun
    for process in processes:
        process.join()
    waits = sorted(wait for each_of, _ in done for wait in each_of)
    with Store.open(address) as store:
        rows = store.measurements(NAME)
        events = store.events(NAME, after=1)
        in_order = all(
            [e.payload["i"] for e in events if e.by == f"writer {w}"] == list(range(each)) for w in range(WRITERS)
        )
        problems = store.verify(NAME)
    return {
        "rows": len(rows),
        "expected": WRITERS * each,
        "distinct": len({row.id for row in rows}),
        "gapless": [e.seq for e in events] == list(range(2, WRITERS * each + 2)),
        "each_in_its_order": in_order,
        "refused": sum(refused for _, refused in done),
        "exit_codes": sorted({process.exitcode for process in processes}),
        "chain_problems": len(problems),
        "seconds": seconds,
        "rows_per_s": len(rows) / seconds,
        "wait_ms": {q: 1000 * waits[min(int(len(waits) * q), len(waits) - 1)] for q in (0.5, 0.95, 1.0)},
    }


def sound(one: dict[str, Any]) -> bool:
    """Whether nothing was lost, doubled, refused or out of order."""
    whole = one["rows"] == one["distinct"] == one["expected"] and one["gapless"] and one["each_in_its_order"]
    return whole and not one["refused"] and not one["chain_problems"] and one["exit_codes"] == [0]


def main() -> None:
    arguments = options(__doc__ or "")
    each = 40 if arguments.quick else EACH
    found: dict[str, Any] = {"writers": WRITERS, "each": each, "databases": {}}
    with databases() as made:
        for kind in KINDS:
            address = made.empty(kind)
            prepare(address)
            found["databases"][kind] = run(address, each)
    found["sound"] = all(sound(one) for one in found["databases"].values())
    lines = [f"{WRITERS} processes, {each} measurements each, one a transaction"]
    lines += [
        f"{kind:11} {one['rows']:,} of {one['expected']:,} rows, {one['rows'] - one['distinct']} doubled, "
        f"{one['refused']} refused, {one['chain_problems']} problems in the chain; {one['rows_per_s']:.0f} rows/s; "
        f"a write waits {one['wait_ms'][0.5]:.0f} ms (median), {one['wait_ms'][0.95]:.0f} ms (95 %), "
        f"{one['wait_ms'][1.0]:.0f} ms (longest)"
        for kind, one in found["databases"].items()
    ]
    lines.append(f"nothing lost, doubled, refused or out of order: {'yes' if found['sound'] else 'NO'}")
    if not arguments.quick:
        figure(found)
    finish("writers", found, "\n".join(lines), arguments)


def figure(found: dict[str, Any]) -> None:
    """How long a write waits on each database, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axis = pyplot.subplots(figsize=(4.5, 3.2))
    for kind, colour in zip(KINDS, ("#0072b2", "#d55e00"), strict=True):
        one = found["databases"][kind]
        label = f"{kind}, {one['rows_per_s']:.0f} rows/s"
        axis.plot(
            [f"{100 * q:g} %" for q in one["wait_ms"]], list(one["wait_ms"].values()), "o-", color=colour, label=label
        )
    axis.set(xlabel="quantile of the writes", ylabel="ms until on the disk", yscale="log")
    axis.legend(frameon=False)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "writers.png", dpi=110)


if __name__ == "__main__":
    main()
