"""Learned feasibility in a simulated lab in which a tenth of the candidates cannot be made.

All of it is simulated. The candidates are the mixtures of four elements in twelfths. Beyond a curved phase boundary,
drawn anew for each seed, every synthesis fails with the mode `phase-separated`: of the tenth of the candidates that lie
farthest in a random direction. The overpotential grows with the squared distance to a best composition, drawn from the
quarter that lies farthest, so that it lies at the boundary or beyond it; a measurement scatters by 2 mV. 10 random
samples, then batches of 5, by the same engine with the same draws and seeds, with `feasibility: learned` and `none`.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import sys
import tempfile
import time
from typing import Any

from closed_loop import paired
from common import RESULTS, finish, options

SEEDS = 20
ROUNDS = 6
INITIAL, BATCH = 10, 5
AFTER = 3
"""Failures count separately from the round after this one on."""
FAILING, FAR = 0.10, 0.25
"""Shares of the candidates that cannot be made, and among which the best composition is drawn."""
NOISE_MV = 2.0
STEEP = 400.0
"""Overpotential in mV at a squared distance of 1 between fractions."""
ELEMENTS = ("Ni", "Fe", "Co", "Mn")
ARMS = ("learned", "none")
COLOURS = {"learned": "#0072b2", "none": "#8a8a8a"}
FIGURES = {
    "late_failures": f"failed after round {AFTER}",
    "failures": "failed in all rounds",
    "regret_end": "regret at the end, mV",
    "regret_mean": "mean regret, mV",
}


def spec(seed: int, arm: str) -> dict[str, Any]:
    return {
        "spec_version": 1,
        "campaign": "feasibility",
        "seed": seed,
        "space": {"type": "composition_grid", "elements": list(ELEMENTS), "divisions": 12, "max_elements": 4},
        "objectives": [{"name": "overpotential", "goal": "minimize", "unit": "mV"}],
        "batch": {"size": BATCH},
        "model": "gp",
        "explain": "none",
        "feasibility": arm,
    }


def lab(X: Any, seed: int) -> tuple[Any, Any]:
    """Overpotential without noise, `n`, and whether each can be made, `n`."""
    import numpy as np

    rng = np.random.default_rng([seed, 1])
    direction = rng.dirichlet(np.ones(len(ELEMENTS)))
    pull = X @ direction + 0.5 * rng.uniform(-1, 1) * X[:, 0] * X[:, 1] + 0.5 * rng.uniform(-1, 1) * X[:, 2] * X[:, 3]
    rank = np.argsort(np.argsort(-pull, kind="stable"), kind="stable") / len(X)
    best = X[rng.choice(np.flatnonzero(rank < FAR))]
    return 300 + STEEP * ((X - best) ** 2).sum(1), rank >= FAILING


def run(job: tuple[int, str, int]) -> dict[str, Any]:
    seed, arm, rounds = job
    import numpy as np
    import torch

    from campaign import Campaign
    from campaign.spec import load_spec
    from db.store import Store

    torch.set_num_threads(1)
    begun = time.process_time()
    with (
        tempfile.TemporaryDirectory() as place,
        Store.open(f"sqlite:///{place}/lab.db", create=True) as store,
    ):
        campaign = Campaign.start(load_spec(spec(seed, arm)), db=store)
        space = campaign.state.space
        X = space.X(np.arange(space.count))
        value, can = lab(X, seed)
        noise = NOISE_MV * np.random.default_rng([seed, 2]).standard_normal(space.count)  # the same in both arms
        order = np.random.default_rng([seed, 3]).choice(space.count, INITIAL, replace=False).tolist()

        def measure(labels: list[str], rows: list[int]) -> None:
            text = io.StringIO()
            table = csv.writer(text)
            table.writerow(["sample_id", *ELEMENTS, "overpotential (mV)", "status", "failure_mode"])
            for label, row in zip(labels, rows, strict=True):
                made = [f"{value[row] + noise[row]:.3f}", "ok", ""] if can[row] else ["", "failed", "phase-separated"]
                design = space.candidate(row).design
                table.writerow([label, *(f"{design.get(e, 0):.6g}" for e in ELEMENTS), *made])
            campaign.ingest(text.getvalue().encode(), name=f"{labels[0]}.csv", commit=True)

        measure([f"initial-{i:02d}" for i in range(INITIAL)], order)
        failed, predicted = [], []
        for _ in range(rounds):
            batch = campaign.recommend()
            rows = [int(space.locate(r.design)) for r in batch]
            measure([r.label for r in batch], rows)
            order += rows
            failed.append(int((~can[rows]).sum()))
            predicted += [
                (r.rationale["success"]["probability"], bool(can[row]))
                for r, row in zip(batch, rows, strict=True)
                if "success" in r.rationale
            ]
    made = np.where(can[order], value[order], np.inf)
    regret = np.minimum.accumulate(made) - value[can].min()
    found = {
        "late_failures": sum(failed[AFTER:]),
        "failures": sum(failed),
        "regret_end": float(regret[-1]),
        "regret_mean": float(regret[INITIAL:].mean()),
    }
    cpu = time.process_time() - begun
    print(f"{arm} {seed}: {found}, {cpu:.0f} CPU s", file=sys.stderr, flush=True)
    return {
        "seed": seed,
        "arm": arm,
        **found,
        "failed_by_round": failed,
        "initial_failures": int((~can[order[:INITIAL]]).sum()),
        "predicted": predicted,
        "cpu_seconds": cpu,
    }


def reliability(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Share made of the recommendations by stored probability of success, before they were made."""
    pairs = [pair for r in runs for pair in r["predicted"]]
    bins = []
    for low, high in ((0.0, 0.7), (0.7, 0.85), (0.85, 0.95), (0.95, 1.0)):
        inside = [(p, made) for p, made in pairs if low <= p < high]
        n = len(inside)
        mean, share = (sum(column) / n if n else None for column in zip(*inside, strict=True)) if n else (None, None)
        bins.append({"from": low, "to": high, "n": n, "predicted": mean, "made": share})
    return bins


def main() -> None:
    arguments = options(__doc__ or "")
    seeds = range(2 if arguments.quick else SEEDS)
    rounds = 4 if arguments.quick else ROUNDS
    jobs = [(seed, arm, rounds) for seed in seeds for arm in ARMS]
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        done = workers.map(run, jobs, chunksize=1)
    by_arm = {arm: [r for r in done if r["arm"] == arm] for arm in ARMS}
    zero = [0.0] * len(seeds)
    found: dict[str, Any] = {
        "seeds": list(seeds),
        "rounds": rounds,
        "initial": INITIAL,
        "batch": BATCH,
        "share_failing": FAILING,
        "runs": done,
        "mean": {arm: {f: paired([r[f] for r in runs], zero) for f in FIGURES} for arm, runs in by_arm.items()},
        "learned_minus_none": {
            f: paired([r[f] for r in by_arm["learned"]], [r[f] for r in by_arm["none"]]) for f in FIGURES
        },
        "reliability": reliability(by_arm["learned"]),
    }
    lines = [
        f"simulated lab, {100 * FAILING:g} % of the candidates cannot be made; {len(seeds)} seeds, {INITIAL} random "
        f"samples, {rounds} rounds of {BATCH}",
        f"{'':24}" + "".join(f"{text:>24}" for text in FIGURES.values()),
    ]
    rows = [(f"feasibility: {arm}", found["mean"][arm], "") for arm in ARMS]
    for name, cells, sign in [*rows, ("learned minus none", found["learned_minus_none"], "+")]:
        lines.append(f"{name:24}" + "".join(f"{f'{m:{sign}.3g} ± {se:.2g}':>24}" for m, se in cells.values()))
    told = [
        f"{b['from']:g}-{b['to']:g}: {b['predicted']:.2f} predicted, {b['made']:.2f} made (n={b['n']})"
        for b in found["reliability"]
        if b["n"]
    ]
    lines.append("recommended, by P(success): " + "; ".join(told))
    cpu = sum(r["cpu_seconds"] for r in done) / len(done)
    lines.append(f"{cpu:.0f} CPU s a campaign")
    if not arguments.quick:
        figure(by_arm)
    finish("feasibility", found, "\n".join(lines), arguments)


def figure(by_arm: dict[str, list[dict[str, Any]]]) -> None:
    """Failures recommended by round, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    drawn, axis = pyplot.subplots(figsize=(5, 3.4))
    for arm, runs in by_arm.items():
        y = np.array([r["failed_by_round"] for r in runs])
        error = y.std(0, ddof=1) / len(y) ** 0.5
        axis.errorbar(np.arange(1, y.shape[1] + 1), y.mean(0), error, color=COLOURS[arm], capsize=2, label=arm)
    axis.set(xlabel="round", ylabel=f"failed of {BATCH} recommended, mean ± se", ylim=(0, None))
    axis.legend(title="feasibility", frameon=False)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "feasibility.png", dpi=110)


if __name__ == "__main__":
    main()
