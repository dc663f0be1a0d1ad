"""How likely a candidate is to meet the outcome constraints, as plain values for its card."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from campaign.answers import AnswerBelief
from campaign.belief import Array, Belief, ConstraintBelief


def feasibility(belief: Belief, X: Array, strata: Sequence[str]) -> list[dict[str, Any]]:
    """What is expected of each candidate for each constraint.

    Args:
        belief: with at least one constraint.
        X: designs, `n x d`.
        strata: of each.

    Returns:
        Per candidate: `all`, the probability of meeting every constraint (the surrogates are independent of one
        another); `late`, the constraints met with less than their least probability, for which it comes after all
        others; and per constraint its unit, limits and source, median, mean and sd of the noise-free value, intervals
        by level, and the probability of meeting it; of a boolean, the answer that is wanted, the numbers of both
        answers that it was learned from, source and probability.
    """
    found = [c.told(X) if isinstance(c, AnswerBelief) else _expected(c, X, strata) for c in belief.constraints]
    rows = []
    for i in range(len(X)):
        each = {c.constraint.name: expected[i] for c, expected in zip(belief.constraints, found, strict=True)}
        late = [name for name, e in each.items() if e["probability"] < e["min_probability"]]
        rows.append({"all": math.prod(e["probability"] for e in each.values()), "late": late, "constraints": each})
    return rows


def _expected(belief: ConstraintBelief, X: Array, strata: Sequence[str]) -> list[dict[str, Any]]:
    c, believed = belief.constraint, belief.believed
    mean, covariance = believed.joint(X)
    medians, chances = believed.median(X, strata), belief.probability(X)
    intervals = [believed.intervals(X, strata, level) for level in sorted(believed.alphas)]
    return [
        {
            "unit": c.unit,
            "min": c.min,
            "max": c.max,
            "source": c.source,
            "min_probability": c.min_probability,
            "median": float(medians[i]),
            "mean": float(mean[i]),
            "sd": math.sqrt(max(float(covariance[i, i]), 0.0)),
            "intervals": {f"{row[i].level:g}": row[i].as_json() for row in intervals},
            "probability": float(chances[i]),
        }
        for i in range(len(X))
    ]
