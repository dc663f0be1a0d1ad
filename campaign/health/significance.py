"""The statistics of the checks: plain numbers in, p-values out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """Realised coverage beside the nominal one."""

    n: int
    share: float
    """Inside their interval, of all."""
    recent_n: int
    recent: float
    """Inside, of the last third."""
    p_low: float
    """Probability by chance of so few in all, or in the last third: twice the smaller (Bonferroni), at most 1."""
    p_high: float
    """Probability of so many inside in all."""


def coverage_drift(held: Sequence[bool], level: float) -> Drift:
    """Exact binomial tests of realised against nominal coverage, of all and of the last third.

    Args:
        held: whether each measurement fell inside the interval stored before it was made, in order; at least one.
        level: nominal coverage.

    The measurements of a batch share a model; where their errors go together, alarms are somewhat more frequent.
    """
    from scipy.stats import binom

    n, recent = len(held), list(held)[-math.ceil(len(held) / 3) :]
    low = min(float(binom.cdf(sum(some), len(some), level)) for some in (held, recent))
    return Drift(
        n=n,
        share=sum(held) / n,
        recent_n=len(recent),
        recent=sum(recent) / len(recent),
        p_low=min(2 * low, 1.0),
        p_high=float(binom.sf(sum(held) - 1, n, level)),
    )


@dataclass(frozen=True)
class Shift:
    """One batch beside the others, by what was made in both."""

    batch: int
    """The batch that differs most; where only the latest can be judged, that."""
    shift: float
    """Mean of its controls minus that of the same designs in the others."""
    sd: float
    """Standard error of that difference."""
    p: float
    """Probability by chance of differences between batches as large as these."""


def batch_shift(values: Sequence[float], batches: Sequence[int], designs: Sequence[str]) -> Shift | None:
    """Whether batches differ in what was made in several of them.

    The effects of designs and batches add up; the F-test compares what batches add with the scatter within them
    (two-way analysis of variance, unbalanced; Scheffe 1959, ch. 4). Where every batch holds a single control nothing
    shows that scatter: then the latest is compared with the scatter of the earlier ones (t-test of a further one).

    Args:
        values: of each control.
        batches: number of its batch.
        designs: what it is.

    Returns:
        None where there are too few to tell.
    """
    from scipy.stats import f, t

    y, number = np.asarray(values, dtype=float), np.asarray(batches)
    if len(set(batches)) < 2:
        return None
    smallest = (1e-9 * float(np.abs(y).max())) ** 2  # scatter below what floats can show
    kinds = _dummies(designs)
    full = np.hstack([kinds, _dummies(batches)])
    rank = int(np.linalg.matrix_rank(full))
    free, more = len(y) - rank, rank - int(np.linalg.matrix_rank(kinds))
    if free > 0 and more > 0:
        noise = max(_rest(full, y) / free, smallest)
        ratio = max(_rest(kinds, y) - _rest(full, y), 0.0) / more / noise
        each = [(int(b), *_difference(y, number == b, designs)) for b in np.unique(number)]
        batch, shift, scale = max((e for e in each if math.isfinite(e[1])), key=lambda e: abs(e[1]) / e[2])
        return Shift(batch, shift, scale * math.sqrt(noise), float(f.sf(ratio, more, free)))
    latest = number == number.max()
    earlier = kinds[~latest]
    free = len(earlier) - int(np.linalg.matrix_rank(earlier))
    shift, scale = _difference(y, latest, designs)
    if free < 2 or not math.isfinite(shift):
        return None
    sd = scale * math.sqrt(max(_rest(earlier, y[~latest]) / free, smallest))
    return Shift(int(number.max()), shift, sd, 2 * float(t.sf(abs(shift) / max(sd, 1e-300), free)))


def _dummies(names: Sequence[str] | Sequence[int]) -> Array:
    kinds, place = np.unique(np.asarray(names), return_inverse=True)
    return np.eye(len(kinds))[place]


def _rest(X: Array, y: Array) -> float:
    """Residual sum of squares of a least-squares fit."""
    return float(((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2).sum())


def _difference(y: Array, here: NDArray[np.bool_], designs: Sequence[str]) -> tuple[float, float]:
    """Rows `here` minus the others, averaged over the designs in both; its standard error for a noise of 1; or NaNs."""
    kind = np.asarray(designs)
    both = [d for d in sorted(set(designs)) if (here & (kind == d)).any() and (~here & (kind == d)).any()]
    if not both:
        return math.nan, math.nan
    new, old = ([(side & (kind == d)) for d in both] for side in (here, ~here))
    change = [y[a].mean() - y[b].mean() for a, b in zip(new, old, strict=True)]
    variance = [1 / a.sum() + 1 / b.sum() for a, b in zip(new, old, strict=True)]
    return float(np.mean(change)), math.sqrt(sum(variance)) / len(both)


def pooled_sd(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Sd within groups of repeats, and its degrees of freedom; (NaN, 0) where nothing is repeated."""
    rest = [(np.asarray(g) - np.mean(g)) for g in groups if len(g) > 1]
    free = sum(len(r) - 1 for r in rest)
    return (math.sqrt(sum(float((r**2).sum()) for r in rest) / free), free) if free else (math.nan, 0)
