"""Bags of parts: what is predicted of a bag is the mean of what is predicted of its parts, in every recipe."""

from dataclasses import replace

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError

from surrogates import kernels
from surrogates.bags import Bags, Targets
from surrogates.encoders.pool import BagPool
from surrogates.fitted import fit, load
from surrogates.kernels import PartKernel, composition_kernel
from surrogates.recipes import recipe_from

SMALL = {"members": 1, "epochs": 15, "hidden": 8}
RECIPES = [
    {"type": "gp"},
    {"type": "mean_pool", **SMALL},
    {"type": "max_pool", **SMALL},
    {"type": "gated_attention", **SMALL},
    {"type": "multihead_attention", **SMALL},
    {"type": "transformer", **SMALL, "layers": 1},
]
PARTS = 3


def ensembles(n: int, seed: int = 0) -> Bags:
    """Bags of one to three parts of two instances, and values that a union of the parts does not tell."""
    rng = torch.Generator().manual_seed(seed)
    counts = torch.arange(n) % PARTS + 1
    features = torch.randn(n, 2 * PARTS, 2, generator=rng)
    mask = torch.arange(2 * PARTS) < 2 * counts.unsqueeze(1)
    part = (torch.arange(2 * PARTS) // 2).expand(n, -1).contiguous()
    weights = mask / counts.unsqueeze(1)
    return replace(Bags.of(features, mask=mask, weights=weights, stratum=["s"] * n), part=part, parts=PARTS)


def value_of(bags: Bags) -> torch.Tensor:
    """The mean over the parts of the square of what is in them."""
    inside = torch.stack([bags.features[:, 2 * j : 2 * j + 2, 0].mean(1) for j in range(PARTS)], dim=1)
    there = bags.mask[:, ::2]
    return ((inside.square() * there).sum(1) / there.sum(1)).double()


def only(bags: Bags, j: int) -> Bags:
    """The bags with one of their parts alone, as other bags."""
    return replace(bags, mask=bags.mask & (bags.part == j))


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe["type"])
def fitted(request):
    bags = ensembles(24)
    return fit(recipe_from(request.param), bags, Targets.exact(value_of(bags)), seed=0)


def test_the_prediction_is_the_mean_of_those_of_the_parts(fitted):
    asked = ensembles(6, seed=1)[[2, 5]]
    alone = torch.stack([fitted.learned.member_locations(only(asked, j)) for j in range(PARTS)])
    assert alone.std(0).min() > 1e-4  # the parts differ
    torch.testing.assert_close(fitted.learned.member_locations(asked), alone.mean(0), rtol=1e-4, atol=1e-5)


def test_the_belief_is_that_linear_map_of_the_belief_about_parts(fitted):
    asked = ensembles(6, seed=1)
    whole = [2, 5]
    rows = [asked[whole], *(only(asked[whole], j) for j in range(PARTS))]
    train = fitted.problem.bags
    pool = Bags.of(
        torch.cat([train.features, *(r.features for r in rows)]),
        mask=torch.cat([train.mask, *(r.mask for r in rows)]),
        weights=torch.cat([train.weights, *(r.weights for r in rows)]),
    )
    pool = replace(pool, part=torch.cat([train.part, *(r.part for r in rows)]), parts=PARTS)
    model = fitted.botorch_model(BagPool(pool))
    X = torch.arange(len(train), len(pool), dtype=torch.float64).unsqueeze(1)
    posterior = model.posterior(X)
    mean, covariance = posterior.mean.squeeze(-1), posterior.distribution.covariance_matrix
    average = torch.eye(2, dtype=torch.float64).repeat(1, PARTS) / PARTS
    torch.testing.assert_close(mean[:2], average @ mean[2:], rtol=1e-4, atol=1e-4)
    across = covariance[:2, 2:]
    scale = float(covariance.diagonal().max())
    torch.testing.assert_close(across, average @ covariance[2:, 2:], rtol=1e-3, atol=1e-4 * scale)
    torch.testing.assert_close(covariance[:2, :2], across @ average.T, rtol=1e-3, atol=1e-4 * scale)


def test_the_order_of_the_parts_says_nothing(fitted):
    asked = ensembles(6, seed=1)
    turned = replace(asked, part=(asked.part + 1) % PARTS)
    torch.testing.assert_close(fitted.quantiles(turned), fitted.quantiles(asked), rtol=1e-4, atol=1e-5)


def test_every_instance_can_be_left_out_and_attention_is_shared_by_the_parts(fitted):
    asked = ensembles(6, seed=1)
    left = fitted.attribute(asked, "leave_one_out").value
    assert left.shape == asked.mask.shape
    assert left[asked.mask].isfinite().all()
    try:
        attention = fitted.attribute(asked, "attention").value
    except UnsupportedError:
        assert fitted.recipe.type in ("gp", "max_pool")
        return
    each = torch.stack([(attention * (asked.part == j)).sum(1) for j in range(PARTS)], dim=1)
    there = asked.mask[:, ::2].double()
    torch.testing.assert_close(each, there / there.sum(1, keepdim=True), rtol=1e-5, atol=1e-6)


def test_saved_and_loaded_it_says_the_same(fitted, tmp_path):
    fitted.save(tmp_path)
    asked = ensembles(6, seed=1)
    assert torch.equal(load(tmp_path).quantiles(asked), fitted.quantiles(asked))
    with pytest.raises(ValueError, match="parts"):
        fitted.quantiles(replace(asked, part=None, parts=1))


def test_a_process_on_means_learns_what_a_union_does_not_tell():
    bags, asked = ensembles(60), ensembles(30, seed=5)
    errors = {}
    for name, change in (("mean", {}), ("union", {"part": None, "parts": 1})):
        found = fit(recipe_from("gp"), replace(bags, **change), Targets.exact(value_of(bags)), seed=0)
        middle = found.quantiles(replace(asked, **change))[:, 0, 4]
        errors[name] = float((middle - value_of(asked)).square().mean() / value_of(asked).var())
    assert errors["mean"] < 0.2 < 0.5 * errors["union"]


@pytest.mark.parametrize("block", [1 << 24, 1])
def test_the_kernel_of_means_is_its_formula(block, monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", block)
    rng = torch.Generator().manual_seed(0)
    each = composition_kernel((0, 2, 0))
    z = torch.rand(5, PARTS, 2, generator=rng, dtype=torch.float64)
    s = torch.rand(5, PARTS, generator=rng, dtype=torch.float64)
    x = torch.cat([z.flatten(1), s], dim=1)
    pairs = each(z.flatten(0, 1)).to_dense().unflatten(0, (5, PARTS)).unflatten(2, (5, PARTS))
    expected = torch.einsum("ai,aibj,bj->ab", s, pairs, s)
    kernel = PartKernel(each, PARTS)
    torch.testing.assert_close(kernel(x).to_dense(), expected)
    torch.testing.assert_close(kernel(x, x, diag=True), expected.diagonal())
    batched = x[:4].reshape(2, 2, -1)
    torch.testing.assert_close(kernel(batched, x).to_dense().flatten(0, 1), expected[:4])
    torch.testing.assert_close(kernel(batched, batched, diag=True).flatten(), expected.diagonal()[:4])


@pytest.mark.parametrize("recipe", ["forest", "blend"])
def test_trees_learn_no_means_and_say_so(recipe):
    bags = ensembles(12)
    with pytest.raises(UnsupportedError, match="parts"):
        fit(recipe_from(recipe), bags, Targets.exact(value_of(bags)), seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": 2}, "at most 2"),
        ({"part": torch.zeros(4, 1, dtype=torch.int64)}, "whole numbers like the mask"),
        ({"kind": "route"}, "only bags of sites"),
    ],
)
def test_parts_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(ensembles(4), **change)


def test_the_hash_tells_parts_apart():
    bags = ensembles(4)
    assert len({bags.hash, replace(bags, part=None, parts=1).hash, replace(bags, parts=4).hash}) == 3
    assert bags[[1, 2]].parts == PARTS
    assert torch.equal(bags[[1, 2]].part, bags.part[[1, 2]])
