"""Warm starts on the lent plates: each learns from the other, from the other shuffled, or from nothing.

Protocol: the cold start has 10 random experiments, the others have none; then batches of 5, to 50 in all. A start whose
history is left aside is the engine's own, which fills the space: `filled` is that one, without any history. Regret is
the mean of (best - optimum) / (median - optimum) over experiments 1 to 50, the random ones of the cold start included.
`--seeds N` runs the first N of the 10 seeds; the result says how many.
"""

from __future__ import annotations

import csv
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

from common import PLATES, RESULTS, finish, lent, options, plate_spec

SEEDS = 10
BUDGET = 50
EARLY = 30
STARTS = ("cold", "warm", "shuffled", "filled")


def table(plate: str, folder: Path, shuffled: int | None) -> str:
    """A plate as a table of prior data in a folder; with a seed its values are dealt out anew among its designs."""
    import numpy as np

    with lent("data", f"{plate}.csv").open() as source:
        rows = [row for row in csv.reader(source) if row]
    values = [row[-1] for row in rows]
    if shuffled is not None:
        values = [values[i] for i in np.random.default_rng([shuffled, 1]).permutation(len(values))]
    # a few designs were measured more than once
    with (folder / "prior.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*PLATES[plate], "replicate", "overpotential (V)"])
        writer.writerows([*row[:-1], i, value] for i, (row, value) in enumerate(zip(rows, values, strict=True), 1))
    return "prior.csv"


def run(job: tuple[str, str, int, int]) -> dict[str, Any]:
    """One replay."""
    import torch

    from campaign.backtest import Protocol, replay
    from campaign.plate import load_plate
    from campaign.spaces import build_space
    from campaign.spec import load_spec

    torch.set_num_threads(1)
    plate, start, seed, budget = job
    (other,) = (name for name in PLATES if name != plate)
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        folder, history = Path(place), []
        if start in ("warm", "shuffled"):
            history = [{"file": table(other, folder, seed if start == "shuffled" else None)}]
        spec = load_spec(plate_spec(plate, history=history))
        space = build_space(spec.space)
        content = lent("data", f"{plate}.csv").read_bytes()
        columns = (*PLATES[plate], "overpotential")
        measured = load_plate(space, spec.objectives, content, f"{plate}.csv", columns=columns, unit="V")
        protocol = Protocol(initial=10 if start == "cold" else 0, budget=budget)
        done = replay(spec, folder, measured, seed=seed, protocol=protocol)
    return {
        "plate": plate,
        "start": start,
        "seed": seed,
        "regret": sum(done.regret) / len(done.regret),
        "found": found(measured, done.order[:EARLY]),
        "curve": done.regret,
        "recipes": done.recipes,
        "cpu_seconds_per_round": (time.process_time() - begun) / len(done.recipes),
    }


def found(plate: Any, order: list[int]) -> float:
    """Fraction of the best 1 % among some rows of a plate."""
    from campaign.plate import score

    return score(plate, order, 0)["found"]


def summary(rows: list[dict[str, Any]], figure: str) -> tuple[float, float | None]:
    """Mean and standard error of a figure; no error of a single run."""
    import numpy as np

    values = np.array([row[figure] for row in rows])
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None


def paired(rows: list[dict[str, Any]], others: list[dict[str, Any]], figure: str) -> tuple[float, float | None]:
    """Mean and standard error of the difference from other runs of the same seeds."""
    return summary([{figure: a[figure] - b[figure]} for a, b in zip(rows, others, strict=True)], figure)


def main() -> None:
    arguments = options(__doc__ or "", seeds=SEEDS)
    seeds = range(1 if arguments.quick else arguments.seeds)
    budget = 15 if arguments.quick else BUDGET
    names = list(PLATES)[:1] if arguments.quick else list(PLATES)
    starts = STARTS[:2] if arguments.quick else STARTS
    jobs = [(plate, start, seed, budget) for seed in seeds for plate in names for start in starts]
    with multiprocessing.get_context("spawn").Pool(min(2, len(jobs))) as workers:
        done = workers.map(run, jobs, chunksize=1)
    result: dict[str, Any] = {"seeds": list(seeds), "budget": budget, "plates": {}, "runs": done}
    lines = []
    for plate in names:
        groups = {start: [r for r in done if (r["plate"], r["start"]) == (plate, start)] for start in starts}
        (other,) = (name for name in PLATES if name != plate)
        lines.append(f"{plate}, learning from {other}: {len(seeds)} seeds")
        lines.append(
            f"  {'':10}{f'regret 1-{budget}':>20}{f'best 1 % found by {min(EARLY, budget)}':>28}{'CPU s a round':>16}"
        )
        figures: dict[str, Any] = {}
        for start, rows in groups.items():
            mean = {f: summary(rows, f) for f in ("regret", "found", "cpu_seconds_per_round")}
            cells = [f"{mean[f][0]:.4f} ± {mean[f][1] or 0:.2g}" for f in ("regret", "found")]
            lines.append(f"  {start:10}{cells[0]:>20}{cells[1]:>28}{mean['cpu_seconds_per_round'][0]:>16.1f}")
            versus = {f: paired(rows, groups["cold"], f) for f in ("regret", "found")}
            figures[start] = {"mean": mean, "minus_cold": versus}
        cold, warm = figures["cold"]["mean"], figures["warm"]["mean"]
        figures["regret_ratio"] = warm["regret"][0] / cold["regret"][0]
        figures["found_ratio"] = warm["found"][0] / cold["found"][0] if cold["found"][0] else None
        ratio = "-" if figures["found_ratio"] is None else f"{figures['found_ratio']:.2f}x"
        lines.append(f"  warm against cold: regret {figures['regret_ratio']:.2f}x, best 1 % found {ratio}")
        if "shuffled" in figures:
            for other in ("cold", "filled"):
                regret, hits = (paired(groups["shuffled"], groups[other], f) for f in ("regret", "found"))
                told = f"regret {regret[0]:+.4f} ± {regret[1] or 0:.2g}, found {hits[0]:+.3f} ± {hits[1] or 0:.2g}"
                lines.append(f"  shuffled minus {other}: {told}")
        result["plates"][plate] = figures
    if not arguments.quick:
        draw(done, names)
    finish("transfer", result, "\n".join(lines), arguments)


def draw(done: list[dict[str, Any]], names: list[str]) -> None:
    """Regret curves as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, len(names), figsize=(4.5 * len(names), 3.4), sharey=True, squeeze=False)
    colours = {"cold": "#8a8a8a", "warm": "#0072b2", "shuffled": "#d55e00", "filled": "#009e73"}
    for axis, plate in zip(axes[0], names, strict=True):
        for start in STARTS:
            y = np.array([r["curve"] for r in done if (r["plate"], r["start"]) == (plate, start)])
            x = np.arange(1, y.shape[1] + 1)
            axis.fill_between(x, *np.quantile(y, [0.25, 0.75], axis=0), color=colours[start], alpha=0.2, linewidth=0)
            axis.plot(x, y.mean(0), color=colours[start], label=start)
        axis.set(title=plate, xlabel="experiments", ylim=(0, None))
    axes[0][0].set_ylabel("(best - optimum) / (median - optimum)")
    axes[0][0].legend(frameon=False)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "transfer.png", dpi=110)


if __name__ == "__main__":
    main()
