"""Which candidates of a pool that is too large to be believed jointly are worth it: the best by an optimistic bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from botorch.models.model import Model
from torch import Tensor

from acquisition.feasibility import Bound, log_feasibility, too_unlikely
from acquisition.objectives import Goal

JOINT_LIMIT = 4096
"""Pools up to this size are believed jointly, whole."""
FINALISTS = 1024
"""Of a larger pool, candidates that are believed jointly."""
OPTIMISM = 3.0
"""Posterior sds added to the mean of a candidate for its bound."""


@dataclass(frozen=True, eq=False)
class Promise:
    """What single candidates promise: the best score within `OPTIMISM` sds of the mean, summed over objectives.

    Attributes:
        model: BoTorch model with an output for each goal, then one for each constraint.
        goals: one per objective.
        constraints: one per further output. An infeasible candidate promises as little as the worst of the sample, so
            that each promises its expectation, and those below a bound's `least` probability come last.
        seeking: nothing feasible is known: the probability of feasibility alone is the promise.
        doubtful: the least known is what is sought: the variance is the promise, summed over objectives.
        scale: spread of the bound of each objective over the sample, `objectives`.
        worst: least promise of the sample.
    """

    model: Model
    goals: Sequence[Goal]
    constraints: Sequence[Bound]
    seeking: bool
    scale: Tensor
    worst: float
    doubtful: bool = False

    @classmethod
    def of(
        cls,
        model: Model,
        sample: Tensor,
        goals: Sequence[Goal],
        *,
        constraints: Sequence[Bound] = (),
        seeking: bool = False,
        doubtful: bool = False,
    ) -> Promise:
        """As of a pool of which `sample`, `n x d`, is drawn evenly; arguments as the attributes."""
        plain = cls(model, goals, (), False, torch.ones(len(goals), dtype=sample.dtype), 0.0, doubtful)
        bounds = plain.bounds(sample)[0]
        spread = bounds.std(dim=0) if len(bounds) > 1 else torch.ones_like(plain.scale)
        scale = spread.clamp_min(1e-12)
        return cls(model, goals, constraints, seeking, scale, float((bounds / scale).sum(-1).amin()), doubtful)

    def bounds(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Optimistic scores of designs `n x d`, `n x objectives`, and mean and sd of their constraints."""
        with torch.no_grad():
            posterior = self.model.posterior(X.unsqueeze(-2))
            mean, sd = posterior.mean.squeeze(-2), posterior.variance.clamp_min(0).sqrt().squeeze(-2)
        k = len(self.goals)
        if self.doubtful:
            return sd[:, :k].square(), mean[:, k:], sd[:, k:]
        optimistic = [goal.score(_nearest(goal, mean[:, j], OPTIMISM * sd[:, j])) for j, goal in enumerate(self.goals)]
        return torch.stack(optimistic, dim=-1), mean[:, k:], sd[:, k:]

    def __call__(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """What designs `n x d` promise, `n`, and whether they come after all others, bool `n`."""
        bounds, mean, sd = self.bounds(X)
        promise = (bounds / self.scale).sum(-1)
        if self.constraints and not self.doubtful:
            log_probability = log_feasibility(self.constraints, mean, sd)
            worst = torch.full_like(promise, self.worst)
            promise = log_probability if self.seeking else torch.lerp(worst, promise, log_probability.exp())
        return promise, too_unlikely(self.constraints, mean, sd)


def leading(promise: Tensor, late: Tensor, count: int) -> Tensor:
    """Rows of the `count` greatest promises, `n`, the greatest first; late ones after all others, ties in order.

    What leads a pool leads the part of it that it is in, so that the leaders of parts can be taken first.
    """
    order = promise.argsort(descending=True, stable=True)
    return order[late[order].int().argsort(stable=True)][:count]


def shortlist(promise: Promise, chunks: Iterable[Tensor], size: int = FINALISTS) -> Tensor:
    """Row numbers, ascending, of the `size` most promising candidates of a pool.

    Args:
        promise: what a candidate promises.
        chunks: the pool in pieces of `chunk x d`; row numbers count through all of them. Memory is one chunk and the
            shortlist.
        size: how many rows to keep.
    """
    rows, found, late = torch.empty(0, dtype=torch.long), torch.empty(0), torch.empty(0, dtype=torch.bool)
    first = 0
    for X in chunks:
        some, after = promise(X)
        rows = torch.cat([rows, torch.arange(first, first + len(X))])
        found, late = torch.cat([found.to(some), some]), torch.cat([late, after])
        keep = leading(found, late, size)
        rows, found, late, first = rows[keep], found[keep], late[keep], first + len(X)
    return rows.sort().values


def _nearest(goal: Goal, mean: Tensor, reach: Tensor) -> Tensor:
    """The best value for a goal within `reach` of the mean."""
    if goal.target is None:
        return mean + reach
    return torch.clamp(torch.full_like(mean, goal.target), mean - reach, mean + reach)
