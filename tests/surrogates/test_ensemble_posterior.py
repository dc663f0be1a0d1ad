import math

import pytest
import torch
from botorch.acquisition.objective import ScalarizedPosteriorTransform
from botorch.exceptions.errors import UnsupportedError
from conftest import mixtures

from surrogates import CompositionEncoder, GatedAttention, Targets, fit


@pytest.fixture
def any_model(any_fit, encoder):
    return any_fit.botorch_model(encoder)


@pytest.fixture(scope="module")
def ensemble_model(gated_fit, encoder):
    return gated_fit.botorch_model(encoder)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("q", [1, 3])
@pytest.mark.parametrize("noise", [False, True])
def test_posterior_shapes(any_model, batch, q, noise):
    X = mixtures(math.prod(batch) * q, 4, seed=9).reshape(*batch, q, 4)
    posterior = any_model.posterior(X, observation_noise=noise)
    assert posterior.mean.shape == posterior.variance.shape == (*batch, q, 1)
    assert posterior.mean.dtype == torch.float64
    assert posterior.rsample(torch.Size([5])).shape == (5, *batch, q, 1)
    transform = ScalarizedPosteriorTransform(torch.tensor([-2.0], dtype=torch.float64))
    scaled = any_model.posterior(X, observation_noise=noise, posterior_transform=transform)
    assert torch.allclose(scaled.mean, -2 * posterior.mean)
    assert torch.allclose(scaled.variance, 4 * posterior.variance)
    assert any_model.num_outputs == 1
    assert any_model.batch_shape == torch.Size()


def test_a_batch_is_its_parts(any_model):
    X = mixtures(6, 4, seed=10).reshape(2, 3, 4)
    together = any_model.posterior(X)
    for i in range(2):
        alone = any_model.posterior(X[i])
        assert torch.allclose(together.mean[i], alone.mean)
        assert torch.allclose(
            together.distribution.covariance_matrix[i], alone.distribution.covariance_matrix, atol=1e-7
        )


def test_the_same_point_twice_gives_the_same_sample(any_model, values):
    X = mixtures(4, 4, seed=11)[[0, 1, 2, 3, 0]]
    samples = any_model.posterior(X).rsample(torch.Size([64])).squeeze(-1)
    assert (samples[:, 0] - samples[:, 4]).abs().max() < 0.01 * values.std()
    assert (samples[:, 0] - samples[:, 1]).abs().max() > 0.1 * values.std()


def test_mean_and_variance_agree_with_samples(any_model):
    X = mixtures(3, 4, seed=12)
    posterior = any_model.posterior(X)
    torch.manual_seed(0)
    samples = posterior.rsample(torch.Size([4096])).squeeze(-1)
    sd = posterior.variance.sqrt().squeeze(-1)
    assert ((samples.mean(0) - posterior.mean.squeeze(-1)).abs() < 4 * sd / 64).all()
    assert torch.allclose(samples.std(0), sd, rtol=0.06)


def test_observation_noise_adds_variance_and_nothing_else(any_model):
    X = mixtures(5, 4, seed=13)
    quiet, noisy = any_model.posterior(X), any_model.posterior(X, observation_noise=True)
    assert torch.equal(quiet.mean, noisy.mean)
    added = noisy.distribution.covariance_matrix - quiet.distribution.covariance_matrix
    assert (added.diagonal() > 1e-6).all()
    assert torch.allclose(added, torch.diag(added.diagonal()), atol=1e-9)


def test_the_posterior_is_its_formula(ensemble_model, gated_fit, encoder):
    X = mixtures(3, 4, seed=14)
    posterior = ensemble_model.posterior(X)
    medians = gated_fit.learned.member_locations(encoder(X))[:, :, 0]
    assert torch.allclose(posterior.mean.squeeze(-1), medians.mean(0))
    process = ensemble_model.processes[0]
    Z = process.inputs(encoder(X))
    residual = process.covariance(Z)
    spread = (2 * process.log_c).exp() * torch.cov(medians.T)
    expected = spread + residual + 1e-6 * process.scale**2 * torch.eye(3, dtype=torch.float64)
    assert torch.allclose(posterior.distribution.covariance_matrix, expected)
    # the residual process is a Gaussian process conditioned on what was missed out of fold
    K = process.kernel(torch.cat([process.Z, Z])).to_dense()
    n = len(process.Z)
    inner = process._covariance() + 1e-6 * torch.eye(n, dtype=torch.float64)
    direct = K[n:, n:] - K[n:, :n] @ torch.linalg.solve(inner, K[:n, n:])
    assert torch.allclose(residual, direct * process.scale**2, atol=1e-9)


def test_factors_are_where_the_log_score_is_largest(gated_fit, encoder):
    process = gated_fit.botorch_model(encoder).processes[0]
    assert process.notes == ()
    best = float(process._log_score())
    for factor in (process.log_c, process.log_a):
        for step in (-0.3, 0.3):
            factor += step
            assert float(process._log_score()) < best
            factor -= step


def test_the_noisy_belief_covers_like_the_calibrated_interval(any_fit, any_model, encoder):
    """On fresh designs the central 80 % of a measurement is within a factor of two of the calibrated width."""
    X = mixtures(200, 4, seed=15)
    noisy = any_model.posterior(X, observation_noise=True).variance.sqrt().squeeze(-1) * 2 * 1.2816
    interval = any_fit.interval(encoder(X), 0.2)
    ratio = float(noisy.mean() / (interval.upper - interval.lower).mean())
    assert 0.5 < ratio < 2


def test_gradients_in_the_design_agree_with_differences(ensemble_model):
    X = mixtures(2, 4, seed=16).clamp_min(0.05).requires_grad_(True)

    def total(X):
        posterior = ensemble_model.posterior(X)
        return (posterior.mean + posterior.variance).sum()

    (gradient,) = torch.autograd.grad(total(X), X)
    for j in range(4):
        step = torch.zeros_like(X)
        step[0, j] = 1e-6
        with torch.no_grad():
            slope = (total(X + step) - total(X - step)) / 2e-6
        assert float(gradient[0, j]) == pytest.approx(float(slope), rel=1e-3, abs=1e-5)


def test_known_variances_are_the_noise(bags, values, small_gated, encoder):
    variance = torch.full_like(values, 0.04)
    model = fit(small_gated, bags, Targets.exact(values, variance=variance), seed=0).botorch_model(encoder)
    X = mixtures(3, 4, seed=17)
    added = model.posterior(X, observation_noise=True).variance - model.posterior(X).variance
    assert torch.allclose(added, torch.full_like(added, 0.04))


def test_noise_of_the_measurement_is_not_mistaken_for_ignorance():
    """A constant mean under noise that is 8 times larger in one half: the belief about the noise-free value is not
    much wider there, the belief about a measurement is."""
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(160, 1, generator=rng, dtype=torch.float64)
    loud = x[:, 0] > 0.5
    y = torch.where(loud, 0.8, 0.1) * torch.randn(160, generator=rng, dtype=torch.float64)
    encode = CompositionEncoder((), ("x",))
    model = fit(GatedAttention(), encode(x), Targets.exact(y), seed=0).botorch_model(encode)
    quiet, noisy = (model.posterior(x, observation_noise=on).variance.squeeze(-1).sqrt() for on in (False, True))
    assert float(noisy[loud].mean() / noisy[~loud].mean()) > 2
    assert float(quiet[loud].mean() / quiet[~loud].mean()) < 2
    assert float(quiet[loud].mean()) < 0.5 * float(noisy[loud].mean())


def test_what_an_ensemble_cannot_do_is_said(ensemble_model):
    X = mixtures(2, 4, seed=18)
    with pytest.raises(UnsupportedError, match="no outputs"):
        ensemble_model.posterior(X, output_indices=[1])
    with pytest.raises(UnsupportedError, match="its own"):
        ensemble_model.posterior(X, observation_noise=torch.ones(2, 1))
