import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates import GatedAttention, Targets, fit
from surrogates.bags import Bags


def localised(n, seed, k=8):
    """Bags in which the instance with the marker carries the value."""
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(n, k, 3, generator=rng, dtype=torch.float64)
    signal = torch.randint(k, (n,), generator=rng)
    features[..., 1] *= 0.1
    features[torch.arange(n), signal, 1] += 3
    value = features[torch.arange(n), signal, 0]
    ones = torch.ones(n, k, dtype=torch.bool)
    bags = Bags(features, ones, ones.double() / k, torch.zeros(n, 0), tuple("abcdefgh"[:k]), ("",) * n)
    return bags, value, signal


@pytest.fixture(scope="module")
def found():
    bags, value, _ = localised(120, seed=0)
    return fit(GatedAttention(members=2, epochs=120), bags, Targets.exact(value), seed=1)


def test_it_finds_the_instance_that_carries_the_signal(found):
    bags, value, signal = localised(100, seed=5)
    weights, sd = found.learned.attention(bags)
    assert float((weights.argmax(1) == signal).double().mean()) > 0.95
    error = found.quantiles(bags)[:, 0, 4] - value
    assert float(error.square().mean()) < 0.2 * float(value.var())
    assert sd.shape == weights.shape


@given(st.permutations(range(8)))
def test_the_order_of_instances_does_not_matter(found, order):
    bags, _, _ = localised(3, seed=6)
    turned = Bags(bags.features[:, order], bags.mask, bags.weights, bags.side, bags.labels, bags.stratum)
    assert torch.allclose(found.quantiles(bags), found.quantiles(turned))


def test_padding_and_instances_of_weight_zero_do_not_matter(found):
    bags, _, _ = localised(3, seed=7)
    extra = torch.full((3, 2, 3), 50.0, dtype=torch.float64)
    weights = torch.cat([bags.weights, torch.tensor([[0.3, 0.0]] * 3, dtype=torch.float64)], 1)
    mask = torch.cat([bags.mask, torch.tensor([[False, True]] * 3)], 1)
    padded = Bags(torch.cat([bags.features, extra], 1), mask, weights, bags.side, tuple("abcdefghij"), bags.stratum)
    assert torch.allclose(found.quantiles(bags), found.quantiles(padded))


def test_scales_are_those_of_each_training_fold(gated_fit):
    problem, parameters = gated_fit.problem, gated_fit.learned.parameters
    for fold in range(5):
        seen = problem.fold != fold
        for member in (2 * fold, 2 * fold + 1):
            assert torch.allclose(parameters["value_mean"][member], problem.value[seen].mean(0))
            present = problem.bags.features[seen][problem.bags.mask[seen]]
            assert torch.allclose(parameters["features_mean"][member], present.mean(0))


def test_members_differ_and_each_row_is_held_out_by_those_of_one_fold(gated_fit, bags):
    members, held = gated_fit.learned.held_out()
    assert members.shape == (10, 48, 1, 9)
    assert members.std(0).min() > 0
    assert held.sum(0).eq(2).all()
    seen = torch.stack([members[held[:, i], i].mean(0) for i in range(48)])
    assert torch.allclose(seen, gated_fit.out_of_fold.predictions)
    assert torch.allclose(gated_fit.quantiles(bags), members.mean(0))


@pytest.mark.parametrize("n", [2, 4, 9])
def test_it_works_from_two_groups_on(bags, values, small_gated, n):
    fitted = fit(small_gated, bags[:n], Targets.exact(values[:n]), seed=0)
    assert fitted.quantiles(bags).isfinite().all()


def test_units_do_not_matter(bags, values, small_gated, gated_fit):
    scaled = fit(small_gated, bags, Targets.exact(1e6 * values + 5e6), seed=3)
    assert torch.allclose(scaled.quantiles(bags) / 1e6 - 5, gated_fit.quantiles(bags), atol=0.05)
