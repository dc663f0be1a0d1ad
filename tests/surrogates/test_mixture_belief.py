"""The joint belief of a blend: moments of a mixture, conditioning, samples, saving, and what is known already."""

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from conftest import mixtures
from gpytorch.distributions import MultivariateNormal

from surrogates import GP, Forest, MeanPool, Targets, fit, load
from surrogates.choice import choose
from surrogates.mixture import MixtureBelief
from surrogates.recipes import recipe_hash
from surrogates.recipes.blend import Blend


@pytest.fixture(scope="module")
def parts(small_gated):
    return (GP(), small_gated)


@pytest.fixture(scope="module")
def fits(gp_fit, gated_fit):
    return gp_fit, gated_fit


@pytest.fixture(scope="module")
def stack(parts, fits, bags, values):
    return fit(Blend(recipes=parts), bags, Targets.exact(values), seed=3, known=fits)


@pytest.fixture(scope="module")
def face(stack, encoder):
    return stack.botorch_model(encoder)


@pytest.mark.parametrize("noisy", [False, True])
def test_moments_are_those_of_draws_from_the_mixture(stack, face, fits, encoder, noisy):
    X, weights = mixtures(5, 4, seed=20), stack.learned.weights
    posteriors = [f.botorch_model(encoder).posterior(X, observation_noise=noisy) for f in fits]
    rng, n = torch.Generator().manual_seed(0), 200_000
    draws = []
    for p, weight in zip(posteriors, weights.tolist(), strict=True):
        root = torch.linalg.cholesky(p.distribution.covariance_matrix)
        base = torch.randn(round(weight * n), 5, generator=rng, dtype=torch.float64)
        draws.append(p.mean.squeeze(-1) + base @ root.mT)
    together = torch.cat(draws)
    found = face.posterior(X, observation_noise=noisy)
    scale = found.variance.squeeze(-1).sqrt()
    assert torch.allclose(found.mean.squeeze(-1) / scale, together.mean(0) / scale, atol=0.02)
    error = (found.distribution.covariance_matrix - together.T.cov()) / scale / scale.unsqueeze(1)
    assert error.abs().max() < 0.03


def test_the_belief_of_some_points_does_not_hang_on_the_others(face):
    X = mixtures(6, 4, seed=21)
    whole, part, single = face.posterior(X), face.posterior(X[:2]), face.posterior(X.unsqueeze(1))
    assert torch.allclose(whole.distribution.covariance_matrix[:2, :2], part.distribution.covariance_matrix, rtol=1e-6)
    assert torch.allclose(single.variance.flatten(), whole.variance.flatten(), rtol=1e-6)
    assert torch.allclose(single.mean.flatten(), whole.mean.flatten())


def test_one_part_with_all_the_weight_is_believed_alone(gp_fit, gated_fit, encoder):
    X = mixtures(4, 4, seed=22)
    models = [f.botorch_model(encoder) for f in (gp_fit, gated_fit)]
    mixed, alone = (
        MixtureBelief(models, torch.tensor([1.0, 0.0], dtype=torch.float64)).posterior(X),
        models[0].posterior(X),
    )
    assert torch.allclose(mixed.mean, alone.mean)
    assert torch.allclose(mixed.distribution.covariance_matrix, alone.distribution.covariance_matrix)


def test_the_mean_of_the_belief_is_the_predicted_median(stack, face, encoder):
    X = mixtures(7, 4, seed=23)
    assert torch.allclose(face.posterior(X).mean, stack.quantiles(encoder(X))[..., 4], rtol=1e-6)


def test_conditioning_is_that_of_the_normal_distribution(face):
    X, Y = mixtures(5, 4, seed=24), torch.tensor([[2.0], [1.0]], dtype=torch.float64)
    joint = face.posterior(X).distribution
    noise = face.noise_variance(X[:2])
    noisy = (
        face.posterior(X[:2].unsqueeze(1), observation_noise=True).variance
        - face.posterior(X[:2].unsqueeze(1)).variance
    )
    assert torch.allclose(noise.flatten(), noisy.flatten())
    K = joint.covariance_matrix
    gain = K[2:, :2] @ torch.linalg.inv(K[:2, :2] + torch.diag(noise.flatten()))
    after = face.condition_on_observations(X[:2], Y).posterior(X[2:]).distribution
    assert isinstance(after, MultivariateNormal)
    assert torch.allclose(after.mean, joint.mean[2:] + gain @ (Y.flatten() - joint.mean[:2]), rtol=1e-4)
    assert torch.allclose(after.covariance_matrix, K[2:, 2:] - gain @ K[:2, 2:], rtol=1e-3, atol=1e-6)


def test_samples_are_joint_and_gradients_flow(face):
    X = mixtures(4, 4, seed=25).requires_grad_(True)
    posterior = face.posterior(X)
    assert posterior.rsample(torch.Size([3])).shape == (3, 4, 1)
    (slope,) = torch.autograd.grad(posterior.mean.sum() + posterior.variance.sum(), X)
    assert slope.isfinite().all()
    assert slope.abs().max() > 0
    with pytest.raises(UnsupportedError, match="one output"):
        face.subset_output([1])


def test_a_saved_blend_believes_the_same(stack, face, encoder, tmp_path):
    stack.save(tmp_path)
    X = mixtures(5, 4, seed=26)
    again = load(tmp_path).botorch_model(encoder).posterior(X)
    assert torch.allclose(again.mean, face.posterior(X).mean, rtol=1e-9)
    covariance = face.posterior(X).distribution.covariance_matrix
    assert torch.allclose(again.distribution.covariance_matrix, covariance, rtol=1e-6)


def test_the_first_recipe_has_the_rest_of_the_weight_where_it_is_the_safe_one(stack, parts, fits, bags, values):
    found = fit(Blend(recipes=parts, safe="first"), bags, Targets.exact(values), seed=3, known=fits)
    shift = 40 / 88 * torch.tensor([0.5, -0.5], dtype=torch.float64)
    assert torch.allclose(found.learned.weights, stack.learned.weights + shift)
    with pytest.raises(ValueError, match="safe must be equal or first, not 'last'"):
        Blend(recipes=parts, safe="last")


def test_what_explains_a_blend_makes_up_most_of_it(stack, gated_fit, bags, values):
    """Attention is that of the parts that have some: here of two networks, of which one looks at the shares alone."""
    with pytest.raises(UnsupportedError, match="a blend has no attention of its own, and parts with attention make up"):
        stack.attribute(bags)
    alone = gated_fit.attribute(bags)
    blend = Blend(recipes=(gated_fit.recipe, MeanPool(hidden=2, members=1, epochs=2)))
    found = fit(blend, bags, Targets.exact(values), seed=3, known=[gated_fit])
    share = found.learned.weights[0]
    assert torch.allclose(found.attribute(bags).value, share * alone.value + (1 - share) * bags.weights, atol=1e-6)
    assert (found.attribute(bags).sd >= share.sqrt() * alone.sd - 1e-9).all()


def test_what_is_known_is_not_trained_again(stack, parts, fits, bags, values, monkeypatch):
    anew = fit(Blend(recipes=parts), bags, Targets.exact(values), seed=3)
    assert torch.equal(anew.quantiles(bags), stack.quantiles(bags))
    assert torch.equal(anew.out_of_fold.predictions, stack.out_of_fold.predictions)
    assert (anew.notes, anew.data_hash) == (stack.notes, stack.data_hash)
    for recipe in (type(part) for part in parts):
        monkeypatch.setattr(recipe, "train", None)
    again = fit(Blend(recipes=parts), bags, Targets.exact(values), seed=3, known=fits)
    assert torch.equal(again.quantiles(bags), stack.quantiles(bags))
    assert not again.problem.trained


def test_fits_to_other_data_or_folds_are_not_known(fits, parts, bags, values):
    with pytest.raises(ValueError, match="what is known of gp was fitted to other data"):
        fit(Blend(recipes=parts), bags, Targets.exact(values + 1), seed=3, known=fits)
    with pytest.raises(ValueError, match="another seed"):
        fit(Blend(recipes=parts), bags, Targets.exact(values), seed=4, known=fits)


def test_a_choice_takes_the_fits_that_it_has(bags, values, monkeypatch):
    grown = []
    train = Forest.train
    monkeypatch.setattr(Forest, "train", lambda *args: grown.append(args[0]) or train(*args))
    forest = Forest(trees=10)
    blend = Blend(recipes=(GP(), forest))
    made = choose([GP(), forest, blend], bags, Targets.exact(values), seed=3)
    assert grown == [forest]
    assert set(made.scores) == {recipe_hash(r) for r in (GP(), forest, blend)}
