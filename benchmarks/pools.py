"""One recommendation from a large pool: CPU seconds and peak memory beside BayBE and BoTorch; the regret of shortcuts.

Pools of compositions of six elements, 60 measured, batch of 5, one thread; the response is made up. Every method runs
in a process of its own and is counted from after its imports. The peers need an environment of their own: give its
interpreter as `--peers PYTHON` or `$SITELOOP_PEERS`.

The regret: on pools of 4,000 the batch from the shortlist beside the batch from the whole pool, both valued by the
noisy expected improvement of the batch over the measured designs on the same 100,000 joint samples.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import RESULTS, ROOT, finish, lent, options

ELEMENTS = ("Ni", "Fe", "Co", "Mn", "Ce", "La")
DIVISIONS = {4000: 11, 5000: 12, 20_000: 16, 100_000: 24}
MEASURED, BATCH, VALUED = 60, 5, 100_000
NOISE = 3.0
SEEDS = 20


def interpreter() -> str | None:
    """That of the peers, if one is given; the option is taken out of the command line."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--peers", default=os.environ.get("SITELOOP_PEERS"))
    known, sys.argv[1:] = parser.parse_known_args()
    return known.peers


def response(X: Any) -> Any:
    """Made up, mV: a plane, a synergy of the first and last element, a pit at equal shares of three."""
    import numpy as np

    pit = np.exp(-12 * ((X[:, :3] - 1 / 3) ** 2).sum(1))
    return 400 + 60 * X @ np.linspace(-1, 1, X.shape[1]) - 120 * np.sqrt(X[:, 0] * X[:, -1]) - 60 * pit


def prepare(folder: Path, size: int, seed: int, model: str) -> Any:
    """A campaign with its measured designs, and the same for the peers; the open rows."""
    import numpy as np

    from campaign import Campaign
    from campaign.spec import load_spec

    spec = {
        "spec_version": 1,
        "campaign": "pool",
        "seed": seed,
        "space": {"type": "composition_grid", "elements": list(ELEMENTS), "divisions": DIVISIONS[size]},
        "objectives": [{"name": "response", "goal": "minimize", "unit": "mV"}],
        "batch": {"size": BATCH},
        "model": model,
    }
    campaign = Campaign.start(load_spec(spec), db=f"sqlite:///{folder}/lab.db")
    space = campaign.state.space
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(space.count, min(size, space.count), replace=False))
    X = space.X(rows)
    seen = rng.choice(len(rows), MEASURED, replace=False)
    y = np.round(response(X[seen]) + rng.normal(0, NOISE, MEASURED), 2)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", *ELEMENTS, "response (mV)"])
    writer.writerows([f"old-{i}", *X[row].tolist(), value] for i, (row, value) in enumerate(zip(seen, y, strict=True)))
    campaign.ingest(text.getvalue().encode(), name="history.csv", commit=True)
    np.savez(folder / "pool.npz", X=X, rows=rows, seen=seen, y=y)
    return campaign


def measured(size: int, peers: str | None, quick: bool) -> dict[str, Any]:
    """CPU seconds and memory of each method on one pool."""
    import numpy as np

    found: dict[str, Any] = {}
    here = {**os.environ, "PYTHONPATH": str(ROOT.parent), "PYTHONWARNINGS": "ignore"}
    there = {name: value for name, value in here.items() if name != "PYTHONPATH"}
    jobs = [("siteloop, 128 samples", "gp", 128), ("siteloop", "gp", 512)]
    jobs += [] if quick else [("siteloop, recipes compared", "auto", 512)]
    script = str(ROOT / "pools_one.py")
    for label, model, samples in jobs:
        with tempfile.TemporaryDirectory() as place:
            prepare(Path(place), size, 0, model)
            command = [sys.executable, script, "siteloop", place, str(samples)]
            found[label] = json.loads(subprocess.run(command, env=here, check=True, capture_output=True).stdout)
            given = dict(np.load(Path(place) / "pool.npz"))
    for name in ("botorch_qlognei", "baybe") if peers else ():
        with tempfile.TemporaryDirectory() as place:
            np.savez(Path(place) / "pool.npz", **given)
            command = [str(peers), script, name, place, str(lent("bench", "methods.py").parent)]
            told = subprocess.run(command, env=there, check=True, capture_output=True, text=True).stdout
            found[name] = json.loads(told.splitlines()[-1])
    truth = response(given["X"])
    for one in found.values():
        one["best_chosen_mv"] = float(truth[one["chosen"]].min())
    return found


def regret(seed: int) -> dict[str, float]:
    """What the shortlist loses on one pool of 4,000."""
    import numpy as np
    import torch

    from acquisition.choose import choose
    from acquisition.pool import CachedPool
    from acquisition.shortlist import Promise, shortlist
    from campaign.belief import believe
    from campaign.screen import open_chunks

    with tempfile.TemporaryDirectory() as place:
        campaign = prepare(Path(place), 4000, seed, "gp")
        belief = believe(campaign.state, seed=seed)
        rows = np.concatenate(list(open_chunks(campaign.state, only=np.load(Path(place) / "pool.npz")["rows"])))
        X = torch.from_numpy(campaign.state.space.X(rows))
    settings: dict[str, Any] = {
        "acquisition": "qLogNEI",
        "goals": belief.goals,
        "X_observed": belief.observed(),
        "best_observed": belief.best_measured(),
        "seed": seed,
    }
    begun = time.process_time()
    whole = choose(belief.model, X, BATCH, **settings).rows
    middle = time.process_time()
    kept = shortlist(Promise.of(belief.model, X, belief.goals), X.split(1024))
    short = kept[choose(belief.model, X[kept], BATCH, **settings).rows].tolist()
    ended = time.process_time()
    both = torch.cat([X[whole], X[short], belief.observed()])
    samples = CachedPool(belief.model, both, seed=seed + 1, n_samples=VALUED).samples[..., 0]
    best = samples[:, 2 * BATCH :].amax(1)
    gain = [(samples[:, part].amax(1) - best).clamp_min(0) for part in (slice(BATCH), slice(BATCH, 2 * BATCH))]
    return {
        "whole_mv": float(gain[0].mean()),
        "shortlist_mv": float(gain[1].mean()),
        "lost": 1 - float(gain[1].mean() / gain[0].mean()),
        "shared": len(set(whole) & set(short)),
        "whole_cpu_seconds": middle - begun,
        "shortlist_cpu_seconds": ended - middle,
    }


def main() -> None:
    peers = interpreter()
    arguments = options(__doc__ or "")
    import numpy as np
    import torch

    torch.set_num_threads(1)
    sizes = (5000,) if arguments.quick else (20_000, 100_000)
    found: dict[str, Any] = {"measured": MEASURED, "batch": BATCH, "pools": {}}
    lines = []
    for size in sizes:
        found["pools"][f"{size}"] = by_method = measured(size, peers, arguments.quick)
        lines.append(f"{size:,} compositions, {MEASURED} measured, batch of {BATCH}")
        for name, one in by_method.items():
            lines.append(
                f"  {name:28}{one['cpu_seconds']:>8.2f} CPU s  peak {one['peak_mb']:>6.0f} MB above its imports "
                f"({one['imported_mb']:.0f})  best chosen {one['best_chosen_mv']:.1f} mV"
            )
    if not peers:
        lines.append("the peers are left out: give their interpreter as --peers PYTHON or $SITELOOP_PEERS")
    seeds = range(1 if arguments.quick else SEEDS)
    found["regret"] = each = [regret(seed) for seed in seeds]
    lost = np.array([one["lost"] for one in each])
    se = float(lost.std(ddof=1) / len(lost) ** 0.5) if len(lost) > 1 else float("nan")
    found["lost"] = {"mean": float(lost.mean()), "se": se, "worst": float(lost.max())}
    lines.append(
        f"shortlist beside the whole pool of 4,000, {len(each)} seeds: {100 * lost.mean():.2f} ± {100 * se:.1g} % of "
        f"the expected improvement lost (worst {100 * lost.max():.1f} %), {np.mean([r['shared'] for r in each]):.1f} "
        f"of {BATCH} candidates shared; {np.mean([r['shortlist_cpu_seconds'] for r in each]):.2f} against "
        f"{np.mean([r['whole_cpu_seconds'] for r in each]):.2f} CPU s"
    )
    if peers and not arguments.quick:
        found["shown"] = shown(found["pools"])
        lines += [f"{claim}: {'yes' if holds else 'NO'}" for claim, holds in found["shown"].items()]
    if not arguments.quick:
        figure(found["pools"])
    finish("pools", found, "\n".join(lines), arguments)


def shown(pools: dict[str, Any]) -> dict[str, bool]:
    """What is to be shown, and whether it is."""
    claims = {}
    for size, by_method in pools.items():
        same, ours = by_method["siteloop, 128 samples"], by_method["siteloop"]
        theirs, baybe = by_method["botorch_qlognei"], by_method["baybe"]
        claims[f"{int(size):,}: no slower than BoTorch at its number of samples"] = (
            same["cpu_seconds"] <= theirs["cpu_seconds"]
        )
        claims[f"{int(size):,}: a tenth of BayBE's CPU seconds at most"] = (
            10 * ours["cpu_seconds"] <= baybe["cpu_seconds"]
        )
        claims[f"{int(size):,}: no more memory than either"] = ours["peak_mb"] <= min(
            theirs["peak_mb"], baybe["peak_mb"]
        )
    return claims


def figure(pools: dict[str, Any]) -> None:
    """CPU seconds and memory by method, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, 2, figsize=(8, 2.8), sharey=True, layout="constrained")
    for axis, key, label in zip(
        axes, ("cpu_seconds", "peak_mb"), ("CPU seconds", "peak MB above imports"), strict=True
    ):
        for i, (size, by_method) in enumerate(pools.items()):
            names = list(by_method)
            places = [j + 0.38 * i for j in range(len(names))]
            axis.barh(places, [by_method[name][key] for name in names], height=0.36, label=f"{int(size):,}")
        axis.set(xlabel=label, yticks=[j + 0.19 for j in range(len(names))], yticklabels=names, xscale="log")
    axes[0].invert_yaxis()
    axes[0].legend(frameon=False, fontsize=7, title="candidates", title_fontsize=7)
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "pools.png", dpi=110)


if __name__ == "__main__":
    main()
