"""Replays on the lent plates: experiments needed, beside random draws and the peers' own runs; forward coverage.

Protocol: 10 random experiments, then batches of 5, 100 in all; the same initial draw as the peers at each seed.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import PLATES, RESULTS, finish, lent, options, plate_spec

SEEDS = 20
RIVALS = ("baybe", "botorch_qlognei")
FIGURES = {"first": "first_hit", "found": "top_found", "regret": "regret_auc"}


def load(plate: str) -> Any:
    from campaign.plate import load_plate
    from campaign.spaces import build_space
    from campaign.spec import load_spec

    spec = load_spec(plate_spec(plate))
    content = lent("data", f"{plate}.csv").read_bytes()
    columns = (*PLATES[plate], "overpotential")
    space = build_space(spec.space)
    return spec, load_plate(space, spec.objectives, content, f"{plate}.csv", columns=columns, unit="V")


def run(job: tuple[str, int, int]) -> tuple[str, Any, float]:
    import torch

    from campaign.backtest import Protocol, replay

    torch.set_num_threads(1)
    plate, seed, budget = job
    spec, table = load(plate)
    begun = time.process_time()
    done = replay(spec, Path(), table, seed=seed, protocol=Protocol(budget=budget))
    return plate, done, (time.process_time() - begun) / max(len(done.recipes), 1)


def peers(plate: str, seeds: range) -> dict[str, dict[str, list[float]]]:
    """The peers' runs on a plate: method -> figure -> value per seed, for methods that ran every seed."""
    rows = [json.loads(line) for line in lent("bench", "peers.jsonl").read_text().splitlines()]
    name = f"oer{plate.rpartition('_')[2]}"
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        if row["dataset"] == name and row["status"] == "ok" and row["seed"] in seeds:
            found.setdefault(row["method"], {})[row["seed"]] = row
    return {
        method: {figure: [by_seed[s][key] for s in seeds] for figure, key in FIGURES.items()}
        for method, by_seed in found.items()
        if len(by_seed) == len(seeds)
    }


def paired(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """Mean and standard error of the paired difference."""
    import numpy as np

    difference = np.array(ours) - np.array(theirs)
    n = len(difference)
    return float(difference.mean()), float(difference.std(ddof=1) / n**0.5) if n > 1 else float("nan")


def shown(ours: dict[str, list[float]], theirs: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, Any]]:
    """Each figure against the better of the rivals: ours, theirs, the bar, and whether it is met."""
    mean = {m: {f: sum(v) / len(v) for f, v in figures.items()} for m, figures in theirs.items()}
    best = {f: (max if f == "found" else min)(RIVALS, key=lambda m: mean[m][f]) for f in FIGURES}
    mine = {f: sum(v) / len(v) for f, v in ours.items()}
    behind, error = paired(ours["first"], theirs[best["first"]]["first"])
    bars = {
        "regret": ("at most 0.75 x", mine["regret"] / mean[best["regret"]]["regret"], 0.75, -1),
        "found": ("at least 1.15 x", mine["found"] / mean[best["found"]]["found"], 1.15, 1),
        "first": ("later by at most one standard error", behind, error, -1),
    }
    return {
        f: {"rival": best[f], "bar": bar, "value": value, "limit": limit, "met": sign * value >= sign * limit}
        for f, (bar, value, limit, sign) in bars.items()
    }


def main() -> None:
    arguments = options(__doc__ or "")
    seeds = range(1 if arguments.quick else SEEDS)
    budget = 40 if arguments.quick else 100
    names = list(PLATES)[:1] if arguments.quick else list(PLATES)
    jobs = [(plate, seed, budget) for seed in seeds for plate in names]
    from campaign.backtest import Protocol, summarise

    with multiprocessing.get_context("spawn").Pool(min(2, len(jobs))) as workers:
        done = workers.map(run, jobs, chunksize=1)
    found: dict[str, Any] = {"seeds": list(seeds), "protocol": asdict(Protocol(budget=budget)), "plates": {}}
    lines = []
    curves = {}
    for plate in names:
        spec, table = load(plate)
        replays = [r for name, r, _ in done if name == plate]
        cpu = [seconds for name, _, seconds in done if name == plate]
        result = summarise(table, replays, Protocol(budget=budget), spec.intervals.levels[0])
        result["cpu_seconds_per_round"] = sum(cpu) / len(cpu)
        result["by_seed"] = [{"seed": r.seed, **r.scores, "recipes": sorted(set(r.recipes))} for r in replays]
        used = [recipe for r in replays for recipe in r.recipes]
        result["recipes"] = {recipe: used.count(recipe) for recipe in sorted(set(used))}
        lines.append(f"{plate}: {len(table):,} candidates with a value, {len(replays)} seeds")
        lines.append(f"  {'':18}{'first of best 1 %':>20}{'best 1 % found':>18}{'regret 11-' + str(budget):>18}")
        for who in ("siteloop", "random"):
            cells = [f"{result[who][f]['mean']:.4g} ± {result[who][f]['se'] or 0:.2g}" for f in FIGURES]
            lines.append(f"  {who:18}{cells[0]:>20}{cells[1]:>18}{cells[2]:>18}")
        result["peers"] = {}
        theirs = peers(plate, seeds) if budget == 100 else {}
        for method, figures in theirs.items():
            means = {f: sum(v) / len(v) for f, v in figures.items()}
            versus = {f: paired([r.scores[f] for r in replays], figures[f]) for f in FIGURES}
            result["peers"][method] = {"mean": means, "siteloop_minus_peer": versus}
            lines.append(f"  {method:18}{means['first']:>20.4g}{means['found']:>18.4g}{means['regret']:>18.4g}")
            cells = [f"{d:+.2g} ± {se:.1g}" for d, se in versus.values()]
            lines.append(f"    {'ours minus it':16}{cells[0]:>20}{cells[1]:>18}{cells[2]:>18}")
        if set(RIVALS) <= theirs.keys():
            result["shown"] = shown({f: [r.scores[f] for r in replays] for f in FIGURES}, theirs)
            for f, s in result["shown"].items():
                met = "yes" if s["met"] else "NO"
                lines.append(f"  {f}: {s['value']:.3g} beside {s['rival']}; bar {s['bar']} ({s['limit']:.3g}): {met}")
        c = result["coverage"]
        thirds = ", ".join(f"{t['realised']:.2f}" if t["n"] else "none" for t in c["thirds"])
        lines.append(
            f"  {100 * c['level']:g} % interval on the next round: {c['realised']:.3f} of {c['n']} (thirds {thirds}); "
            f"{c['below']} below, {c['above']} above, {c['withheld']} withheld; width {c['width']:.1f} mV, "
            f"Winkler {c['winkler']:.1f} mV"
        )
        lines.append(f"  {result['cpu_seconds_per_round']:.2f} CPU s a round; recipes {result['recipes']}")
        found["plates"][plate] = result
        curves[plate] = ([r.regret for r in replays], table)
    if not arguments.quick:
        figure(curves, budget)
    finish("closed_loop", found, "\n".join(lines), arguments)


def figure(curves: dict[str, Any], budget: int) -> None:
    """Regret curves beside random draws, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    from campaign.plate import random_order, regret

    drawn, axes = pyplot.subplots(1, len(curves), figsize=(4.5 * len(curves), 3.4), sharey=True, squeeze=False)
    for axis, (plate, (ours, table)) in zip(axes[0], curves.items(), strict=True):
        chance = [regret(table, random_order(table, initial=10, budget=budget, seed=s)) for s in range(100)]
        for label, colour, values in (("random", "#8a8a8a", chance), ("siteloop", "#0072b2", ours)):
            y = np.array(values)
            x = np.arange(1, y.shape[1] + 1)
            axis.fill_between(x, *np.quantile(y, [0.25, 0.75], axis=0), color=colour, alpha=0.2, linewidth=0)
            axis.plot(x, y.mean(0), color=colour, label=label)
        axis.set(title=plate, xlabel="experiments", ylim=(0, None))
    axes[0][0].set_ylabel("(best - optimum) / (median - optimum)")
    axes[0][0].legend(frameon=False)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "closed_loop.png", dpi=110)


if __name__ == "__main__":
    main()
