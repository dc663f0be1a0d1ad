"""Closed loop on the simulated lab of examples/he_coooh: experiments until one of the best 1 % of decorations is made.

The pool is one space of decorations of CoOOH (4 x 3 cell, 2 to 3 dopants of six), encoded once; the best are known by
the lab's noise-free overpotential, and every measurement carries its 5 mV. 10 random decorations, then batches of 5,
100 in all; the same initial draw and the same noise for every method at a seed. All but random are real campaigns, with
the default recipes and qLogNEI, run by `campaign.backtest.replay`:

- sites: what the surrogates see of a decoration is its sites, as CHGNet's features;
- compositions: they see its composition alone. Which decoration of a composition is made is then up to chance: the
  values of each composition's decorations are shuffled among them beforehand, anew for each seed.

Features lie in `$SITELOOP_ARTIFACTS`, by default `~/.cache/siteloop`; encoding the full pool takes about 4 CPU minutes.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Any
from unittest.mock import patch

from closed_loop import paired
from common import RESULTS, ROOT, finish, options

SEEDS = 10
METHODS = ("random", "sites", "compositions")
COLOURS = ("#8a8a8a", "#0072b2", "#d55e00")
CHANCE = 200
"""Random campaigns whose mean stands beside the paired ones."""
ARTIFACTS = Path(os.environ.get("SITELOOP_ARTIFACTS") or Path.home() / ".cache" / "siteloop")
FULL = {"dopants": ["Ti", "Cr", "Mn", "Fe", "Ni", "Zn"], "count": {"min": 2, "max": 3}, "per_composition": 20}
QUICK = {"dopants": ["Ti", "Fe", "Zn"], "count": {"min": 2, "max": 2}, "per_composition": 4}
FIGURES = {
    "first": "first of best 1 %",
    "found": "best 1 % found",
    "early": "regret at 30, mV",
    "last": "at the end, mV",
}


class Compositions:
    """An encoder that takes a decoration for its composition."""

    def __init__(self, space: Any) -> None:
        from surrogates.encoders.elements import CompositionEncoder

        self.space, self.sites = space, len(space.host.sites)
        self.encode = CompositionEncoder((space.host.element, *space.dopants))
        self.known: dict[tuple[int, ...], int] = {}

    def __call__(self, X: Any, stratum: Sequence[str] | None = None) -> Any:
        numbers = [int(x) for x in X.reshape(-1).tolist()]
        held = [Counter(self.space.placed(x).values()) for x in numbers]
        host = self.space.host.element
        counts = [
            tuple(self.sites - dopants.total() if e == host else dopants[e] for e in self.encode.elements)
            for dopants in held
        ]
        for x, composition in zip(numbers, counts, strict=True):
            self.known.setdefault(composition, x)
        return self.encode(X.new_tensor(counts) / self.sites, stratum)

    def designs(self, bags: Any) -> Any:
        """Of each composition the decoration that was encoded first."""
        counts = (bags.weights * self.sites).round().int().tolist()
        return bags.weights.new_tensor([[self.known[tuple(c)]] for c in counts])


def load(quick: bool) -> tuple[Any, Any, Any, list[str], float]:
    """Spec, space, noise-free plate, the composition of each candidate, and the sd of a measurement."""
    import numpy as np

    sys.path.insert(0, str(ROOT.parent / "examples" / "he_coooh"))
    import lab

    from campaign.plate import Plate
    from campaign.spaces import build_space
    from campaign.spec import load_spec

    space: dict[str, Any] = {
        "type": "doped_slab",
        "host": {"builder": "coooh", "lateral": [4, 3]},
        "sites": {"element": "Co"},
    }
    spec = load_spec(
        {
            "spec_version": 1,
            "campaign": "simulated-lab",
            "seed": 1,
            "space": space | (QUICK if quick else FULL),
            "objectives": [{"name": "overpotential", "goal": "minimize", "unit": "mV"}],
        }
    )
    built = build_space(spec.space)
    X = [int(x) for x in built.X(np.arange(built.count))[:, 0]]
    values = np.array([lab.overpotential(built.structures(x)[0]) for x in X])
    plate = Plate(np.arange(built.count), values, unmeasured=0, outside=0, losses=values)
    return spec, built, plate, [built.formula(x) for x in X], lab.NOISE_MV


def run(job: tuple[str, int, int, bool]) -> dict[str, Any]:
    """One campaign: the order of measurement and its figures."""
    import numpy as np
    import torch

    from campaign.backtest import Protocol, replay
    from campaign.plate import random_order, regret, score

    torch.set_num_threads(1)
    method, seed, budget, quick = job
    spec, space, plate, compositions, noise_mv = load(quick)
    protocol, begun = Protocol(budget=budget), time.process_time()
    rng = np.random.default_rng([seed, 2])
    values, recipes = plate.values, []
    if method == "compositions":
        values = shuffled(values, compositions, rng)
    truth = changed(plate, values=values, losses=values)
    if method == "random":
        order = random_order(plate, initial=protocol.initial, budget=budget, seed=seed)
    else:
        noise = np.random.default_rng([seed, 3]).normal(0, noise_mv, len(plate))
        seen = changed(plate, values=values + noise, losses=values + noise)
        os.environ["SITELOOP_ARTIFACTS"] = str(ARTIFACTS)
        if method == "compositions":
            encoder = Compositions(space)
            with patch("campaign.encoding.site_encoder", lambda *_: encoder):
                done = replay(spec, Path(), seen, seed=seed, protocol=protocol)
        else:
            done = replay(spec, Path(), seen, seed=seed, protocol=protocol)
        order, recipes = done.order, done.recipes
    span = float(np.median(values) - values.min())
    curve = [span * r for r in regret(truth, order)]
    found = score(truth, order, protocol.initial)
    figures = {"first": found["first"], "found": found["found"], "early": curve[min(30, budget) - 1], "last": curve[-1]}
    cpu = time.process_time() - begun
    print(f"{method} {seed}: {figures}, {cpu:.0f} CPU s", file=sys.stderr, flush=True)
    return {"method": method, "seed": seed, **figures, "recipes": recipes, "cpu_seconds": cpu, "regret_mv": curve}


def shuffled(values: Any, compositions: Sequence[str], rng: Any) -> Any:
    """Values with those of each composition exchanged at random among its decorations."""
    import numpy as np

    found, names = values.copy(), np.array(compositions)
    for name in dict.fromkeys(compositions):
        rows = np.flatnonzero(names == name)
        found[rows] = values[rng.permutation(rows)]
    return found


def encode(spec: Any, space: Any) -> float:
    """Seconds for encoding the pool, unless it was done before."""
    import numpy as np
    import torch

    from campaign.encoding import site_encoder

    begun = time.monotonic()
    X = torch.from_numpy(space.X(np.arange(space.count)))
    site_encoder(space, spec.encoder, ARTIFACTS).encode(X)
    return time.monotonic() - begun


def main() -> None:
    arguments = options(__doc__ or "")
    import numpy as np

    seeds = range(2 if arguments.quick else SEEDS)
    budget = 20 if arguments.quick else 100
    spec, space, plate, compositions, _ = load(arguments.quick)
    took = encode(spec, space)
    jobs = [(method, seed, budget, arguments.quick) for seed in seeds for method in METHODS]
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        done = workers.map(run, jobs, chunksize=1)
    by_method = {method: [r for r in done if r["method"] == method] for method in METHODS}
    span = float(np.median(plate.values) - plate.values.min())
    found: dict[str, Any] = {
        "space": spec.space.model_dump(mode="json"),
        "candidates": space.count,
        "compositions": len(set(compositions)),
        "best_1_percent": int((plate.values <= np.sort(plate.values)[int(np.ceil(0.01 * space.count)) - 1]).sum()),
        "median_minus_best_mv": span,
        "seeds": list(seeds),
        "budget": budget,
        "encoding_seconds": took,
        "runs": done,
        "mean": {m: {f: mean([r[f] for r in runs]) for f in FIGURES} for m, runs in by_method.items()},
        "random_200": chance(plate, budget, span),
    }
    found["sites_minus"] = {
        other: {f: paired([r[f] for r in by_method["sites"]], [r[f] for r in by_method[other]]) for f in FIGURES}
        for other in ("random", "compositions")
    }
    cpu = [r["cpu_seconds"] for r in done if r["method"] != "random"]
    lines = [
        f"{space.count:,} decorations of {found['compositions']} compositions, {found['best_1_percent']} of them the "
        f"best 1 %; {len(seeds)} seeds; encoded in {took:.0f} s, {np.mean(cpu):.0f} CPU s a campaign",
        f"{'':24}" + "".join(f"{text:>20}" for text in FIGURES.values()),
    ]
    lines += [row(m, found["mean"][m]) for m in METHODS]
    lines.append(row(f"random, {CHANCE} seeds", found["random_200"]))
    lines += [row(f"sites minus {other}", cells, "+") for other, cells in found["sites_minus"].items()]
    if not arguments.quick:
        figure(by_method)
    finish("simulated_lab", found, "\n".join(lines), arguments)


def chance(plate: Any, budget: int, span: float) -> dict[str, tuple[float, float]]:
    """Figures of many random campaigns."""
    from campaign.plate import random_order, regret, score

    rows = []
    for seed in range(CHANCE):
        order = random_order(plate, initial=10, budget=budget, seed=seed)
        curve, found = regret(plate, order), score(plate, order, 10)
        rows.append([found["first"], found["found"], span * curve[min(30, budget) - 1], span * curve[-1]])
    return {f: mean(list(column)) for f, column in zip(FIGURES, zip(*rows, strict=True), strict=True)}


def mean(values: list[float]) -> tuple[float, float]:
    """Mean and standard error."""
    return paired(values, [0.0] * len(values))


def row(name: str, figures: dict[str, tuple[float, float]], sign: str = "") -> str:
    """A line of the table."""
    cells = (f"{m:{sign}.3g} ± {se:.2g}" for m, se in figures.values())
    return f"{name:24}" + "".join(f"{cell:>20}" for cell in cells)


def figure(by_method: dict[str, list[dict[str, Any]]]) -> None:
    """Simple regret against experiments, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    drawn, axis = pyplot.subplots(figsize=(5, 3.4))
    for (method, runs), colour in zip(by_method.items(), COLOURS, strict=True):
        y = np.array([r["regret_mv"] for r in runs])
        x = np.arange(1, y.shape[1] + 1)
        axis.fill_between(x, *np.quantile(y, [0.25, 0.75], axis=0), color=colour, alpha=0.2, linewidth=0)
        axis.plot(x, y.mean(0), color=colour, label=method)
    axis.set(xlabel="experiments", ylabel="best made - best of the pool, mV", ylim=(0, None))
    axis.legend(frameon=False)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "simulated_lab.png", dpi=110)


if __name__ == "__main__":
    main()
