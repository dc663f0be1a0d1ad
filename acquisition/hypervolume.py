"""Several goals at once: hypervolumes, and a batch that is expected to add most to them.

Everything here is scores, larger is better, and a reference point: the hypervolume is the volume between that point and
the front, that is of all that some of the scores are better than (Zitzler and Thiele 1999).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume, infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from botorch.utils.safe_math import logmeanexp
from torch import Tensor

from acquisition.feasibility import Feasibility
from acquisition.objectives import SMALLEST_GAIN, Goal, score

SAMPLES = {2: 64, 3: 64}
"""Joint samples of the rivals, by the number of goals; the candidate itself is not sampled."""
FEWEST_SAMPLES = 16
"""With more goals than that: the work grows with the front to the power of the goals less one."""
SCORING_CELLS = 2**22
"""Numbers held at once while candidates are scored."""
NARROWEST = 1e-6
"""Least distance of an inferred reference point from the worst of the front."""


def front(scores: Tensor) -> Tensor:
    """Which of `... x n x m` scores no other beats in one goal without being worse in another, bool `... x n`."""
    return is_non_dominated(scores)


def hypervolume(scores: Tensor, reference: Tensor) -> float:
    """Volume between the reference point, `m`, and the front of scores, `n x m`; 0 where none is above it in all."""
    above = scores[(scores > reference).all(-1)]
    return float(Hypervolume(reference).compute(above[is_non_dominated(above)])) if len(above) else 0.0


def infer_reference(scores: Tensor) -> Tensor:
    """A reference point for scores, `n x m`, where nobody states one, `m`.

    A tenth of the front's range below the worst of the front, in each goal (Ishibuchi et al. 2011); while the front is
    a single point, the same of all scores.

    Raises:
        ValueError: there are no scores.
    """
    if not len(scores):
        raise ValueError("no scores to infer a reference point from")
    ends = scores[is_non_dominated(scores, deduplicate=True)]
    ends = ends if len(ends) > 1 else scores
    if len(ends) == 1:
        return infer_reference_point(ends)
    return torch.minimum(infer_reference_point(ends), ends.amin(0) - NARROWEST)


@dataclass(frozen=True)
class Stairs:
    """What lies beyond each of several fronts, in cells of a grid through the points of that front.

    Axis j of a front with P points is cut at the reference point and at their P values; the last of its P + 1 cells is
    open. In each column of cells along the last axis all is beyond the front from one cut on.

    Attributes:
        levels: cuts in ascending order, `n_fronts x (P + 1) x m`.
        height: of each column, from which cut of the last axis on it is beyond, `n_fronts x (P + 1) x ... x (P + 1)`
            with m - 1 axes.
    """

    levels: Tensor
    height: Tensor

    @classmethod
    def over(cls, scores: Tensor, reference: Tensor) -> Stairs:
        """The fronts of scores, `n_fronts x n x m`, above one reference point, `m`."""
        counted = (scores > reference).all(-1, keepdim=True)
        points = torch.where(counted, scores, reference)
        kept = is_non_dominated(points, deduplicate=True) & counted.squeeze(-1)
        most = max(int(kept.sum(-1).amax()), 1)
        rows = kept.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[:, :most].unsqueeze(-1)
        points = torch.where(kept.unsqueeze(-1), points, reference).take_along_dim(rows, dim=1)
        ordered, order = points.sort(dim=1)
        levels = torch.cat([reference.expand(len(points), 1, -1), ordered], dim=1)
        rank = order.argsort(dim=1)  # of each point among the cuts above the first, n_fronts x P x m
        m = points.shape[-1]
        height = torch.zeros(len(points), *[most + 1] * (m - 1), dtype=torch.long)
        strides = [(most + 1) ** (m - 2 - j) for j in range(m - 1)]
        cell = sum(rank[..., j] * stride for j, stride in enumerate(strides))
        height.flatten(1).scatter_reduce_(1, torch.as_tensor(cell), rank[..., -1] + 1, "amax")
        for axis in range(1, m):
            height = height.flip(axis).cummax(axis).values.flip(axis)
        return cls(levels, height)

    def log_gain(self, goals: Sequence[Goal], mean: Tensor, sd: Tensor) -> Tensor:
        """Logarithm of the expected hypervolume that a candidate adds to each front.

        The goals of a candidate are independent and Gaussian, so that the expectation over each cell is a product of
        differences of expected improvements (Emmerich et al. 2011; Yang et al. 2019), exact and without samples.

        Args:
            goals: one per axis.
            mean: of the values of each candidate, `n_fronts x n x m`.
            sd: `n x m`.

        Returns:
            `n_fronts x n`.
        """
        share, total = [], mean.new_zeros(mean.shape[:-1])
        for j, goal in enumerate(goals):
            gain = goal.log_improvement(
                mean[..., j].unsqueeze(-1), sd[..., j].unsqueeze(-1), self.levels[:, None, :, j]
            )
            share.append((gain - gain[..., :1]).exp())  # of the improvement on the reference point, 1 downwards
            total = total + gain[..., 0]
        added = share[-1].take_along_dim(self.height.flatten(1).unsqueeze(1), dim=-1)
        added = added.unflatten(-1, self.height.shape[1:])
        for part in reversed(share[:-1]):
            width = part - torch.nn.functional.pad(part[..., 1:], (0, 1))
            width = width.reshape(*width.shape[:2], *[1] * (added.dim() - 3), -1)
            added = (added * width).sum(-1)
        return added.clamp_min(SMALLEST_GAIN).log() + total


def hypervolume_batch(
    feasible: Feasibility, q: int, goals: Sequence[Goal], rivals: Sequence[int], reference: Tensor
) -> tuple[list[int], list[float]]:
    """Greedy log expected improvement of the hypervolume, exact in the candidate (Daulton et al. 2021; Ament 2023).

    The rivals are sampled jointly: measured designs, pending candidates and the picks so far. Given each sample of
    theirs a candidate is Gaussian, and what it adds to the feasible front has a closed form. On samples of the
    candidate too this is qNEHVI with its sequential greedy batch.

    Args:
        feasible: the belief and its constraints.
        q: how many to pick.
        goals: one per objective.
        rivals: rows whose front is to be extended where it is feasible; every pick joins them.
        reference: point below the front, `m`.

    Returns:
        Rows, and the log gain of each when it was picked.
    """
    pool, n, m = feasible.pool, feasible.n, len(goals)
    s = min(SAMPLES.get(m, FEWEST_SAMPLES), len(pool.samples))
    rivals, picked, values = list(rivals), list[int](), list[float]()
    for _ in range(q):
        scores = score(goals, pool.samples[:s, rivals, :m])
        stairs = Stairs.over(torch.where(feasible.holds(rivals)[:s].unsqueeze(-1), scores, reference), reference)
        given = [pool.given(rivals, n, output=j) for j in range(m)]
        mean, sd = torch.stack([g[0][:s] for g in given], -1), torch.stack([g[1] for g in given], -1)
        chunk = max(SCORING_CELLS // (s * max(stairs.height[0].numel(), stairs.levels[0].numel())), 1)
        pieces = zip(mean.split(chunk, dim=1), sd.split(chunk), strict=True)
        gain = torch.cat([stairs.log_gain(goals, *piece) for piece in pieces], dim=1)
        gain = logmeanexp(gain + feasible.log_given(rivals)[:s], dim=0)
        row = feasible.best(gain, picked)
        picked.append(row)
        values.append(float(gain[row]))
        rivals.append(row)
    return picked, values
