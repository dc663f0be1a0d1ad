"""A store of up to 1,000,000 measurements and as many predictions: status, ingest, loading, verify, and how they grow.

Samples have ten replicates each; rows enter through the ledger as an ingest writes them, 1,000 an event.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from common import RESULTS, finish, options
from databases import KINDS, databases

SIZES = (10_000, 100_000, 1_000_000)
QUICK = (1_000, 10_000)
REPLICATES = 10
AT_ONCE = 1_000
NAME = "large"
ELEMENTS = ("Ni", "Fe", "Co", "Mn", "Ce", "La")
SEED = 5


def spec() -> dict[str, Any]:
    return {
        "spec_version": 1,
        "campaign": NAME,
        "seed": 7,
        "space": {"type": "composition_grid", "elements": list(ELEMENTS), "divisions": 40, "max_elements": 6},
        "objectives": [{"name": "loss", "goal": "minimize", "unit": "mV"}],
        "model": "gp",
    }


def fill(store: Any, campaign: Any, have: int, size: int) -> None:
    """Measurements number `have` to `size`, and as many predictions."""
    from db.records import Candidate, Measurement, Prediction, Sample

    space = campaign.state.space
    stride = space.count // (max(SIZES) // REPLICATES) - 1  # no sample is made twice
    for start in range(have, size, AT_ONCE):
        samples = range(start // REPLICATES, (start + AT_ONCE) // REPLICATES)
        rows: list[Any] = []
        for n in samples:
            candidate = space.candidate(n * stride)
            rows += [
                Candidate(candidate.id, candidate.design, candidate.stratum),
                Sample(f"s-{n}", NAME, f"s{n:06}", candidate.id, candidate.design, candidate.stratum),
            ]
            value = 300 + 80 * (float(candidate.design.get("Ni", 0.0)) - 0.4) ** 2
            rows += [
                Measurement(
                    *(f"m-{n}-{r}", NAME, f"s-{n}", "loss", value + ((7 * n + 3 * r) % 11) / 10, "mV"),
                    replicate=str(r),
                    conditions={"operator": "robot"},
                )
                for r in range(REPLICATES)
            ]
        store.append(NAME, "results.recorded", {"statuses": {}}, rows=rows, by="bench")
        body = {"median": 301.5, "0.8": [290.0, 310.0]}
        store.put_predictions([Prediction(f"c-{start + i}", "recipe", "data", 7, "loss", body) for i in range(AT_ONCE)])


def table(space: Any) -> bytes:
    """100 new samples, as a lab writes them."""
    lines = [",".join(["sample_id", *ELEMENTS, "loss (mV)"])]
    for i in range(100):
        design = space.candidate(1 + 2 * i).design
        lines.append(",".join([f"new{i}", *(repr(float(design.get(e, 0.0))) for e in ELEMENTS), f"{310 + i / 7:.3f}"]))
    return "\n".join(lines).encode()


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds and CPU seconds of this process, and what came of it."""
    begun, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - begun, time.process_time() - cpu, result


def load(campaign: Any) -> int:
    """What a recommendation reads before it computes."""
    state = campaign.state
    return len(state.observations("loss")) + len(state.tried()) + len(state.snapshot)


def measure(store: Any, campaign: Any, size: int) -> dict[str, Any]:
    found: dict[str, Any] = {"measurements": size, "predictions": size}
    cpu: dict[str, float] = {}
    problems = -1
    works = {
        "status": campaign.status,
        "load": lambda: load(campaign),
        "verify": lambda: store.verify(NAME),
        "ingest_100": lambda: campaign.ingest(table(campaign.state.space), name=f"{size}.csv", commit=False),
    }
    for name, work in works.items():
        found[f"{name}_s"], cpu[name], result = timed(work)
        problems = len(result) if name == "verify" else problems
    found |= {f"{name}_cpu_s": seconds for name, seconds in cpu.items()}
    found["chain_problems"] = problems
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def run(address: str, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    from campaign import Campaign
    from campaign.spec import load_spec
    from db.store import Store

    rows = []
    with Store.open(address, create=True) as store:
        campaign = Campaign.start(load_spec(spec()), db=store)
        have = 0
        for size in sizes:
            begun = time.perf_counter()
            fill(store, campaign, have, size)
            filled = time.perf_counter() - begun
            one = measure(store, campaign, size)
            one["written_rows_per_s"] = 2 * (size - have) / filled
            have = size
            rows.append(one)
        seconds, _, _ = timed(lambda: campaign.ingest(table(campaign.state.space), name="last.csv", commit=True))
        rows[-1]["ingest_100_recorded_s"] = seconds
    return rows


def main() -> None:
    arguments = options(__doc__ or "")
    sizes = QUICK if arguments.quick else SIZES
    found: dict[str, Any] = {"replicates": REPLICATES, "databases": {}}
    with databases() as made:
        for kind in KINDS:
            found["databases"][kind] = run(made.empty(kind), sizes)
    works = ("status", "load", "ingest_100", "verify")
    lines = [f"{'':12}{'rows':>10}" + "".join(f"{work:>14}" for work in works) + f"{'written/s':>12}{'MB':>8}"]
    for kind, rows in found["databases"].items():
        for one in rows:
            times = "".join(f"{one[f'{work}_s']:>8.2f}{one[f'{work}_cpu_s']:>6.2f}" for work in works)
            tail = f"{one['written_rows_per_s']:>12.0f}{one['peak_mb']:>8.0f}"
            lines.append(f"{kind:12}{one['measurements']:>10,}{times}{tail}")
        steps = list(pairwise(rows))
        growth = {
            work: [later[f"{work}_cpu_s"] / max(before[f"{work}_cpu_s"], 1e-3) for before, later in steps]
            for work in works
        }
        rows[-1]["growth_for_ten_times"] = growth
        told = ", ".join(f"{work} {' '.join(f'{g:.1f}' for g in grown)}" for work, grown in growth.items())
        lines.append(f"  for ten times as many rows, CPU x {told}")
        lines.append(f"  100 rows checked and recorded at the end: {rows[-1]['ingest_100_recorded_s']:.2f} s")
    lines.append("each work: seconds, and CPU seconds of this process; MB: peak so far, of the whole run")
    if not arguments.quick:
        figure(found)
    finish("store_scale", found, "\n".join(lines), arguments)


def figure(found: dict[str, Any]) -> None:
    """Seconds of each work by size, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, 2, figsize=(7, 3.2), sharey=True)
    colours = {"status": "#0072b2", "load": "#d55e00", "ingest_100": "#009e73", "verify": "#8a8a8a"}
    for axis, (kind, rows) in zip(axes, found["databases"].items(), strict=True):
        for work, colour in colours.items():
            sizes, seconds = [o["measurements"] for o in rows], [o[f"{work}_s"] for o in rows]
            axis.loglog(sizes, seconds, "o-", color=colour, label=work)
        axis.set(title=kind, xlabel="measurements")
    axes[0].set_ylabel("s")
    axes[0].legend(frameon=False)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "store_scale.png", dpi=110)


if __name__ == "__main__":
    main()
