import dataclasses
import json

import pytest
import torch

from surrogates import Bags, MeanPool, NamedPool, Targets, fit
from surrogates.recipes import recipe_from


def localised(n, seed):
    """Bags of a, b, c in any order, each of its own weight; the value is the feature of b."""
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(n, 3, 2, generator=rng, dtype=torch.float64)
    weights = torch.rand(n, 3, generator=rng, dtype=torch.float64) + 0.1
    order = torch.rand(n, 3, generator=rng).argsort(1)
    labels = tuple(tuple("abc"[i] for i in row) for row in order.tolist())
    value = features[..., 0][order == 1]
    return Bags.of(features, weights=weights, labels=labels), value


@pytest.fixture(scope="module")
def oracle():
    bags, value = localised(120, seed=0)
    return fit(NamedPool(names=("b",), members=1, epochs=60), bags, Targets.exact(value), seed=1)


def test_it_sees_what_is_named_and_nothing_else(oracle):
    bags, value = localised(100, seed=5)
    error = oracle.quantiles(bags)[:, 0, 4] - value
    assert float(error.square().mean()) < 0.1 * float(value.var())
    named = torch.tensor([[label == "b" for label in row] for row in bags.labels])
    loud = dataclasses.replace(bags, features=bags.features.where(named.unsqueeze(-1), 100.0))
    assert torch.equal(oracle.quantiles(loud), oracle.quantiles(bags))


def test_its_attention_is_the_shares_of_what_is_named():
    bags, value = localised(20, seed=6)
    fitted = fit(NamedPool(names=["a", "b"], members=1, epochs=2), bags, Targets.exact(value), seed=1)
    named = torch.tensor([[label in "ab" for label in row] for row in bags.labels])
    share = bags.weights * named
    weights, sd = fitted.learned.attention(bags)
    assert torch.allclose(weights, share / share.sum(1, keepdim=True))
    assert float(sd.max()) < 1e-12


def test_all_names_are_the_mean():
    bags, value = localised(20, seed=6)
    mean, named = (
        fit(recipe(members=1, epochs=3), bags, Targets.exact(value), seed=1).quantiles(bags)
        for recipe in (MeanPool, lambda **s: NamedPool(names=("a", "b", "c"), **s))
    )
    assert torch.equal(mean, named)


@pytest.mark.parametrize("shared", [True, False])
def test_a_bag_without_a_named_instance_is_named_itself(shared):
    features = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    if shared:
        mask, labels = torch.tensor([[True, True], [True, False], [True, False]]), ("Ni", "La")
    else:
        mask, labels = torch.ones(3, 2, dtype=torch.bool), (("La", "Ni"), ("Ni", "Ni"), ("Ni", "Fe"))
    bags = Bags.of(features, mask=mask, labels=labels)
    with pytest.raises(ValueError, match=r"bag 1 has no instance called La or Ce, only Ni(, Ni)? \(2 such bags of 3\)"):
        fit(NamedPool(names=("La", "Ce")), bags, Targets.exact(torch.arange(3.0)), seed=0)


def test_names_survive_json():
    recipe = NamedPool(names=("La", "Ce"))
    again = recipe_from(json.dumps(recipe.to_json()))
    assert again == recipe
    assert hash(again) == hash(recipe)


@pytest.mark.parametrize("names", [(), "La"])
def test_names_are_a_list_of_some(names):
    with pytest.raises(ValueError, match="names must list the labels of at least one instance"):
        NamedPool(names=names)
