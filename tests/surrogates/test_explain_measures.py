"""Measures of attributions, against values worked out by hand, and laws."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from surrogates.bags import Bags
from surrogates.explain import (
    Attribution,
    agreement,
    aopc,
    concentration,
    interval_over_seeds,
    perturbation_curve,
    random_curves,
    top_hit,
    top_recall,
)


def bags_of(features, mask=None, weights=None):
    n, k, _ = features.shape
    mask = torch.ones(n, k, dtype=torch.bool) if mask is None else mask
    weights = torch.ones(n, k, dtype=features.dtype) if weights is None else weights
    return Bags(features, mask, weights, torch.zeros(n, 0), tuple(str(i) for i in range(k)), ("",) * n)


def blank(n, k, mask=None, weights=None):
    return bags_of(torch.zeros(n, k, 1, dtype=torch.float64), mask, weights)


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def as_attribution(value, signed=True):
    return Attribution("given", value, torch.full_like(value, torch.nan), signed, "target")


@dataclass
class Sum:
    """Predicts the sum over instances of the one feature; members differ by a factor."""

    factors: torch.Tensor

    def member_locations(self, bags):
        total = (bags.features[..., 0] * bags.mask).sum(1)
        return (self.factors[:, None] * total)[..., None]

    def attention(self, bags):
        raise NotImplementedError


ONE = Sum(rows(1.0))
ORIGIN = torch.zeros(1, dtype=torch.float64)


def test_concentration_counts_mass_on_the_signal_against_its_share():
    signal = torch.tensor([[True, False, False, False]] * 3)
    value = rows([0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25], [0.0, -1.0, 0.0, 1.0])
    found = concentration(value, blank(3, 4), signal)
    assert torch.allclose(found, rows(2.8, 1.0, 0.0))


@given(st.integers(1, 20), st.integers(1, 20))
def test_concentration_without_known_signal_is_that_of_an_even_map_on_it(on, of):
    on = min(on, of)
    signal = torch.arange(of) < on
    value = (signal.double() * -0.3)[None]
    bags = blank(1, of)
    found = concentration(value, bags)
    assert torch.allclose(found, rows(of / on))
    assert torch.allclose(found, concentration(value, bags, signal[None]))


def test_a_map_that_follows_the_weights_is_not_concentrated():
    weights = rows([0.9, 0.06, 0.04, 0.0])
    bags = blank(1, 4, weights=weights)
    assert torch.allclose(concentration(weights, bags), rows(1.0))
    assert torch.allclose(concentration(rows([0.0, 0.0, 2.0, 0.0]), bags), rows(25.0))


def test_masked_instances_do_not_count_and_a_map_of_nothing_has_no_concentration():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    found = concentration(rows([1.0, 1.0, 50.0], [0.0, 0.0, 0.0]), blank(2, 3, mask))
    assert found[0] == 1
    assert found[1].isnan()


def test_top_hit_and_recall():
    signal = torch.tensor([[True, True, False, False]] * 2)
    value = rows([0.1, -0.9, 0.5, 0.3], [0.1, 0.2, 0.5, -0.3])
    bags = blank(2, 4)
    assert top_hit(value, bags, signal).tolist() == [1, 0]
    assert top_hit(value, bags, signal, top=3).tolist() == [1, 1]
    assert top_recall(value, bags, signal, top=3).tolist() == [0.5, 0.5]
    assert top_recall(value, bags, signal, top=9).tolist() == [1, 1]
    with pytest.raises(ValueError, match="at least 1, not 0"):
        top_hit(value, bags, signal, top=0)


def test_padding_is_never_at_the_top():
    mask = torch.tensor([[True, False, True]])
    signal = torch.tensor([[False, True, True]])
    value = rows([0.0, 9.0, -1.0])
    assert top_hit(value, blank(1, 3, mask), signal & mask).tolist() == [1]
    assert top_recall(value, blank(1, 3, mask), torch.tensor([[True, False, True]]), top=2).tolist() == [1]


@given(st.lists(st.integers(-4, 4), min_size=4, max_size=9).filter(lambda v: len(set(map(abs, v))) > 1), st.randoms())
def test_agreement_is_spearmans_rank_correlation(first, random):
    second = [random.choice([-3, 1, 2, 8]) for _ in first]
    second[0], second[1] = 5, -7
    here = torch.tensor([True] * len(first) + [False])
    a, b = (as_attribution(rows([*v, random.random() * 9])) for v in (first, second))
    found = agreement(a, b, blank(1, len(here), here[None]))
    if len(set(first)) > 1:
        assert math.isclose(found.item(), spearmanr(first, second).statistic, abs_tol=1e-9)
    unsigned = agreement(as_attribution(a.value.abs(), signed=False), b, blank(1, len(here), here[None]))
    assert math.isclose(
        unsigned.item(), spearmanr(*(list(map(abs, v)) for v in (first, second))).statistic, abs_tol=1e-9
    )


def test_agreement_is_undefined_where_all_tie_or_something_is_not_known():
    value = rows([1.0, 1.0, 1.0], [1.0, torch.nan, 2.0], [3.0, 1.0, 2.0])
    other = rows(*[[1.0, 2.0, 3.0]] * 3)
    found = agreement(as_attribution(value), as_attribution(other), blank(3, 3))
    assert found[:2].isnan().all()
    assert math.isclose(found[2], -0.5)


def curve(bags, value, steps=None, reference=ORIGIN, model=ONE):
    return perturbation_curve(model, bags, value, reference=reference, steps=steps)


def test_the_curve_is_the_movement_of_the_prediction_and_aopc_its_mean():
    features = rows([[4.0], [-2.0], [1.0]])
    bags = bags_of(features)
    right = curve(bags, features[..., 0], steps=3)
    assert right.tolist() == [[4, 2, 3]]
    assert aopc(right).tolist() == [3]
    assert curve(bags, 1 / features[..., 0], steps=3).tolist() == [[1, 1, 3]]
    assert curve(bags, features[..., 0], steps=3, reference=rows(1.0)).tolist() == [[3, 0, 0]]
    assert curve(bags, features[..., 0], steps=9).tolist() == right.tolist()


def test_a_quarter_of_each_bag_is_masked_and_padding_never():
    features = torch.ones(3, 9, 1, dtype=torch.float64)
    mask = torch.arange(9) < torch.tensor([[9], [8], [1]])
    value = torch.arange(9.0).expand(3, 9)
    found = curve(bags_of(features, mask), value)
    assert found.nan_to_num(-1).tolist() == [[1, 2, 3], [1, 2, -1], [1, -1, -1]]
    assert aopc(found).tolist() == [2, 1.5, 1]


def test_the_curve_is_that_of_the_ensemble():
    features = rows([[4.0], [-2.0], [1.0]])
    apart = Sum(rows(-0.5, 1.5))
    assert curve(bags_of(features), features[..., 0], steps=3, model=apart).tolist() == [[2, 1, 1.5]]


def test_the_curve_does_not_depend_on_the_order_of_instances_or_on_chunks(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(7, 5, 1, generator=rng, dtype=torch.float64)
    value = torch.rand(7, 5, generator=rng, dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    found = curve(bags_of(features), value, steps=4)
    assert torch.allclose(found, curve(bags_of(features[:, order]), value[:, order], steps=4))
    monkeypatch.setattr("surrogates.explain.measures.CHUNK", 1)
    assert torch.allclose(found, curve(bags_of(features), value, steps=4))


def test_random_orders_average_over_all_orders_and_repeat_with_their_seed():
    features = rows([[4.0], [-2.0], [1.0], [3.0]])
    bags = bags_of(features)
    every = [aopc(curve(bags, rows(place), steps=2)).item() for place in itertools.permutations([1.0, 2.0, 3.0, 4.0])]
    found = aopc(random_curves(ONE, bags, reference=ORIGIN, seed=3, orders=500, steps=2))
    assert found.shape == (500, 1)
    standard_error = float(found.std()) / 500**0.5
    assert abs(float(found.mean()) - sum(every) / len(every)) < 4 * standard_error
    again = random_curves(ONE, bags, reference=ORIGIN, seed=3, orders=10, steps=2)
    assert torch.equal(again, random_curves(ONE, bags, reference=ORIGIN, seed=3, orders=10, steps=2))
    assert not torch.equal(again, random_curves(ONE, bags, reference=ORIGIN, seed=4, orders=10, steps=2))


def test_an_attribution_that_knows_beats_random_orders():
    rng = torch.Generator().manual_seed(1)
    features = 0.01 * torch.randn(30, 10, 1, generator=rng, dtype=torch.float64)
    features[:, 4] += 1
    bags = bags_of(features)
    chance = aopc(random_curves(ONE, bags, reference=ORIGIN, seed=0, orders=50)).mean()
    assert aopc(curve(bags, features[..., 0])).mean() > 3 * chance


def test_steps_must_be_positive():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        curve(blank(1, 2), rows([1.0, 2.0]), steps=0)


def test_interval_over_seeds_covers_as_it_says():
    rng = torch.Generator().manual_seed(0)
    inside = 0
    for _ in range(2000):
        _, low, high = interval_over_seeds((2 + torch.randn(5, generator=rng)).tolist())
        inside += low <= 2 <= high
    assert abs(inside / 2000 - 0.95) < 4 * (0.95 * 0.05 / 2000) ** 0.5
    mean, low, high = interval_over_seeds([3.0])
    assert mean == 3
    assert math.isnan(low)
    assert math.isnan(high)
