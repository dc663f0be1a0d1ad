import math

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from hypothesis import given
from hypothesis import strategies as st

from surrogates import GP, Bags, MeanPool, Targets, fit
from surrogates.conformal import OutOfFold, calibrate
from surrogates.quantiles import LEVELS, at_level, normal_quantiles
from surrogates.reliability import (
    ClassReliability,
    Reliability,
    class_report,
    coverage,
    level_curve,
    levels_of,
    mean_width,
    out_of_fold_gain,
    recalibrate,
    recalibration_gain,
    reliability,
    report,
    winkler_score,
)


def heads(n, seed, wrong=1.0):
    """Values N(m, s), and heads that state N(m, wrong s)."""
    rng = torch.Generator().manual_seed(seed)
    mean = torch.randn(n, generator=rng, dtype=torch.float64)
    sd = 0.5 + torch.rand(n, generator=rng, dtype=torch.float64)
    value = mean + sd * torch.randn(n, generator=rng, dtype=torch.float64)
    return normal_quantiles(mean, wrong * sd), value


def test_scores_of_known_intervals():
    lower, upper = torch.tensor([0.0, 0.0, 0.0]), torch.tensor([1.0, 2.0, 3.0])
    value = torch.tensor([1.0, 2.5, -1.0])
    assert coverage(lower, upper, value) == pytest.approx(1 / 3)
    assert mean_width(lower, upper) == pytest.approx(2.0)
    assert winkler_score(lower, upper, value, 0.2) == pytest.approx(2.0 + 10 * 1.5 / 3)


@given(st.floats(0.001, 0.999))
def test_the_level_of_a_quantile_is_its_own(level):
    uneven = torch.tensor([[-9.0, -3.0, -2.5, -1.0, 0.0, 0.1, 4.0, 5.0, 5.5]], dtype=torch.float64)
    assert float(levels_of(uneven, at_level(uneven, level))) == pytest.approx(level, abs=1e-9)


def test_levels_under_a_true_head_are_uniform():
    found = levels_of(*heads(4000, seed=1)).sort().values
    gap = (found - torch.arange(1, 4001) / 4000).abs().max()
    # Kolmogorov-Smirnov at 1 in 1,000
    assert float(gap) < 1.95 / math.sqrt(4000)


def test_values_below_all_quantiles_have_the_largest_error_there_is():
    quantiles, _ = heads(20, seed=2)
    curve = level_curve(levels_of(quantiles, torch.full((20,), -1e3, dtype=torch.float64)))
    assert curve.observed == (1.0,) * 9
    assert curve.error == pytest.approx(sum(1 - level for level in LEVELS) / 9)


def test_a_value_on_a_quantile_counts_as_at_or_below_it():
    quantiles, _ = heads(500, seed=3)
    for i in (0, 2, 4, 7, 8):
        observed = level_curve(levels_of(quantiles, quantiles[:, i])).observed
        assert observed == (0.0,) * i + (1.0,) * (9 - i)


def test_recalibration_mends_a_head_that_is_too_sure_on_data_it_has_not_seen():
    seen, new = heads(400, seed=4, wrong=0.5), heads(4000, seed=5, wrong=0.5)
    levels = levels_of(*new)
    before, after = level_curve(levels), level_curve(recalibrate(levels, levels_of(*seen)))
    assert before.error > 0.08
    assert after.error < 0.04
    assert after.nominal == LEVELS


def test_recalibration_keeps_the_order_and_ends_of_levels():
    seen = levels_of(*heads(60, seed=6, wrong=2.0))
    mapped = recalibrate(torch.linspace(0, 1, 101, dtype=torch.float64), seen)
    assert (mapped.diff() >= 0).all()
    assert float(mapped[0]) >= 0
    assert float(mapped[-1]) == 1.0


def test_cross_fitting_shows_no_gain_where_there_is_nothing_to_gain():
    """On levels that are uniform already a map can only do harm; fitted in sample it would leave no error."""
    fold = torch.arange(40) % 5
    uniform = torch.Generator().manual_seed(7)
    gains, inside = [], []
    for _ in range(60):
        levels = torch.rand(40, generator=uniform, dtype=torch.float64)
        found = recalibration_gain(levels, fold)
        gains.append(found.before - found.after)
        inside.append(level_curve(recalibrate(levels, levels)).error - level_curve(levels).error)
    draws = torch.tensor(gains)
    t = draws.mean() / (draws.std() / math.sqrt(len(draws)))
    assert float(t) < 0
    assert sum(inside) < 0


def test_cross_fitting_shows_the_gain_where_there_is_one():
    found = recalibration_gain(levels_of(*heads(400, seed=8, wrong=0.4)), torch.arange(400) % 5)
    assert found.n == 400
    assert found.after < 0.6 * found.before


def test_what_is_held_out_does_not_shape_its_own_map():
    levels, fold = levels_of(*heads(50, seed=8)), torch.arange(50) % 2
    by_hand = [level_curve(recalibrate(levels[fold == k], levels[fold != k])).error for k in (0, 1)]
    assert recalibration_gain(levels, fold).after == pytest.approx(sum(by_hand) / 2)
    with pytest.raises(ValueError, match="at least two folds"):
        recalibration_gain(levels, torch.zeros(50))


def test_a_report_tells_all_samples_and_each_stratum():
    stratum = ("b", "a") * 100
    quantiles, value = heads(200, seed=9)
    value = torch.where(torch.tensor([s == "a" for s in stratum]), value, value + 50)
    seen = OutOfFold(*(tensor.unsqueeze(1) for tensor in heads(99, seed=10)), ("a",) * 99, folds=5)
    intervals = [calibrate(quantiles, stratum, seen, alpha, "cqr") for alpha in (0.1, 0.2)]
    told = report(quantiles, value, stratum, intervals)
    assert list(told.strata) == ["a", "b"]
    a, b = told.strata["a"], told.strata["b"]
    assert (told.overall.n, a.n, b.n) == (200, 100, 100)
    for i, each in enumerate(intervals):
        lower, upper = each.lower[1::2], each.upper[1::2]
        assert a.intervals[i].level == each.level
        assert a.intervals[i].coverage == pytest.approx(each.level, abs=0.12)
        assert a.intervals[i].width == pytest.approx(float((upper - lower).mean()))
        assert b.intervals[i].coverage == 0
        assert told.overall.intervals[i].coverage == pytest.approx(a.intervals[i].coverage / 2)
        mean = (a.intervals[i].winkler + b.intervals[i].winkler) / 2
        assert told.overall.intervals[i].winkler == pytest.approx(mean)
    assert a.head.error < 0.1
    assert b.head.error == pytest.approx(0.5)
    assert a.conformal.nominal == pytest.approx((0.05, 0.1, 0.9, 0.95))
    assert a.conformal.error < 0.1
    assert b.conformal.observed == (0.0,) * 4
    assert a.recalibrated is None
    assert report(quantiles, value, stratum).overall.conformal is None


def test_nothing_measured_and_values_that_are_not_finite_are_refused():
    quantiles, value = heads(3, seed=11)
    with pytest.raises(ValueError, match="no measured value"):
        report(quantiles[:0], value[:0], ())
    with pytest.raises(ValueError, match="1 of 3 values are not finite"):
        report(quantiles, value.index_fill(0, torch.tensor([1]), torch.nan), ("",) * 3)
    with pytest.raises(ValueError, match="0 or 1"):
        class_report(torch.full((3,), 0.5, dtype=torch.float64), value, ("",) * 3)


def test_probabilities_are_scored_as_their_formulas_say():
    rng = torch.Generator().manual_seed(12)
    p = 0.02 + 0.96 * torch.rand(500, generator=rng, dtype=torch.float64)
    y = (torch.rand(500, generator=rng, dtype=torch.float64) < p).double()
    stratum = ("x",) * 400 + ("y",) * 100
    told = class_report(p, y, stratum)
    assert told.overall.brier == pytest.approx(float((p - y).square().mean()))
    assert told.overall.log_loss == pytest.approx(float(-(y * p.log() + (1 - y) * (1 - p).log()).mean()))
    assert told.strata["y"].n == 100
    assert told.strata["y"].brier == pytest.approx(float((p - y)[400:].square().mean()))
    bins = (10 * p).ceil()
    counts = torch.stack([(bins == i).sum() for i in range(1, 11)])
    assert len(told.overall.curve.nominal) == int((counts > 0).sum())
    gaps = torch.tensor(told.overall.curve.nominal) - torch.tensor(told.overall.curve.observed)
    assert told.overall.curve.error == pytest.approx(float((counts[counts > 0] * gaps.abs()).sum() / 500))
    assert told.overall.curve.error < 0.1
    worse = class_report(1 - p, y, stratum).overall
    assert worse.curve.error > 0.3
    assert worse.brier > told.overall.brier


def test_a_stratum_of_one_class_is_scored_too():
    told = class_report(torch.tensor([0.1, 0.2], dtype=torch.float64), torch.zeros(2, dtype=torch.float64), ("a", "b"))
    assert told.strata["a"].curve.observed == (0.0,)
    assert told.strata["a"].curve.error == pytest.approx(0.1)


@pytest.fixture
def fresh(encoder):
    from conftest import mixtures, response

    X = mixtures(80, 4, seed=21)
    return encoder(X, stratum=["few" if (x > 0).sum() < 4 else "many" for x in X]), response(X, noise=0.1, seed=22)


def test_a_fitted_surrogate_is_judged_on_what_was_measured_exactly(gp_fit, fresh):
    bags, value = fresh
    told = reliability(gp_fit, bags, Targets.exact(value), alphas=(0.01, 0.2))
    assert isinstance(told, Reliability)
    assert [round(each.level, 9) for each in told.overall.intervals] == [0.8]
    interval = gp_fit.interval(bags, 0.2)
    assert told.overall.intervals[0].coverage == coverage(interval.lower, interval.upper, value)
    assert set(told.strata) == {"few", "many"}
    assert told.overall.recalibrated.observed != told.overall.head.observed

    missing = value.clone().unsqueeze(1)
    missing[:10] = torch.nan
    censor = torch.zeros_like(missing, dtype=torch.int8)
    censor[10:20] = 1
    partial = reliability(gp_fit, bags, Targets(missing, None, censor, tuple(map(str, range(80)))), alphas=(0.2,))
    assert partial == reliability(gp_fit, bags[20:], Targets.exact(value[20:]), alphas=(0.2,))


def test_without_calibration_there_are_curves_but_no_intervals(bags, values, fresh):
    told = reliability(
        fit(GP(calibration="none"), bags, Targets.exact(values), seed=0), fresh[0], Targets.exact(fresh[1])
    )
    assert told.overall.intervals == ()
    assert told.overall.recalibrated is None
    assert told.overall.head.error < 0.5


def test_a_class_head_is_judged_by_its_probabilities(fresh):
    rng = torch.Generator().manual_seed(30)
    x = torch.randn(120, 1, 2, generator=rng)
    y = (x[:, 0, 0] + 0.5 * torch.randn(120, generator=rng) > 0).double()
    bags = Bags.of(x)
    fitted = fit(MeanPool(head="class", hidden=8, members=1, epochs=40), bags[:80], Targets.exact(y[:80]), seed=0)
    told = reliability(fitted, bags[80:], Targets.exact(y[80:]))
    assert isinstance(told, ClassReliability)
    assert told.overall.n == 40
    assert told.overall.brier < 0.25
    with pytest.raises(UnsupportedError, match="no quantile levels"):
        out_of_fold_gain(fitted)


def test_the_gain_of_recalibration_is_told_out_of_fold(gp_fit, forest_fit, bags, values):
    for fitted in (gp_fit, forest_fit):
        told = out_of_fold_gain(fitted)
        assert told.n == 48
        assert 0 < told.after < 0.5
    split = fit(GP(calibration="split"), bags, Targets.exact(values), seed=0)
    assert out_of_fold_gain(split).n == 12
    with pytest.raises(ValueError, match="no out-of-fold predictions"):
        out_of_fold_gain(fit(GP(calibration="none"), bags, Targets.exact(values), seed=0))
