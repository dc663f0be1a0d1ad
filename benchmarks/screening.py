"""Screening doped slabs: encoded, predicted with intervals, ranked and explained, by stage; then again, all encoded.

beta-CoOOH, 4 x 3 cell of 48 atoms, 2 to 4 dopants among nine, 26 decorations of each composition at most. 60 measured
slabs (a made-up overpotential that falls with Zn beside Ti), then batches through the campaign itself, each step in a
process of its own:

1. recommend, interrupted when half of the structures are encoded;
2. recommend again: what was encoded is not encoded again;
3. recommend a further batch with everything encoded.

Seconds are those of the clock, on two processes while structures are encoded. Peak memory is that of the main process
and of both workers, added as if they had it at the same moment.
"""

from __future__ import annotations

import csv
import io
import json
import math
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from common import RESULTS, finish, options

DOPANTS = ("Ti", "V", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn", "Mo")
FULL = {"dopants": DOPANTS, "count": {"min": 2, "max": 4}, "per_composition": 26}
QUICK = {"dopants": DOPANTS[:1] + DOPANTS[7:8], "count": {"min": 2, "max": 2}, "per_composition": 5}
MEASURED = {"full": 60, "quick": 5}
BATCH = {"full": 8, "quick": 2}
NAME = "screening"
BAR_MB, BAR_SECONDS = 4096, 60


def spec(space: dict[str, Any], size: int) -> Any:
    from campaign.spec import load_spec

    return load_spec(
        {
            "spec_version": 1,
            "campaign": NAME,
            "seed": 1,
            "space": {
                "type": "doped_slab",
                "host": {"builder": "coooh", "lateral": [4, 3]},
                "sites": {"element": "Co"},
                **space,
            },
            "encoder": {"type": "chgnet", "survivors": "all"},
            "objectives": [{"name": "overpotential", "goal": "minimize", "unit": "mV"}],
            "batch": {"size": size},
        }
    )


def overpotential(structure: Any) -> float:
    """Made up: 400 mV, less 10 to 60 for each Zn, the more the nearer it is to a Ti."""
    sites = [site for site in structure if site.properties["dopant"]]
    titanium = [site for site in sites if site.specie.symbol == "Ti"]
    gains = [
        10 + 50 * max((math.exp(2.85 - site.distance(other)) for other in titanium), default=0.0)
        for site in sites
        if site.specie.symbol == "Zn"
    ]
    return 400 - sum(gains)


def start(folder: Path, quick: bool) -> int:
    """Start the campaign with its measured slabs; the number of candidates."""
    import numpy as np

    from campaign import Campaign

    kind = "quick" if quick else "full"
    campaign = Campaign.start(spec(QUICK if quick else FULL, BATCH[kind]), db=f"sqlite:///{folder}/lab.db")
    space = campaign.state.space
    rng = np.random.default_rng(0)
    rows = rng.choice(space.count, MEASURED[kind], replace=False)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", "decoration", "overpotential (mV)"])
    for i, row in enumerate(rows.tolist()):
        design = space.candidate(row).design
        (structure,) = space.structures(int(space.x_of(design)[0]))
        writer.writerow([f"old-{i}", design["decoration"], f"{overpotential(structure) + rng.normal(0, 4):.1f}"])
    campaign.ingest(text.getvalue().encode(), name="history.csv", commit=True)
    return int(space.count)


def step(folder: Path, stop_at: int | None, more: bool) -> dict[str, Any]:
    """One recommendation in this process: seconds by stage, memory, and what was encoded."""
    from campaign import Campaign

    begun = last = time.monotonic()
    seconds: dict[str, float] = {}
    stage_now = "read the campaign"

    def stage(name: str) -> None:
        nonlocal last, stage_now
        now = time.monotonic()
        seconds[stage_now] = seconds.get(stage_now, 0.0) + now - last
        last = now
        words = name.split()
        stage_now = {"encoded": "encode", "screened": "screen"}.get(words[0], name)
        if "explain" in name:
            stage_now = "explain"
        if stop_at is not None and words[0] == "encoded" and int(words[1].replace(",", "")) >= stop_at:
            raise KeyboardInterrupt

    interrupted = False
    try:
        batch = Campaign.open(NAME, db=f"sqlite:///{folder}/lab.db").recommend(more=more, stage=stage)
        explained = sum("objectives" in r.rationale for r in batch)
    except KeyboardInterrupt:
        interrupted, explained = True, 0
    seconds[stage_now] = seconds.get(stage_now, 0.0) + time.monotonic() - last
    own, worker = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "seconds": time.monotonic() - begun,
        "by_stage": seconds,
        "peak_mb": own + 2 * worker,
        "own_mb": own,
        "interrupted": interrupted,
        "explained": explained,
        "encoded": kept(folder),
    }


def kept(folder: Path) -> int:
    """Structures whose features are on disk."""
    from surrogates import FeatureCache

    return len(FeatureCache(folder / "lab.db.artifacts" / "features"))


def apart(folder: Path, stop_at: int | None = None, more: bool = False) -> dict[str, Any]:
    """`step` in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(step, folder, stop_at, more).result()


def main() -> None:
    arguments = options(__doc__ or "")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ.pop("SITELOOP_ARTIFACTS", None)
        begun = time.monotonic()
        candidates = start(folder, arguments.quick)
        found: dict[str, Any] = {
            "candidates": candidates,
            "start_seconds": time.monotonic() - begun,
            "interrupted": apart(folder, stop_at=candidates // 2),
            "resumed": apart(folder),
            "encoded_before": apart(folder, more=True),
        }
    lines = [
        f"{candidates:,} candidates of 48 atoms; started with its measured slabs in {found['start_seconds']:.1f} s"
    ]
    for name in ("interrupted", "resumed", "encoded_before"):
        one = found[name]
        stages = ", ".join(f"{stage} {s:.1f}" for stage, s in one["by_stage"].items() if s >= 0.05)
        lines.append(
            f"{name.replace('_', ' '):15}{one['seconds']:>9.1f} s  peak {one['peak_mb']:>6.0f} MB (main process "
            f"{one['own_mb']:.0f})  {one['encoded']:,} structures on disk, {one['explained']} explained"
        )
        lines.append(f"{'':15}{stages}")
    again = found["encoded_before"]
    peak = max(found[name]["peak_mb"] for name in ("interrupted", "resumed", "encoded_before"))
    found["shown"] = {
        f"peak memory below {BAR_MB} MB": peak < BAR_MB,
        f"with features kept below {BAR_SECONDS} s": again["seconds"] < BAR_SECONDS,
        "resumed from what was encoded": found["resumed"]["encoded"] >= candidates > found["interrupted"]["encoded"],
    }
    lines += [f"{claim}: {'yes' if holds else 'NO'}" for claim, holds in found["shown"].items()]
    if not arguments.quick:
        figure(found)
    finish("screening", json.loads(json.dumps(found)), "\n".join(lines), arguments)


def figure(found: dict[str, Any]) -> None:
    """Seconds by stage, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = ("interrupted", "resumed", "encoded_before")
    longest = max(found[name]["seconds"] for name in names)
    spent = [(stage, s) for name in names for stage, s in found[name]["by_stage"].items()]
    stages = list(dict.fromkeys(stage for stage, s in spent if s > longest / 500))
    drawn, axis = pyplot.subplots(figsize=(7, 2.6), layout="constrained")
    left = [0.0] * len(names)
    for stage in stages:
        widths = [found[name]["by_stage"].get(stage, 0.0) for name in names]
        axis.barh([name.replace("_", " ") for name in names], widths, left=left, label=stage)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axis.invert_yaxis()
    axis.set(xlabel="seconds", title=f"{found['candidates']:,} candidates")
    axis.legend(frameon=False, fontsize=8, loc="center right", bbox_to_anchor=(0.98, 0.24), ncols=2)
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "screening.png", dpi=110)


if __name__ == "__main__":
    main()
