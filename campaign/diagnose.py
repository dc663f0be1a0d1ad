"""How a campaign is doing: its health, and how its surrogates predict what they have not seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from campaign.belief import Array, ObjectiveBelief, believe, learnable, sign
from campaign.health import Look, health
from campaign.rationale import directions
from campaign.spaces import StructureSpace, units
from campaign.state import State, batch_seed
from campaign.status import coverage
from campaign.stopping import stopping
from surrogates.conformal import Withheld, calibrate
from surrogates.explain import skill
from surrogates.quantiles import LEVELS, MEDIAN
from surrogates.recipes import recipe_hash
from surrogates.reliability import level_curve, levels_of
from surrogates.splits import NEVER

MOVED = 64
"""Measured designs that are moved to see what the prediction hangs on."""


def diagnose(state: State, stage: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Health and surrogates of a campaign as plain values; nothing is recorded.

    Args:
        state: the campaign.
        stage: called with a name when a stage begins.

    Returns:
        `health`, findings with name, level, what was seen, the next thing to do, and numbers; `noise`, where it comes
        from; `models`, for each objective and constraint that can be learnt, recipe and out-of-fold scores,
        calibration, scatter and importance;
        `stopping`, as in the status.
    """
    belief = believe(state, seed=batch_seed(state, len(state.batches) + 1), stage=stage) if learnable(state) else None
    stage("check")
    return {
        "campaign": state.name,
        "health": [finding.as_json() for finding in health(Look(state, belief))],
        "noise": noise(state),
        "models": {b.objective.name: model(state, b) for b in belief.all} if belief else {},
        "stopping": stopping(state),
    }


def noise(state: State) -> dict[str, Any]:
    """By metric: components of the noise, effects of batches, operators and labs, and what cannot be told.

    Sds with their own uncertainty, in the unit of the metric. Metrics of which nothing tells the noise are left out.
    """
    found = {m.name: (m.unit, state.noise(m.name)) for m in state.metrics}
    return {name: {"unit": unit} | told.as_json() for name, (unit, told) in found.items() if told is not None}


def model(state: State, belief: ObjectiveBelief) -> dict[str, Any]:
    """How one surrogate predicts what it has not seen, and what its predictions hang on, in the user's unit."""
    choice = belief.choice
    names = {recipe_hash(recipe): recipe.type for recipe in (f.recipe for f in choice.fits.values())}
    return {
        "unit": belief.objective.unit,
        "recipe": choice.recipe.type,
        "reason": choice.reason,
        "notes": list(choice.fitted.notes),
        "measured": len(belief.data),
        "losses": {names[key]: score.mean for key, score in choice.scores.items()},
        "out_of_fold": out_of_fold(belief),
        "calibration": calibration(belief),
        "forward": [coverage(state, belief.objective, level) for level in state.spec.intervals.levels],
        "scatter": scatter(belief, state.spec.intervals.levels[0]),
        "importance": importance(state, belief),
    }


def out_of_fold(belief: ObjectiveBelief) -> dict[str, Any]:
    """Errors of the predictions of each sample by a surrogate that has not seen it.

    `r2` is against the mean of the others, `margin` its gain in standard errors; both and the rank correlation are None
    where the values do not vary.
    """
    from scipy.stats import spearmanr

    quantiles, value, _ = belief.choice.fitted.out_of_fold.of(0)
    predicted = quantiles[:, MEDIAN]
    found, error = skill(predicted, value), sign(belief.objective) * (predicted - value)
    varies = len(value) > 2 and float(predicted.std()) > 0 and float(value.std()) > 0
    return {
        "n": len(value),
        "r2": _finite(found.score),
        "margin": _finite(found.margin),
        "rank_correlation": float(spearmanr(predicted.numpy(), value.numpy()).statistic) if varies else None,
        "rmse": float(error.square().mean().sqrt()) if len(value) else None,
        "mae": float(error.abs().mean()) if len(value) else None,
        "bias": float(error.mean()) if len(value) else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def calibration(belief: ObjectiveBelief) -> dict[str, Any]:
    """Share of unseen samples at or below each predicted quantile, not calibrated, and the mean absolute difference."""
    quantiles, value, _ = belief.choice.fitted.out_of_fold.of(0)
    if not len(value):
        return {"nominal": [], "observed": [], "error": None}
    levels = levels_of(quantiles, value)
    curve = level_curve(1 - levels if sign(belief.objective) < 0 else levels)
    return {"nominal": list(LEVELS), "observed": list(curve.observed), "error": curve.error}


def scatter(belief: ObjectiveBelief, level: float) -> list[dict[str, Any]]:
    """Each sample with its value, its out-of-fold prediction and interval; largest error first.

    The intervals are calibrated on these very errors, so that about a share `level` holds: they show which are missed.
    """
    fitted = belief.choice.fitted
    quantiles, value, strata = fitted.out_of_fold.of(0)
    held = (fitted.problem.fold != NEVER).nonzero().flatten().tolist()
    factor = sign(belief.objective)
    alpha = round(1 - level, 12)
    found = calibrate(
        quantiles,
        strata,
        fitted.out_of_fold,
        alpha,
        fitted.recipe.score,
        own_correction=fitted.recipe.own_correction,
    )
    ends = None if isinstance(found, Withheld) else (factor * found.lower, factor * found.upper)
    rows = []
    for i, row in enumerate(held):
        interval = None if ends is None else sorted(float(end[i]) for end in ends)
        measured = factor * float(value[i])
        rows.append(
            {
                "sample": belief.data.exact.labels[row],
                "measured": measured,
                "predicted": factor * float(quantiles[i, MEDIAN]),
                "interval": interval,
                "inside": None if interval is None else interval[0] <= measured <= interval[1],
            }
        )
    return sorted(rows, key=lambda r: -abs(r["measured"] - r["predicted"]))


def importance(state: State, belief: ObjectiveBelief) -> list[dict[str, Any]]:
    """By how much the prediction changes when each variable is moved from the measured designs, largest first.

    The moves are those of the rationale: a component along its Cox direction, another number by a tenth of its range.
    `change` is the mean absolute change of the predicted median, `direction` the mean change for a move upwards.
    Structures cannot be moved so; their sites are told with each recommendation.
    """
    if isinstance(state.space, StructureSpace):
        return []
    data = belief.data.exact
    rows = np.unique(np.linspace(0, len(data) - 1, MOVED).round().astype(int))
    points: list[Array] = []
    strata: list[str] = []
    moves: list[tuple[str, float, int, int]] = []
    for row in rows:
        start = len(points)
        points.append(data.X[row])
        for name, step, moved in directions(state, data.X[row]):
            moves.append((name, step, start, len(points)))
            points.append(moved)
        strata += [data.strata[row]] * (len(points) - start)
    median = belief.median(np.stack(points), strata)
    changes: dict[str, list[tuple[float, float]]] = {}
    for name, step, before, after in moves:
        changes.setdefault(name, []).append((step, float(median[after] - median[before])))
    unit = units(state.space)
    found = [
        {
            "name": name,
            "unit": unit.get(name, ""),
            "step": max(abs(step) for step, _ in seen),
            "change": float(np.mean([abs(change) for _, change in seen])),
            "direction": float(np.mean([math.copysign(1, step) * change for step, change in seen])),
        }
        for name, seen in changes.items()
    ]
    return sorted(found, key=lambda each: -each["change"])
