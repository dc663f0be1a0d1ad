import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates.conformal import (
    EMPIRICAL,
    OWN_CORRECTION,
    Interval,
    OutOfFold,
    Withheld,
    adaptive_alpha,
    calibrate,
    conformal_rank,
    minimum_residuals,
)
from surrogates.quantiles import at_level, normal_quantiles
from surrogates.reliability import coverage, mean_width

ALPHAS = (0.05, 0.1, 0.2, 0.37)


def seen(quantiles, value, stratum=None):
    return OutOfFold(quantiles.unsqueeze(1), value.unsqueeze(1), stratum or ("",) * len(value), folds=5)


def heads(n, rng, wrong=0.6):
    """Rows whose head states the wrong width: mean m, sd `wrong` s, where values are N(m, s)."""
    mean = torch.randn(n, generator=rng, dtype=torch.float64)
    sd = 0.5 + torch.rand(n, generator=rng, dtype=torch.float64)
    value = mean + sd * torch.randn(n, generator=rng, dtype=torch.float64)
    return normal_quantiles(mean, wrong * sd), value


@pytest.mark.parametrize("score", ["cqr", "scaled"])
@pytest.mark.parametrize("wrong", [0.6, 1.5])
def test_coverage_is_exact_on_exchangeable_data(score, wrong):
    """Over repeated draws the mean coverage is rank / (n + 1); two-sided t-tests, Bonferroni over 16 of them."""
    n, repeats = 47, 300
    rng = torch.Generator().manual_seed(round(10 * wrong) + len(score))
    found = {alpha: [] for alpha in ALPHAS}
    for _ in range(repeats):
        calibration, test = heads(n, rng, wrong), heads(60, rng, wrong)
        for alpha in ALPHAS:
            interval = calibrate(test[0], ("",) * 60, seen(*calibration), alpha, score)
            found[alpha].append(coverage(interval.lower, interval.upper, test[1]))
    for alpha in ALPHAS:
        draws = torch.tensor(found[alpha], dtype=torch.float64)
        expected = conformal_rank(n, alpha) / (n + 1)
        assert 1 - alpha <= expected <= 1 - alpha + 1 / (n + 1)
        t = (draws.mean() - expected) / (draws.std() / math.sqrt(repeats))
        assert abs(float(t)) < 3.2


@given(st.floats(0.02, 0.9))
def test_too_few_residuals_withhold_and_say_how_many_are_missing(alpha):
    enough = minimum_residuals(alpha)
    quantiles, value = heads(max(enough, 1), torch.Generator().manual_seed(0))
    for n in {0, enough // 2, enough - 1} - {-1, enough}:
        got = calibrate(quantiles[:1], ("",), seen(quantiles[:n], value[:n]), alpha, "cqr")
        assert got == Withheld(enough - n)
    assert isinstance(calibrate(quantiles[:1], ("",), seen(quantiles, value), alpha, "cqr"), Interval)


def test_the_minimum_is_where_the_rank_exists():
    assert [minimum_residuals(a) for a in (0.05, 0.1, 0.2, 0.5)] == [19, 9, 4, 1]
    for alpha in ALPHAS:
        n = minimum_residuals(alpha)
        assert conformal_rank(n, alpha) <= n
        assert conformal_rank(n - 1, alpha) > n - 1


def test_scaled_scores_of_a_normal_head_are_normalised_residuals():
    quantiles, value = heads(60, torch.Generator().manual_seed(1))
    interval = calibrate(quantiles, ("",) * 60, seen(quantiles, value), 0.2, "scaled")
    median, sd = quantiles[:, 4], (quantiles[:, 8] - quantiles[:, 4]) / 1.959964
    rank = ((value - median).abs() / sd).sort().values[conformal_rank(60, 0.2) - 1]
    assert torch.allclose(interval.upper, median + rank * sd, rtol=1e-5)
    assert torch.allclose(interval.lower, median - rank * sd, rtol=1e-5)


@pytest.mark.parametrize("score", ["cqr", "scaled"])
def test_turning_targets_round_turns_intervals_round(score):
    quantiles, value = heads(60, torch.Generator().manual_seed(2))
    one = calibrate(quantiles, ("",) * 60, seen(quantiles, value), 0.2, score)
    other = calibrate(-quantiles.flip(-1), ("",) * 60, seen(-quantiles.flip(-1), -value), 0.2, score)
    assert torch.allclose(one.lower, -other.upper)
    assert torch.allclose(one.upper, -other.lower)


@given(st.tuples(st.floats(0.03, 0.9), st.floats(0.03, 0.9)).map(sorted))
def test_scaled_intervals_of_higher_levels_contain_those_of_lower_ones(alphas):
    quantiles, value = heads(60, torch.Generator().manual_seed(3))
    wide, narrow = (calibrate(quantiles, ("",) * 60, seen(quantiles, value), a, "scaled") for a in alphas)
    assert (wide.lower <= narrow.lower + 1e-9).all()
    assert (wide.upper >= narrow.upper - 1e-9).all()


def test_a_correction_never_turns_an_interval_inside_out():
    quantiles = normal_quantiles(torch.zeros(30, dtype=torch.float64), torch.full((30,), 5.0, dtype=torch.float64))
    interval = calibrate(quantiles, ("",) * 30, seen(quantiles, torch.zeros(30, dtype=torch.float64)), 0.5, "cqr")
    assert (interval.lower <= interval.upper).all()
    assert mean_width(interval.lower, interval.upper) < 1e-6


def test_each_stratum_is_corrected_as_its_residuals_allow():
    rng = torch.Generator().manual_seed(4)
    sizes = {"big": OWN_CORRECTION, "small": 40, "tiny": 3}
    noise = {"big": 1.0, "small": 3.0, "tiny": 9.0}
    stratum = tuple(name for name, n in sizes.items() for _ in range(n))
    quantiles = normal_quantiles(torch.zeros(len(stratum), dtype=torch.float64), torch.ones(len(stratum)).double())
    draws = torch.randn(len(stratum), generator=rng, dtype=torch.float64)
    value = draws * torch.tensor([noise[s] for s in stratum], dtype=torch.float64)
    names = ("big", "small", "tiny", "new")
    interval = calibrate(quantiles[:4], names, seen(quantiles, value, stratum), 0.2, "scaled")
    assert interval.stratum == ("big", "small shrunk to pooled", "pooled", "pooled")
    big, small, tiny, new = interval.upper.tolist()
    assert tiny == new

    def alone(name):
        mine = torch.tensor([s == name for s in stratum])
        return float(calibrate(quantiles[:1], ("",), seen(quantiles[mine], value[mine]), 0.2, "scaled").upper[0])

    assert big == pytest.approx(alone("big"))
    share = 40 / (40 + OWN_CORRECTION)
    assert small == pytest.approx(share * alone("small") + (1 - share) * new)
    assert set(interval.n_calibration) == {80, len(stratum)}
    assert interval.guarantee == EMPIRICAL
    assert interval.method.startswith("5-fold")
    assert interval.level == pytest.approx(0.8)


def test_a_single_stratum_is_pooled():
    quantiles, value = heads(30, torch.Generator().manual_seed(5))
    assert calibrate(quantiles[:2], ("", ""), seen(quantiles, value), 0.2, "cqr").stratum == ("pooled", "pooled")


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.2, 1.3])
def test_an_alpha_outside_is_refused(alpha):
    quantiles, value = heads(30, torch.Generator().manual_seed(6))
    with pytest.raises(ValueError, match="alpha lies inside"):
        calibrate(quantiles, ("",) * 30, seen(quantiles, value), alpha, "cqr")
    with pytest.raises(ValueError, match="alpha lies inside"):
        adaptive_alpha(alpha, [])


def test_the_working_alpha_follows_its_formula_and_stays_in_range():
    assert adaptive_alpha(0.2, []) == 0.2
    assert adaptive_alpha(0.2, [[True, False, False]]) == pytest.approx(0.2 + 0.05 * (3 * 0.2 - 1))
    two = adaptive_alpha(0.2, [[True, False], [False, False]], gamma=0.02)
    assert two == pytest.approx(0.2 + 0.02 * (2 * 0.2 - 1) + 0.02 * (2 * 0.2))
    assert adaptive_alpha(0.2, [[True] * 5] * 50) == pytest.approx(0.05)
    assert adaptive_alpha(0.2, [[False] * 5] * 500) == pytest.approx(0.6)
    # a bad start is forgotten: the state does not wind up beyond its range
    assert adaptive_alpha(0.2, [[True] * 5] * 50 + [[False] * 5] * 3) == pytest.approx(0.05 + 3 * 5 * 0.05 * 0.2)


def test_the_working_alpha_brings_coverage_to_its_level_when_the_head_is_too_sure():
    """Heads claim 0.7 of the true width; without adapting, 80 % intervals would cover 63 %."""
    rng = torch.Generator().manual_seed(7)
    unit = normal_quantiles(torch.zeros(1, dtype=torch.float64), torch.tensor([0.7], dtype=torch.float64))
    misses = []
    for _ in range(200):
        alpha = adaptive_alpha(0.2, misses)
        end = float(at_level(unit, 1 - alpha / 2))
        draws = torch.randn(5, generator=rng, dtype=torch.float64)
        misses.append([abs(float(v)) > end for v in draws])
    late = [miss for found in misses[20:] for miss in found]
    # 900 draws about a controlled mean: the sd of the share is at most 0.013
    assert sum(late) / len(late) == pytest.approx(0.2, abs=0.035)
