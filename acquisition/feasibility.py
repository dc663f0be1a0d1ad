"""Outcome constraints: outputs that must lie within bounds, and what that does to a choice.

The outputs of a pool are independent given their designs, so the probability that a candidate meets every constraint is
a product of Gaussian probabilities, exact and without samples (Gelbart et al. 2014). Only the rivals of a candidate are
sampled; given a sample of theirs the candidate's constraints are Gaussian again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from botorch.utils.probability.utils import log_prob_normal_in
from botorch.utils.safe_math import logmeanexp
from torch import Tensor

from acquisition.pool import CachedPool

AFTERWARDS = 1e-3
"""Weight of a further feasible candidate, where none was known, once the batch holds a feasible one."""
SMALLEST_SD = 1e-150


@dataclass(frozen=True)
class Bound:
    """What one output must be: at least `low`, at most `high`, or both."""

    low: float | None = None
    high: float | None = None
    least: float = 0.0
    """Probability of lying within, below which a candidate comes after all others."""
    settled: bool = False
    """Whether what is measured has met it for certain, as a sample that was made has; such a bound has a `low`."""

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise ValueError("a bound has neither low nor high; give one of them or both")
        if self.settled and (self.low is None or self.high is not None):
            raise ValueError("a settled bound is a low one")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if not 0 <= self.least < 1:
            raise ValueError(f"least is {self.least:g}; expected a probability from 0 to below 1")

    def log_probability(self, mean: Tensor, sd: Tensor) -> Tensor:
        """Logarithm of P(low <= f <= high) for f ~ N(mean, sd^2); arguments broadcast."""
        sd = sd.clamp_min(SMALLEST_SD)
        if self.low is not None and self.high is not None:
            return log_prob_normal_in((self.low - mean) / sd, (self.high - mean) / sd)
        inside = mean - self.low if self.low is not None else float(self.high or 0.0) - mean
        return torch.special.log_ndtr(inside / sd)

    def violation(self, values: Tensor) -> Tensor:
        """By how much values lie outside; 0 within. Shape kept."""
        outside = torch.zeros_like(values)
        if self.low is not None:
            outside = outside + (self.low - values).clamp_min(0)
        if self.high is not None:
            outside = outside + (values - self.high).clamp_min(0)
        return outside


def log_feasibility(bounds: Sequence[Bound], mean: Tensor, sd: Tensor) -> Tensor:
    """Logarithm of the probability that all bounds hold, for independent outputs.

    Args:
        bounds: one per output.
        mean: `... x k`.
        sd: `... x k`.

    Returns:
        `...`.
    """
    parts = [bound.log_probability(mean[..., j], sd[..., j]) for j, bound in enumerate(bounds)]
    return torch.stack(parts).sum(0) if parts else mean.new_zeros(mean.shape[:-1])


def too_unlikely(bounds: Sequence[Bound], mean: Tensor, sd: Tensor) -> Tensor:
    """Whether some bound holds with less than its `least` probability, bool `...`; arguments as `log_feasibility`."""
    late = torch.zeros(mean.shape[:-1], dtype=torch.bool)
    for j, bound in enumerate(bounds):
        late |= bound.log_probability(mean[..., j], sd[..., j]).exp() < bound.least
    return late


@dataclass(frozen=True)
class Feasibility:
    """The constraints of a pool: without bounds everything is feasible and nothing changes.

    Attributes:
        pool: the belief; its last outputs are the constrained ones.
        n: candidates, the first rows of the pool.
        bounds: one for each of the last outputs.
        after: candidates that come after all others whatever their bounds say, bool `n`; none if left out.
        prices: what each candidate costs, `n`, nan where it is unknown; None where that does not matter.
        purse: what a batch may cost in all; candidates that exceed what its picks leave of it come last.
        given: the rows of a batch that is chosen already, in order, to be valued as it is; None to choose.
    """

    pool: CachedPool
    n: int
    bounds: Sequence[Bound] = ()
    after: Tensor | None = None
    prices: Tensor | None = None
    purse: float = math.inf
    given: Sequence[int] | None = None
    _late: Tensor = field(init=False, repr=False)
    _log_probability: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        first = self._first
        mean = self.pool.mean[:, first:]
        sd = self.pool.covariance[first:].diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt().T
        object.__setattr__(self, "_log_probability", log_feasibility(self.bounds, mean, sd))
        unlikely = too_unlikely(self.bounds, mean, sd)[: self.n]
        object.__setattr__(self, "_late", unlikely if self.after is None else unlikely | self.after)

    @property
    def _first(self) -> int:
        return self.pool.num_outputs - len(self.bounds)

    @property
    def late(self) -> Tensor:
        """Candidates that come after all others, bool `n`."""
        return self._late

    def holds(self, rows: Sequence[int]) -> Tensor:
        """Whether rows meet all constraints in each joint sample, bool `n_samples x rows`."""
        return self._violation(self.pool.samples[:, list(rows)]) == 0

    def log_given(self, rows: list[int]) -> Tensor:
        """Log probability of each candidate given each joint sample of some rows, `n_samples x n`; or `1 x n`."""
        total = self.pool.mean.new_zeros(1, self.n)
        for j, bound in enumerate(self.bounds):
            mean, sd = self.pool.given(rows, self.n, output=self._first + j)
            total = total + bound.log_probability(mean, sd)
        return total

    def weighed(self, values: Tensor, worst: Tensor, rows: slice) -> Tensor:
        """Expected values if an infeasible row is worth `worst`: `... x rows` -> the same shape."""
        return torch.lerp(worst, values, self._log_probability[rows].exp()) if self.bounds else values

    def ranks(self, sample: int, scores: Tensor) -> Tensor:
        """Scores of the candidates in one joint sample, `n`, with the infeasible ones below, by their violation.

        With nothing feasible the smallest violation is best, summed over constraints after scaling each by its sd
        (Eriksson and Poloczek 2021).
        """
        if not self.bounds:
            return scores
        violation = self._violation(self.pool.samples[sample, : self.n])
        return torch.where(violation == 0, scores - scores.amin(), -violation)

    def _violation(self, samples: Tensor) -> Tensor:
        total = samples.new_zeros(samples.shape[:-1])
        for j, bound in enumerate(self.bounds):
            total = total + bound.violation(samples[..., self._first + j]) / self.scale(j)
        return total

    def scale(self, j: int) -> Tensor:
        """Root of the mean variance of a constrained output, for comparing violations."""
        return self.pool.covariance[self._first + j].diagonal().mean().sqrt().clamp_min(SMALLEST_SD)

    def callables(self) -> list[Callable[[Tensor], Tensor]]:
        """The constraints as BoTorch takes them: `... x m` samples -> `...`, feasible at 0 and below, in sds."""

        def side(j: int, edge: float, sign: float) -> Callable[[Tensor], Tensor]:
            return lambda samples: sign * (samples[..., self._first + j] - edge) / self.scale(j)

        edges = [(j, b.low, -1.0) for j, b in enumerate(self.bounds)] + [
            (j, b.high, 1.0) for j, b in enumerate(self.bounds)
        ]
        return [side(j, edge, sign) for j, edge, sign in edges if edge is not None]

    def best(self, values: Tensor, picked: Sequence[int]) -> int:
        """The best row of `values` (`n`) that is not picked yet; late ones come after all others.

        Before them come those that a batch could have paid before its picks, and can no more.
        """
        if self.given is not None:
            return self.given[len(picked)]
        left = torch.ones(self.n, dtype=torch.bool)
        left[list(picked)] = False
        early = left & ~self.late
        tiers = [early, left]
        if self.prices is not None:
            could = early & ~(self.prices > self.purse)
            can = early & ~(self.prices > self.purse - self.prices[list(picked)].nansum())
            tiers = [can, could, *tiers]
        rows = next(tier for tier in tiers if tier.any()).nonzero().flatten()
        return int(rows[values[rows].argmax()])


def seek(feasible: Feasibility, q: int, pending: list[int]) -> tuple[list[int], list[float]]:
    """Where nothing feasible is known: the batch that most probably holds something feasible, built greedily.

    A pick counts where neither the pending rows nor the picks before it are feasible, in each joint sample of theirs;
    elsewhere it counts `AFTERWARDS` as much.

    Returns:
        Rows, and the logarithm of what each added to the probability.
    """
    rivals, picked, values = list(pending), list[int](), list[float]()
    for _ in range(q):
        found = feasible.holds(rivals).any(1)
        weight = torch.where(found, AFTERWARDS, 1.0).to(feasible.pool.mean).log().unsqueeze(1)
        gain = logmeanexp(feasible.log_given(rivals) + weight, dim=0)
        row = feasible.best(gain, picked)
        picked.append(row)
        values.append(float(gain[row]))
        rivals.append(row)
    return picked, values
