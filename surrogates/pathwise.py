"""Samples of a Gaussian process as functions, to be evaluated at any number of points (Wilson et al. 2020, 2021).

By Matheron's rule a sample of the posterior is a sample of the prior and its correction at the data,

    f(z) + k(z, Z) (K + noise)^-1 (y - f(Z) - e),   e ~ N(0, noise),

(Wilson, Borovitskiy, Terenin, Mostowsky, Deisenroth, ICML 2020, eq. 9). The prior's are sums of random cosines (Rahimi
and Recht 2007), the correction is exact. Frequencies are drawn from the spectral density of the kernel: of a Matern
kernel a multivariate t of 2 nu degrees of freedom, of a sum a mixture, of a product the sum of the frequencies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from botorch.exceptions.errors import UnsupportedError
from botorch.models import SingleTaskGP
from gpytorch.kernels import AdditiveKernel, Kernel, MaternKernel, ProductKernel, ScaleKernel
from torch import Tensor

from surrogates.kernels import CrossedKernel

FEATURES = 2048
"""Cosines of a prior sample; covariances of the prior are then right to about 1 / sqrt(FEATURES) of its variance."""
BLOCK = 2**22
"""Cosines that are held at once: 32 MB."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Samples of the noise-free process as functions of designs, in the units of the target."""

    model: SingleTaskGP
    frequencies: Tensor
    """`features x d'`, of kernel inputs."""
    phases: Tensor
    """`features`."""
    weights: Tensor
    """Of the cosines, `features x paths`."""
    corrections: Tensor
    """Of the covariances with the training inputs, `n x paths`."""

    def __call__(self, X: Tensor) -> Tensor:
        """Values of every path at designs `m x d`, `paths x m`. Memory is a block and the answer."""
        model, scale = self.model, self.model.outcome_transform
        Z, train = model.transform_inputs(X), model.train_inputs[0]
        rows = max(1, BLOCK // (len(self.phases) + len(train)))
        with torch.no_grad():
            parts = [
                model.mean_module(part).unsqueeze(1)
                + torch.cos(part @ self.frequencies.T + self.phases) @ self.weights
                + model.covar_module(part, train).to_dense() @ self.corrections
                for part in Z.split(rows)
            ]
        return (torch.cat(parts) * scale.stdvs.squeeze() + scale.means.squeeze()).T


def draw_paths(model: SingleTaskGP, count: int, *, seed: int, features: int = FEATURES) -> Paths:
    """Draw samples of a process.

    Args:
        model: one output and no batch dimensions.
        count: how many.
        seed: the same model and seed give the same paths.
        features: cosines of the prior.

    Raises:
        UnsupportedError: the kernel is made of others than Matern kernels, their sums, products and scales.
    """
    generator = torch.Generator().manual_seed(seed)
    model.eval()
    with torch.no_grad():
        train = model.train_inputs[0]
        n, d = train.shape
        variance, frequencies = _spectrum(model.covar_module, features, d, generator)
        phases = 2 * math.pi * torch.rand(features, generator=generator, dtype=train.dtype)
        draws = torch.randn(features, count, generator=generator, dtype=train.dtype)
        weights = draws * (2 * variance / features).sqrt()
        noise = model.likelihood.noise.expand(n)
        errors = torch.randn(n, count, generator=generator, dtype=train.dtype) * noise.sqrt().unsqueeze(1)
        prior = torch.cos(train @ frequencies.T + phases) @ weights
        missed = (model.train_targets - model.mean_module(train)).unsqueeze(1) - prior - errors
        factor = torch.linalg.cholesky(model.covar_module(train).to_dense() + torch.diag(noise))
        return Paths(model, frequencies, phases, weights, torch.cholesky_solve(missed, factor))


def _spectrum(kernel: Kernel, count: int, d: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Variance of a stationary kernel, and frequencies drawn from its spectral density, `count x d`."""
    if isinstance(kernel, ScaleKernel):
        variance, found = _spectrum(kernel.base_kernel, count, d, generator)
        return variance * kernel.outputscale, found
    if isinstance(kernel, MaternKernel):
        dims = torch.arange(d) if kernel.active_dims is None else kernel.active_dims
        scale = kernel.lengthscale.squeeze(0)
        found = torch.zeros(count, d, dtype=scale.dtype)
        normal = torch.randn(count, len(dims), generator=generator, dtype=scale.dtype)
        squares = torch.randn(count, round(2 * kernel.nu), generator=generator, dtype=scale.dtype).square().mean(1)
        found[:, dims] = normal / scale / squares.sqrt().unsqueeze(1)
        return scale.new_ones(()), found
    if isinstance(kernel, AdditiveKernel | ProductKernel):
        each = [_spectrum(part, count, d, generator) for part in kernel.kernels]
        variances, found = torch.stack([v for v, _ in each]), torch.stack([f for _, f in each])
        if isinstance(kernel, ProductKernel):
            return variances.prod(), found.sum(0)
        return _mixture(variances, found, generator)
    if isinstance(kernel, CrossedKernel):
        (one, first), (two, second) = (_spectrum(k, count, d, generator) for k in (kernel.first, kernel.second))
        variances = kernel.shares * torch.stack([one, two, one * two])
        return _mixture(variances, torch.stack([first, second, first + second]), generator)
    raise UnsupportedError(
        f"paths can be drawn of Matern kernels, their sums and products, not of {type(kernel).__name__}"
    )


def _mixture(variances: Tensor, found: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Variance of a sum, and of its terms' frequencies, `terms x count x d`, one for each cosine, `count x d`."""
    count = found.shape[1]
    which = torch.multinomial(variances, count, replacement=True, generator=generator)
    return variances.sum(), found[which, torch.arange(count)]
