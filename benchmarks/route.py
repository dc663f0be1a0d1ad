"""Ordered routes: an anneal counts only if a quench follows at once. A sequence recipe beside bags of the same steps.

1,200 routes to learn from (generator seed 0), 400 to test on (seed 1); fits have seed 0.
"""

from __future__ import annotations

import time
from typing import Any

from common import RESULTS, finish, options

ALPHA = 0.2
KINDS = ("anneal before quench", "quench after anneal", "other anneal", "other quench", "other step")
"""What a step is, as far as it matters; the first of these decides, because of the second."""


def encode(n: int, seed: int) -> tuple[Any, Any, Any]:
    """Bags of n routes, their values, and the number in `KINDS` of every step, `n x 7`."""
    import torch
    from studies import STEPS, ordered_routes

    from surrogates import StepEncoder

    routes, y = ordered_routes(n, seed)
    bags = StepEncoder(STEPS, ("t",), length=7)([[(name, {"t": t}) for name, t in route] for route in routes])
    kinds = []
    for route in routes:
        names = ["", *(name for name, _ in route), ""]
        row = []
        for before, name, after in zip(names, names[1:], names[2:], strict=False):
            near = {"anneal": after == "quench", "quench": before == "anneal"}.get(name)
            row.append(4 if near is None else (name == "quench") + (0 if near else 2))
        kinds.append(row)
    return bags, torch.tensor(y), torch.tensor(kinds)


def study(recipe: Any, train: tuple[Any, Any, Any], test: tuple[Any, Any, Any]) -> tuple[dict[str, Any], Any]:
    """Figures of one recipe on the test routes, and its predictions."""
    import torch

    from surrogates import Targets, fit

    begun = time.process_time()
    fitted = fit(recipe, train[0], Targets.exact(train[1]), seed=0)
    seconds = time.process_time() - begun
    bags, y, kinds = test
    predicted = fitted.quantiles(bags)[:, 0, 4]
    interval = fitted.interval(bags, ALPHA)
    attention = fitted.attribute(bags).value
    decided = (kinds == 0).any(1)
    top = kinds.gather(1, attention.argmax(1, keepdim=True))[:, 0]
    found = {
        "recipe": recipe.to_json(),
        "r2": float(1 - (predicted - y).square().sum() / (y - y.mean()).square().sum()),
        "mae": float((predicted - y).abs().mean()),
        "coverage": float(((interval.lower <= y) & (y <= interval.upper)).double().mean()),
        "width": float((interval.upper - interval.lower).mean()),
        "cpu_seconds": seconds,
        "attention_of_a_step": {
            name: float(attention[decided][kinds[decided] == i].mean()) for i, name in enumerate(KINDS)
        },
        "top_step_is_of_a_pair": float(torch.isin(top[decided], torch.tensor([0, 1])).double().mean()),
    }
    return found, predicted


def main() -> None:
    arguments = options(__doc__ or "")
    import torch

    from surrogates import GatedAttention, MeanPool, Transformer

    torch.set_num_threads(1)
    train, test = encode(1200, 0), encode(400, 1)
    settings: dict[str, Any] = {"epochs": 100, "batch": 64}
    if arguments.quick:
        settings |= {"calibration": "split", "members": 2, "epochs": 50}
    recipes = {
        "sequence (transformer, ordered)": Transformer(ordered=True, **settings),
        "bag (transformer)": Transformer(**settings),
        "bag (gated attention)": GatedAttention(**settings),
        "bag (mean)": MeanPool(**settings),
    }
    decided = (test[2] == 0).any(1)
    chance = float(torch.isin(test[2][decided], torch.tensor([0, 1])).double().mean())
    found: dict[str, Any] = {"train": 1200, "test": 400, "pair_share_of_steps": chance, "recipes": {}}
    lines = [f"{'':34}{'R2':>8}{'MAE':>8}{'80 % covers':>13}{'width':>8}{'CPU s':>8}"]
    predictions = {}
    for name, recipe in recipes.items():
        figures, predictions[name] = study(recipe, train, test)
        found["recipes"][name] = figures
        numbers = f"{figures['r2']:8.3f}{figures['mae']:8.3f}{figures['coverage']:13.3f}{figures['width']:8.3f}"
        lines.append(f"{name:34}{numbers}{figures['cpu_seconds']:8.1f}")
    lines += ["", "attention on a step of a route that has such a pair; an even share is 0.143"]
    lines.append(f"{'':34}" + "".join(f"{name:>22}" for name in (*KINDS, "top step of a pair")))
    for name, figures in found["recipes"].items():
        cells = [*figures["attention_of_a_step"].values(), figures["top_step_is_of_a_pair"]]
        lines.append(f"{name:34}" + "".join(f"{cell:22.3f}" for cell in cells))
    lines.append(f"(the step with most attention is of such a pair by chance in {chance:.3f} of these routes)")
    if not arguments.quick:
        figure(found["recipes"], test[1], predictions)
    finish("route", found, "\n".join(lines), arguments)


def figure(found: dict[str, Any], y: Any, predictions: dict[str, Any]) -> None:
    """Predicted against measured values, and where the attention goes, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    drawn, (values, steps) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    shown = dict(zip(list(found)[:2], ("#0072b2", "#8a8a8a"), strict=True))
    for i, (name, colour) in enumerate(shown.items()):
        values.plot(y, predictions[name], ".", markersize=3, color=colour, label=f"{name}: R2 {found[name]['r2']:.3f}")
        places = np.arange(len(KINDS)) + 0.4 * i
        steps.barh(places, list(found[name]["attention_of_a_step"].values()), height=0.4, color=colour, label=name)
    values.set(xlabel="measured value", ylabel="predicted median")
    values.legend(frameon=False, fontsize=8)
    steps.axvline(1 / 7, color="black", linewidth=0.6)
    steps.set_yticks(np.arange(len(KINDS)) + 0.2, KINDS)
    steps.invert_yaxis()
    steps.set(xlabel="attention on a step of a route with a pair")
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "route.png", dpi=110)


if __name__ == "__main__":
    main()
