"""What goes wrong quietly if nobody looks: kinds of bags, units, replicates, targets that folds lack, odd shapes."""

from dataclasses import replace

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from conftest import mixtures

from surrogates import GP, Bags, Forest, GatedAttention, MaxPool, MeanPool, Targets, Transformer, choose, fit, pretrain
from surrogates.encoders.pool import BagPool
from surrogates.kernel_inputs import kernel_inputs
from surrogates.splits import assign_folds

SMALL = MeanPool(hidden=8, members=2, epochs=30)


def sites(n=60, k=6, seed=0):
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(n, k, 5, generator=rng, dtype=torch.float64)
    mask = torch.rand(n, k, generator=rng) < 0.8
    mask[:, 0] = True
    return features, mask, (features[..., 0] * mask).sum(1) / mask.sum(1)


def error(fitted):
    predictions, value, _ = fitted.out_of_fold.of(0)
    return float((predictions[:, 4] - value).square().mean() / value.var())


@pytest.mark.parametrize("labels", [None, ("Fe", "Fe", "O", "O", "O", "Ti")])
def test_sites_are_no_composition_whatever_they_weigh_or_are_called(labels):
    features, mask, value = sites()
    bags = Bags.of(features, mask, weights=mask.double(), labels=labels)
    assert error(fit(GP(), bags, Targets.exact(value), seed=0)) < 0.1
    shorter = Bags.of(features[:, :5], mask[:, :5], weights=mask[:, :5].double())
    assert fit(SMALL, bags, Targets.exact(value), seed=0).interval(shorter, 0.2).lower.isfinite().all()


def test_a_hidden_component_is_left_out_of_a_composition(bags):
    inputs = kernel_inputs(bags, 4)
    several = bags[bags.mask[:, 1:].any(1)]
    hidden = replace(several, mask=several.mask & (torch.arange(4) > 0))
    assert not torch.allclose(inputs(hidden), inputs(several))


@pytest.mark.parametrize("unit", [1e-12, 1e9])
def test_small_and_large_units_are_learned_alike(unit):
    features, mask, value = sites()
    plain = fit(SMALL, Bags.of(features, mask), Targets.exact(value), seed=0)
    scaled = fit(SMALL, Bags.of(unit * features, mask), Targets.exact(unit * value), seed=0)
    ours, theirs = (f.out_of_fold.predictions for f in (plain, scaled))
    assert torch.allclose(theirs / unit, ours, atol=0.02)


def test_an_observation_counts_in_every_unit(bags, values, encoder):
    both = torch.stack([1000 * values, 0.05 * values.flip(0)], dim=1)
    model = fit(GatedAttention(hidden=8, gate=4, members=2, epochs=30), bags, Targets.exact(both), seed=0)
    belief = model.botorch_model(encoder)
    X = mixtures(1, 4, seed=5)
    before = belief.posterior(X)
    after = belief.condition_on_observations(X, before.mean, noise=1e-6 * before.variance).posterior(X)
    assert (after.variance / before.variance < 1e-3).all()
    with pytest.raises(UnsupportedError, match="hang together"):
        belief.condition_on_observations(X, before.mean).subset_output([1, 0])


def test_routes_of_the_same_steps_are_believed_apart():
    rng = torch.Generator().manual_seed(0)
    orders = torch.stack([torch.randperm(4, generator=rng) for _ in range(60)])
    bags = Bags.of(torch.eye(4)[orders], kind="route")
    value = (orders[:, 0] == 0).double()
    fitted = fit(Transformer(hidden=8, heads=2, members=1, epochs=10, ordered=True), bags, Targets.exact(value), seed=0)
    assert fitted.interval(bags[:4], 0.2).lower.isfinite().all()
    posterior = fitted.botorch_model(BagPool(bags)).posterior(torch.arange(6.0, dtype=torch.float64).unsqueeze(1))
    covariance = posterior.distribution.covariance_matrix
    assert torch.linalg.eigvalsh(covariance).min() > 0
    there_and_back = Bags.of(torch.eye(4)[torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])], kind="route")
    first, last = kernel_inputs(bags, 4)(there_and_back)
    assert not torch.allclose(first, last)


def test_bags_that_do_not_differ_are_believed_to_be_one():
    bags = Bags.of(torch.ones(12, 3, 2))
    value = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for recipe in (GP(), SMALL):
        fitted = fit(recipe, bags, Targets.exact(value), seed=0)
        assert fitted.interval(bags, 0.2).lower.isfinite().all()
        assert fitted.botorch_model(BagPool(bags)).posterior(torch.zeros(2, 1)).mean.isfinite().all()


def test_replicates_that_nobody_grouped_do_not_shrink_the_domain():
    features, mask, value = sites(n=40)
    twice = Bags.of(features.repeat(2, 1, 1), mask.repeat(2, 1))
    fitted = fit(SMALL, twice, Targets.exact(value.repeat(2)), seed=0)
    fresh, there, _ = sites(n=100, seed=1)
    assert fitted.domain(Bags.of(fresh, there)).inside.double().mean() > 0.8


@pytest.mark.parametrize("recipe", [SMALL, GP(), Forest(trees=10)], ids=["mean", "gp", "forest"])
def test_a_target_of_few_values_is_dealt_to_several_folds(recipe):
    features, mask, value = sites()
    both = torch.stack([value, 500 + 50 * value], dim=1)
    both[7:, 1] = torch.nan
    fitted = fit(recipe, Bags.of(features, mask), Targets.exact(both), seed=0)
    held = fitted.out_of_fold.of(1)[0]
    assert len(held) == 7
    assert ((held[:, 4] > 350) & (held[:, 4] < 650)).all()
    assert fitted.attribute(Bags.of(features, mask), "leave_one_out", target=1).value.shape == (60, 6)
    alone = Targets.exact(torch.where(torch.arange(60)[:, None] < 2, both, both[:, :1] * torch.tensor([1, torch.nan])))
    single = replace(alone, groups=("same", "same", *(str(i) for i in range(58))))
    with pytest.raises(ValueError, match="target 2 was measured in a single group"):
        fit(recipe, Bags.of(features, mask), single, seed=0)


def test_known_variances_count_target_by_target(bags, values):
    both = torch.stack([values, values], dim=1)
    variance = torch.full_like(both, 0.04)
    variance[3, 1] = torch.nan
    fitted = fit(GP(), bags, Targets.exact(both, variance=variance), seed=0)
    assert fitted.problem.known_variance(0) is not None
    assert fitted.problem.known_variance(1) is None
    assert fitted.notes == ("variances do not count where some value of the target has none",)


def test_a_split_is_a_random_quarter():
    groups = ["big"] * 10 + [str(i) for i in range(30)]
    held = torch.stack([assign_folds(groups, seed, "split") == 0 for seed in range(60)])
    assert 0.05 < held[:, 0].double().mean() < 0.6
    assert held.sum(1).min() >= 10
    assert held.sum(1).max() < 20


def test_one_by_one_is_the_batch(gated_fit, encoder):
    model = gated_fit.botorch_model(encoder)
    X = mixtures(7, 4, seed=6)
    single = model.posterior(X.unsqueeze(1))
    assert torch.allclose(single.variance.squeeze(), model.posterior(X).variance.squeeze())


def test_what_cannot_be_compared_or_combined_is_refused(bags, values):
    targets = Targets.exact(values)
    with pytest.raises(ValueError, match="all need calibration cross"):
        choose([GP(), GP(calibration="none")], bags, targets, seed=0)
    with pytest.raises(ValueError, match="class head has none"):
        choose([GP(), replace(SMALL, head="class")], bags, targets, seed=0)
    for recipe in (MeanPool, Forest):
        with pytest.raises(ValueError, match="refit goes with calibration cross"):
            recipe(refit=True, calibration="split")
    start = pretrain(MaxPool(hidden=8), bags, seed=0)
    with pytest.raises(ValueError, match="pretrained for max_pool; it cannot start mean_pool"):
        fit(SMALL, bags, targets, seed=0, pretrained=start)
    fitted = fit(SMALL, bags, targets, seed=0)
    with pytest.raises(ValueError, match="targets 0 to 0, not 1"):
        fitted.interval(bags, 0.2, target=1)
    with pytest.raises(ValueError, match="bags with 3 features an instance do not fit a model of 16"):
        fitted.quantiles(replace(bags, features=bags.features[..., :3]))


def test_a_pool_knows_its_bags_by_what_they_hold():
    features, mask, value = sites()
    pool = Bags.of(features.float(), mask)
    fitted = fit(GP(), pool[:40], Targets.exact(value[:40]), strata=["x"] * 40, seed=0)
    X = torch.arange(3.0, dtype=torch.float64).unsqueeze(1)
    assert fitted.botorch_model(BagPool(pool)).posterior(X).mean.shape == (3, 1)


def test_halved_numbers_are_bags_too():
    features, mask, value = sites()
    fitted = fit(SMALL, Bags.of(features.float(), mask), Targets.exact(value), seed=0)
    exact, rough = (fitted.quantiles(Bags.of(features, mask).to(dtype)) for dtype in (torch.float32, torch.bfloat16))
    assert torch.allclose(exact, rough, atol=0.1)
    assert Bags.of(features.to(torch.bfloat16), mask).hash != Bags.of(features.float(), mask).hash
    with pytest.raises(ValueError, match="floating dtype"):
        Bags.of(torch.ones(2, 3, 4, dtype=torch.long))
