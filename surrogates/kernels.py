"""The kernel of Gaussian processes on compositions, and the inputs that it sees.

Inputs are the square roots of the fractions (Hellinger geometry), up to four principal components of the
fraction-weighted element descriptors, and the side columns:

    k = (s1 Matern52(square roots) + s2 Matern52(components)) * Matern52(side)

or, where side columns describe the composition again, with a term of their own, + s3 Matern52(side).
The square roots share one length scale, and so do their components: fractions are alike, and a scale for each element
is more than the few data of a campaign can tell (out-of-fold loss 3 to 9 % higher at 15 to 90 samples of alloys and of
made-up mixtures). Side columns, and components of learned features, have one each, as in BoTorch and BayBE. The prior
is the dimension-scaled Gamma of BayBE's default preset (baybe.surrogates.gaussian_process.presets.baybe: concentration
3, mode exp(sqrt 2 - 3) sqrt d, after Hvarfner et al. 2024). The output scales of a standardised target have a
Gamma(2, 2) prior of ours: mode a half each.
"""

from __future__ import annotations

import math

import torch
from botorch.models.transforms.input import InputTransform
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.priors import GammaPrior, LogNormalPrior
from torch import Tensor

from surrogates.encoders.base import Encoder
from surrogates.kernel_inputs import KernelInputs


def composition_kernel(widths: tuple[int, int, int], *, additive_side: bool = False) -> Kernel:
    """The kernel over inputs of these widths, at the mode of its priors, float64.

    Args:
        widths: of square roots, components and side columns.
        additive_side: whether the side columns add a term of their own instead of a factor.
    """
    roots, components, side = widths
    first = roots + components
    factor = None if additive_side else _matern(first, side)
    blocks = [(0, roots, True), (roots, components, roots > 0), (first, side if additive_side else 0, False)]
    terms = [term for block in blocks if (term := _scaled(*block)) is not None]
    if not terms:
        return _scale(factor)
    kernel = terms[0]
    for term in terms[1:]:
        kernel = kernel + term
    return kernel if factor is None else kernel * factor


def homoscedastic_noise() -> GaussianLikelihood:
    """Noise of one learned variance under a LogNormal(-4, 1) prior (Hvarfner et al. 2024), at its mode, float64."""
    prior = LogNormalPrior(_exactly(-4.0), _exactly(1.0))
    likelihood = GaussianLikelihood(noise_prior=prior, noise_constraint=_above(1e-4)).double()
    likelihood.noise = prior.mode
    return likelihood


def _matern(first: int, width: int, shared: bool = False) -> Kernel | None:
    if not width:
        return None
    mode = _exactly(math.exp(math.sqrt(2) - 3) * math.sqrt(width))
    kernel = MaternKernel(
        nu=2.5,
        ard_num_dims=None if shared else width,
        active_dims=tuple(range(first, first + width)),
        lengthscale_prior=GammaPrior(_exactly(3.0), 2 / mode),
        lengthscale_constraint=_above(0.025),
    ).double()
    kernel.lengthscale = mode
    return kernel


def _scale(kernel: Kernel) -> Kernel:
    prior = GammaPrior(_exactly(2.0), _exactly(2.0))
    scaled = ScaleKernel(kernel, outputscale_prior=prior, outputscale_constraint=_above(1e-4)).double()
    scaled.outputscale = _exactly(0.5)
    return scaled


def _scaled(first: int, width: int, shared: bool) -> Kernel | None:
    kernel = _matern(first, width, shared)
    return None if kernel is None else _scale(kernel)


def _above(bound: float) -> GreaterThan:
    """A lower bound met in log space, where the likelihood is closest to a quadratic."""
    constraint = GreaterThan(bound, transform=torch.exp, inv_transform=torch.log)
    constraint.lower_bound = _exactly(bound)
    return constraint


def _exactly(value: float) -> Tensor:
    """A float64 tensor: the start of an optimisation may not depend on the default dtype."""
    return torch.tensor(value, dtype=torch.float64)


class Encode(InputTransform):
    """BoTorch input transform from designs to kernel inputs: `batch_shape x q x d` to `batch_shape x q x d'`."""

    is_one_to_many = False
    transform_on_train = True
    transform_on_eval = True
    transform_on_fantasize = True

    def __init__(self, encoder: Encoder, inputs: KernelInputs) -> None:
        super().__init__()
        self.encoder = encoder
        self.inputs = inputs

    def transform(self, X: Tensor) -> Tensor:
        """Kernel inputs of designs."""
        return self.inputs(self.encoder(X)).reshape(*X.shape[:-1], -1)
