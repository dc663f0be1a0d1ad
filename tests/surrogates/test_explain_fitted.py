"""Explanations of fitted networks: they find what carries the signal, and are withheld where nothing was learned."""

from dataclasses import replace

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError

from surrogates import Bags, GatedAttention, Targets, fit
from surrogates.explain import (
    METHODS,
    agreement,
    aopc,
    attribute,
    concentration,
    judge,
    perturbation_curve,
    random_curves,
    reference_instance,
    skill,
    top_hit,
)
from surrogates.quantiles import MEDIAN
from surrogates.splits import generator

RECIPE = GatedAttention(members=1, epochs=80, batch=32)


def localised(n, seed, k=8):
    """Bags in which the instance with the marker carries the value."""
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(n, k, 3, generator=rng, dtype=torch.float64)
    signal = torch.randint(k, (n,), generator=rng)
    features[..., 1] *= 0.1
    features[torch.arange(n), signal, 1] += 3
    value = features[torch.arange(n), signal, 0]
    return Bags.of(features), value, signal.unsqueeze(1) == torch.arange(k)


@pytest.fixture(scope="module")
def train():
    return localised(160, seed=0)


@pytest.fixture(scope="module")
def test():
    return localised(60, seed=5)


@pytest.fixture(scope="module")
def fitted(train):
    return fit(RECIPE, train[0], Targets.exact(train[1]), seed=1)


def verdict_on(fitted, train, test):
    shown, other = (
        attribute(fitted.learned, test[0], m, background=train[0]) for m in ("occlusion", "integrated_gradients")
    )
    attention = attribute(fitted.learned, test[0], "attention")
    predicted, value, _ = fitted.out_of_fold.of(0)
    return judge(
        measured=len(train[0]),
        skill=skill(predicted[:, MEDIAN], value),
        concentration=float(concentration(attention.value, test[0]).mean()),
        instances=8,
        agreement=float(agreement(shown, other, test[0]).nanmean()),
        distance=0.5,
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_instance_that_carries_the_value(fitted, train, test, method):
    bags, _, signal = test
    reference = torch.zeros(3) if method == "reversion" else None
    found = attribute(fitted.learned, bags, method, reference=reference, background=train[0])
    assert top_hit(found.value, bags, signal).mean() > 0.9
    assert found.sd.shape == found.value.shape
    assert found.sd.isfinite().all()


def test_integrated_gradients_of_a_network_add_up(fitted, train, test):
    bags, start = test[0], reference_instance(train[0])
    found = attribute(fitted.learned, bags, "integrated_gradients", background=train[0]).value.sum(1)
    nothing = replace(bags, features=start.expand_as(bags.features))
    moved = (fitted.learned.member_locations(bags) - fitted.learned.member_locations(nothing)).mean(0)[:, 0]
    assert (found - moved).abs().max() < 0.02 * moved.std()


def test_reversion_says_how_far_the_prediction_would_move(fitted, test):
    bags, value, signal = test
    host = torch.tensor([0.0, 3.0, 0.0])
    found = attribute(fitted.learned, bags, "reversion", reference=host).value[signal]
    assert (found - value).square().mean() < 0.2 * value.square().mean()


def test_the_prediction_hangs_on_what_the_attribution_names(fitted, train, test):
    bags, reference = test[0], reference_instance(train[0])
    shown = attribute(fitted.learned, bags, "occlusion", background=train[0])
    area = aopc(perturbation_curve(fitted.learned, bags, shown.value, reference=reference))
    chance = aopc(random_curves(fitted.learned, bags, reference=reference, seed=0, orders=40))
    assert area.mean() > 1.5 * chance.mean()


def test_a_map_is_shown_for_labels_and_withheld_for_shuffled_ones(fitted, train, test):
    assert verdict_on(fitted, train, test).state != "withheld"
    bags, value, _ = train
    for seed in range(2):
        order = torch.randperm(len(value), generator=generator("shuffled", seed))
        chance = fit(replace(RECIPE, epochs=40), bags, Targets.exact(value[order]), seed=seed)
        found = verdict_on(chance, train, test)
        assert found.state == "withheld"
        assert "beats a constant by" in found.reasons[0]


@pytest.mark.parametrize("name", ["gp_fit", "forest_fit"])
def test_models_that_know_elements_by_name_are_explained_by_leaving_them_out(request, bags, name):
    learned = request.getfixturevalue(name).learned
    found = attribute(learned, bags, "leave_one_out")
    assert (found.value[bags.mask].nan_to_num(1) != 0).double().mean() > 0.5
    for method in ("occlusion", "saliency"):
        with pytest.raises(UnsupportedError, match="take leave_one_out"):
            attribute(learned, bags, method)
