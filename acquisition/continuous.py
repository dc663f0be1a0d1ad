"""Between the points of a pool: designs refined by the gradient of the acquisition, within linear constraints."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.analytic import PosteriorMean
from botorch.acquisition.logei import qLogExpectedImprovement, qLogNoisyExpectedImprovement
from botorch.acquisition.monte_carlo import qUpperConfidenceBound
from botorch.acquisition.objective import GenericMCObjective
from botorch.exceptions.warnings import OptimizationWarning
from botorch.generation.gen import gen_candidates_scipy
from botorch.models.model import Model
from botorch.sampling import SobolQMCNormalSampler
from torch import Tensor

from acquisition.objectives import Goal

REFINABLE = ("portfolio", "qLogNEI", "qLogEI", "UCB", "greedy")
"""Acquisitions with a gradient in the design that says where to go."""
N_SAMPLES = 128
MAX_ITERATIONS = 60
TOLERANCE = 1e-7


@dataclass(frozen=True)
class Region:
    """Where a design may move: a box, cut by linear constraints.

    Attributes:
        lower: least value of each column, `d`; equal to `upper` where a column stays as it is.
        upper: greatest value of each column, `d`.
        equal: (c, b) with c x = b, c of `d`.
        at_least: (c, b) with c x >= b, c of `d`.
    """

    lower: Tensor
    upper: Tensor
    equal: Sequence[tuple[Tensor, float]] = ()
    at_least: Sequence[tuple[Tensor, float]] = field(default=())

    def holds(self, x: Tensor) -> bool:
        """Whether a design `d` lies in it, to within `TOLERANCE`."""
        inside = bool(((x >= self.lower - TOLERANCE) & (x <= self.upper + TOLERANCE)).all())
        level = all(abs(float(c @ x) - b) <= TOLERANCE for c, b in self.equal)
        return inside and level and all(float(c @ x) >= b - TOLERANCE for c, b in self.at_least)


def function_on(
    model: Model,
    acquisition: str,
    *,
    goal: Goal,
    X_observed: Tensor,
    X_pending: Tensor,
    best_observed: float,
    seed: int,
    beta: float = 4.0,
) -> AcquisitionFunction:
    """BoTorch's acquisition of one objective on a model that is differentiable in the design.

    Args:
        model: with one output, oriented to larger is better.
        acquisition: one of `REFINABLE`; the portfolio follows qLogNEI.
        goal: of the objective.
        X_observed: designs measured, `n_obs x d`.
        X_pending: designs pending or picked, `n_pending x d`.
        best_observed: best measured score.
        seed: of the samples.
        beta: of the upper confidence bound.

    Raises:
        ValueError: another acquisition.
    """
    objective = GenericMCObjective(lambda samples, X=None: goal.score(samples[..., 0]))
    sampler = SobolQMCNormalSampler(torch.Size([N_SAMPLES]), seed=seed)
    pending = X_pending if len(X_pending) else None
    common = {"sampler": sampler, "objective": objective, "X_pending": pending}
    if acquisition in ("portfolio", "qLogNEI"):
        return qLogNoisyExpectedImprovement(model, X_observed, prune_baseline=False, cache_root=False, **common)
    if acquisition == "qLogEI":
        return qLogExpectedImprovement(model, best_observed, **common)
    if acquisition == "UCB":
        return qUpperConfidenceBound(model, beta, **common)
    if acquisition == "greedy" and goal.target is None:
        return PosteriorMean(model)
    raise ValueError(f"{acquisition!r} is not refined; one of {', '.join(REFINABLE)} is")


def refine(function: AcquisitionFunction, x: Tensor, region: Region) -> Tensor:
    """The design that a gradient search reaches from `x` (`d`), or `x` itself where it finds nothing better.

    SLSQP on the acquisition, as `botorch.optim.optimize_acqf` uses it under constraints, from this one start: what is
    returned is a local optimum. It lies in `region` and its acquisition is no lower than that of `x`.
    """
    free = (region.upper - region.lower > TOLERANCE).nonzero().flatten()
    if len(free) < 2 or not region.holds(x):
        return x
    every = torch.arange(len(x))
    fixed = {int(j): float(x[j]) for j in every if j not in free}
    with warnings.catch_warnings():
        # a search that stops early is judged below like any other
        warnings.simplefilter("ignore", OptimizationWarning)
        found, _ = gen_candidates_scipy(
            x[None, None].clone(),
            function,
            lower_bounds=region.lower,
            upper_bounds=region.upper,
            equality_constraints=[(every, c, b) for c, b in region.equal] or None,
            inequality_constraints=[(every, c, b) for c, b in region.at_least] or None,
            options={"maxiter": MAX_ITERATIONS},
            fixed_features=fixed or None,
        )
    moved = found.detach().reshape(-1)
    with torch.no_grad():
        better = float(function(moved[None, None])) > float(function(x[None, None]))
    return moved if better and region.holds(moved) else x
