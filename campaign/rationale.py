"""Why a candidate is recommended: data first, words second.

Every statement is about what the prediction does, never about what an element does. A change of the prediction is the
difference of two noise-free values under the joint posterior, and its ± is the standard deviation of that difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from botorch.exceptions.errors import UnsupportedError
from numpy.typing import NDArray

from campaign.belief import Array, Belief, ObjectiveBelief, belief_score, sign
from campaign.filters import Sieve
from campaign.formulas import setting
from campaign.routes import without_steps
from campaign.site_rationale import explain_sites
from campaign.spaces import Space, units
from campaign.spaces.slab.space import SlabSpace
from campaign.state import State
from db.records import Candidate, Design
from surrogates.explain import agreement, concentration, judge, skill
from surrogates.quantiles import MEDIAN

DEFAULT_STEP = 0.1
"""Change of a fraction where the spec asks for no explanation but somebody else does."""
QUADRATURE_NODES = 64
NEIGHBOURS = 3
SUBSTITUTIONS = 3


@dataclass(frozen=True)
class Change:
    """A change of the prediction: the mean and sd of a difference of noise-free values, in the user's unit."""

    change: float
    sd: float


def expectation(
    belief: ObjectiveBelief,
    X: Array,
    strata: Sequence[str],
    noise_floor: float,
    *,
    eligible: NDArray[np.bool_] | None = None,
    repeats: int = 0,
) -> list[dict[str, Any]]:
    """What is expected of each candidate for one objective, as plain values in its unit.

    Args:
        belief: the objective's surrogate.
        X: designs, `n x d`.
        strata: of each.
        noise_floor: smallest difference that counts as better.
        eligible: which measured designs may be the incumbent; None for all, and all where it is none of them.
        repeats: how many measurements of the objective repeat an earlier one.

    Returns:
        Per candidate: unit, median, posterior mean and sd of the noise-free value, intervals by level, the incumbent
        (best posterior mean among the measured), the probability of beating it by the noise floor (jointly, noise-free)
        where that noise floor is from, and whether choosing it exploits or explores.
    """
    data, objective, n = belief.data.exact, belief.objective, len(X)
    mean, covariance = belief.joint(np.concatenate([X, data.X]))
    scores = belief_score(belief, mean)
    allowed = eligible if eligible is not None and eligible.any() else np.ones(len(data), dtype=bool)
    best = n + int(np.where(allowed, scores[n:], -np.inf).argmax())
    incumbent = {
        "sample": data.labels[best - n],
        "mean": float(mean[best]),
        "sd": math.sqrt(max(float(covariance[best, best]), 0.0)),
    }
    medians = belief.median(X, strata)
    intervals = [belief.intervals(X, strata, level) for level in sorted(belief.alphas)]
    return [
        {
            "unit": objective.unit,
            "median": float(medians[i]),
            "mean": float(mean[i]),
            "sd": math.sqrt(max(float(covariance[i, i]), 0.0)),
            "intervals": {f"{row[i].level:g}": row[i].as_json() for row in intervals},
            "incumbent": incumbent,
            "noise_floor": noise_floor,
            "noise_source": "spec" if objective.noise_floor_value is not None else "surrogate",
            "repeats": repeats,
            "probability_of_beating": _probability_of_beating(
                belief, mean[[i, best]], covariance[np.ix_([i, best], [i, best])], noise_floor
            ),
            "role": "exploit" if scores[i] >= scores[best] else "explore",
        }
        for i in range(n)
    ]


def _probability_of_beating(belief: ObjectiveBelief, mean: Array, covariance: Array, floor: float) -> float:
    """Probability that the first of two noise-free values is better than the second by more than `floor`, jointly.

    Args:
        belief: the objective's surrogate.
        mean: of the two values, in the user's unit, `2`.
        covariance: of the two values, `2 x 2`.
        floor: smallest difference that counts.
    """
    target = belief.objective.target
    if target is None:
        gain = sign(belief.objective) * (mean[0] - mean[1])
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        return _above(gain, math.sqrt(max(variance, 0.0)), floor)
    # given the second value, the first must lie nearer to the target: integrate over the second (Gauss-Hermite)
    tolerance = belief.objective.tolerance or 0.0
    spread = math.sqrt(max(covariance[1, 1], 1e-300))
    nodes, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_NODES)
    slope = covariance[0, 1] / spread
    sd = math.sqrt(max(covariance[0, 0] - slope * slope, 0.0))
    total = 0.0
    for node, weight in zip(nodes, weights, strict=True):
        near = max(abs(mean[1] + spread * node - target) - tolerance, 0.0) - floor
        if near > 0:
            centre = mean[0] + slope * node
            reach = near + tolerance
            total += weight * (_above(centre, sd, target - reach) - _above(centre, sd, target + reach))
    return float(total / weights.sum())


def _above(mean: float, sd: float, threshold: float) -> float:
    """Probability that a Gaussian value lies above a threshold."""
    if sd == 0:
        return float(mean > threshold)
    return 0.5 * math.erfc((threshold - mean) / sd / math.sqrt(2))


def noise_floor(belief: ObjectiveBelief) -> float:
    """Smallest difference that counts: as the spec states it, else the surrogate's noise sd of one measurement."""
    stated = belief.objective.noise_floor_value
    return stated if stated is not None else math.sqrt(belief.noise_variance())


def explain(state: State, belief: Belief, candidate: Candidate, sieve: Sieve) -> dict[str, Any]:
    """The rationale of one candidate as plain values: where it lies, what its prediction hangs on, what to vary.

    What a hard filter of `sieve` takes out is no substitution to try.
    """
    x = state.space.x_of(candidate.design)
    return {
        "domain": domain(state, belief, candidate, x),
        "neighbours": neighbours(state, belief, x),
        "objectives": {b.objective.name: _explain_objective(state, sieve, b, candidate, x) for b in belief.objectives},
    }


def domain(state: State, belief: Belief, candidate: Candidate, x: Array) -> dict[str, Any]:
    """Whether a candidate lies among the training data: its stratum, its elements and words, its distance.

    Outside: a stratum, element or category that was never measured. At the edge: a number beyond the measured range, or
    farther from the measured designs than they are from each other, as the surrogate's domain guard says.
    """
    space, X = state.space, _measured(belief)
    strata = {stratum for b in belief.objectives for stratum in b.data.exact.strata}
    numeric = {name: space.columns.index(name) for name, _, _ in space.numeric_ranges()}
    seen = {name for row in X for name in space.constituents(row)}
    unseen = [name for name in space.constituents(x) if name not in seen]
    beyond = [name for name, j in numeric.items() if not X[:, j].min() <= x[j] <= X[:, j].max()]
    nearest = float(distances(space, x, X).min())
    first = belief.objectives[0]
    away = float(first.choice.fitted.domain(first.bags(x[None], [candidate.stratum])).distance)
    where = "inside"
    if beyond or away > 1:
        where = "edge"
    if unseen or candidate.stratum not in strata:
        where = "outside"
    return {
        "stratum": candidate.stratum,
        "measured_in_stratum": belief.objectives[0].data.exact.strata.count(candidate.stratum),
        "where": where,
        "never_measured": unseen,
        "beyond_measured_range": beyond,
        "nearest_distance": nearest,
        "distance_over_reach": away if math.isfinite(away) else None,
    }


def _measured(belief: Belief) -> Array:
    """Designs of which some objective has an exact value, `n x d`."""
    found = {label: x for b in belief.objectives for label, x in zip(b.data.exact.labels, b.data.exact.X, strict=True)}
    return np.stack(list(found.values()))


def distances(space: Space, x: Array, X: Array) -> Array:
    """Distance of a design `d` to designs `n x d`: the share of the material that differs, other columns scaled."""
    return np.abs(space.coordinates(X) - space.coordinates(x[None])).sum(axis=1)


def neighbours(state: State, belief: Belief, x: Array) -> list[dict[str, Any]]:
    """The nearest measured samples, with their values in the user's units."""
    first = belief.objectives[0].data.exact
    away = distances(state.space, x, first.X)
    found = []
    for row in np.argsort(away, kind="stable")[:NEIGHBOURS]:
        label = first.labels[row]
        values = {}
        for b in belief.objectives:
            data = b.data.exact
            if label in data.labels:
                value = sign(b.objective) * float(data.targets.value[data.labels.index(label), 0])
                values[b.objective.name] = {"value": value, "unit": b.objective.unit}
        found.append({"sample": label, "distance": float(away[row]), "values": values})
    return found


def directions(state: State, x: Array) -> list[tuple[str, float, Array]]:
    """Directions in which a design can move: name, step taken, and where it arrives.

    A component moves along its Cox direction: its fraction changes by the step and the others shrink or grow in
    proportion (Cox 1971). It moves up, or down where it is too rich to move up. A numeric column moves by a tenth of
    its range, downwards where it is at the top.
    """
    step = getattr(state.spec.explanation, "step", DEFAULT_STEP)
    k = len(state.space.components)
    moves: list[tuple[str, float, Array]] = []
    for j, name in enumerate(state.space.components):
        change = step if x[j] + step <= 1 + 1e-9 else -step
        moved = x.copy()
        rest = 1 - x[j]
        if rest > 1e-9:
            moved[:k] *= (rest - change) / rest
        else:  # a pure component: what it gives up goes to all others alike
            moved[:k] = -change / max(k - 1, 1)
        moved[j] = x[j] + change
        moves.append((name, change, moved))
    for name, low, high in state.space.numeric_ranges():
        if low == high:
            continue
        column = state.space.columns.index(name)
        change = (high - low) / 10
        if x[column] + change > high + 1e-9:
            change = -change
        moved = x.copy()
        moved[column] += change
        moves.append((name, change, moved))
    return moves


def _explain_objective(
    state: State, sieve: Sieve, belief: ObjectiveBelief, candidate: Candidate, x: Array
) -> dict[str, Any]:
    if isinstance(state.space, SlabSpace):
        return explain_sites(state, sieve, state.space, belief, int(x[0]), candidate.stratum)
    moves, unit = directions(state, x), units(state.space)
    index = state.space.locate(candidate.design)
    nearby = state.space.neighbours(index) if index is not None else np.empty(0, dtype=np.int64)
    tried = state.tried()
    options = [c for c in (state.space.candidate(int(i)) for i in nearby) if c.id not in tried]
    options = [c for c in options if not sieve.takes_out(state.space.x_of(c.design))]
    swapped = [state.space.x_of(c.design) for c in options]
    left = without_steps(state.space, x)
    points = np.stack([x, *(moved for _, _, moved in moves), *swapped, *(shorter for _, shorter in left)])
    mean, covariance = belief.joint(points)
    change = mean - mean[0]
    sd = np.sqrt(np.clip(covariance.diagonal() + covariance[0, 0] - 2 * covariance[0], 0, None))
    effects: list[dict[str, Any]] = [
        {"name": name, "step": step, "change": float(change[1 + i]), "sd": float(sd[1 + i])}
        | ({} if name in state.space.components else {"step_unit": unit.get(name, "")})
        for i, (name, step, _) in enumerate(moves)
    ]
    first = 1 + len(moves)
    gain = belief_score(belief, mean) - belief_score(belief, mean[:1])
    best = sorted(range(len(options)), key=lambda i: (-gain[first + i], options[i].id))[:SUBSTITUTIONS]
    last = first + len(options)
    steps: list[dict[str, Any]] = [
        {"name": name, "change": float(change[last + i]), "sd": float(sd[last + i])} for i, (name, _) in enumerate(left)
    ]
    slopes = {s["name"]: s["change"] for s in steps} or {e["name"]: e["change"] / e["step"] for e in effects}
    return {
        "unit": belief.objective.unit,
        **({"steps": steps} if steps else {}),
        "effects": sorted(effects, key=lambda e: -abs(e["change"])),
        "substitutions": [
            {
                "candidate": options[i].id,
                "design": dict(options[i].design),
                "swap": swap(candidate.design, options[i].design, unit),
                "change": float(change[first + i]),
                "sd": float(sd[first + i]),
                "better": bool(gain[first + i] > 0),
            }
            for i in best
        ],
        "attention": attention(belief, candidate, x, slopes),
    }


def swap(before: Design, after: Design, units: Mapping[str, str]) -> str:
    """A substitution in words: `0.1 Mn -> Ce`; other columns as `T: 300 K -> 400 K`, given their units."""
    names = [n for n in dict.fromkeys([*before, *after]) if before.get(n, 0.0) != after.get(n, 0.0)]
    moved = {n: float(after.get(n, 0)) - float(before.get(n, 0)) for n in names if _numeric(before, after, n)}
    gone = [(n, -d) for n, d in moved.items() if d < 0]
    come = [(n, d) for n, d in moved.items() if d > 0]
    if len(gone) == len(come) == 1 and len(names) == 2:
        return f"{gone[0][1]:.3g} {gone[0][0]} -> {come[0][0]}"
    told = [[setting(design.get(n, 0.0), units.get(n, "")) for design in (before, after)] for n in names]
    return ", ".join(f"{n}: {' -> '.join(ends)}" for n, ends in zip(names, told, strict=True))


def _numeric(before: Mapping[str, float | str], after: Mapping[str, float | str], name: str) -> bool:
    return not any(isinstance(d.get(name, 0.0), str) for d in (before, after))


def attention(belief: ObjectiveBelief, candidate: Candidate, x: Array, slopes: Mapping[str, float]) -> dict[str, Any]:
    """Attention over the components behind its gates: `reliable`, `indicative` or `withheld`, and why not more."""
    fitted, bags = belief.choice.fitted, belief.bags(x[None], [candidate.stratum])
    try:
        shares = fitted.attribute(bags, "attention")
    except UnsupportedError as error:
        return {"gate": "withheld", "reason": str(error)}
    labels = bags.shared_labels or bags[0].labels[0]
    here = [i for i, there in enumerate(bags.mask[0].tolist()) if there]
    quantiles, value, _ = fitted.out_of_fold.of(0)
    place = fitted.domain(bags)
    effects = torch.tensor([[abs(slopes.get(labels[i], 0.0)) for i in range(len(labels))]], dtype=torch.float64)
    verdict = judge(
        measured=len(belief.data.exact),
        skill=skill(quantiles[:, MEDIAN], value),
        concentration=float(concentration(shares.value, bags)),
        instances=len(here),
        agreement=float(agreement(shares, replace(shares, value=effects), bags)),
        distance=math.inf if bool(place.new_stratum) else float(place.distance),
        unit="share",
    )
    shown: dict[str, Any] = {"gate": verdict.state, "reason": "; ".join(verdict.reasons) or "every gate passed"}
    if verdict.state == "withheld":
        return shown
    weights = {labels[i]: {"weight": float(shares.value[0, i]), "sd": float(shares.sd[0, i])} for i in here}
    return {**shown, "weights": weights}
