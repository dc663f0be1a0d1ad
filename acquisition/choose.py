"""Choose a batch from a pool: what scores a candidate, and how a batch is built around the pending ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import GenericMCMultiOutputObjective
from botorch.models.model import Model
from botorch.optim import optimize_acqf_discrete
from botorch.utils.safe_math import logmeanexp
from torch import Tensor

from acquisition.objectives import Goal, score
from acquisition.pool import N_SAMPLES, CachedPool, CachedSampler

ACQUISITIONS = ("qLogEI", "qLogNEI", "UCB", "Thompson", "greedy", "max_variance")
JOINT_LIMIT = 4096
"""Candidates that are believed jointly; of a larger pool the most promising ones by an optimistic bound."""
SCORING_CHUNK = 256
HYPERVOLUME_SAMPLES = 64
OPTIMISM = 3.0
"""Posterior sds added to the mean when a large pool is cut to `JOINT_LIMIT`."""


@dataclass(frozen=True)
class Selection:
    """A batch from a pool.

    Attributes:
        rows: row numbers in the pool, in the order of choice, `q`.
        values: acquisition value of each when it was chosen, `q`.
    """

    rows: list[int]
    values: list[float]


def shortlist(model: Model, chunks: Iterable[Tensor], goals: Sequence[Goal], *, size: int = JOINT_LIMIT) -> Tensor:
    """Row numbers of the `size` most promising candidates of a pool that is too large to be believed jointly.

    Args:
        model: BoTorch model with `m` outputs.
        chunks: the pool in pieces of `chunk x d`; row numbers count through all of them.
        goals: one per output.
        size: how many rows to keep.

    Returns:
        Sorted row numbers, at most `size`. A candidate ranks by the best score within `OPTIMISM` sds of its
        mean, summed over objectives after scaling each by its spread. Memory: one chunk, and one number a candidate.
    """
    bounds = []
    with torch.no_grad():
        for X in chunks:
            posterior = model.posterior(X.unsqueeze(-2))
            mean, sd = posterior.mean.squeeze(-2), posterior.variance.clamp_min(0).sqrt().squeeze(-2)
            optimistic = [goal.score(_nearest(goal, mean[:, j], OPTIMISM * sd[:, j])) for j, goal in enumerate(goals)]
            bounds.append(torch.stack(optimistic, dim=-1))
    bound = torch.cat(bounds)
    spread = bound.std(dim=0).clamp_min(1e-12) if len(bound) > 1 else torch.ones_like(bound[0])
    keep = (bound / spread).sum(-1).topk(min(size, len(bound))).indices
    return keep.sort().values


def _nearest(goal: Goal, mean: Tensor, reach: Tensor) -> Tensor:
    """The best value for a goal within `reach` of the mean."""
    if goal.target is None:
        return mean + reach
    return torch.clamp(torch.full_like(mean, goal.target), mean - reach, mean + reach)


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
) -> Selection:
    """Choose `q` distinct rows of a pool, jointly and around the pending ones.

    Args:
        model: BoTorch model with `m` outputs, oriented to larger is better.
        X: the pool, `n x d`, without measured or pending candidates.
        q: batch size; all of the pool where it is smaller.
        acquisition: one of `ACQUISITIONS`. With several goals the two improvements become
            qLogNEHVI (Daulton et al. 2021; Ament et al. 2023).
        goals: one per output.
        X_observed: designs measured so far, `n_obs x d`; the baseline of the noisy improvements.
        best_observed: best measured score, the incumbent of qLogEI.
        seed: of the joint samples.
        X_pending: designs recommended and not yet measured, `n_pending x d`.
        beta: of the upper confidence bound (Srinivas et al. 2010).
        noise_variance: of one measurement of each output; max-variance counts a pick as measured with it.

    Raises:
        ValueError: the acquisition is unknown, or the pool is empty.
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
    if acquisition == "Thompson":
        return _thompson(pool, n, q, goals)
    if acquisition == "greedy":
        return _top(_total(goals, pool.mean)[:n], q)
    if acquisition == "max_variance":
        return _max_variance(pool, n, q, pending.squeeze(-1).long().tolist(), noise_variance)
    if len(goals) > 1:
        return _hypervolume(pool, rows[:n], q, goals, observed, pending)
    if acquisition == "UCB":
        samples = score(goals, pool.samples).squeeze(-1)
        return _upper_bound(samples[:, :n], samples[:, n : n + len(pending)], q, beta)
    baseline = [] if acquisition == "qLogEI" else observed.squeeze(-1).long().tolist()
    floor = best_observed if acquisition == "qLogEI" else -torch.inf
    return _improvement(pool, n, q, goals[0], pending.squeeze(-1).long().tolist() + baseline, floor)


def _improvement(pool: CachedPool, n: int, q: int, goal: Goal, rivals: list[int], floor: float) -> Selection:
    """Greedy log expected improvement on the best rival, exact in the candidate (Letham 2019; Ament et al. 2023).

    The rivals are sampled jointly: pending candidates, the picks so far and, for the noisy improvement, the measured
    designs. Given each sample of theirs a candidate is Gaussian and its improvement has a closed form, so that the only
    Monte-Carlo error is in the incumbent. With one rival-free pick it is LogEI itself.

    Args:
        pool: the belief.
        n: candidates, the first rows of the pool.
        q: how many to pick.
        goal: what is wanted of the one output.
        rivals: rows whose best is to be beaten; every pick joins them.
        floor: a score to be beaten in any case.
    """
    rivals = list(rivals)
    picked: list[int] = []
    values: list[float] = []
    for _ in range(q):
        mean, sd = pool.given(rivals, n)
        scores = goal.score(pool.samples[:, rivals, 0])
        best = torch.cat([scores, scores.new_full((len(scores), 1), floor)], dim=1).amax(1)
        gain = logmeanexp(goal.log_improvement(mean, sd, best.unsqueeze(-1)), dim=0)
        gain[picked] = -torch.inf
        row = int(gain.argmax())
        picked.append(row)
        values.append(float(gain[row]))
        rivals.append(row)
    return Selection(picked, values)


def _upper_bound(samples: Tensor, pending: Tensor, q: int, beta: float) -> Selection:
    """Greedy Monte-Carlo upper confidence bound (Wilson et al. 2017, eq. 5): the mean of the batch's best bound."""

    def bounds(values: Tensor) -> Tensor:
        mean = values.mean(0)
        return mean + (beta * torch.pi / 2) ** 0.5 * (values - mean).abs()

    upper = bounds(samples)
    best = bounds(pending).amax(1) if pending.shape[1] else torch.full_like(samples[:, 0], -torch.inf)
    picked: list[int] = []
    values: list[float] = []
    for _ in range(q):
        value = torch.maximum(upper, best.unsqueeze(1)).mean(0)
        value[picked] = -torch.inf
        picked.append(int(value.argmax()))
        values.append(float(value[picked[-1]]))
        best = torch.maximum(best, upper[:, picked[-1]])
    return Selection(picked, values)


def _hypervolume(
    pool: CachedPool, choices: Tensor, q: int, goals: Sequence[Goal], observed: Tensor, pending: Tensor
) -> Selection:
    """Several objectives: BoTorch's qLogNEHVI (Daulton et al. 2021; Ament et al. 2023) on the pool's samples."""
    measured = score(goals, pool.mean)[observed.squeeze(-1).long()]
    # a tenth of the range below the worst of the measured (Ishibuchi et al. 2011)
    reference = measured.amin(0) - 0.1 * (measured.amax(0) - measured.amin(0)).clamp_min(1e-6)
    function = qLogNoisyExpectedHypervolumeImprovement(
        pool,
        reference,
        observed,
        sampler=CachedSampler(HYPERVOLUME_SAMPLES),
        objective=GenericMCMultiOutputObjective(lambda samples, X=None: score(goals, samples)),
        X_pending=pending if len(pending) else None,
        cache_root=False,
        prune_baseline=False,
    )
    picked, values = optimize_acqf_discrete(function, q=q, choices=choices, max_batch_size=SCORING_CHUNK)
    return Selection([int(i) for i in picked.squeeze(-1)], [float(v) for v in values.reshape(-1)])


def _total(goals: Sequence[Goal], values: Tensor) -> Tensor:
    """One score a row: the sum over objectives, each scaled by its spread over the pool."""
    scores = score(goals, values)
    return (
        (scores / scores.std(dim=-2, keepdim=True).clamp_min(1e-12)).sum(-1) if len(goals) > 1 else scores.squeeze(-1)
    )


def _top(scores: Tensor, q: int) -> Selection:
    best = scores.topk(q)
    return Selection(best.indices.tolist(), best.values.tolist())


def _thompson(pool: CachedPool, n: int, q: int, goals: Sequence[Goal]) -> Selection:
    """Each pick is the best row of one joint sample (Thompson 1933); rows taken already are passed over."""
    scores = _total(goals, pool.samples[:q, :n])
    picked: list[int] = []
    for sample in scores:
        sample[picked] = -torch.inf
        picked.append(int(sample.argmax()))
    return Selection(picked, [float(sample[row]) for sample, row in zip(scores, picked, strict=True)])


def _max_variance(pool: CachedPool, n: int, q: int, pending: list[int], noise_variance: Sequence[float]) -> Selection:
    """The row whose noise-free value is least known, given that the picks before it are measured (Seo et al. 2000)."""
    scale = pool.covariance.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(1e-300)
    covariance = (pool.covariance / scale[:, None, None]).clone()
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
        variance = covariance.diagonal(dim1=-2, dim2=-1).sum(0)[:n].clone()
        variance[picked] = -torch.inf
        picked.append(int(variance.argmax()))
        values.append(float(variance[picked[-1]]))
        measure(picked[-1])
    return Selection(picked, values)
