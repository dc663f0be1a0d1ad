"""Attributions against models whose contributions are known by hand."""

from dataclasses import dataclass, replace

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogates.bags import Bags
from surrogates.explain import METHODS, attribute, reference_instance

SIGNED = [m for m in METHODS if m not in ("attention", "saliency")]


def bags_of(features, mask=None, weights=None):
    n, k, _ = features.shape
    mask = torch.ones(n, k, dtype=torch.bool) if mask is None else mask
    weights = torch.ones(n, k, dtype=features.dtype) if weights is None else weights
    return Bags(features, mask, weights, torch.zeros(n, 0), tuple(str(i) for i in range(k)), ("",) * n)


def random_bags(seed, n=5, k=6, d=3):
    """Bags of one to k instances of different weights."""
    rng = torch.Generator().manual_seed(seed)
    mask = torch.arange(k) < torch.randint(1, k + 1, (n, 1), generator=rng)
    weights = torch.rand(n, k, generator=rng, dtype=torch.float64) + 0.1
    return bags_of(torch.randn(n, k, d, generator=rng, dtype=torch.float64), mask, weights)


@dataclass
class Linear:
    """Members that predict the weighted mean of x . w, in two targets, the second the negative of the first."""

    w: torch.Tensor

    def member_locations(self, bags):
        share = bags.weights * bags.mask
        share = share / share.sum(1, keepdim=True)
        w, share = (tensor.to(bags.features.dtype) for tensor in (self.w, share))
        mean = torch.einsum("nk,nkd,pd->pn", share, bags.features, w).double()
        return torch.stack([mean, -mean], -1)

    def attention(self, bags):
        share = bags.weights * bags.mask
        share = share / share.sum(1, keepdim=True)
        return share, torch.full_like(share, torch.nan)


@dataclass
class Attending:
    """Members that pool by attention and end in a curve: instances interact."""

    w: torch.Tensor

    def member_locations(self, bags):
        score = torch.einsum("nkd,pd->pnk", bags.features, self.w).masked_fill(~bags.mask, -torch.inf)
        share = torch.softmax(score, -1) * bags.weights
        share = share / share.sum(-1, keepdim=True)
        pooled = torch.einsum("pnk,nkd->pnd", share, torch.tanh(bags.features))
        return torch.sin(pooled.sum(-1, keepdim=True) + 0.3)

    def attention(self, bags):
        raise UnsupportedError("shows no attention")


@dataclass
class Steps:
    """A member without gradient."""

    def member_locations(self, bags):
        return (bags.features[..., 0].detach() * bags.mask).sum(1).round().double().reshape(1, -1, 1)


W = torch.tensor([[1.0, -2.0, 0.5], [0.5, 1.0, 0.0], [2.0, 0.0, -1.0]], dtype=torch.float64)


@pytest.mark.parametrize("method", ["occlusion", "reversion", "input_x_gradient", "integrated_gradients"])
def test_in_a_linear_model_every_difference_is_weight_times_distance(method):
    bags = random_bags(0)
    mean = reference_instance(bags)
    found = attribute(Linear(W), bags, method, reference=mean if method == "reversion" else None)
    share = bags.weights * bags.mask / (bags.weights * bags.mask).sum(1, keepdim=True)
    each = share * torch.einsum("nkd,pd->pnk", bags.features - mean, W)
    assert torch.allclose(found.value, each.mean(0))
    assert torch.allclose(found.sd, each.std(0))
    assert found.signed
    assert found.unit == "target"


def test_leave_one_out_is_the_difference_to_the_bag_without_the_instance():
    bags = random_bags(1)
    found = attribute(Linear(W), bags, "leave_one_out").value
    whole = Linear(W).member_locations(bags).mean(0)[:, 0]
    for row, column in bags.mask.nonzero().tolist():
        if bags.mask[row].sum() > 1:
            rest = [j for j in range(6) if j != column]
            less = bags_of(bags.features[row, rest][None], bags.mask[row, rest][None], bags.weights[row, rest][None])
            assert torch.isclose(found[row, column], whole[row] - Linear(W).member_locations(less).mean(0)[0, 0])


def test_the_only_instance_of_a_bag_cannot_be_left_out():
    mask = torch.tensor([[True, False], [True, True], [True, True]])
    weights = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    bags = bags_of(torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0)).double(), mask, weights)
    found = attribute(Linear(W), bags, "leave_one_out")
    assert found.value.isnan().tolist() == [[True, False], [True, False], [False, False]]
    assert found.value[:2, 1].tolist() == [0, 0]


def test_saliency_does_not_depend_on_the_units_of_a_feature():
    bags = random_bags(2)
    units = torch.tensor([1.0, 1000.0, 0.01], dtype=torch.float64)
    found = attribute(Linear(W), bags, "saliency")
    other = attribute(Linear(W / units), replace(bags, features=bags.features * units), "saliency")
    assert torch.allclose(found.value, other.value)
    share = bags.weights * bags.mask / (bags.weights * bags.mask).sum(1, keepdim=True)
    slope = (W * bags.features[bags.mask].std(0, correction=0)).norm(dim=1).mean()
    assert torch.allclose(found.value, share * slope)
    assert not found.signed


def test_attention_is_the_models_own():
    bags = random_bags(3)
    found = attribute(Linear(W), bags, "attention", target=1)
    assert torch.allclose(found.value.sum(1), torch.ones(5, dtype=torch.float64))
    assert found.unit == "share"
    assert found.sd[bags.mask].isnan().all()


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.booleans())
def test_integrated_gradients_add_up_to_the_difference_to_the_reference_bag(seed, named):
    bags, model = random_bags(seed), Attending(W)
    reference = torch.randn(6, 3, generator=torch.Generator().manual_seed(seed)).double() if named else None
    found = attribute(model, bags, "integrated_gradients", reference=reference).value.sum(1)
    start = (reference_instance(bags) if reference is None else reference).expand(5, 6, 3)
    difference = model.member_locations(bags) - model.member_locations(replace(bags, features=start))
    assert torch.allclose(found, difference.mean(0)[:, 0], atol=1e-3)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "attention"])
@settings(max_examples=10)
@given(st.permutations(range(6)), st.integers(0, 1000))
def test_attributions_move_with_the_instances(method, order, seed):
    bags = random_bags(seed)
    turned = bags_of(bags.features[:, order], bags.mask[:, order], bags.weights[:, order])
    reference = torch.tensor([0.1, 0.2, -0.3], dtype=torch.float64) if method == "reversion" else None
    found = attribute(Attending(W), bags, method, reference=reference)
    other = attribute(Attending(W), turned, method, reference=reference)
    assert torch.allclose(found.value[:, order], other.value, equal_nan=True)
    assert torch.allclose(found.sd[:, order], other.sd, equal_nan=True)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_there_has_no_part_in_it(method):
    bags = random_bags(4)
    weights = bags.weights.clone()
    weights[:, 3] = 0
    reference = bags.features[0, 0] if method == "reversion" else None
    found = attribute(Linear(W), replace(bags, weights=weights), method, reference=reference)
    assert (found.value[~bags.mask] == 0).all()
    assert (found.value[:, 3] == 0).all()


@pytest.mark.parametrize("method", SIGNED)
def test_targets_are_attributed_apart(method):
    bags = random_bags(5)
    reference = bags.features[0, 0] if method == "reversion" else None
    first, second = (attribute(Linear(W), bags, method, target=t, reference=reference) for t in (0, 1))
    assert torch.allclose(first.value, -second.value, equal_nan=True)


def test_reversion_to_what_is_there_changes_nothing_and_takes_a_reference_for_each_instance():
    bags = random_bags(6)
    found = attribute(Attending(W), bags, "reversion", reference=bags.features)
    assert (found.value == 0).all()
    assert (found.sd == 0).all()


def test_disagreement_about_the_level_is_no_disagreement_about_a_difference():
    class Shifted(Linear):
        def member_locations(self, bags):
            level = torch.tensor([0.0, 5.0], dtype=torch.float64)
            return super().member_locations(bags) + level[:, None, None]

    found = attribute(Shifted(W[:1].repeat(2, 1)), random_bags(7), "occlusion")
    assert found.sd.max() < 1e-12


def test_the_background_makes_a_bag_independent_of_those_beside_it():
    bags, background = random_bags(8), random_bags(9, n=40)
    for method in ("saliency", "occlusion", "integrated_gradients"):
        together = attribute(Attending(W), bags, method, background=background)
        alone = attribute(Attending(W), bags[2], method, background=background)
        assert torch.allclose(together.value[2], alone.value[0])


def test_chunks_make_no_difference(monkeypatch):
    bags = random_bags(10)
    whole = {m: attribute(Attending(W), bags, m, background=bags).value for m in SIGNED if m != "reversion"}
    monkeypatch.setattr("surrogates.explain.attributions.CHUNK", 7)
    for method, value in whole.items():
        found = attribute(Attending(W), bags, method, background=bags).value
        assert torch.allclose(found, value, equal_nan=True)


def test_one_member_has_no_spread_and_single_precision_stays():
    bags = random_bags(11)
    found = attribute(Linear(W[:1]), replace(bags, features=bags.features.float()), "integrated_gradients")
    assert found.sd.isnan().all()
    assert found.value.dtype == torch.float64


def test_the_mean_instance_weighs_by_amount_and_skips_what_is_not_there():
    features = torch.tensor([[[1.0], [5.0]], [[2.0], [99.0]]], dtype=torch.float64)
    mask = torch.tensor([[True, True], [True, False]])
    weights = torch.tensor([[3.0, 1.0], [4.0, 9.0]], dtype=torch.float64)
    assert reference_instance(bags_of(features, mask, weights)).tolist() == [2.0]


@pytest.mark.parametrize(
    ("method", "more", "message"),
    [
        ("shap", {}, "expected one of attention, saliency"),
        ("reversion", {}, "needs the reference instance"),
        ("occlusion", {"reference": W[0]}, "take reversion"),
        ("attention", {"reference": W[0]}, "takes no reference"),
        ("reversion", {"reference": torch.zeros(2)}, "d, k x d or n x k x d .* not 2"),
        ("reversion", {"reference": torch.tensor([0.0, torch.nan, 0.0])}, "not finite"),
        ("occlusion", {"target": 2}, "from 0 to 1, not 2"),
        ("saliency", {"target": -1}, "from 0 to 1, not -1"),
    ],
)
def test_what_cannot_be_asked_is_refused(method, more, message):
    with pytest.raises(ValueError, match=message):
        attribute(Linear(W), random_bags(12), method, **more)


def test_a_model_without_gradient_or_attention_says_so():
    with pytest.raises(UnsupportedError, match="no gradient"):
        attribute(Steps(), random_bags(13), "saliency")
    with pytest.raises(UnsupportedError, match="no attention"):
        attribute(Attending(W), random_bags(13), "attention")
    assert attribute(Steps(), random_bags(13), "occlusion").value.isfinite().all()


def test_a_model_that_does_not_read_features_is_not_said_to_have_no_effects():
    class ByWeights(Steps):
        def member_locations(self, bags):
            return (bags.weights[:, 0] * bags.mask[:, 0]).reshape(1, -1, 1)

    for method, reference in (("occlusion", None), ("reversion", W[0])):
        with pytest.raises(UnsupportedError, match="take leave_one_out"):
            attribute(ByWeights(), random_bags(14), method, reference=reference)
    assert (attribute(ByWeights(), random_bags(14), "leave_one_out").value[:, 0].nan_to_num(1) > 0).all()
