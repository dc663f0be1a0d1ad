import numpy as np
import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from scipy.stats import multivariate_normal

from surrogates import GP, CompositionEncoder, Targets, fit
from surrogates.kernel_inputs import kernel_inputs
from surrogates.kernels import composition_kernel
from surrogates.likelihood import JITTER, log_normal_density, log_prior


def test_the_kernel_is_its_formula():
    """a c + b M(side) + d c M(side), c = s1 M(roots) + s2 M(components), Matern 5/2, at the priors' modes."""
    rng = torch.Generator().manual_seed(0)
    Z = torch.rand(5, 7, generator=rng, dtype=torch.float64)
    kernel = composition_kernel((3, 2, 2))

    def matern(part, stretch=1.0):
        scale = stretch * np.exp(np.sqrt(2) - 3) * np.sqrt(part.shape[1])
        r = np.sqrt(5) * np.linalg.norm(part[:, None] - part[None], axis=-1) / scale
        return (1 + r + r**2 / 3) * np.exp(-r)

    z = Z.numpy()
    composition, side = 0.5 * matern(z[:, :3]) + 0.5 * matern(z[:, 3:5]), matern(z[:, 5:], 1.5)
    assert np.allclose(kernel(Z).to_dense().detach().numpy(), (composition + side + composition * side) / 3)
    assert np.allclose(kernel(Z, diag=True).detach().numpy(), 1)
    adding = composition_kernel((3, 2, 2), additive_side=True)
    assert np.allclose(adding(Z).to_dense().detach().numpy(), composition + 0.5 * matern(z[:, 5:]))


def test_settings_in_words_do_not_hide_what_compositions_share():
    """Out of fold, an effect of composition and one of the route are told apart from few samples of each route."""
    rng = np.random.default_rng(5)
    fractions, route = rng.dirichlet(np.ones(5), 30), np.eye(5)[rng.integers(5, size=30)]
    y = fractions @ [3.0, -2.0, 1.0, 0.0, -1.0] + route @ [0.6, -0.4, 0.2, 0.0, -0.6]
    encode = CompositionEncoder(("Ni", "Fe", "Co", "Mn", "Cr"), tuple(f"route={i}" for i in range(5)))
    assert _error(encode, torch.from_numpy(np.hstack([fractions, route])), torch.from_numpy(y)) < 0.2


@pytest.mark.parametrize("widths", [(3, 2, 0), (3, 0, 0), (3, 0, 2), (0, 0, 2)])
def test_the_kernel_works_without_some_of_its_parts(widths):
    Z = torch.rand(4, sum(widths), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    covariance = composition_kernel(widths)(Z).to_dense()
    assert torch.linalg.eigvalsh(covariance).min() > 0


def test_the_density_and_the_prior_are_theirs():
    covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    value = torch.tensor([0.3, -1.0], dtype=torch.float64)
    expected = multivariate_normal.logpdf(value.numpy(), cov=covariance.numpy() + JITTER * np.eye(2))
    assert float(log_normal_density(value, covariance)) == pytest.approx(expected)
    kernel = composition_kernel((2, 0, 0))
    from scipy.stats import gamma

    mode = np.exp(np.sqrt(2) - 3) * np.sqrt(2)
    lengths = gamma.logpdf(kernel.base_kernel.lengthscale.detach().numpy(), a=3, scale=mode / 2).sum()
    assert float(log_prior(kernel).detach()) == pytest.approx(lengths + gamma.logpdf(0.5, a=2, scale=0.5))


def test_inputs_are_roots_components_and_side(encoder, designs):
    encode = CompositionEncoder(encoder.elements, ("T",), ((0.0,), (100.0,)))
    bags = encode(torch.cat([designs, torch.full((48, 1), 50.0, dtype=torch.float64)], dim=1))
    inputs = kernel_inputs(bags, 2)
    Z = inputs(bags)
    assert inputs.widths == (4, 2, 1)
    assert torch.allclose(Z[:, :4], designs.sqrt(), atol=1.1e-3)
    assert (Z[:, -1] == 0.5).all()
    with pytest.raises(ValueError, match="do not fit a model"):
        inputs(encoder(designs))


def test_the_negated_targets_give_the_negated_belief(bags, values, gp_fit):
    turned = fit(GP(), bags, Targets.exact(-values), seed=3)
    assert torch.allclose(turned.quantiles(bags), -gp_fit.quantiles(bags).flip(-1), atol=1e-10)
    assert torch.allclose(turned.out_of_fold.predictions, -gp_fit.out_of_fold.predictions.flip(-1), atol=1e-10)
    one, other = gp_fit.interval(bags, 0.2), turned.interval(bags, 0.2)
    assert torch.allclose(one.lower, -other.upper)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(bags, values, gp_fit, scale):
    scaled = fit(GP(), bags, Targets.exact(scale * values + 3 * scale), seed=3)
    assert torch.allclose(scaled.quantiles(bags) / scale - 3, gp_fit.quantiles(bags), rtol=1e-4, atol=1e-4)


def test_it_learns_the_response(bags, values, gp_fit):
    error = gp_fit.out_of_fold.predictions[:, 0, 4] - gp_fit.out_of_fold.value[:, 0]
    assert float(error.square().mean()) < 0.3 * float(values.var())


def test_the_botorch_face_is_the_same_process(encoder, designs, bags, gp_fit):
    model = gp_fit.botorch_model(encoder)
    noisy = model.posterior(designs, observation_noise=True)
    quantiles = gp_fit.quantiles(bags)
    assert torch.allclose(noisy.mean, quantiles[..., 4])
    assert torch.allclose(noisy.mean + 1.959964 * noisy.variance.sqrt(), quantiles[..., 8], atol=1e-6)


def test_known_variances_replace_learned_noise(bags, values):
    variance = torch.full_like(values, 0.01)
    variance[:24] = 4.0
    fitted = fit(GP(), bags, Targets.exact(values, variance=variance), seed=0)
    noise = fitted.learned.whole.model.likelihood.noise * values.var()
    assert torch.allclose(noise, variance)
    partly = torch.where(torch.arange(48) == 3, torch.nan, variance)
    learned = fit(GP(), bags, Targets.exact(values, variance=partly), seed=0)
    assert learned.learned.whole.model.likelihood.noise.numel() == 1


@pytest.mark.parametrize("n", [2, 3, 6])
def test_it_works_from_two_points_on(encoder, designs, values, n):
    variance = torch.full((n,), 1e-12, dtype=torch.float64)
    for targets in (Targets.exact(values[:n]), Targets.exact(values[:n], variance=variance)):
        fitted = fit(GP(), encoder(designs[:n]), targets, seed=0)
        assert fitted.quantiles(encoder(designs)).isfinite().all()
        assert fitted.out_of_fold.predictions.shape == (n, 1, 9)
        assert fitted.botorch_model(encoder).posterior(designs).mean.isfinite().all()


def test_constant_targets_and_replicates_are_no_trouble(encoder, designs):
    X = designs[[0, 0, 1, 1, 2, 3]]
    fitted = fit(GP(), encoder(X), Targets.exact(torch.full((6,), 2.0, dtype=torch.float64)), seed=0)
    assert torch.allclose(fitted.quantiles(encoder(X))[..., 4], torch.full((6, 1), 2.0, dtype=torch.float64))


def test_side_columns_alone_and_with_fractions_are_learned():
    rng = torch.Generator().manual_seed(3)
    t = torch.rand(30, 1, generator=rng, dtype=torch.float64)
    only = CompositionEncoder((), ("T",))
    assert _error(only, t, torch.sin(6 * t[:, 0])) < 0.05
    both = CompositionEncoder(("Ni", "Fe"), ("T",))
    x = torch.rand(30, 1, generator=rng, dtype=torch.float64)
    X = torch.cat([x, 1 - x, t], dim=1)
    assert _error(both, X, X[:, 0] * X[:, 2]) < 0.05


def _error(encode, X, y):
    seen = fit(GP(), encode(X), Targets.exact(y), seed=0).out_of_fold
    return float((seen.predictions[:, 0, 4] - seen.value[:, 0]).square().mean() / y.var())


def test_it_has_no_attention_and_predicts_one_value_where_nothing_differs(bags, gp_fit):
    with pytest.raises(UnsupportedError, match="no attention"):
        gp_fit.attribute(bags)
    same = CompositionEncoder(("Ni",))(torch.ones(3, 1).double())
    medians = fit(GP(), same, Targets.exact(torch.tensor([1.0, 2.0, 3.0])), seed=0).quantiles(same)[:, 0, 4]
    assert torch.allclose(medians, medians[:1])
    with pytest.raises(ValueError, match="principal_components"):
        GP(principal_components=-1)


def test_a_failed_optimisation_is_told_and_leaves_the_priors_modes(monkeypatch, bags, values):
    import surrogates.recipes.gp as module

    def not_a_number(residual, covariance):
        return (covariance.sum() + residual.sum()) * torch.nan

    monkeypatch.setattr(module, "log_normal_density", not_a_number)
    fitted = fit(GP(), bags, Targets.exact(values), seed=0)
    assert len(fitted.notes) == 6
    assert "mode of their priors" in fitted.notes[0]
    assert float(fitted.learned.whole.model.covar_module.kernels[0].outputscale) == pytest.approx(0.5)
    assert fitted.quantiles(bags).isfinite().all()


def test_gradients_in_the_design_agree_with_differences(encoder, designs, gp_fit):
    model = gp_fit.botorch_model(encoder)
    X = designs[:1].clamp_min(0.05).requires_grad_(True)

    def total(X):
        posterior = model.posterior(X)
        return (posterior.mean + posterior.variance).sum()

    (gradient,) = torch.autograd.grad(total(X), X)
    for j in range(4):
        step = torch.zeros_like(X)
        step[0, j] = 1e-6
        with torch.no_grad():
            slope = (total(X + step) - total(X - step)) / 2e-6
        assert float(gradient[0, j]) == pytest.approx(float(slope), rel=1e-3, abs=1e-5)


def test_it_can_be_conditioned_and_fantasised(encoder, designs, gp_fit):
    from botorch.sampling import SobolQMCNormalSampler

    model = gp_fit.botorch_model(encoder)
    model.posterior(designs[:2])
    more = model.condition_on_observations(designs[:1], torch.full((1, 1), 9.0, dtype=torch.float64))
    assert float(more.posterior(designs[:1]).mean) > float(model.posterior(designs[:1]).mean)
    fantasies = model.fantasize(designs[:2], SobolQMCNormalSampler(torch.Size([3]), seed=0))
    assert fantasies.posterior(designs[4:6]).mean.shape == (3, 2, 1)
