"""Reports on predictions beside what was measured: coverage, width and score of intervals, and how true levels are.

Everything is told for all samples and for each stratum. Scores come from MAPIE and scikit-learn where these have them.
Recalibrated levels are only reported: conformal intervals are made from the head's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from botorch.exceptions.errors import UnsupportedError
from torch import Tensor

from surrogates.bags import Bags, Targets
from surrogates.conformal import Interval, Withheld
from surrogates.quantiles import LEVELS, NORMAL_SCORES
from surrogates.splits import NEVER, assign_folds

if TYPE_CHECKING:
    from surrogates.fitted import Fitted

ALPHAS = (0.05, 0.1, 0.2)
"""Miscoverages that are reported by default."""
BINS = 10
"""Bins of equal width in which probabilities of a class are compared with frequencies."""


@dataclass(frozen=True)
class IntervalScores:
    """How intervals of one level did."""

    level: float
    """Coverage aimed at."""
    coverage: float
    """Share of values inside, ends included."""
    width: float
    """Mean width, in units of the target."""
    winkler: float
    """Mean interval score, in units of the target; smaller is better."""


@dataclass(frozen=True)
class Curve:
    """A reliability curve."""

    nominal: tuple[float, ...]
    """Levels of quantiles, or mean probability of the samples in each bin that holds any."""
    observed: tuple[float, ...]
    """Share of values at or below the quantile, or frequency of the class in the bin."""
    error: float
    """Expected calibration error: mean absolute difference of the two; bins count by their samples (Naeini et al.
    2015), quantile levels all alike."""


@dataclass(frozen=True)
class Summary:
    """Predictions of a number."""

    n: int
    intervals: tuple[IntervalScores, ...]
    """By level, as they were given."""
    head: Curve
    """Of the nine quantiles, not calibrated."""
    recalibrated: Curve | None
    """The same after isotonic recalibration that saw none of these samples; None if there was nothing to fit it on."""
    conformal: Curve | None
    """Of the ends of the intervals, as quantiles at alpha / 2 and 1 - alpha / 2; None without intervals."""


@dataclass(frozen=True)
class Gain:
    """What recalibration does to the calibration error on folds that its maps did not see."""

    n: int
    """Number of levels."""
    before: float
    """Mean over the folds of the error within each."""
    after: float


@dataclass(frozen=True)
class ClassSummary:
    """Predictions of a class."""

    n: int
    curve: Curve
    brier: float
    """Mean squared difference of probability and 0 or 1."""
    log_loss: float
    """Mean cross-entropy in nats."""


@dataclass(frozen=True)
class Reliability:
    """How quantiles and intervals of one target did."""

    overall: Summary
    strata: dict[str, Summary]


@dataclass(frozen=True)
class ClassReliability:
    """How probabilities of one class did."""

    overall: ClassSummary
    strata: dict[str, ClassSummary]


def coverage(lower: Tensor, upper: Tensor, value: Tensor) -> float:
    """Share of values inside their intervals, ends included; each argument is `n`."""
    from mapie.metrics.regression import regression_coverage_score

    return float(regression_coverage_score(value.numpy(), _ends(lower, upper))[0])


def mean_width(lower: Tensor, upper: Tensor) -> float:
    """Mean width of intervals `n`."""
    from mapie.metrics.regression import regression_mean_width_score

    return float(regression_mean_width_score(_ends(lower, upper))[0])


def winkler_score(lower: Tensor, upper: Tensor, value: Tensor, alpha: float) -> float:
    """Mean interval score (Winkler 1972; Gneiting and Raftery 2007, eq. 43): width plus 2 / alpha times the miss."""
    from mapie.metrics.regression import regression_mwi_score

    return float(regression_mwi_score(value.numpy(), _ends(lower, upper), 1 - alpha))


def _ends(lower: Tensor, upper: Tensor) -> object:
    """Intervals as MAPIE takes them, `n x 2 x 1`."""
    return torch.stack([lower, upper], dim=1).unsqueeze(-1).numpy()


def levels_of(quantiles: Tensor, value: Tensor) -> Tensor:
    """The level at which each value lies: quantiles `n x 9` that increase, value `n` to `n`; inverts `at_level`."""
    left = (value.unsqueeze(-1) > quantiles[:, 1:-1]).sum(1, keepdim=True)
    scores = quantiles.new_tensor(NORMAL_SCORES)
    low, high = quantiles.gather(1, left).squeeze(1), quantiles.gather(1, left + 1).squeeze(1)
    start, end = scores[left.squeeze(1)], scores[left.squeeze(1) + 1]
    return torch.special.ndtr(start + (end - start) * (value - low) / (high - low))


def recalibrate(levels: Tensor, seen: Tensor) -> Tensor:
    """Levels `m` of values as isotonic recalibration of the levels `n` of other values puts them.

    Kuleshov, Fenner and Ermon 2018, algorithm 1: an isotonic regression of the share of seen levels at or below each
    seen level, on that level.
    """
    from sklearn.isotonic import IsotonicRegression

    share = (seen.unsqueeze(0) <= seen.unsqueeze(1)).double().mean(1)
    found = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(seen.numpy(), share.numpy())
    return torch.from_numpy(found.predict(levels.numpy()))


def level_curve(levels: Tensor) -> Curve:
    """The reliability curve of the nine quantile levels, from the level of each value, `n`."""
    # a value on a quantile counts as below it, whatever the last digit of its level
    observed = (levels.unsqueeze(1) <= levels.new_tensor(LEVELS) + 1e-9).double().mean(0).tolist()
    return _curve(LEVELS, observed)


def _curve(nominal: Sequence[float], observed: Sequence[float]) -> Curve:
    error = sum(abs(a - b) for a, b in zip(nominal, observed, strict=True)) / len(nominal)
    return Curve(tuple(nominal), tuple(observed), error)


def report(
    quantiles: Tensor,
    value: Tensor,
    stratum: Sequence[str],
    intervals: Sequence[Interval] = (),
    recalibrated: Tensor | None = None,
) -> Reliability:
    """How predictions of measured values did.

    Args:
        quantiles: the head's, `n x 9`.
        value: what was measured, `n`.
        stratum: of each sample, `n`.
        intervals: of the samples, one for each level.
        recalibrated: levels of the values after a recalibration that did not see them, `n`.

    Raises:
        ValueError: there is no value, or one is not finite.
    """
    _check(value)
    levels = levels_of(quantiles, value)

    def summary(rows: Tensor) -> Summary:
        y, scores, ends = value[rows], [], {}
        for each in intervals:
            lower, upper, alpha = each.lower[rows], each.upper[rows], 1 - each.level
            judged = coverage(lower, upper, y), mean_width(lower, upper), winkler_score(lower, upper, y, alpha)
            scores.append(IntervalScores(each.level, *judged))
            ends[alpha / 2] = float((y <= lower).double().mean())
            ends[1 - alpha / 2] = float((y <= upper).double().mean())
        return Summary(
            n=len(rows),
            intervals=tuple(scores),
            head=level_curve(levels[rows]),
            recalibrated=None if recalibrated is None else level_curve(recalibrated[rows]),
            conformal=_curve(sorted(ends), [ends[level] for level in sorted(ends)]) if ends else None,
        )

    return Reliability(
        overall=summary(torch.arange(len(value))),
        strata={name: summary(rows) for name, rows in _by_stratum(stratum).items()},
    )


def class_report(probability: Tensor, value: Tensor, stratum: Sequence[str]) -> ClassReliability:
    """How probabilities of a class did: probability `n`, value `n` of 0 and 1, stratum of each sample.

    Raises:
        ValueError: there is no value, or one is neither 0 nor 1.
    """
    _check(value)
    if not bool(((value == 0) | (value == 1)).all()):
        raise ValueError("values of a class are 0 or 1, and there are others")

    def summary(rows: Tensor) -> ClassSummary:
        from mapie.metrics.calibration import expected_calibration_error
        from sklearn.calibration import calibration_curve
        from sklearn.metrics import brier_score_loss, log_loss

        p, y = probability[rows].numpy(), value[rows].numpy()
        observed, nominal = calibration_curve(y, p, n_bins=BINS)
        # MAPIE counts the edges of bins
        error = expected_calibration_error(y, p, num_bins=BINS + 1, split_strategy="uniform")
        return ClassSummary(
            n=len(y),
            curve=Curve(tuple(nominal.tolist()), tuple(observed.tolist()), error),
            brier=float(brier_score_loss(y, p, labels=[0, 1])),
            log_loss=float(log_loss(y, p, labels=[0, 1])),
        )

    return ClassReliability(
        overall=summary(torch.arange(len(value))),
        strata={name: summary(rows) for name, rows in _by_stratum(stratum).items()},
    )


def reliability(
    fitted: Fitted, bags: Bags, targets: Targets, alphas: Sequence[float] = ALPHAS, *, target: int = 0
) -> Reliability | ClassReliability:
    """How a fitted surrogate predicts one target of samples that it was not fitted to.

    Values that were not measured or are censored are left out; levels at which intervals are withheld too. The
    recalibration is fitted on the out-of-fold predictions.

    Args:
        fitted: the surrogate.
        bags: the samples.
        targets: what was measured, oriented as in fitting.
        alphas: miscoverages of the intervals.
        target: which of the targets.

    Raises:
        ValueError: nothing was measured, or an alpha is not inside (0, 1).
    """
    rows = ~targets.value[:, target].isnan() & (targets.censor[:, target] == 0)
    bags, value = bags[rows], targets.value[rows, target].double()
    with torch.no_grad():
        if getattr(fitted.recipe, "head", None) == "class":
            return class_report(fitted.probability(bags)[:, target], value, bags.stratum)
        quantiles = fitted.quantiles(bags)[:, target]
        found = [fitted.interval(bags, alpha, target) for alpha in alphas]
    predictions, seen, _ = fitted.out_of_fold.of(target)
    return report(
        quantiles,
        value,
        bags.stratum,
        [each for each in found if not isinstance(each, Withheld)],
        recalibrate(levels_of(quantiles, value), levels_of(predictions, seen)) if len(seen) else None,
    )


def recalibration_gain(levels: Tensor, fold: Tensor) -> Gain:
    """What recalibration does to levels `n` when each fold (of each level, `n`) is mapped by the others.

    The folds are judged one by one, before and after: over all folds together the errors of the maps cancel, and the
    error after would be as small as that of a map fitted to the very levels it is judged on.

    Raises:
        ValueError: there is one fold only.
    """
    held = [fold == k for k in fold.unique()]
    if len(held) < 2:
        raise ValueError("cross-fitting needs at least two folds")
    before = [level_curve(levels[rows]).error for rows in held]
    after = [level_curve(recalibrate(levels[rows], levels[~rows])).error for rows in held]
    return Gain(len(levels), sum(before) / len(held), sum(after) / len(held))


def out_of_fold_gain(fitted: Fitted, target: int = 0) -> Gain:
    """What recalibration would do to a surrogate's out-of-fold quantiles, by cross-fitting that keeps groups together.

    Raises:
        ValueError: fewer than two groups have out-of-fold predictions.
        UnsupportedError: the recipe has a class head.
    """
    if getattr(fitted.recipe, "head", None) == "class":
        raise UnsupportedError("a class head has no quantile levels to recalibrate")
    if not fitted.problem.folds:
        raise ValueError("there are no out-of-fold predictions to recalibrate")
    predictions, value, _ = fitted.out_of_fold.of(target)
    held = ~fitted.problem.value[:, target].isnan() & (fitted.problem.fold != NEVER)
    groups = [fitted.problem.groups[i] for i in held.nonzero().flatten().tolist()]
    return recalibration_gain(levels_of(predictions, value), assign_folds(groups, fitted.seed))


def _check(value: Tensor) -> None:
    if not len(value):
        raise ValueError("there is no measured value to compare predictions with")
    if not bool(value.isfinite().all()):
        raise ValueError(f"{int((~value.isfinite()).sum())} of {len(value)} values are not finite; leave them out")


def _by_stratum(stratum: Sequence[str]) -> dict[str, Tensor]:
    """Row numbers of each stratum, by name."""
    return {name: torch.tensor([i for i, s in enumerate(stratum) if s == name]) for name in sorted(set(stratum))}
