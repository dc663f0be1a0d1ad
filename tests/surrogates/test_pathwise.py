"""Samples as functions agree with the exact posterior, in mean and covariance, within their errors."""

from __future__ import annotations

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError

from surrogates import GP, CompositionEncoder, Targets, fit
from surrogates.pathwise import draw_paths

PATHS, DRAWS = 400, 48


@pytest.fixture(scope="module", params=[("T",), ()], ids=["sum times settings", "sum"])
def model(request):
    encode = CompositionEncoder(("Ni", "Fe", "Co"), request.param)
    X = designs(18, 1, len(request.param))
    y = 100 + 30 * X[:, :1] - 20 * (X[:, 1:2] * X[:, 2:3]).sqrt() + 8 * X[:, -1:] ** 2
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return fit(GP(), encode(X), Targets.exact(y + noise), seed=1).botorch_model(encode), len(request.param)


def designs(n: int, seed: int, settings: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    parts = torch.rand(n, 3, generator=generator, dtype=torch.float64)
    side = torch.rand(n, settings, generator=generator, dtype=torch.float64)
    return torch.cat([parts / parts.sum(1, keepdim=True), side], dim=1)


def test_mean_and_covariance_are_those_of_the_posterior(model):
    process, settings = model
    X = designs(6, 3, settings)
    exact = process.posterior(X)
    mean, covariance = exact.mean.squeeze(-1), exact.distribution.covariance_matrix
    draws = torch.stack([draw_paths(process, PATHS, seed=seed)(X) for seed in range(DRAWS)])
    assert draws.shape == (DRAWS, PATHS, 6)
    means = draws.mean(1)
    z = (means.mean(0) - mean) / (means.std(0) / DRAWS**0.5)
    assert z.abs().max() < 6  # t of 47 degrees of freedom, six points
    found = torch.stack([torch.cov(draw.T) for draw in draws])
    # random cosines err in shares of the prior's variance, many times what is left at some points: hence so many draws
    sd = covariance.diagonal().sqrt()
    assert ((found.mean(0) - covariance) / (sd.unsqueeze(0) * sd.unsqueeze(1))).abs().max() < 0.1
    error = found.std(0) / DRAWS**0.5
    assert ((found.mean(0) - covariance) / error).abs().max() < 6


def test_a_seed_gives_the_same_functions_whatever_they_are_asked(model):
    process, settings = model
    X = designs(40, 4, settings)
    paths = draw_paths(process, 5, seed=7)
    torch.testing.assert_close(paths(X)[:, 30:], draw_paths(process, 5, seed=7)(X[30:]))
    assert not torch.allclose(paths(X), draw_paths(process, 5, seed=8)(X))


def test_other_kernels_are_refused(model):
    from botorch.models import SingleTaskGP

    X = designs(5, 5, 0)
    with pytest.raises(UnsupportedError, match="RBFKernel"):
        draw_paths(SingleTaskGP(X, X[:, :1]), 2, seed=1)
