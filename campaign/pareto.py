"""The front of several objectives: what was measured of it, its hypervolume, and what a recommendation is for.

Scores are larger is better; values and reference points that leave this module are in the user's units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from linear_operator.utils.cholesky import psd_safe_cholesky

from acquisition.hypervolume import front, hypervolume, infer_reference
from acquisition.objectives import score
from campaign.belief import Array, Belief, goal, sign
from campaign.health.data import repeats
from campaign.spec import Objective
from campaign.state import Observation, State
from campaign.words import quantity

DRAWS = 512
"""Draws of the noise, or of the belief, behind a probability."""


@dataclass(frozen=True)
class Point:
    """A candidate of which every objective is measured: means over its samples."""

    candidate: str
    sample: str
    """Label of its first sample."""
    batch: int
    """Number of the batch from which on all of it was known; 0 for what was not recommended."""
    values: tuple[float, ...]
    """One an objective, in its unit."""
    sds: tuple[float | None, ...]
    """Standard errors of the values; None where nothing tells the noise."""


@dataclass(frozen=True)
class Front:
    """What was measured of several objectives, and which of it is the front.

    Attributes:
        objectives: of the spec.
        points: of the candidates that violate no constraint, in order of sample labels.
        best: whether each point is on the front, by its values.
        probabilities: of each point of being on the front, in spite of noise; None where nothing tells the noise.
        reference: one value an objective, in its unit.
        stated: for each objective, whether the spec states the reference point.
    """

    objectives: tuple[Objective, ...]
    points: tuple[Point, ...]
    best: tuple[bool, ...]
    probabilities: tuple[float, ...] | None
    reference: tuple[float, ...]
    stated: tuple[bool, ...]

    @property
    def members(self) -> list[Point]:
        """The points on the front, by ascending score of the first objective."""
        chosen = [p for p, kept in zip(self.points, self.best, strict=True) if kept]
        return sorted(chosen, key=lambda p: -self.objectives[0].loss(p.values[0]))

    def scores(self, points: Sequence[Point]) -> torch.Tensor:
        """`n x m`."""
        return scores_of(self.objectives, np.array([p.values for p in points]))

    @property
    def origin(self) -> torch.Tensor:
        """The reference point as scores, `m`."""
        return scores_of(self.objectives, np.array([self.reference]))[0]

    def volumes(self, batches: int) -> list[float]:
        """Hypervolume after each batch, beginning with what was measured before the first; in the product of units."""
        found = []
        for number in range(batches + 1):
            so_far = [p for p in self.points if p.batch <= number]
            found.append(hypervolume(self.scores(so_far), self.origin) if so_far else 0.0)
        return found

    def as_json(self, batches: int) -> dict[str, Any]:
        """Plain values for `status`: reference point, front, hypervolume so far."""
        chance = dict(zip((p.sample for p in self.points), self.probabilities or (), strict=False))
        names = [o.name for o in self.objectives]
        volumes = self.volumes(batches)
        return {
            "reference": {
                name: {"value": value, "stated": stated}
                for name, value, stated in zip(names, self.reference, self.stated, strict=True)
            },
            "front": [
                {
                    "sample": p.sample,
                    "values": dict(zip(names, p.values, strict=True)),
                    "sd": dict(zip(names, p.sds, strict=True)),
                    "probability": chance.get(p.sample),
                }
                for p in self.members
            ],
            "hypervolume": volumes[-1],
            "hypervolume_by_batch": volumes,
        }


def scores_of(objectives: Sequence[Objective], values: Array) -> torch.Tensor:
    """Scores of values in the user's units, `n x m`."""
    oriented = torch.as_tensor(values * np.array([sign(o) for o in objectives]), dtype=torch.float64)
    return score([goal(o) for o in objectives], oriented)


def measured_front(state: State) -> Front | None:
    """The measured front of several objectives; None for one objective, and while nothing is measured of all."""
    if len(state.objectives) < 2:
        return None
    objectives, points = state.objectives, _points(state)
    if not points:
        return None
    values = np.array([p.values for p in points])
    scores = scores_of(objectives, values)
    stated = tuple(o.reference_point is not None for o in objectives)
    inferred = infer_reference(scores).tolist()
    reference = tuple(
        value_of(o, score) if o.reference_point is None else o.reference_point
        for o, score in zip(objectives, inferred, strict=True)
    )
    return Front(
        objectives=objectives,
        points=points,
        best=tuple(front(scores).tolist()),
        probabilities=_chances(objectives, values, [p.sds for p in points], state.spec.seed),
        reference=reference,
        stated=stated,
    )


def value_of(objective: Objective, score: float) -> float:
    """A value of a score, in the user's unit; for a matched objective the one above its target."""
    if objective.target is not None:
        return objective.target + (objective.tolerance or 0.0) - score
    return sign(objective) * score


def _points(state: State) -> tuple[Point, ...]:
    numbers = {b.id: b.number for b in state.batches}
    batch_of = {r.id: numbers.get(r.batch, 0) for r in state.recommendations}
    noise = [_noise(state, o) for o in state.objectives]
    found: dict[str, list[list[Observation]]] = {}
    for j, objective in enumerate(state.objectives):
        for seen in state.observations(objective.name):
            if seen.censor == 0:
                found.setdefault(seen.sample.candidate, [[] for _ in state.objectives])[j].append(seen)
    points = []
    for candidate, columns in found.items():
        if all(columns) and not state.violated(candidate):
            samples = [o.sample for column in columns for o in column]
            first = [min(batch_of.get(o.sample.recommendation or "", 0) for o in column) for column in columns]
            points.append(
                Point(
                    candidate=candidate,
                    sample=min(samples, key=lambda s: s.label).label,
                    batch=max(first),
                    values=tuple(fmean(o.value for o in column) for column in columns),
                    sds=tuple(_standard_error(c, sd) for c, sd in zip(columns, noise, strict=True)),
                )
            )
    return tuple(sorted(points, key=lambda p: p.sample))


def _noise(state: State, objective: Objective) -> float | None:
    """Sd of one measurement: pooled over all that was repeated, else as the latest batch took it, else stated."""
    sd, free = repeats(state, objective)
    if free:
        return sd
    for r in reversed(state.recommendations):
        if objective.name in r.prediction:
            return float(r.prediction[objective.name]["noise_floor"])
    return objective.noise_floor_value


def _standard_error(seen: Sequence[Observation], noise: float | None) -> float | None:
    """Of the mean over samples, from what is known of each, else from the noise of one measurement."""
    variances = [o.variance if o.variance is not None else None if noise is None else noise**2 / o.n for o in seen]
    known = [v for v in variances if v is not None]
    return math.sqrt(sum(known)) / len(seen) if len(known) == len(seen) else None


def _chances(
    objectives: Sequence[Objective], values: Array, sds: Sequence[tuple[float | None, ...]], seed: int
) -> tuple[float, ...] | None:
    """How often each point is on the front when every value is drawn again within its standard error."""
    if any(sd is None for row in sds for sd in row):
        return None
    drawn = values + np.array(sds, dtype=float) * np.random.default_rng(seed).standard_normal((DRAWS, *values.shape))
    return tuple(front(scores_of(objectives, drawn)).double().mean(0).tolist())


def places(state: State, belief: Belief, X: Array) -> list[dict[str, Any]]:
    """Which part of the measured front each candidate is for, as it is stored.

    Args:
        state: the campaign, with several objectives.
        belief: its surrogates.
        X: designs, `n x d`.

    Returns:
        Per candidate: `part` (`end`, `between`, `near`, or `first` while there is no front), the objective whose end it
        extends, the members of the front beside it, whether its mean is beyond the front, and the probability that
        nothing on the front is at least as good in every objective.
    """
    measured = measured_front(state)
    if measured is None:
        return [{"part": "first"} for _ in X]
    objectives, members = measured.objectives, measured.members
    X_front = np.stack([state.space.x_of(_design(state, p)) for p in members])
    joint = [b.joint(np.concatenate([X, X_front])) for b in belief.objectives]
    n = len(X)
    means = scores_of(objectives, np.stack([mean for mean, _ in joint], axis=-1))
    generator = np.random.default_rng(state.spec.seed)
    draws = scores_of(
        objectives,
        np.stack([_draws(mean, covariance, generator) for mean, covariance in joint], axis=-1),
    )
    behind = (draws[:, None, n:] >= draws[:, :n, None]).all(-1).any(-1)
    known = measured.scores(members)
    spread = (known.amax(0) - torch.minimum(known.amin(0), measured.origin)).clamp_min(1e-12)
    found = []
    for i in range(n):
        beyond = (means[i] - known.amax(0)) / spread
        distance = ((known - means[i]) / spread).norm(dim=-1)
        if beyond.amax() > 0:
            j = int(beyond.argmax())
            best = int(known[:, j].argmax())
            part: dict[str, Any] = {"part": "end", "objective": objectives[j].name}
            rows = [best]
        else:
            near = _beside(known, means[i]) if len(objectives) == 2 else []
            rows = near or distance.argsort()[:1].tolist()
            part = {"part": "between" if len(rows) > 1 else "near"}
        part |= {
            "neighbours": [_member(measured, members[row]) for row in rows],
            "beyond": not bool((known >= means[i]).all(-1).any()),
            "probability": 1 - float(behind[:, i].double().mean()),
            "mean": {o.name: float(mean[i]) for o, (mean, _) in zip(objectives, joint, strict=True)},
            "units": {o.name: o.unit for o in objectives},
            "wanted": _wanted(objectives),
        }
        found.append(part)
    return found


def _design(state: State, point: Point) -> Any:
    return next(s.design for s in state.samples if s.candidate == point.candidate)


def _draws(mean: Array, covariance: Array, generator: np.random.Generator) -> Array:
    root = psd_safe_cholesky(torch.from_numpy(covariance)).numpy()
    return mean + generator.standard_normal((DRAWS, len(mean))) @ root.T


def _beside(known: torch.Tensor, mean: torch.Tensor) -> list[int]:
    """The two neighbours on a front of two objectives between which a mean lies in its first score, or nothing."""
    order = known[:, 0].argsort()
    right = int(torch.searchsorted(known[order, 0].contiguous(), mean[0]))
    return order[right - 1 : right + 1].tolist() if 0 < right < len(known) else []


def _member(measured: Front, point: Point) -> dict[str, Any]:
    names = [o.name for o in measured.objectives]
    return {"sample": point.sample, "values": dict(zip(names, point.values, strict=True))}


def _wanted(objectives: Sequence[Objective]) -> dict[str, str]:
    """What the good end of each objective is called: `high elongation`."""
    found = {}
    for o in objectives:
        ends = {"minimize": f"low {o.name}", "maximize": f"high {o.name}"}
        target = "" if o.target is None else f"{o.name} near {quantity(o.target, o.unit)}"
        found[o.name] = ends.get(o.goal, target)
    return found


def reference_note(measured: Front) -> str:
    """Where the hypervolume is counted from, in words."""
    parts = [
        f"{o.name} {quantity(value, o.unit)}{'' if stated else ' (inferred)'}"
        for o, value, stated in zip(measured.objectives, measured.reference, measured.stated, strict=True)
    ]
    return f"the hypervolume of the front is counted from {', '.join(parts)}"
