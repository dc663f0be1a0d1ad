import torch
from botorch.models import SingleTaskGP
from botorch.models.transforms.outcome import Standardize

from surrogates.kernels import composition_kernel
from surrogates.marginals import joint
from surrogates.recipes.gp import JitteredGP


def process(noisy: bool) -> JitteredGP:
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(20, 5, generator=generator, dtype=torch.double)
    variance = torch.full((20, 1), 0.01, dtype=torch.double) if noisy else None
    y = 40 + 7 * torch.sin(4 * X.sum(1, keepdim=True))
    model = JitteredGP(X, y, variance, covar_module=composition_kernel((3, 2, 0)), outcome_transform=Standardize(m=1))
    return model.eval().requires_grad_(False)


def test_the_lean_belief_is_that_of_gpytorch(monkeypatch):
    X = torch.rand(700, 5, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    for noisy in (False, True):
        model = process(noisy)
        full = SingleTaskGP.posterior(model, X)
        monkeypatch.setattr("surrogates.marginals.BLOCK", 3000)  # several blocks
        single, together = model.posterior(X.unsqueeze(-2)), model.posterior(X)
        assert single.mean.shape == single.variance.shape == (700, 1, 1)
        assert torch.allclose(single.mean.flatten(), full.mean.flatten(), atol=1e-9)
        assert torch.allclose(single.variance.flatten(), full.variance.flatten(), rtol=1e-6)
        assert torch.allclose(together.mean, full.mean, atol=1e-9)
        exact = full.distribution.covariance_matrix
        assert torch.allclose(together.distribution.covariance_matrix, exact, atol=1e-8)


def test_what_needs_more_is_left_to_botorch():
    model = process(False)
    X = torch.rand(4, 1, 5, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    noisy = model.posterior(X, observation_noise=True).variance
    assert (noisy > model.posterior(X).variance).all()
    X.requires_grad_(True)
    assert torch.autograd.grad(model.posterior(X).mean.sum(), X)[0].abs().sum() > 0


def test_the_joint_belief_is_symmetric_to_rounding():
    model = process(False)
    covariance = joint(model, torch.rand(50, 5, dtype=torch.double, generator=torch.Generator().manual_seed(3)))[1]
    assert torch.allclose(covariance, covariance.mT, atol=1e-12)
