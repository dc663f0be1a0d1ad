"""Choose a batch from a pool: what scores a candidate, and how a batch is built around the pending ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.models.model import Model
from botorch.utils.safe_math import logmeanexp
from torch import Tensor

from acquisition.cost import costed
from acquisition.feasibility import Bound, Feasibility, seek
from acquisition.hypervolume import hypervolume_batch, infer_reference
from acquisition.knowledge_gradient import knowledge_gradient
from acquisition.objectives import Goal, score
from acquisition.pool import N_SAMPLES, CachedPool
from acquisition.portfolio import gathers, log_top

ACQUISITIONS = ("portfolio", "qLogEI", "qLogNEI", "KG", "UCB", "Thompson", "greedy", "max_variance")
SCORING_CHUNK = 256


@dataclass(frozen=True)
class Selection:
    """A batch from a pool.

    Attributes:
        rows: row numbers in the pool, in the order of choice, `q`.
        values: acquisition value of each when it was chosen, `q`.
    """

    rows: list[int]
    values: list[float]


def choose(
    model: Model,
    X: Tensor,
    q: int,
    *,
    acquisition: str,
    goals: Sequence[Goal],
    X_observed: Tensor,
    best_observed: float,
    seed: int,
    X_pending: Tensor | None = None,
    beta: float = 4.0,
    noise_variance: Sequence[float] = (),
    constraints: Sequence[Bound] = (),
    late: Tensor | None = None,
    reference: Tensor | None = None,
    costs: Tensor | None = None,
    cost_power: float = 1.0,
    prices: Tensor | None = None,
    purse: float = torch.inf,
    given: Sequence[int] | None = None,
) -> Selection:
    """Choose `q` distinct rows of a pool, jointly and around the pending ones.

    With constraints the improvements are those of feasible candidates over the best feasible rival, the candidate's own
    feasibility entering by its exact probability (Gardner et al. 2014; Letham et al. 2019); UCB and greedy take an
    infeasible candidate for as bad as the worst of the pool, in expectation; Thompson takes the best feasible one of a
    joint sample, or the smallest violation where there is none (Eriksson and Poloczek 2021); max_variance is not
    weighted. Candidates below a bound's `least` probability come after all others. As long as nothing measured is
    feasible, all but max_variance look for something that is.

    Args:
        model: BoTorch model with an output for each goal, oriented to larger is better, then one for each constraint.
        X: the pool, `n x d`, without measured or pending candidates.
        q: batch size; all of the pool where it is smaller.
        acquisition: one of `ACQUISITIONS`. With several goals the portfolio and the two improvements become
            qLogNEHVI (Daulton et al. 2021; Ament et al. 2023).
        goals: one per objective.
        X_observed: designs measured so far, `n_obs x d`; the baseline of the noisy improvements.
        best_observed: best measured score of what is feasible, the incumbent of qLogEI; -inf if nothing is.
        seed: of the joint samples.
        X_pending: designs recommended and not yet measured, `n_pending x d`.
        beta: of the upper confidence bound (Srinivas et al. 2010).
        noise_variance: of one measurement of each objective; max-variance counts a pick as measured with it.
        constraints: bounds of the outputs after the objectives.
        late: candidates that come after all others for reasons of their own, bool `n`.
        reference: with several goals, the scores from which their hypervolume is counted, `m`; None to infer them from
            the means of what was measured.
        costs: of the candidates, `n`; a pick then maximises its gain over its cost to the power `cost_power`. The
            values that are returned are those without it.
        cost_power: of the costs, see `acquisition.cost`.
        prices: of the candidates, `n`, nan where unknown: what is paid, whether or not a pick is weighed by it.
        purse: what the batch may cost; what is beyond the rest of it comes after all others.
        given: `q` rows to take in this order, whatever else is better, for their values; None to choose.

    Raises:
        ValueError: the acquisition is unknown or cannot be divided by a cost, or the pool is empty.
    """
    if acquisition not in ACQUISITIONS:
        raise ValueError(f"unknown acquisition {acquisition!r}; expected one of {', '.join(ACQUISITIONS)}")
    if len(X) == 0:
        raise ValueError("the pool is empty: nothing is left to choose from")
    n, q = len(X), min(q, len(X))
    X_pending = X[:0] if X_pending is None else X_pending
    draws = max(N_SAMPLES, q) if acquisition == "Thompson" else N_SAMPLES
    pool = CachedPool(model, torch.cat([X, X_pending, X_observed]), seed=seed, n_samples=draws)
    rows = torch.arange(len(pool.mean), dtype=X.dtype).unsqueeze(-1)
    pending, observed = rows[n : n + len(X_pending)], rows[n + len(X_pending) :]
    for j, bound in enumerate(constraints):
        if bound.settled and bound.low is not None:
            pool.settle(observed.squeeze(-1).long().tolist(), len(goals) + j, bound.low + 1)
    feasible = Feasibility(pool, n, constraints, late, prices, purse, given)
    seeking = bool(constraints) and best_observed == -torch.inf
    feasible = costed(feasible, costs, cost_power, acquisition=acquisition, seeking=seeking)
    waiting = pending.squeeze(-1).long().tolist()
    if acquisition == "max_variance":
        return _max_variance(feasible, q, waiting, noise_variance, len(goals))
    if seeking:
        return Selection(*seek(feasible, q, waiting))
    if acquisition == "KG":
        return Selection(*knowledge_gradient(feasible, q, waiting, noise_variance, goals, seed))
    if acquisition == "Thompson":
        return _thompson(feasible, q, goals)
    if acquisition == "greedy":
        total = _total(goals, pool.mean)[:n]
        return _top(feasible, feasible.weighed(total, total.amin(), slice(n)), q)
    if len(goals) > 1:
        measured = observed.squeeze(-1).long().tolist()
        if reference is None:
            reference = infer_reference(score(goals, pool.mean)[measured])
        return Selection(*hypervolume_batch(feasible, q, goals, waiting + measured, reference))
    if acquisition == "UCB":
        return _upper_bound(feasible, q, goals, len(pending), beta)
    if acquisition == "qLogEI":
        return _improvement(feasible, q, goals[0], waiting, best_observed)
    rivals = waiting + observed.squeeze(-1).long().tolist()
    # where a joint sample makes no rival feasible, the worst of all samples is to be beaten
    floor = float(goals[0].score(pool.samples[..., 0]).amin()) if constraints else -torch.inf
    if acquisition == "portfolio":
        return _portfolio(feasible, q, goals[0], rivals, floor, seed)
    return _improvement(feasible, q, goals[0], rivals, floor)


def _improvement(feasible: Feasibility, q: int, goal: Goal, rivals: list[int], floor: float) -> Selection:
    """Greedy log expected improvement on the best rival, exact in the candidate (Letham 2019; Ament et al. 2023).

    The rivals are sampled jointly: pending candidates, the picks so far and, for the noisy improvement, the measured
    designs. Given each sample of theirs a candidate is Gaussian and its improvement has a closed form, so that the only
    Monte-Carlo error is in the incumbent. With one rival-free pick it is LogEI itself, or constrained LogEI.

    Args:
        feasible: the belief and its constraints.
        q: how many to pick.
        goal: what is wanted of the first output.
        rivals: rows whose best is to be beaten where it is feasible; every pick joins them.
        floor: a score to be beaten in any case.
    """
    rivals = list(rivals)
    picked: list[int] = []
    values: list[float] = []
    for _ in range(q):
        gain = _log_gain(feasible, goal, rivals, floor)
        row = feasible.best(gain, picked)
        picked.append(row)
        values.append(float(gain[row]))
        rivals.append(row)
    return Selection(picked, values)


def _log_gain(feasible: Feasibility, goal: Goal, rivals: list[int], floor: float) -> Tensor:
    """Log expected improvement of each candidate on the best of `rivals` and `floor`, `n`."""
    pool, n = feasible.pool, feasible.n
    mean, sd = pool.given(rivals, n)
    scores = goal.score(pool.samples[:, rivals, 0]).where(feasible.holds(rivals), -torch.inf)
    best = torch.cat([scores, scores.new_full((len(scores), 1), floor)], dim=1).amax(1)
    likely = feasible.log_given(rivals)
    parts = [  # few candidates at a time, so that what is computed on the way stays in the processor's cache
        logmeanexp(goal.log_improvement(mean[:, part], sd[part], best.unsqueeze(-1)) + likely[:, part], dim=0)
        for part in (slice(first, first + SCORING_CHUNK) for first in range(0, n, SCORING_CHUNK))
    ]
    return torch.cat(parts)


def _portfolio(feasible: Feasibility, q: int, goal: Goal, rivals: list[int], floor: float, seed: int) -> Selection:
    """Picks that take turns: the noisy improvement, and the probability to be among the best; see `portfolio`."""
    likely = log_top(feasible, goal)
    known, rivals = len(rivals), list(rivals)
    picked: list[int] = []
    values: list[float] = []
    for i in range(q):
        value = likely if gathers(i, known, seed) else _log_gain(feasible, goal, rivals, floor)
        row = feasible.best(value, picked)
        picked.append(row)
        values.append(float(value[row]))
        rivals.append(row)
    return Selection(picked, values)


def _upper_bound(feasible: Feasibility, q: int, goals: Sequence[Goal], pending: int, beta: float) -> Selection:
    """Greedy Monte-Carlo upper confidence bound (Wilson et al. 2017, eq. 5): the mean of the batch's best bound."""
    n = feasible.n
    samples = score(goals, feasible.pool.samples).squeeze(-1)[:, : n + pending]
    mean = samples.mean(0)
    upper = mean + (beta * torch.pi / 2) ** 0.5 * (samples - mean).abs()
    upper = feasible.weighed(upper, upper.mean(0).amin(), slice(n + pending))
    best = upper[:, n:].amax(1) if pending else torch.full_like(upper[:, 0], -torch.inf)
    picked: list[int] = []
    values: list[float] = []
    for _ in range(q):
        value = torch.maximum(upper[:, :n], best.unsqueeze(1)).mean(0)
        picked.append(feasible.best(value, picked))
        values.append(float(value[picked[-1]]))
        best = torch.maximum(best, upper[:, picked[-1]])
    return Selection(picked, values)


def _total(goals: Sequence[Goal], values: Tensor) -> Tensor:
    """One score a row: the sum over objectives, each scaled by its spread over the pool."""
    scores = score(goals, values)
    return (
        (scores / scores.std(dim=-2, keepdim=True).clamp_min(1e-12)).sum(-1) if len(goals) > 1 else scores.squeeze(-1)
    )


def _top(feasible: Feasibility, scores: Tensor, q: int) -> Selection:
    picked: list[int] = []
    for _ in range(q):
        picked.append(feasible.best(scores, picked))
    return Selection(picked, scores[picked].tolist())


def _thompson(feasible: Feasibility, q: int, goals: Sequence[Goal]) -> Selection:
    """Each pick is the best row of one joint sample (Thompson 1933); rows taken already are passed over."""
    scores = _total(goals, feasible.pool.samples[:q, : feasible.n])
    picked: list[int] = []
    for i, sample in enumerate(scores):
        picked.append(feasible.best(feasible.ranks(i, sample), picked))
    return Selection(picked, [float(sample[row]) for sample, row in zip(scores, picked, strict=True)])


def _max_variance(
    feasible: Feasibility, q: int, pending: list[int], noise_variance: Sequence[float], m: int
) -> Selection:
    """The row whose noise-free value is least known, given that the picks before it are measured (Seo et al. 2000)."""
    believed = feasible.pool.covariance[:m]
    scale = believed.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(1e-300)
    covariance = (believed / scale[:, None, None]).clone()
    given = torch.tensor(noise_variance or [0.0] * len(scale), dtype=scale.dtype)
    noise = (given / scale).clamp_min(1e-9)

    def measure(row: int) -> None:
        column = covariance[:, :, row]
        covariance.sub_(column.unsqueeze(-1) * column.unsqueeze(-2) / (column[:, row] + noise)[:, None, None])

    for row in pending:
        measure(row)
    picked: list[int] = []
    values: list[float] = []
    for _ in range(q):
        variance = covariance.diagonal(dim1=-2, dim2=-1).sum(0)[: feasible.n]
        picked.append(feasible.best(variance, picked))
        values.append(float(variance[picked[-1]]))
        measure(picked[-1])
    return Selection(picked, values)
