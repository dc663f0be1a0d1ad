"""The classifier of syntheses: exact where it can be checked, calibrated, symmetric, and never sure."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from surrogates import Bags, CompositionEncoder
from surrogates.kernels import composition_kernel
from surrogates.success import SPREAD, _log_evidence, _prior, base_rate, learn_success, propagate

ELEMENTS = ("Ni", "Fe", "Co", "Mn")
ENCODE = CompositionEncoder(ELEMENTS)


def draw(n: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(4), n))


def beyond(X: torch.Tensor) -> torch.Tensor:
    """A phase boundary: nothing with much nickel can be made."""
    return X[:, 0] < 0.45


def fitted(n: int = 40, seed: int = 1):
    X = draw(n, seed)
    return learn_success(ENCODE(X), beyond(X).tolist())


def test_the_evidence_is_that_of_the_probit_model():
    """Of two outcomes it is an orthant probability of a bivariate normal."""
    Z = torch.rand(2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kernel, made = composition_kernel((4, 0, 0)), torch.tensor([True, False])
    mean, covariance = _prior(kernel, Z, made)
    side = np.array([1.0, -1.0])
    exact = multivariate_normal.cdf(
        side * float(mean.detach()), cov=(covariance + torch.eye(2)).detach().numpy() * np.outer(side, side)
    )
    assert float(_log_evidence(kernel, Z, made).detach()) == pytest.approx(math.log(exact), abs=2e-3)


def test_the_gradient_of_the_evidence_is_its_own():
    Z, made = draw(15, 2), beyond(draw(15, 2))
    kernel = composition_kernel((4, 0, 0))
    scale = kernel.raw_outputscale
    (gradient,) = torch.autograd.grad(_log_evidence(kernel, Z, made), scale)

    def at(step: float) -> float:
        with torch.no_grad():
            scale.add_(step)
            found = float(_log_evidence(kernel, Z, made))
            scale.sub_(step)
        return found

    assert float(gradient) == pytest.approx((at(1e-4) - at(-1e-4)) / 2e-4, rel=1e-5)


def test_the_posterior_is_that_of_draws_of_the_latent_process():
    """Importance-weighted draws of the liability, ten outcomes, at the mode of the priors."""
    Z, made = draw(10, 3), torch.tensor([True] * 7 + [False] * 3)
    kernel = composition_kernel((4, 0, 0))
    with torch.no_grad():
        mean, covariance = _prior(kernel, Z, made)
        sites = propagate(covariance, mean, made)
        posterior = torch.linalg.inv(torch.linalg.inv(covariance) + sites.precision.diag())
        centre = mean + posterior @ (sites.shift - sites.precision * mean)
        found = torch.special.ndtr(centre / (1 + posterior.diagonal()).sqrt())
    root, normal = torch.linalg.cholesky(covariance), np.random.default_rng(0).standard_normal((400_000, 10))
    f = float(mean) + normal @ root.numpy().T
    side = np.where(made.numpy(), 1.0, -1.0)
    weight = np.exp(torch.special.log_ndtr(torch.from_numpy(f * side)).sum(1).numpy())
    exact = (torch.special.ndtr(torch.from_numpy(f)).numpy() * weight[:, None]).sum(0) / weight.sum()
    assert found.numpy() == pytest.approx(exact, abs=0.01)


def test_probabilities_are_calibrated_over_campaigns_of_the_model():
    """Boundaries drawn from the prior, 25 outcomes each: in every bin the successes are as frequent as predicted."""
    predicted, seen = [], []
    for seed in range(25):
        X, rng = draw(125, 100 + seed), np.random.default_rng(seed)
        Z = torch.cat([X.sqrt(), X], dim=1)
        with torch.no_grad():
            covariance = SPREAD * composition_kernel((4, 4, 0))(Z).to_dense() + 1e-6 * torch.eye(125)
        f = 1.5 + torch.linalg.cholesky(covariance).numpy() @ rng.standard_normal(125)
        made = f + rng.standard_normal(125) > 0
        if made[:25].all() or not made[:25].any():
            continue
        success = learn_success(ENCODE(X[:25]), made[:25].tolist())
        predicted.append(success.probability(ENCODE(X[25:])).numpy())
        seen.append(made[25:])
    p, y = np.stack(predicted), np.stack(seen)
    for low, high in ((0.0, 0.35), (0.35, 0.6), (0.6, 0.8), (0.8, 0.9), (0.9, 1.0)):
        inside = (p >= low) & (p < high)
        gaps = [(y[i][inside[i]] - p[i][inside[i]]).mean() for i in range(len(p)) if inside[i].any()]
        error = np.std(gaps, ddof=1) / len(gaps) ** 0.5  # campaigns are independent, candidates within one are not
        assert abs(np.mean(gaps)) < max(3 * error, 0.03), (low, np.mean(gaps), error)
    assert p.min() > 0
    assert p.max() < 1


def test_failures_that_have_no_pattern_leave_the_base_rate():
    rates = []
    for seed in range(6):
        X, made = draw(60, seed), np.random.default_rng(seed).random(60) > 0.15
        p = learn_success(ENCODE(X), made.tolist()).probability(ENCODE(draw(200, 50 + seed)))
        rates.append(p.numpy() - base_rate(torch.from_numpy(made)))
    assert np.mean(rates) == pytest.approx(0, abs=0.05)
    assert np.std(rates) < 0.12


def test_beyond_a_boundary_success_is_unlikely_and_never_impossible():
    success = fitted()
    X = draw(300, 5)
    p, truth = success.probability(ENCODE(X)), beyond(X)
    assert p[truth].mean() > 0.9
    assert p[~truth].mean() < 0.4
    assert p.min() > 0.001
    assert p.max() < 0.999


def test_one_failure_and_one_success_are_within_reach_of_the_prior():
    p = learn_success(ENCODE(draw(2, 0)), [True, False]).probability(ENCODE(draw(100, 1)))
    assert p.min() > 0.15
    assert p.max() < 0.85


def test_order_is_nothing_and_the_same_data_give_the_same_bits():
    X = draw(30, 1)
    made, other = beyond(X), draw(50, 9)
    p = learn_success(ENCODE(X), made.tolist()).probability(ENCODE(other))
    assert torch.equal(p, learn_success(ENCODE(X), made.tolist()).probability(ENCODE(other)))
    order = torch.from_numpy(np.random.default_rng(0).permutation(30))
    shuffled = learn_success(ENCODE(X[order]), made[order].tolist()).probability(ENCODE(other))
    assert p.numpy() == pytest.approx(shuffled.numpy(), abs=2e-4)


def test_success_and_failure_are_mirror_images():
    X = draw(30, 1)
    other, made = ENCODE(draw(50, 9)), beyond(X)
    p, q = (learn_success(ENCODE(X), m.tolist()).probability(other) for m in (made, ~made))
    assert p.numpy() == pytest.approx(1 - q.numpy(), abs=1e-6)


def test_the_face_is_the_liability_whose_sign_decides():
    success = fitted()
    X = draw(20, 7)
    model = success.botorch_model(ENCODE)
    posterior = model.posterior(X.unsqueeze(-2))
    sure = torch.special.ndtr(posterior.mean / posterior.variance.sqrt()).flatten()
    assert sure.numpy() == pytest.approx(success.probability(ENCODE(X)).numpy(), abs=1e-9)
    joint = model.posterior(X)
    assert joint.mean.shape == (20, 1)
    assert torch.allclose(joint.variance.flatten(), posterior.variance.flatten(), atol=1e-7)


def test_structures_are_told_apart_by_their_sites():
    """Bags of sites of which one feature says whether they can be made."""
    features = torch.from_numpy(np.random.default_rng(0).standard_normal((140, 5, 3)))
    mask = torch.ones(140, 5, dtype=torch.bool)
    names = tuple(tuple(f"s{i}" for i in range(5)) for _ in range(140))
    bags = Bags(features, mask, mask.double(), torch.zeros(140, 0), names, ("one",) * 140)
    made = features[..., 0].mean(1) < 0.4
    assert 3 < int((~made[:40]).sum()) < 20
    p = learn_success(bags[torch.arange(40)], made[:40].tolist()).probability(bags[torch.arange(40, 140)])
    assert p[made[40:]].mean() > p[~made[40:]].mean() + 0.2


def test_what_cannot_be_learned_from_is_refused():
    with pytest.raises(ValueError, match="all or none failed"):
        learn_success(ENCODE(draw(3, 0)), [True] * 3)
    with pytest.raises(ValueError, match="outcomes"):
        learn_success(ENCODE(draw(3, 0)), [True, False])
