import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates import Bags, MultiheadAttention, Targets, Transformer, fit, load
from surrogates.networks.transformer import REACH, run_layer
from surrogates.quantiles import pinball
from surrogates.recipes import recipe_from
from surrogates.recipes.transformer import TransformerNetwork
from surrogates.training import Member, Schedule, train

SIZES = {"features": 3, "side": 1, "targets": 1, "hidden": 8, "instance_encoder": True, "head_name": "quantiles"}
both = pytest.mark.parametrize("ordered", [False, True])


def network(ordered, layers=2):
    return TransformerNetwork(**SIZES, layers=layers, heads=2, ordered=ordered)


def parameters(net, members=2):
    """Of members in which nothing is at its start, in float64."""
    rng = torch.Generator().manual_seed(0)
    starts = [net.start(rng) for _ in range(members)]
    return {
        name: torch.stack([s[name] for s in starts]).double()
        + 0.3 * torch.randn(members, *starts[0][name].shape, generator=rng, dtype=torch.float64)
        for name in starts[0]
    }


NETWORKS = {ordered: (network(ordered), parameters(network(ordered))) for ordered in (False, True)}


def pool(ordered, instances, mask, weights):
    net, p = NETWORKS[ordered]
    wide = [tensor.expand(2, *tensor.shape) for tensor in (instances, mask, weights)]
    return net.pool(p, *wide)


@st.composite
def a_bag(draw):
    k = draw(st.integers(1, 6))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    instances = torch.randn(1, k, 8, generator=rng, dtype=torch.float64)
    weights = torch.rand(1, k, generator=rng, dtype=torch.float64) + 0.1
    return instances, torch.ones(1, k, dtype=torch.bool), weights


@given(a_bag(), st.randoms(use_true_random=False))
def test_the_order_of_instances_does_not_matter_unless_it_should(bag, random):
    order = list(range(bag[0].shape[1]))
    random.shuffle(order)
    turned = [tensor[:, order] for tensor in bag]
    pooled, attention = pool(False, *bag)
    again, moved = pool(False, *turned)
    assert torch.allclose(pooled, again)
    assert torch.allclose(attention[..., order], moved)
    assert torch.allclose(attention.sum(-1), torch.ones(2, 1, dtype=torch.float64))
    assert torch.allclose(pool(True, *bag)[0], pool(True, *turned)[0]) == (order == sorted(order))


@both
@given(a_bag(), st.integers(0, 6), st.booleans())
def test_what_is_not_there_changes_nothing_wherever_it_stands(ordered, bag, place, masked):
    """Whether it is masked or of weight 0."""
    instances, mask, weights = bag
    place = min(place, mask.shape[1])
    pooled, attention = pool(ordered, *bag)

    def insert(tensor, value):
        return torch.cat([tensor[:, :place], torch.full_like(tensor[:, :1], value), tensor[:, place:]], dim=1)

    more, found = pool(ordered, insert(instances, 1e3), insert(mask, not masked), insert(weights, float(masked)))
    assert torch.allclose(pooled, more)
    assert not found[..., place].any()
    assert torch.allclose(attention, torch.cat([found[..., :place], found[..., place + 1 :]], -1))


@both
@given(a_bag(), st.floats(0.1, 10))
def test_only_the_ratios_of_weights_count(ordered, bag, factor):
    instances, mask, weights = bag
    assert torch.allclose(pool(ordered, *bag)[0], pool(ordered, instances, mask, factor * weights)[0])


@given(a_bag(), st.floats(0.2, 0.8))
def test_an_instance_counts_as_much_as_its_parts(bag, share):
    instances, mask, weights = bag
    rows = [0, *range(mask.shape[1])]
    split = torch.cat([weights[:, :1] * share, weights[:, :1] * (1 - share), weights[:, 1:]], 1)
    pooled, attention = pool(False, *bag)
    parts, found = pool(False, instances[:, rows], mask[:, rows], split)
    assert torch.allclose(pooled, parts)
    assert torch.allclose(attention[..., 0], found[..., :2].sum(-1))


@both
def test_instances_in_context_keep_their_places(ordered):
    """The last of three steps knows of the one before, whichever slot is empty."""
    rng = torch.Generator().manual_seed(3)
    instances = torch.randn(1, 4, 8, generator=rng, dtype=torch.float64)
    net, p = NETWORKS[ordered]
    weights = torch.ones(2, 1, 4, dtype=torch.float64)
    found = {}
    for empty in (1, 3):
        slots = [i for i in range(4) if i != empty]
        mask = torch.ones(2, 1, 4, dtype=torch.bool)
        mask[..., empty] = False
        shown = torch.zeros(1, 4, 8, dtype=torch.float64)
        shown[:, slots] = instances[:, :3]
        found[empty] = net.contextualise(p, shown.expand(2, 1, 4, 8), mask, weights)[:, :, slots]
    assert found[1].shape == (2, 1, 3, 8)
    assert torch.allclose(found[1], found[3])


def test_a_layer_is_that_of_torch():
    rng = torch.Generator().manual_seed(1)
    theirs = torch.nn.TransformerEncoderLayer(
        8, 2, dim_feedforward=16, dropout=0.0, activation=torch.nn.functional.silu, batch_first=True, norm_first=True
    ).double()
    net = network(False, layers=1)
    p = parameters(net, members=1)
    names = {
        "ask": theirs.self_attn.in_proj_weight,
        "ask_bias": theirs.self_attn.in_proj_bias,
        "answer": theirs.self_attn.out_proj.weight,
        "answer_bias": theirs.self_attn.out_proj.bias,
        "widen": theirs.linear1.weight,
        "widen_bias": theirs.linear1.bias,
        "narrow": theirs.linear2.weight,
        "narrow_bias": theirs.linear2.bias,
    }
    with torch.no_grad():
        for name, target in names.items():
            target.copy_(p[f"layer0.{name}"][0].mT if target.ndim == 2 else p[f"layer0.{name}"][0])
    tokens = torch.randn(3, 5, 8, generator=rng, dtype=torch.float64)
    there = torch.rand(3, 5, generator=rng) < 0.7
    there[:, 0] = True
    present = torch.zeros(3, 5, dtype=torch.float64).masked_fill(~there, -torch.inf)
    ours, score = run_layer(p, 0, tokens.unsqueeze(0), present.unsqueeze(0), 2)
    assert torch.allclose(ours[0], theirs(tokens, src_key_padding_mask=~there))
    first, of_first = run_layer(p, 0, tokens.unsqueeze(0), present.unsqueeze(0), 2, asking=1)
    assert torch.allclose(first, ours[:, :, :1])
    assert torch.allclose(of_first, score[..., :1, :])


def test_a_distance_counts_the_same_everywhere_and_no_more_from_its_reach_on():
    net = network(True, layers=1)
    p = parameters(net, members=1)
    tokens = torch.zeros(1, 1, REACH + 4, 8, dtype=torch.float64)
    _, score = run_layer(p, 0, tokens, torch.zeros(1, 1, REACH + 4, dtype=torch.float64), 2)
    bias = score[0, 0, 0]
    assert torch.allclose(bias[1:, 1:], bias[:-1, :-1])
    assert torch.allclose(bias[0, REACH:], bias[0, REACH].expand(4))
    assert not torch.allclose(bias[0, 1], bias[1, 0])


@both
def test_stacked_training_equals_training_one_by_one(ordered):
    rng = torch.Generator().manual_seed(5)
    features = torch.randn(40, 3, 3, generator=rng)
    mask = torch.ones(40, 3, dtype=torch.bool)
    data = [features, mask, torch.ones(40, 3), torch.zeros(40, 1)]
    targets = features[:, :, 0].amax(1, keepdim=True).expand(3, 40, 1)
    constants = {
        f"{name}_{part}": torch.full((3, width), float(part == "sd"))
        for name, width in (("features", 3), ("side", 1))
        for part in ("mean", "sd")
    }
    rows = torch.arange(40)
    members = [Member(i, rows[rows % 5 != i], rows[rows % 5 == i]) for i in range(3)]
    schedule = Schedule(epochs=15, batch=16, rate=1e-2, decay=0.01, patience=3)
    net = NETWORKS[ordered][0]

    def loss(outputs, value):
        return pinball(outputs, value).mean(-1)

    together = train(net, data, targets, members, constants, loss, schedule)
    outputs = net({**together, **constants}, [t.expand(3, *t.shape) for t in data])
    for i, member in enumerate(members):
        mine = {name: tensor[i : i + 1] for name, tensor in constants.items()}
        alone = train(net, data, targets[i : i + 1], [member], mine, loss, schedule)
        single = net({**alone, **mine}, [t.unsqueeze(0) for t in data])
        assert torch.allclose(single[0], outputs[i], atol=1e-3)
        assert not torch.allclose(single[0], outputs[i - 1], atol=1e-2)


def sequences(n, seed):
    """Letters in random order; the value is whether the first follows the second at once."""
    rng = torch.Generator().manual_seed(seed)
    order = torch.rand(n, 5, generator=rng).argsort(1)
    value = (order.argsort(1)[:, 0] == order.argsort(1)[:, 1] + 1).double()
    return Bags.of(torch.eye(5, dtype=torch.float64)[order]), value


@pytest.fixture(scope="module")
def in_order():
    bags, value = sequences(400, 0)
    recipe = Transformer(ordered=True, hidden=16, heads=2, calibration="none", members=2, epochs=40, batch=64)
    return fit(recipe, bags, Targets.exact(value), seed=1)


def test_what_follows_what_is_learned(in_order):
    bags, value = sequences(300, 5)
    error = in_order.quantiles(bags)[:, 0, 4] - value
    assert float(error.square().mean()) < 0.05 * float(value.var())


def test_it_is_saved_and_loaded_whole(in_order, tmp_path):
    bags, _ = sequences(20, 6)
    in_order.save(tmp_path)
    again = load(tmp_path)
    assert again.recipe == in_order.recipe
    assert torch.equal(again.quantiles(bags), in_order.quantiles(bags))
    both = zip(again.learned.attention(bags), in_order.learned.attention(bags), strict=True)
    assert all(torch.equal(a, b) for a, b in both)


@both
def test_it_learns_weighted_bags_of_different_sizes(ordered, bags, values):
    recipe = Transformer(hidden=8, heads=2, layers=1, members=1, epochs=60, ordered=ordered)
    fitted = fit(recipe, bags, Targets.exact(values), seed=3)
    error = fitted.out_of_fold.predictions[:, 0, 4] - fitted.out_of_fold.value[:, 0]
    assert float(error.square().mean()) < 0.5 * float(values.var())
    weights, sd = fitted.learned.attention(bags)
    assert torch.allclose(weights.sum(1), torch.ones(48, dtype=torch.float64))
    assert not weights[~bags.mask].any()
    assert sd[bags.mask.sum(1) > 1].amax(1).min() > 0
    features, shares = bags.features.clone().requires_grad_(), bags.weights.clone().requires_grad_()
    inside = dataclasses.replace(bags, features=features, weights=shares)
    gradients = torch.autograd.grad(fitted.quantiles(inside).sum(), [features, shares])
    assert all(g.isfinite().all() and g[bags.mask].abs().sum() > 0 for g in gradients)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 10}, "heads must divide hidden = 10, which 4 does not"),
        ({"layers": 0}, "layers must be at least 1, not 0"),
        ({"instance_encoder": False}, "a transformer encodes its instances; set instance_encoder to true"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        recipe_from({"type": "transformer", **settings})


def test_heads_of_multihead_attention_divide_the_features_where_these_are_not_encoded(bags, values):
    recipe = MultiheadAttention(hidden=6, heads=4, seeds=4, members=1, epochs=1, instance_encoder=False)
    widths = bags.features.shape[2]
    with pytest.raises(ValueError, match=f"heads must divide the width of an instance = {widths}, which 3 does not"):
        fit(dataclasses.replace(recipe, heads=3), bags, Targets.exact(values), seed=0)
    fitted = fit(recipe, bags, Targets.exact(values), seed=0)
    assert fitted.learned.parameters["mix"].shape == (5, 4 * widths, 6)
