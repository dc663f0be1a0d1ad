import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates.networks.heads import noncrossing_quantiles, normal_start
from surrogates.networks.pooling import gated_attention
from surrogates.quantiles import NORMAL_SCORES


def pool(instances, mask, weights, members=2):
    rng = torch.Generator().manual_seed(0)
    h = instances.shape[-1]
    V, U, w = (torch.randn(members, *shape, generator=rng, dtype=torch.float64) for shape in ((h, 3), (h, 3), (3, 1)))
    return gated_attention(instances.expand(members, *instances.shape), mask, weights, V, U, w)


@st.composite
def a_bag(draw):
    k = draw(st.integers(1, 6))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    instances = torch.randn(1, k, 4, generator=rng, dtype=torch.float64)
    weights = torch.rand(1, k, generator=rng, dtype=torch.float64) + 0.1
    return instances, torch.ones(1, k, dtype=torch.bool), weights


@given(a_bag(), st.randoms(use_true_random=False))
def test_pooling_does_not_depend_on_the_order_of_instances(bag, random):
    instances, mask, weights = bag
    order = list(range(instances.shape[1]))
    random.shuffle(order)
    pooled, attention = pool(instances, mask, weights)
    again, turned = pool(instances[:, order], mask[:, order], weights[:, order])
    assert torch.allclose(pooled, again)
    assert torch.allclose(attention[..., order], turned)
    assert torch.allclose(attention.sum(-1), torch.ones(2, 1, dtype=torch.float64))


@given(a_bag(), st.integers(1, 4))
def test_padding_changes_nothing(bag, extra):
    instances, mask, weights = bag
    noise = torch.full((1, extra, 4), 1e3, dtype=torch.float64)
    pooled, attention = pool(instances, mask, weights)
    padded, wide = pool(
        torch.cat([instances, noise], 1),
        torch.cat([mask, torch.zeros(1, extra, dtype=torch.bool)], 1),
        torch.cat([weights, torch.ones(1, extra, dtype=torch.float64)], 1),
    )
    assert torch.allclose(pooled, padded)
    assert not wide[..., instances.shape[1] :].any()
    assert torch.allclose(attention, wide[..., : instances.shape[1]])


@given(a_bag())
def test_an_instance_of_weight_zero_contributes_nothing(bag):
    instances, mask, weights = bag
    none = torch.zeros(1, 1, dtype=torch.float64)
    pooled, _ = pool(instances, mask, weights)
    more, attention = pool(
        torch.cat([instances, 1e3 * torch.ones(1, 1, 4, dtype=torch.float64)], 1),
        torch.ones(1, instances.shape[1] + 1, dtype=torch.bool),
        torch.cat([weights, none], 1),
    )
    assert torch.allclose(pooled, more)
    assert not attention[..., -1].any()


@given(a_bag(), st.floats(0.1, 10))
def test_only_the_ratios_of_weights_count(bag, factor):
    instances, mask, weights = bag
    assert torch.allclose(pool(instances, mask, weights)[0], pool(instances, mask, factor * weights)[0])


@given(st.lists(st.floats(-30, 30), min_size=9, max_size=9))
def test_quantiles_never_cross(raw):
    quantiles = noncrossing_quantiles(torch.tensor(raw, dtype=torch.float64))
    assert (quantiles.diff() >= 0).all()
    assert quantiles[4] == raw[0]


def test_a_head_starts_at_the_standard_normal():
    assert noncrossing_quantiles(normal_start()).tolist() == pytest.approx(NORMAL_SCORES, abs=1e-6)
