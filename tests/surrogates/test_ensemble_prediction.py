"""Prediction by stacked members: independent of how it is cut up, and of the dtype of the features."""

import pytest
import torch

from surrogates import Targets, fit
from surrogates.bags import Bags
from surrogates.recipes.gated import GatedAttention
from surrogates.recipes.plain import MeanPool


def far_bags(n=40, offset=50.0):
    """Features that are far from 0, and differ in scale."""
    rng = torch.Generator().manual_seed(8)
    features = torch.randn(n, 5, 3, generator=rng, dtype=torch.float64) * torch.tensor([1.0, 10.0, 0.1]) + offset
    value = (features[..., 0] - offset).mean(1)
    return Bags.of(features, side=torch.randn(n, 2, generator=rng, dtype=torch.float64)), value


@pytest.fixture(scope="module", params=[GatedAttention, MeanPool], ids=["gated", "raw mean"])
def fitted(request):
    bags, value = far_bags()
    recipe = request.param(hidden=8, members=2, epochs=20, instance_encoder=request.param is GatedAttention)
    return fit(recipe, bags, Targets.exact(value), seed=1)


def test_single_precision_agrees_with_double(fitted):
    bags, value = far_bags()
    double = fitted.learned.quantiles(bags)
    single = fitted.learned.quantiles(bags.to(torch.float32))
    assert single.dtype == double.dtype == torch.float64
    assert torch.allclose(single, double, atol=1e-4 * float(value.std()))


def test_bfloat16_agrees_roughly():
    bags, value = far_bags(offset=0.0)
    learned = fit(GatedAttention(hidden=8, members=2, epochs=20), bags, Targets.exact(value), seed=1).learned
    coarse, double = learned.quantiles(bags.to(torch.bfloat16)), learned.quantiles(bags)
    assert coarse.dtype == torch.float64
    assert float((coarse - double).abs().mean()) < 0.03 * float(double.std())


def test_small_chunks_predict_the_same(fitted, monkeypatch):
    bags, _ = far_bags()
    whole = fitted.learned.quantiles(bags), *fitted.learned.attention(bags)
    monkeypatch.setattr("surrogates.ensemble.CHUNK", 1)
    parts = fitted.learned.quantiles(bags), *fitted.learned.attention(bags)
    assert all(torch.allclose(a, b) for a, b in zip(whole, parts, strict=True))


def test_predictions_have_the_gradient_of_differences(fitted):
    bags, _ = far_bags()
    features = bags[:2].features.requires_grad_()

    def median(moved):
        return fitted.learned.quantiles(Bags.of(moved, side=bags.side[:2]))[..., 4]

    assert torch.autograd.gradcheck(median, features)
