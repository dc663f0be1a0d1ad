"""What is left to gain: the regret of the incumbent under joint samples of the belief.

In each sample the regret is the best noise-free value among the open candidates minus that of the incumbent. Its
distribution answers both questions of a stopping rule: with which probability something better by a margin is left
(stop when it is small: Wilson 2024, "Stopping Bayesian Optimization with Probabilistic Regret Bounds", eq. 4), and how
much is expected to be left (stop when it falls below the noise: Makarova et al. 2022, "Automatic Termination for
Hyperparameter Optimization", sec. 4). They bound the regret by confidence bounds; the samples give it itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.models.model import Model
from torch import Tensor

from acquisition.feasibility import Bound, Feasibility
from acquisition.objectives import Goal, score
from acquisition.pool import CachedPool
from acquisition.shortlist import FINALISTS, Promise, shortlist

COMPARED = 2**24
"""Numbers held at once while candidates are compared with several incumbents."""


@dataclass(frozen=True)
class Left:
    """What is left to gain, in margins: a regret of 1 is the smallest difference that counts."""

    probability: float
    """That some open candidate is better than the incumbent by more than the margin."""
    best_probability: float
    """The same of the one candidate for which it is most probable."""
    regret: float
    """Expected regret of stopping now; 0 where the incumbent is the best."""
    regret_sd: float
    """Monte-Carlo standard error of the expected regret."""
    candidates: int
    """Open candidates that were sampled."""


def what_is_left(
    model: Model,
    X: Tensor,
    X_incumbent: Tensor,
    goals: Sequence[Goal],
    margins: Sequence[float],
    *,
    constraints: Sequence[Bound] = (),
    seed: int,
) -> Left:
    """What the open candidates may still bring.

    With several goals the incumbents are all measured designs, and the regret of a candidate is the additive epsilon
    indicator (Zitzler et al. 2003): by how many margins it is better than each incumbent in at least one goal. With one
    goal and one incumbent that is the difference of their scores over the margin. A candidate counts in the samples in
    which it meets all constraints.

    Args:
        model: BoTorch model with an output for each goal, oriented to larger is better, then one for each constraint.
        X: open candidates, `n x d`; of more than `FINALISTS` the most promising ones.
        X_incumbent: what is to be beaten, `r x d`.
        goals: one per objective.
        margins: smallest difference that counts, one per objective, in its unit.
        constraints: bounds of the outputs after the objectives.
        seed: of the joint samples.

    Raises:
        ValueError: there is no incumbent, or a margin is not above zero.
    """
    if not len(X_incumbent):
        raise ValueError("there is no incumbent, and without one nothing can be left to gain on it")
    if any(not margin > 0 for margin in margins):
        raise ValueError(f"margins {list(margins)} are not all above zero")
    if not len(X):
        return Left(0.0, 0.0, 0.0, 0.0, 0)
    if len(X) > FINALISTS:
        X = X[shortlist(Promise.of(model, X, goals, constraints=constraints), X.split(FINALISTS))]
    n = len(X)
    pool = CachedPool(model, torch.cat([X, X_incumbent]), seed=seed)
    scores = score(goals, pool.samples[..., : len(goals)]) / torch.tensor(margins, dtype=X.dtype)
    gain = torch.cat([_gain(some[:, :n], some[:, n:]) for some in scores.split(_slice(n, len(X_incumbent), goals))])
    gain = gain.where(Feasibility(pool, n, constraints).holds(range(n)), -torch.inf)
    regret = gain.amax(1).clamp_min(0)
    return Left(
        probability=float((regret > 1).double().mean()),
        best_probability=float((gain > 1).double().mean(0).amax()),
        regret=float(regret.mean()),
        regret_sd=float(regret.std() / math.sqrt(len(regret))),
        candidates=n,
    )


def _gain(candidates: Tensor, incumbents: Tensor) -> Tensor:
    """Margins by which each candidate is better than every incumbent in some goal.

    Args:
        candidates: `s x n x m`.
        incumbents: `s x r x m`.

    Returns:
        `s x n`.
    """
    return (candidates.unsqueeze(2) - incumbents.unsqueeze(1)).amax(-1).amin(-1)


def _slice(n: int, incumbents: int, goals: Sequence[Goal]) -> int:
    return max(1, COMPARED // (n * incumbents * len(goals)))
