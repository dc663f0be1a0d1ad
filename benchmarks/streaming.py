"""Screening a lazy space: 3,108,105 compositions with intervals, ranked, by stage; killed half way, gone on with.

Nine elements in twentieths, 60 measured (a made-up response), each step in a process of its own: screen, rank and write
the median and interval of every one as a table; the same, killed with SIGKILL when half of the table is predicted; the
same again, which goes on from there; one recommendation. Peak memory is that of the whole process, imports included.

Then structures, screened in two stages and all encoded: see `two_stage.py`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import os
import resource
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from common import RESULTS, finish, options
from two_stage import BAR_MS, compare, told

ELEMENTS = ("Ni", "Fe", "Co", "Mn", "Ce", "La", "Ti", "V", "Cr")
DIVISIONS = {"full": 20, "quick": 15}
MEASURED, TOP = 60, 50
BAR_MB, BAR_SECONDS = 2048, 600


def start(folder: Path, divisions: int) -> int:
    """Start the campaign with its measured designs; the number of candidates."""
    import numpy as np

    from campaign import Campaign
    from campaign.spec import load_spec

    spec = {
        "spec_version": 1,
        "campaign": "streaming",
        "seed": 1,
        "space": {"type": "composition_grid", "elements": list(ELEMENTS), "divisions": divisions},
        "objectives": [{"name": "response", "goal": "minimize", "unit": "mV"}],
        "batch": {"size": 5},
        "model": "gp",
    }
    campaign = Campaign.start(load_spec(spec), db=f"sqlite:///{folder}/lab.db")
    space = campaign.state.space
    rng = np.random.default_rng(0)
    X = space.X(rng.choice(space.count, MEASURED, replace=False))
    y = 400 + 60 * X @ np.linspace(-1, 1, len(ELEMENTS)) - 120 * np.sqrt(X[:, 0] * X[:, -1])
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", *ELEMENTS, "response (mV)"])
    noisy = np.round(y + rng.normal(0, 3, MEASURED), 2)
    writer.writerows([f"old-{i}", *x, value] for i, (x, value) in enumerate(zip(X.tolist(), noisy, strict=True)))
    campaign.ingest(text.getvalue().encode(), name="history.csv", commit=True)
    return int(space.count)


def step(folder: Path, what: str, kill_at: int | None, answer: Any) -> None:
    """One screen or recommendation in this process: seconds by stage, CPU seconds, memory, what was found."""
    from campaign import Campaign

    begun = last = time.monotonic()
    seconds: dict[str, float] = {}
    now_in = "read the campaign"

    def stage(name: str) -> None:
        nonlocal last, now_in
        now = time.monotonic()
        seconds[now_in] = seconds.get(now_in, 0.0) + now - last
        last = now
        words = name.split()
        now_in = {"screened": "screen", "predicted": "all with intervals"}.get(words[0], name)
        if words[0] == "predicted" and kill_at is not None and int(words[1].replace(",", "")) >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    opened = Campaign.open("streaming", db=f"sqlite:///{folder}/lab.db")
    if what == "screen":
        table = folder / "all.csv"
        found = [row["candidate"] for row in opened.screen(TOP, table=table, stage=stage)]
        with table.open(encoding="utf-8-sig", newline="") as file:
            with_intervals = sum(row["response 80 % from (mV)"] != "" for row in csv.DictReader(file))
        digest = hashlib.sha256(table.read_bytes()).hexdigest()
    else:
        batch = opened.recommend(dry_run=True, stage=stage)
        found, with_intervals, digest = [r.candidate for r in batch], 0, ""
    seconds[now_in] = seconds.get(now_in, 0.0) + time.monotonic() - last
    answer.send(
        {
            "seconds": time.monotonic() - begun,
            "cpu_seconds": time.process_time(),
            "by_stage": seconds,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "found": found,
            "with_intervals": with_intervals,
            "table": digest,
        }
    )


def apart(folder: Path, what: str, kill_at: int | None = None) -> dict[str, Any] | None:
    """`step` in a fresh process; None where it was killed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=step, args=(folder, what, kill_at, theirs))
    process.start()
    theirs.close()
    try:
        return dict(ours.recv())
    except EOFError:
        return None
    finally:
        process.join()


def main() -> None:
    arguments = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ.pop("SITELOOP_ARTIFACTS", None)
        candidates = start(folder, DIVISIONS["quick" if arguments.quick else "full"])
        done: dict[str, Any] = {} if arguments.quick else {"screened": apart(folder, "screen")}
        begun = time.monotonic()
        killed = apart(folder, "screen", kill_at=candidates // 2 if not arguments.quick else 1)
        killed_after = time.monotonic() - begun
        pieces = len(list((folder / "lab.db.artifacts" / "screens").rglob("*.safetensors")))
        done |= {"gone on with": apart(folder, "screen"), "recommended": apart(folder, "recommend")}
        structures = compare(folder, arguments.quick)
    found: dict[str, Any] = {
        "candidates": candidates,
        "killed_after_seconds": killed_after,
        "pieces_kept": pieces,
        **done,
        "structures": structures,
    }
    lines = [
        f"{candidates:,} compositions, {MEASURED} measured, the best {TOP} ranked; every open one with its interval"
    ]
    for name, one in done.items():
        stages = ", ".join(f"{stage} {s:.1f}" for stage, s in one["by_stage"].items() if s >= 0.05)
        lines.append(
            f"{name:14}{one['seconds']:>8.1f} s  {one['cpu_seconds']:>6.1f} CPU s with imports  peak "
            f"{one['peak_mb']:>5.0f} MB  ({stages})"
        )
    lines.append(f"killed after {killed_after:.1f} s, with {pieces} pieces of 65,536 kept")
    lines += told(structures)
    resumed = done["gone on with"]
    found["shown"] = {
        f"peak memory below {BAR_MB} MB": max(one["peak_mb"] for one in done.values()) < BAR_MB,
        f"screened within {BAR_SECONDS} s": resumed["seconds"] < BAR_SECONDS,
        "every open one with an interval": resumed["with_intervals"] == candidates - MEASURED,
        f"a structure in the first stage within {BAR_MS:g} ms": structures["shares_ms"] <= BAR_MS,
        "killed, and gone on with from what was kept": killed is None and pieces > 0,
    }
    if not arguments.quick:
        found["shown"] |= {
            "the same ranking after the kill": resumed["found"] == done["screened"]["found"],
            "the same table after the kill": resumed["table"] == done["screened"]["table"],
            "gone on with in less time": resumed["seconds"] < done["screened"]["seconds"],
        }
        figure(done)
    lines += [f"{claim}: {'yes' if holds else 'NO'}" for claim, holds in found["shown"].items()]
    finish("streaming", json.loads(json.dumps(found)), "\n".join(lines), arguments)


def figure(done: dict[str, Any]) -> None:
    """Seconds by stage, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axis = pyplot.subplots(figsize=(7, 2.4), layout="constrained")
    left = [0.0] * len(done)
    for stage in dict.fromkeys(stage for one in done.values() for stage in one["by_stage"]):
        widths = [one["by_stage"].get(stage, 0.0) for one in done.values()]
        axis.barh(list(done), widths, left=left, label=stage)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axis.invert_yaxis()
    axis.set(xlabel="seconds")
    axis.legend(frameon=False, fontsize=7)
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "streaming.png", dpi=110)


if __name__ == "__main__":
    main()
