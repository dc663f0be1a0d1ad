"""Two objectives: hypervolume against experiments, beside qLogNEHVI on a plain GP and random draws.

- alloys: `mpea_dataset.csv`, strength (UTS) and elongation in tension at 15 to 35 degC; a design is a composition and a
  processing route, the rows of one design are averaged. The reference point is 0 MPa, 0 %.
- arc: five elements in tenths, 1,001 candidates. With t = Ni / (Ni + Fe) and g = 4 [(Co - 0.2)^2 + (Mn - 0.1)^2 + Cu^2]
  both of (1 + g) cos(pi t / 2) and (1 + g) sin(pi t / 2) are minimised, after DTLZ2 (Deb et al. 2005): the front is a
  quarter of the unit circle, and from the reference point (1.5, 1.5) its hypervolume is 2.25 - pi / 4. Measurements
  have a standard deviation of 0.02; the hypervolume is that of their noise-free values.

10 random experiments, then batches of 5, 40 in all; at a seed every method begins with the same draws (and noise) and
is told the same reference point. siteloop: real campaigns with the default model and acquisition. plain qLogNEHVI:
BoTorch's own on a ModelListGP of SingleTaskGPs with default settings, fractions as they are and 0 or 1 for each route,
over the same pool. The hypervolume is given as a share of that of the whole pool. `--seeds N` runs the first N of the
20 seeds; the result says how many.
"""

from __future__ import annotations

import csv
import io
import math
import multiprocessing
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closed_loop import paired
from common import RESULTS, finish, lent, options

SEEDS, INITIAL, BATCH, BUDGET = 20, 10, 5, 40
METHODS = {"siteloop": "#0072b2", "plain qLogNEHVI": "#d55e00", "random": "#8a8a8a"}
CHANCE = 200
"""Random campaigns whose mean stands beside the paired ones."""
ARC = ("Ni", "Fe", "Co", "Mn", "Cu")
ARC_NOISE = 0.02
ARC_VOLUME = 2.25 - math.pi / 4


@dataclass(frozen=True)
class Problem:
    """A pool of which everything is known."""

    spec: dict[str, Any]
    files: dict[str, str]
    values: Any
    """Noise-free, one row a candidate of the space, in the objectives' units."""
    noise: float

    def scores(self, values: Any) -> Any:
        """Larger is better."""
        import torch

        signs = [1.0 if o["goal"] == "maximize" else -1.0 for o in self.spec["objectives"]]
        return torch.as_tensor(values, dtype=torch.double) * torch.tensor(signs, dtype=torch.double)

    def reference(self) -> Any:
        """As scores."""
        return self.scores([o["reference_point"] for o in self.spec["objectives"]])

    def measured(self, seed: int) -> Any:
        """What the lab would read of each candidate."""
        import numpy as np

        return self.values + self.noise * np.random.default_rng([seed, 2]).standard_normal(self.values.shape)


def spec_of(name: str, space: dict[str, Any], objectives: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "spec_version": 1,
        "campaign": name,
        "seed": 0,
        "space": space,
        "objectives": objectives,
        "batch": {"size": BATCH},
        "explain": "none",
    }


def alloys() -> Problem:
    import numpy as np
    import pandas as pd
    from pymatgen.core import Composition

    table = pd.read_csv(lent("data", "mpea_dataset.csv")).rename(columns=lambda c: c.removeprefix("PROPERTY: "))
    uts, elongation = table["UTS (MPa)"], table["Elongation (%)"]
    room = table[r"Test temperature ($^\circ$C)"].between(15, 35)
    rows = table[(table["Type of test"] == "T") & room & uts.notna() & elongation.notna()]
    found: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    names = sorted({e.symbol for f in rows["FORMULA"] for e in Composition(f)})
    for _, row in rows.iterrows():
        whole = Composition(row["FORMULA"])
        fractions = tuple(round(whole.get_atomic_fraction(e), 6) for e in names)
        route = row["Processing method"] if isinstance(row["Processing method"], str) else "unknown"
        found.setdefault((*fractions, route.lower()), []).append((row["UTS (MPa)"], row["Elongation (%)"]))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*names, "route"])
    for design in found:
        total = sum(design[:-1])
        writer.writerow([*(f / total for f in design[:-1]), design[-1]])
    objectives = [
        {"name": "UTS", "goal": "maximize", "unit": "MPa", "reference_point": 0.0},
        {"name": "elongation", "goal": "maximize", "unit": "%", "reference_point": 0.0},
    ]
    columns = dict.fromkeys(names, "fraction") | {"route": "category"}
    space = {"type": "candidate_table", "file": "alloys.csv", "columns": columns}
    values = np.array([np.mean(v, axis=0) for v in found.values()])
    return Problem(spec_of("alloys", space, objectives), {"alloys.csv": text.getvalue()}, values, 0.0)


def arc() -> Problem:
    import numpy as np

    from campaign.spaces import build_space
    from campaign.spec import load_spec

    objectives = [
        {"name": name, "goal": "minimize", "unit": "", "reference_point": 1.5} for name in ("first", "second")
    ]
    space = {"type": "composition_grid", "elements": list(ARC), "divisions": 10, "max_elements": 5}
    spec = spec_of("arc", space, objectives)
    built = build_space(load_spec(spec).space)
    ni, fe, co, mn, cu = built.X(np.arange(built.count)).T
    t = np.where(ni + fe > 0, ni / np.maximum(ni + fe, 1e-9), 0.5)
    away = 1 + 4 * ((co - 0.2) ** 2 + (mn - 0.1) ** 2 + cu**2)
    values = np.stack([away * np.cos(np.pi * t / 2), away * np.sin(np.pi * t / 2)], axis=1)
    return Problem(spec, {}, values, ARC_NOISE)


def initial(problem: Problem, seed: int) -> list[int]:
    import numpy as np

    return [int(i) for i in np.random.default_rng(seed).choice(len(problem.values), INITIAL, replace=False)]


def random_order(problem: Problem, seed: int, budget: int) -> list[int]:
    import numpy as np

    order = initial(problem, seed)
    rest = np.setdiff1d(np.arange(len(problem.values)), order)
    return order + [int(i) for i in np.random.default_rng([seed, 1]).choice(rest, budget - INITIAL, replace=False)]


def siteloop(problem: Problem, seed: int, budget: int) -> list[int]:
    """A real campaign, in a database of its own that is thrown away."""
    import yaml

    from campaign.campaign import Campaign
    from campaign.spaces import variables

    values, names = problem.measured(seed), [o["name"] for o in problem.spec["objectives"]]
    heads = [f"{o['name']} ({o['unit']})" if o["unit"] else o["name"] for o in problem.spec["objectives"]]
    order = initial(problem, seed)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in problem.files.items():
            Path(folder, name).write_text(content)
        path = Path(folder, "spec.yaml")
        path.write_text(yaml.safe_dump(problem.spec | {"seed": seed}))
        campaign = Campaign.start(path, db=f"sqlite:///{folder}/replay.db", by="benchmark")
        space = campaign.state.space
        columns = variables(space)

        def hand_in(made: dict[str, Any], rows: list[int]) -> None:
            text = io.StringIO()
            writer = csv.writer(text)
            writer.writerow(["sample_id", *columns, *heads])
            for (label, design), row in zip(made.items(), rows, strict=True):
                cells = [repr(float(values[row][j])) for j in range(len(names))]
                writer.writerow([label, *(design.get(c, 0) for c in columns), *cells])
            campaign.ingest(text.getvalue().encode(), name="replay.csv", commit=True)

        hand_in({f"initial-{i:03d}": space.candidate(row).design for i, row in enumerate(order, 1)}, order)
        while len(order) < budget:
            batch = campaign.recommend(min(BATCH, budget - len(order)))
            rows = [space.locate(r.design) for r in batch]
            hand_in({r.label: r.design for r in batch}, rows)
            order += rows
    return order


def plain(problem: Problem, seed: int, budget: int) -> list[int]:
    """BoTorch's qLogNEHVI on its own GPs, as its tutorials set them up."""
    import torch
    from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import ModelListGP, SingleTaskGP
    from botorch.optim import optimize_acqf_discrete
    from botorch.sampling import SobolQMCNormalSampler
    from gpytorch.mlls import SumMarginalLogLikelihood

    from campaign.spaces import build_space
    from campaign.spec import load_spec

    space = build_space(load_spec(problem.spec).space, {k: v.encode() for k, v in problem.files.items()})
    X = torch.as_tensor(space.X(range(space.count)), dtype=torch.double)
    Y = problem.scores(problem.measured(seed))
    torch.manual_seed(seed)  # BoTorch draws from the global generator where it restarts a fit
    order = initial(problem, seed)
    while len(order) < budget:
        models = [SingleTaskGP(X[order], Y[order, j : j + 1]) for j in range(Y.shape[1])]
        model = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        function = qLogNoisyExpectedHypervolumeImprovement(
            model,
            problem.reference(),
            X[order],
            sampler=SobolQMCNormalSampler(torch.Size([128]), seed=seed),
            prune_baseline=True,
        )
        rest = torch.tensor(sorted(set(range(len(X))) - set(order)))
        q = min(BATCH, budget - len(order))
        chosen, _ = optimize_acqf_discrete(function, q=q, choices=X[rest], max_batch_size=256)
        order += [int(rest[(X[rest] == x).all(-1).nonzero()[0, 0]]) for x in chosen]
    return order


def curve(problem: Problem, order: list[int]) -> list[float]:
    """Share of the pool's hypervolume after each experiment."""
    from acquisition.hypervolume import hypervolume

    scores, reference = problem.scores(problem.values), problem.reference()
    whole = hypervolume(scores, reference)
    return [hypervolume(scores[order[: i + 1]], reference) / whole for i in range(len(order))]


def figures_of(shares: list[float]) -> dict[str, float]:
    """`mean`: over the experiments after the initial ones; `end`: at the end."""
    after = shares[INITIAL:]
    return {"mean": sum(after) / len(after), "end": shares[-1]}


PROBLEMS: dict[str, Callable[[], Problem]] = {"alloys": alloys, "arc": arc}
RUN: dict[str, Callable[[Problem, int, int], list[int]]] = {"siteloop": siteloop, "plain qLogNEHVI": plain}


def one(job: tuple[str, str, int, int]) -> tuple[str, str, int, list[float], float]:
    """A campaign of one method: its curve, and the CPU seconds it took."""
    warnings.filterwarnings("ignore", module="botorch|gpytorch|linear_operator")
    import torch

    torch.set_num_threads(1)
    name, method, seed, budget = job
    problem, begun = PROBLEMS[name](), time.process_time()
    order = RUN[method](problem, seed, budget)
    return name, method, seed, curve(problem, order), time.process_time() - begun


def campaigns(seeds: range, budget: int) -> dict[tuple[str, str], tuple[list[list[float]], float]]:
    """By problem and method: a curve a seed, and CPU seconds in all; on two processes."""
    jobs = [(name, method, seed, budget) for seed in seeds for name in PROBLEMS for method in RUN]
    found: dict[tuple[str, str], tuple[list[list[float]], float]] = {}
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        for count, (name, method, seed, shares, spent) in enumerate(workers.imap(one, jobs), 1):
            curves, before = found.get((name, method), ([], 0.0))
            found[name, method] = [*curves, shares], before + spent
            told = {key: round(value, 4) for key, value in figures_of(shares).items()}
            print(f"{count} of {len(jobs)}: {name}, seed {seed}, {method}: {told}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    arguments = options(__doc__ or "", seeds=SEEDS)
    import numpy as np

    seeds = range(1 if arguments.quick else arguments.seeds)
    budget = INITIAL + 2 * BATCH if arguments.quick else BUDGET
    found: dict[str, Any] = {"seeds": list(seeds), "initial": INITIAL, "batch": BATCH, "budget": budget, "problems": {}}
    lines, curves = [], {}
    done = campaigns(seeds, budget)
    for name, make in PROBLEMS.items():
        problem = make()
        drawn: dict[str, list[list[float]]] = {
            "random": [curve(problem, random_order(problem, s, budget)) for s in range(max(len(seeds), CHANCE))]
        }
        cpu = {}
        for method in RUN:
            drawn[method], spent = done[name, method]
            cpu[method] = spent / len(seeds) / ((budget - INITIAL) / BATCH)
        scored = {method: [figures_of(shares) for shares in each] for method, each in drawn.items()}
        lines.append(f"{name}: {len(problem.values):,} candidates, {len(seeds)} seeds, {budget} experiments")
        head = "share of the hypervolume", f"mean {INITIAL + 1}-{budget}", "at the end", "CPU s a round"
        lines.append(f"  {head[0]:26}{head[1]:>20}{head[2]:>20}{head[3]:>16}")
        result: dict[str, Any] = {"candidates": len(problem.values), "methods": {}}
        for method in METHODS:
            each = {f: np.array([s[f] for s in scored[method]]) for f in ("mean", "end")}
            errors = [v.std(ddof=1) / len(v) ** 0.5 if len(v) > 1 else 0.0 for v in each.values()]
            cells = [f"{v.mean():.4f} ± {se:.4f}" for v, se in zip(each.values(), errors, strict=True)]
            lines.append(f"  {method:26}{cells[0]:>20}{cells[1]:>20}{cpu.get(method, 0):>16.2f}")
            result["methods"][method] = {
                **{f: float(v.mean()) for f, v in each.items()},
                "cpu_seconds_per_round": cpu.get(method, 0.0),
                "by_seed": scored[method][: len(seeds)],
                "curve": np.mean(drawn[method], axis=0).tolist(),
            }
            if method != "siteloop":
                ours, theirs = scored["siteloop"], scored[method][: len(seeds)]
                versus = {f: paired([s[f] for s in ours], [s[f] for s in theirs]) for f in each}
                if len(seeds) > 1:
                    result["methods"][method]["siteloop_minus_it"] = versus
                cells = [f"{d:+.4f} ± {se:.4f}" for d, se in versus.values()]
                lines.append(f"    {'siteloop minus it':24}{cells[0]:>20}{cells[1]:>20}")
        found["problems"][name] = result
        curves[name] = drawn
    from acquisition.hypervolume import hypervolume

    pool = hypervolume(arc().scores(arc().values), arc().reference())
    found["problems"]["arc"] |= {"hypervolume_of_the_front": ARC_VOLUME, "hypervolume_of_the_pool": pool}
    lines.append(f"arc: hypervolume of the whole front {ARC_VOLUME:.4f}, of the pool {pool:.4f}")
    if not arguments.quick:
        figure(curves)
    finish("pareto", found, "\n".join(lines), arguments)


def figure(curves: dict[str, Any]) -> None:
    """Hypervolume against experiments, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(1, len(curves), figsize=(4.5 * len(curves), 3.4), squeeze=False)
    for axis, (name, by_method) in zip(axes[0], curves.items(), strict=True):
        for method, colour in METHODS.items():
            y = np.array(by_method[method])
            x = np.arange(1, y.shape[1] + 1)
            axis.fill_between(x, *np.quantile(y, [0.25, 0.75], axis=0), color=colour, alpha=0.2, linewidth=0)
            axis.plot(x, y.mean(0), color=colour, label=method)
        axis.axvline(INITIAL, color="#cccccc", linewidth=0.8)
        axis.set(title=name, xlabel="experiments")
    axes[0][0].set_ylabel("share of the pool's hypervolume")
    axes[0][0].legend(frameon=False, loc="lower right")
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "pareto.png", dpi=110)


if __name__ == "__main__":
    main()
