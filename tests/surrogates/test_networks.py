import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates.networks import pooling
from surrogates.networks.heads import HEADS, noncrossing_quantiles
from surrogates.quantiles import NORMAL_SCORES


def pool(name, instances, mask, weights, members=2):
    rng = torch.Generator().manual_seed(0)
    h = instances.shape[-1]
    wide = instances.expand(members, *instances.shape)

    def draw(*shape):
        return torch.randn(members, *shape, generator=rng, dtype=torch.float64)

    if name == "gated":
        return pooling.gated_attention(wide, mask, weights, draw(h, 3), draw(h, 3), draw(3, 1))
    if name == "multihead":
        return pooling.multihead_attention(wide, mask, weights, draw(3, h), draw(h, h), draw(h, h), heads=2)
    return {"mean": pooling.mean, "max": pooling.maximum}[name](wide, mask, weights)


every_pooling = pytest.mark.parametrize("name", ["mean", "max", "gated", "multihead"])


@st.composite
def a_bag(draw):
    k = draw(st.integers(1, 6))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    instances = torch.randn(1, k, 4, generator=rng, dtype=torch.float64)
    weights = torch.rand(1, k, generator=rng, dtype=torch.float64) + 0.1
    return instances, torch.ones(1, k, dtype=torch.bool), weights


@every_pooling
@given(a_bag(), st.randoms(use_true_random=False))
def test_pooling_does_not_depend_on_the_order_of_instances(name, bag, random):
    instances, mask, weights = bag
    order = list(range(instances.shape[1]))
    random.shuffle(order)
    pooled, attention = pool(name, instances, mask, weights)
    again, turned = pool(name, instances[:, order], mask[:, order], weights[:, order])
    assert torch.allclose(pooled, again)
    if name == "max":
        assert attention is turned is None
    else:
        assert torch.allclose(attention[..., order], turned)
        assert torch.allclose(attention.sum(-1), torch.ones(2, 1, dtype=torch.float64))


@every_pooling
@given(a_bag(), st.integers(1, 4))
def test_padding_changes_nothing(name, bag, extra):
    instances, mask, weights = bag
    noise = torch.full((1, extra, 4), 1e3, dtype=torch.float64)
    pooled, attention = pool(name, instances, mask, weights)
    padded, wide = pool(
        name,
        torch.cat([instances, noise], 1),
        torch.cat([mask, torch.zeros(1, extra, dtype=torch.bool)], 1),
        torch.cat([weights, torch.ones(1, extra, dtype=torch.float64)], 1),
    )
    assert torch.allclose(pooled, padded)
    if name != "max":
        assert not wide[..., instances.shape[1] :].any()
        assert torch.allclose(attention, wide[..., : instances.shape[1]])


@every_pooling
@given(a_bag())
def test_an_instance_of_weight_zero_contributes_nothing(name, bag):
    """However loudly it calls for attention."""
    instances, mask, weights = bag
    none = torch.zeros(1, 1, dtype=torch.float64)
    pooled, _ = pool(name, instances, mask, weights)
    for loud in (1e3, -1e3):
        more, attention = pool(
            name,
            torch.cat([instances, loud * torch.ones(1, 1, 4, dtype=torch.float64)], 1),
            torch.ones(1, instances.shape[1] + 1, dtype=torch.bool),
            torch.cat([weights, none], 1),
        )
        assert torch.allclose(pooled, more)
        assert name == "max" or not attention[..., -1].any()


@every_pooling
@given(a_bag(), st.floats(0.1, 10))
def test_only_the_ratios_of_weights_count(name, bag, factor):
    instances, mask, weights = bag
    assert torch.allclose(pool(name, instances, mask, weights)[0], pool(name, instances, mask, factor * weights)[0])


@pytest.mark.parametrize("name", ["mean", "gated", "multihead"])
@given(a_bag(), st.floats(0.2, 0.8))
def test_an_instance_counts_as_much_as_its_parts(name, bag, share):
    instances, mask, weights = bag
    split = torch.cat([weights[:, :1] * share, weights[:, :1] * (1 - share), weights[:, 1:]], 1)
    pooled, attention = pool(name, instances, mask, weights)
    parts, found = pool(name, instances[:, [0, *range(instances.shape[1])]], mask[:, [0, *range(mask.shape[1])]], split)
    assert torch.allclose(pooled, parts)
    assert torch.allclose(attention[..., 0], found[..., :2].sum(-1))


@given(a_bag())
def test_multihead_attention_is_its_formula(bag):
    instances, mask, weights = bag
    rng = torch.Generator().manual_seed(1)
    seeds, keys, values = (torch.randn(1, r, 4, generator=rng, dtype=torch.float64) for r in (3, 4, 4))
    pooled, attention = pooling.multihead_attention(instances.unsqueeze(0), mask, weights, seeds, keys, values, heads=2)
    h, expected, counted = instances[0], [], []
    for seed in seeds[0]:
        for part in (slice(0, 2), slice(2, 4)):
            raw = weights[0] * ((h @ keys[0])[:, part] @ seed[part] / 2**0.5).exp()
            counted.append(raw / raw.sum())
            expected.append(counted[-1] @ (h @ values[0])[:, part])
    assert torch.allclose(pooled[0, 0], torch.cat(expected))
    assert torch.allclose(attention[0, 0], torch.stack(counted).mean(0))


def test_the_mean_and_the_maximum_are_what_they_are_called():
    instances = torch.tensor([[[[1.0, 8.0], [5.0, 2.0], [9.0, 9.0]]]])
    mask, weights = torch.tensor([[True, True, False]]), torch.tensor([[3.0, 1.0, 1.0]])
    pooled, share = pooling.mean(instances, mask, weights)
    assert pooled.flatten().tolist() == [2.0, 6.5]
    assert share.flatten().tolist() == [0.75, 0.25, 0.0]
    assert pooling.maximum(instances, mask, weights)[0].flatten().tolist() == [5.0, 8.0]


@given(st.lists(st.floats(-30, 30), min_size=9, max_size=9))
def test_quantiles_never_cross(raw):
    quantiles = noncrossing_quantiles(torch.tensor(raw, dtype=torch.float64))
    assert (quantiles.diff() >= 0).all()
    assert quantiles[4] == raw[0]


@pytest.mark.parametrize("name", ["quantiles", "normal"])
def test_a_head_of_numbers_starts_at_the_standard_normal(name):
    head = HEADS[name]
    assert head.predict(head.start()).tolist() == pytest.approx(NORMAL_SCORES, abs=1e-6)


@pytest.mark.parametrize("together", [1, 2**17])
@pytest.mark.parametrize("encoded", [False, True])
def test_gated_attention_and_its_gradient_are_those_of_the_formula(monkeypatch, encoded, together):
    monkeypatch.setattr(pooling, "CACHE", together)
    rng = torch.Generator().manual_seed(3)
    shapes = [(2, 3, 5, 4), (3, 5), (2, 4, 3), (2, 4, 3), (2, 3, 1), *([(2, 4, 4), (2, 4)] if encoded else [])]
    x, weights, *rest = (torch.rand(s, generator=rng, dtype=torch.float64).requires_grad_() for s in shapes)
    mask = torch.rand(3, 5, generator=rng) < 0.7
    mask[:, 0] = True
    assert torch.autograd.gradcheck(pooling.gated_attention, (x, mask, weights, *rest))
    V, U, w, *encoder = rest
    h = torch.nn.functional.silu(x @ encoder[0][:, None] + encoder[1][:, None, None]) if encoded else x
    score = ((h @ V[:, None]).tanh() * (h @ U[:, None]).sigmoid() @ w[:, None]).squeeze(-1)
    share = torch.where(mask, weights * score.exp(), 0.0)
    attention = share / share.sum(-1, keepdim=True)
    pooled, found = pooling.gated_attention(x, mask, weights, *rest)
    assert torch.allclose(found, attention)
    assert torch.allclose(pooled, (attention.unsqueeze(-1) * h).sum(2))
