"""What BoTorch may ask of every model: a matrix of recipes, numbers of targets and shapes."""

import math

import pytest
import torch
from botorch.acquisition.objective import ScalarizedPosteriorTransform
from botorch.exceptions.errors import UnsupportedError
from botorch.sampling import SobolQMCNormalSampler
from conftest import mixtures, response

from surrogates import GP, Bags, CompositionEncoder, Forest, GatedAttention, MeanPool, Targets, fit
from surrogates.encoders.pool import BagPool

RECIPES = {
    "gp": GP(),
    "gated": GatedAttention(hidden=8, gate=4, members=2, epochs=30),
    "refit": MeanPool(hidden=8, members=3, epochs=30, refit=True),
    "normal": MeanPool(hidden=8, members=2, epochs=30, head="normal"),
    "split": MeanPool(hidden=8, members=3, epochs=30, calibration="split"),
    "forest": Forest(trees=30),
}


@pytest.fixture(scope="module", params=[(name, m) for name in RECIPES for m in (1, 2)], ids=str)
def model(request, encoder, designs, bags, values):
    name, m = request.param
    second = response(designs.flip(1), noise=0.2, seed=5)
    both = torch.stack([values, second], dim=1)[:, :m].clone()
    both[:4, m - 1] = torch.nan
    return fit(RECIPES[name], bags, Targets.exact(both), seed=3).botorch_model(encoder)


@pytest.fixture(scope="module")
def m(model):
    return model.num_outputs


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("q", [1, 3])
def test_shapes_noise_and_transforms(model, m, batch, q):
    X = mixtures(math.prod(batch) * q, 4, seed=9).reshape(*batch, q, 4)
    quiet, noisy = model.posterior(X), model.posterior(X, observation_noise=True)
    for posterior in (quiet, noisy):
        assert posterior.mean.shape == posterior.variance.shape == (*batch, q, m)
        assert posterior.mean.dtype == torch.float64
        assert posterior.rsample(torch.Size([5])).shape == (5, *batch, q, m)
    assert torch.allclose(quiet.mean, noisy.mean)
    assert (noisy.variance > quiet.variance).all()
    weights = torch.tensor([-2.0, 1.0][:m], dtype=torch.float64)
    scalar = model.posterior(X, posterior_transform=ScalarizedPosteriorTransform(weights))
    assert torch.allclose(scalar.mean, quiet.mean @ weights.unsqueeze(1))
    assert model.batch_shape == torch.Size()


def test_a_batch_is_its_parts(model):
    X = mixtures(6, 4, seed=10).reshape(2, 3, 4)
    together = model.posterior(X)
    for i in range(2):
        alone = model.posterior(X[i])
        assert torch.allclose(together.mean[i], alone.mean)
        assert torch.allclose(together.variance[i], alone.variance, atol=1e-7)


def test_outputs_are_parts_of_the_whole(model, m):
    X = mixtures(3, 4, seed=21)
    whole = model.posterior(X)
    for i in range(m):
        part = model.subset_output([i])
        assert part.num_outputs == 1
        assert torch.allclose(part.posterior(X).mean, whole.mean[..., i : i + 1])
        assert torch.allclose(part.posterior(X).variance, whole.variance[..., i : i + 1])


def test_the_same_point_twice_gives_the_same_sample(model):
    X = mixtures(4, 4, seed=11)[[0, 1, 2, 3, 0]]
    posterior = model.posterior(X)
    samples = posterior.rsample(torch.Size([64]))
    sd = posterior.variance.sqrt().mean((0, 1))
    assert ((samples[:, 0] - samples[:, 4]).abs().amax(0) < 0.1 * sd).all()
    assert ((samples[:, 0] - samples[:, 1]).abs().amax(0) > 0.5 * sd).all()


def test_mean_and_variance_agree_with_samples(model):
    posterior = model.posterior(mixtures(3, 4, seed=12))
    torch.manual_seed(0)
    samples = posterior.rsample(torch.Size([4096]))
    sd = posterior.variance.sqrt()
    assert ((samples.mean(0) - posterior.mean).abs() < 4 * sd / 64).all()
    assert torch.allclose(samples.std(0), sd, rtol=0.06)


def test_fantasies_are_conditioning(model, m):
    """The mean fantasy is no news; a fantasy draws the belief at its point and leaves less doubt there."""
    X = mixtures(2, 4, seed=22)
    sampler = SobolQMCNormalSampler(torch.Size([256]), seed=0)
    fantasies = model.fantasize(X, sampler)
    before, after = model.posterior(X), fantasies.posterior(X)
    assert after.mean.shape == (256, 2, m)
    sd = before.variance.sqrt()
    assert ((after.mean.mean(0) - before.mean).abs() < 0.15 * sd).all()
    assert (after.variance <= before.variance * (1 + 1e-4)).all()
    assert (after.mean.std(0) > 0.05 * sd).all()
    shifted = X.unsqueeze(0)
    assert model.fantasize(shifted, sampler).posterior(mixtures(3, 4, seed=23)).mean.shape[-2:] == (3, m)


def test_every_acquisition_function_runs(model, m, designs, values):
    from botorch.acquisition import (
        qKnowledgeGradient,
        qLogExpectedImprovement,
        qLogNoisyExpectedImprovement,
        qSimpleRegret,
        qUpperConfidenceBound,
    )
    from botorch.acquisition.active_learning import qNegIntegratedPosteriorVariance
    from botorch.acquisition.multi_objective import qLogNoisyExpectedHypervolumeImprovement

    sampler = SobolQMCNormalSampler(torch.Size([32]), seed=0)
    X = mixtures(6, 4, seed=19).reshape(3, 2, 4)
    if m == 2:
        volume = qLogNoisyExpectedHypervolumeImprovement(
            model, ref_point=[-1.0, -1.0], X_baseline=designs[:6], sampler=sampler, cache_root=False
        )
        assert volume(X).isfinite().all()
        return
    few = SobolQMCNormalSampler(torch.Size([8]), seed=0)
    gradient = qKnowledgeGradient(model, num_fantasies=8, sampler=few)
    extended = torch.cat([X, mixtures(24, 4, seed=20).reshape(3, 8, 4)], dim=1)
    for found in (
        qLogExpectedImprovement(model, best_f=values.max(), sampler=sampler)(X),
        qLogNoisyExpectedImprovement(model, designs[:6], sampler=sampler, cache_root=False)(X),
        qUpperConfidenceBound(model, beta=2.0, sampler=sampler)(X),
        qSimpleRegret(model, sampler=sampler)(X),
        qNegIntegratedPosteriorVariance(model, mc_points=designs[:5])(X),
        gradient(extended),
    ):
        assert found.shape == (3,)
        assert found.isfinite().all()
        assert found.std() > 0


def test_conditioning_is_that_of_the_joint_normal(gated_fit, encoder):
    model = gated_fit.botorch_model(encoder)
    X, new = mixtures(2, 4, seed=30), mixtures(3, 4, seed=31)
    Y, noise = torch.tensor([[1.0], [-1.0]], dtype=torch.float64), torch.full((2, 1), 0.05, dtype=torch.float64)
    joint = model.posterior(torch.cat([X, new]))
    K, mean = joint.distribution.covariance_matrix, joint.mean[:, 0]
    weight = K[2:, :2] @ torch.linalg.inv(K[:2, :2] + 0.05 * torch.eye(2, dtype=torch.float64))
    after = model.condition_on_observations(X, Y, noise=noise).posterior(new)
    assert torch.allclose(after.mean[:, 0], mean[2:] + weight @ (Y[:, 0] - mean[:2]), atol=1e-5)
    assert torch.allclose(after.distribution.covariance_matrix, K[2:, 2:] - weight @ K[:2, 2:], atol=1e-5)
    one = model.condition_on_observations(X[:1], Y[:1], noise=noise[:1])
    twice = one.condition_on_observations(X[1:], Y[1:], noise=noise[1:]).posterior(new)
    assert torch.allclose(twice.mean, after.mean, atol=1e-4)


def sites(n, seed):
    """Bags of sites given as tensors, a value that is their mean of a feature, and a class."""
    rng = torch.Generator().manual_seed(seed)
    features = torch.randn(n, 6, 5, generator=rng)
    mask = torch.rand(n, 6, generator=rng) < 0.8
    mask[:, 0] = True
    labels = tuple(tuple(f"site {j}" for j in range(6)) for _ in range(n))
    value = (features[..., 0] * mask).sum(1) / mask.sum(1)
    return Bags.of(features, mask, labels=labels), value.double()


@pytest.mark.parametrize("name", ["gp", "gated", "forest"])
def test_site_bags_are_believed_by_their_row_in_a_pool(name):
    bags, value = sites(60, seed=1)
    pool = BagPool(bags)
    fitted = fit(RECIPES[name], bags[:40], Targets.exact(value[:40]), seed=0)
    model = fitted.botorch_model(pool)
    X = torch.arange(40, 60, dtype=torch.float64).unsqueeze(1)
    posterior = model.posterior(X)
    assert posterior.mean.shape == (20, 1)
    if name != "forest":
        assert torch.corrcoef(torch.stack([posterior.mean[:, 0], value[40:]]))[0, 1] > 0.6
    assert model.posterior(X.reshape(4, 5, 1)).rsample(torch.Size()).shape == (4, 5, 1)
    assert torch.equal(pool.designs(bags[3:5]), torch.tensor([[3.0], [4.0]], dtype=torch.float64))
    with pytest.raises(UnsupportedError, match="discrete"):
        model.posterior(X.clone().requires_grad_(True))
    for wrong in (60.0, -1.0, 0.5):
        with pytest.raises(ValueError, match="is no row of a pool of 60"):
            pool(torch.tensor([[wrong]]))
    with pytest.raises(ValueError, match="not in the pool"):
        pool.designs(sites(2, seed=9)[0])


def test_a_class_is_believed_by_its_probability():
    bags, value = sites(120, seed=2)
    recipe = MeanPool(hidden=8, members=2, epochs=60, head="class")
    fitted = fit(recipe, bags, Targets.exact((value > 0).double()), seed=0)
    probability = fitted.probability(bags)
    assert ((probability > 0) & (probability < 1)).all()
    assert ((probability[:, 0] > 0.5) == (value > 0)).double().mean() > 0.85
    X = torch.arange(6, dtype=torch.float64).unsqueeze(1)
    model = fitted.botorch_model(BagPool(bags))
    assert torch.allclose(model.posterior(X).mean, probability[:6])
    added = model.posterior(X, observation_noise=True).variance - model.posterior(X).variance
    assert (added > 0).all()
    for ask in (fitted.quantiles, lambda b: fitted.interval(b, 0.2)):
        with pytest.raises(UnsupportedError, match="class head"):
            ask(bags)
    with pytest.raises(ValueError, match="values of 0 and 1"):
        fit(recipe, bags, Targets.exact(value), seed=0)
    with pytest.raises(UnsupportedError, match="only a class head"):
        fit(MeanPool(hidden=4, members=1, epochs=1), bags, Targets.exact(value), seed=0).probability(bags)


def test_encoders_of_one_column_and_a_target_of_no_spread_are_believed():
    encode = CompositionEncoder((), ("x",))
    x = torch.linspace(0, 1, 12, dtype=torch.float64).unsqueeze(1)
    model = fit(RECIPES["gated"], encode(x), Targets.exact(torch.full((12,), 3.0)), seed=0).botorch_model(encode)
    assert torch.allclose(model.posterior(x).mean, torch.full((12, 1), 3.0, dtype=torch.float64), atol=0.5)
