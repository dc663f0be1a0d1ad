"""Calibration: intervals whose coverage is corrected by what was missed out of fold.

Residuals are pooled over K folds, every one of them from a model that did not see the row's group. Pooling has no
finite-sample theorem (cross-conformal prediction, Vovk 2015; CV+ would guarantee 1 - 2 alpha, Barber et al. 2021), so
the guarantee is called empirical. A split keeps a part for calibration alone, which has the theorem and needs more
data. In both, a stratum's own correction makes the statement for that stratum (Mondrian; Vovk et al. 2005).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from surrogates.quantiles import MEDIAN, at_level

Score = Literal["cqr", "scaled"]
OWN_CORRECTION = 80
"""Out-of-fold residuals from which a stratum is corrected on its own; below that, the weight of the pooled ones."""
EMPIRICAL = "empirical: residuals pooled over K folds; no finite-sample theorem"
EXACT = "at least 1 - alpha for exchangeable samples"
MONDRIAN = "at least 1 - alpha in each stratum, for exchangeable samples of it"
REPLICATES = "empirical: some samples were measured more than once; no finite-sample theorem"
SHRUNK = "empirical: small strata lean on the residuals of others; no finite-sample theorem"
POOLED = "pooled"

_METHODS = {
    "cqr": "conformalised quantile regression (Romano et al. 2019)",
    "scaled": "conformal residuals over half widths (Lei et al. 2018)",
}


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What was predicted for training rows by models that did not see their groups."""

    predictions: Tensor
    """Nine quantiles, or the probability of a class, `m x t x o`."""
    value: Tensor
    """What was measured, `m x t`; NaN where nothing was."""
    stratum: tuple[str, ...]
    """Of each row, `m`."""
    folds: int
    """How many folds there were: 1 for a split, 0 if nothing was held out."""
    exchangeable: bool = True
    """Whether every row is a sample of its own; replicates of one are no independent residuals."""
    share: float = 1.0
    """Share of the samples that are held out: a quarter or so in a split."""

    def __len__(self) -> int:
        return len(self.value)

    def of(self, target: int) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        """Predictions `m' x o`, values `m'` and strata of the rows in which a target was measured."""
        rows = (~self.value[:, target].isnan()).nonzero().flatten()
        strata = tuple(self.stratum[i] for i in rows.tolist())
        return self.predictions[rows, target], self.value[rows, target], strata


@dataclass(frozen=True, eq=False)
class Interval:
    """Calibrated intervals of a measurement, one for each of `n` bags."""

    lower: Tensor
    """`n`."""
    upper: Tensor
    """`n`."""
    level: float
    """Coverage aimed at, 1 - alpha."""
    method: str
    n_calibration: tuple[int, ...]
    """How many residuals corrected each interval: those of its stratum where it has its own correction, else all."""
    stratum: tuple[str, ...]
    """Whose residuals corrected each interval: the stratum, `<stratum> shrunk to pooled`, or `pooled`."""
    guarantee: str
    """Of bags from where the training data come; there is none outside."""
    outside: tuple[str, ...] = ()
    """Why each bag lies outside the training data, empty if it is inside."""

    def widened(self, median: Tensor, factor: Tensor, outside: tuple[str, ...]) -> Interval:
        """The intervals with their parts on both sides of the median, `n`, stretched by factors, `n`."""
        lower, upper = median - factor * (median - self.lower), median + factor * (self.upper - median)
        return replace(self, lower=lower, upper=upper, outside=outside)


@dataclass(frozen=True)
class Withheld:
    """No interval: there are too few out-of-fold residuals for this level."""

    needs: int
    """How many more would do."""


def minimum_residuals(alpha: float) -> int:
    """Fewest residuals for which the rank ceil((n + 1)(1 - alpha)) exists: the smallest n >= 1 / alpha - 1."""
    return math.ceil(round(1 / alpha - 1, 9))


def conformal_rank(n: int, alpha: float) -> int:
    """Rank of the score that bounds a share 1 - alpha of new scores: ceil((n + 1)(1 - alpha))."""
    return math.ceil(round((n + 1) * (1 - alpha), 9))


def _ends(quantiles: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Lower, median and upper quantile of the head: `... x 9` to three of `...`."""
    return at_level(quantiles, alpha / 2), quantiles[..., MEDIAN], at_level(quantiles, 1 - alpha / 2)


def scores(quantiles: Tensor, value: Tensor, alpha: float, score: Score) -> Tensor:
    """How far each value lies outside the head's own interval: quantiles `m x 9`, value `m` to `m`.

    cqr: max(lower - y, y - upper), negative inside (Romano, Patterson and Candes 2019, eq. 6).
    scaled: |y - median| over the half width on that side; for a normal head the normalised residual (Lei et al. 2018).
    """
    lower, median, upper = _ends(quantiles, alpha)
    if score == "cqr":
        return torch.maximum(lower - value, value - upper)
    width = torch.where(value >= median, upper - median, median - lower)
    return (value - median).abs() / width.clamp_min(torch.finfo(width.dtype).tiny)


def _correction(values: Tensor, alpha: float) -> Tensor | None:
    if len(values) < minimum_residuals(alpha):
        return None
    return values.sort().values[conformal_rank(len(values), alpha) - 1]


def calibrate(
    quantiles: Tensor,
    stratum: Sequence[str],
    seen: OutOfFold,
    alpha: float,
    score: Score,
    *,
    target: int = 0,
    own_correction: int = OWN_CORRECTION,
) -> Interval | Withheld:
    """Intervals that cover a share 1 - alpha of measurements.

    The head's own quantiles at alpha / 2 and 1 - alpha / 2 are widened or narrowed by the conformal rank of the
    out-of-fold scores. A stratum with `own_correction` residuals has its own correction; below that it is
    w own + (1 - w) pooled with w = n / (n + own_correction); below the level's own minimum it is the pooled one.

    Args:
        quantiles: the head's quantiles of the bags, `n x 9`.
        stratum: of the bags.
        seen: out-of-fold predictions.
        alpha: miscoverage, any number inside (0, 1).
        score: see `scores`.
        target: which of the targets.
        own_correction: as above.

    Returns:
        The intervals, or how many more residuals the level needs.

    Raises:
        ValueError: alpha is not inside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies inside (0, 1), not at {alpha!r}")
    predictions, value, strata = seen.of(target)
    residuals = scores(predictions, value, alpha, score)
    pooled = _correction(residuals, alpha)
    if pooled is None:
        missing = minimum_residuals(alpha) - len(residuals)
        return Withheld(round(missing / seen.share))
    corrections: dict[str, tuple[Tensor, str]] = {}
    own_count = Counter(strata)
    for name in {*stratum, *strata}:
        own = residuals[[i for i, s in enumerate(strata) if s == name]]
        found = _correction(own, alpha)
        if found is None or len(own) == len(residuals):
            corrections[name] = (pooled, POOLED)
        elif len(own) >= own_correction:
            corrections[name] = (found, name)
        else:
            share = len(own) / (len(own) + own_correction)
            corrections[name] = (share * found + (1 - share) * pooled, f"{name} shrunk to {POOLED}")
    by = torch.stack([corrections[name][0] for name in stratum]) if len(stratum) else residuals[:0]
    lower, median, upper = _ends(quantiles, alpha)
    if score == "cqr":
        # a negative correction may not turn an interval inside out
        lower, upper = torch.minimum(lower - by, median), torch.maximum(upper + by, median)
    else:
        lower, upper = median - by * (median - lower), median + by * (upper - median)
    used = tuple(corrections[name][1] for name in stratum)
    return Interval(
        lower=lower,
        upper=upper,
        level=1 - alpha,
        method=f"{'split' if seen.folds == 1 else f'{seen.folds}-fold cross'}: {_METHODS[score]}",
        n_calibration=tuple(
            own_count[name] if name == label else len(residuals) for name, label in zip(stratum, used, strict=True)
        ),
        stratum=used,
        guarantee=EMPIRICAL if seen.folds > 1 else _guarantee_of_split(seen, stratum, used, corrections),
    )


def _guarantee_of_split(
    seen: OutOfFold, stratum: Sequence[str], used: Sequence[str], corrections: Mapping[str, tuple[Tensor, str]]
) -> str:
    """What a split promises: the pooled correction covers all strata together only where it corrects them all."""
    if not seen.exchangeable:
        return REPLICATES
    if all(label == POOLED for _, label in corrections.values()):
        return EXACT
    return MONDRIAN if POOLED not in used and tuple(stratum) == tuple(used) else SHRUNK


def adaptive_alpha(alpha: float, misses: Sequence[Sequence[bool]], gamma: float = 0.05) -> float:
    """The miscoverage to work at after some rounds, so that coverage on coming rounds is 1 - alpha.

    Adaptive conformal inference (Gibbs and Candes 2021, eq. 2), the observations of a round taken together because
    they were predicted together:

        a_0 = alpha,   a_(r+1) = clip(a_r + gamma * sum over i in round r of (alpha - miss_i))

    clipped after every round to [alpha / 4, min(4 alpha, (1 + alpha) / 2)], so that a bad round is forgotten again and
    an interval never becomes useless.

    Args:
        alpha: nominal miscoverage inside (0, 1).
        misses: round by round, whether each measurement fell outside its interval.
        gamma: step size.

    Raises:
        ValueError: alpha is not inside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies inside (0, 1), not at {alpha!r}")
    working = alpha
    for found in misses:
        working += gamma * sum(alpha - bool(miss) for miss in found)
        working = min(max(working, alpha / 4), 4 * alpha, (1 + alpha) / 2)
    return working
