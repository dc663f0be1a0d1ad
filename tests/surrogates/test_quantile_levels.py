from statistics import NormalDist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates.quantiles import LEVELS, MEDIAN, at_level, head_variance, normal_quantiles, pinball


@given(st.floats(0.001, 0.999), st.floats(-5, 5), st.floats(0.1, 5))
def test_any_level_of_a_normal_head_is_exact(level, mean, sd):
    quantiles = normal_quantiles(torch.tensor(mean, dtype=torch.float64), torch.tensor(sd, dtype=torch.float64))
    assert float(at_level(quantiles, level)) == pytest.approx(NormalDist(mean, sd).inv_cdf(level), abs=1e-9)


def test_levels_of_the_head_are_its_own_quantiles():
    quantiles = torch.tensor([-9.0, -5.0, -4.0, -1.0, 0.0, 3.0, 4.0, 8.0, 9.0], dtype=torch.float64)
    assert [float(at_level(quantiles, level)) for level in LEVELS] == pytest.approx(quantiles.tolist())


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=2).map(sorted))
def test_levels_in_order_give_quantiles_in_order(levels):
    quantiles = torch.tensor([-9.0, -5.0, -4.0, -1.0, 0.0, 3.0, 4.0, 8.0, 9.0], dtype=torch.float64)
    assert at_level(quantiles, levels[0]) <= at_level(quantiles, levels[1]) + 1e-9


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1])
def test_a_level_outside_is_refused(level):
    with pytest.raises(ValueError, match="inside"):
        at_level(torch.zeros(9), level)


def test_pinball_is_smallest_at_the_true_quantiles():
    draws = torch.randn(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ones = torch.ones_like(draws)

    def loss(mean, sd):
        return float(pinball(normal_quantiles(mean * ones, sd * ones), draws).mean())

    truth = loss(0.0, 1.0)
    assert all(truth < loss(*other) for other in [(0.3, 1.0), (0.0, 0.6), (0.0, 1.6)])
    # the mean over these nine levels of sum over normal quantiles, from the closed form of one level
    level = [NormalDist().pdf(NormalDist().inv_cdf(p)) for p in LEVELS]
    assert truth == pytest.approx(sum(level) / 9, rel=0.03)


def test_head_variance_is_that_of_a_normal_head():
    quantiles = normal_quantiles(torch.tensor([1.0]), torch.tensor([3.0]))
    assert head_variance(quantiles).tolist() == pytest.approx([9.0])
    assert quantiles[0, MEDIAN] == 1
