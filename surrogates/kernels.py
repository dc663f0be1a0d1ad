"""The kernel of Gaussian processes on compositions, and the inputs that it sees.

Inputs are the square roots of the fractions (Hellinger geometry), up to four principal components of the
fraction-weighted element descriptors, and the side columns:

    k = a c + b p + d c p,   c = s1 Matern52(square roots) + s2 Matern52(components),   p = Matern52(side)

so that a setting of the process has an effect of its own, as well as one that depends on the composition, and what is
learned of a composition under one setting is not lost under another (as the sums and products of BoTorch's
MixedSingleTaskGP, after Ru et al. 2020, with length scales that all terms share). The product alone makes two words of
a category, at a distance of sqrt 2, all but strangers: on made-up alloys with five routes, and on made-up processes,
its loss on held-out samples is 2 to 24 % higher after 12 to 30 samples. Where side columns describe the composition
again, k = c + s3 p.
The square roots share one length scale, and so do their components: fractions are alike, and a scale for each element
is more than the few data of a campaign can tell (out-of-fold loss 3 to 9 % higher at 15 to 90 samples of alloys and of
made-up mixtures). Side columns, and components of learned features, have one each, as in BoTorch and BayBE. The prior
is the dimension-scaled Gamma of BayBE's default preset (baybe.surrogates.gaussian_process.presets.baybe: concentration
3, mode exp(sqrt 2 - 3) sqrt d, after Hvarfner et al. 2024), stretched for side columns. The output scales of a
standardised target have a Gamma(2, 2) prior of ours: mode a half each. Of structures, each table of the outline (shares
of elements, of pairs of neighbours) takes the place of the fractions, and principal components of the sites' features
that of the descriptors.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import torch
from botorch.models.transforms.input import InputTransform
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import AdditiveKernel, Kernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.priors import GammaPrior, LogNormalPrior
from torch import Tensor, nn

from surrogates.encoders.base import Encoder
from surrogates.kernel_inputs import KernelInputs

BLOCK = 1 << 24
"""Covariances of parts that are in memory together."""
STRETCH = 1.5
"""Length scales of side columns that change the effect of a composition, over those of the preset.

On made-up processes whose effect is a product with that of the composition, the sum of terms costs nothing against the
product alone only if they are so much longer; on the others it makes no difference.
"""


FEATURES_RATE = 8.0
"""Of the Gamma(2, rate) prior of the scale of features beside an outline: mode an eighth, so that what they add must
show in the data. On 10 to 80 doped slabs of six made-up properties, 3 seeds each, the first of the best 1 % came after
18 experiments instead of 21 with a mode of a half, for close features hide that two elements never were neighbours, and
85 % of them were found instead of 76 % without features."""


def composition_kernel(
    widths: tuple[int, int, int], *, additive_side: bool = False, outline: tuple[int, ...] = ()
) -> Kernel:
    """The kernel over inputs of these widths, at the mode of its priors, float64.

    Args:
        widths: of square roots, components and side columns.
        additive_side: whether the side columns add a term of their own, and change nothing else.
        outline: how many square roots belong to each table of an outline, each of which has a term of its own; empty
            where they are of one composition.
    """
    roots, components, side = widths
    first = roots + components
    process = _matern(first, side, stretch=STRETCH if first and not additive_side else 1.0)
    tables = outline or (roots,)
    blocks = [(start, width, True, 2.0) for start, width in zip(accumulate((0, *tables)), tables, strict=False)]
    blocks.append((roots, components, roots > 0, FEATURES_RATE if outline else 2.0))
    terms = [term for block in blocks if (term := _scaled(*block)) is not None]
    if not terms:
        return _scale(process)
    composition = terms[0] if len(terms) == 1 else AdditiveKernel(*terms)
    if process is None:
        return composition
    return composition + _scale(process) if additive_side else CrossedKernel(composition, process)


def kernel_of(inputs: KernelInputs, *, additive_side: bool = False) -> Kernel:
    """The kernel over what these inputs give of bags, or of the parts of bags."""
    kernel = composition_kernel(inputs.widths, additive_side=additive_side, outline=inputs.outline)
    return kernel if inputs.parts is None else PartKernel(kernel, inputs.parts)


class CrossedKernel(Kernel):
    """Effects of two groups of inputs and what they do together: a k1 + b k2 + d k1 k2.

    The three scales have a Gamma(2, 3) prior: mode a third each, so that the variance is 1 where that of k1 and k2 is.
    """

    has_lengthscale = False

    def __init__(self, first: Kernel, second: Kernel) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.register_parameter("raw_shares", nn.Parameter(torch.zeros(3, dtype=torch.float64)))
        self.register_constraint("raw_shares", _above(1e-4))
        self.register_prior("shares_prior", GammaPrior(_exactly(2.0), _exactly(3.0)), _shares, _set_shares)
        _set_shares(self, torch.full((3,), 1 / 3, dtype=torch.float64))

    @property
    def shares(self) -> Tensor:
        """The scales a, b and d, `3`."""
        return _shares(self)

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """The covariance of `... x n x d` and `... x n' x d` or, of as many, its diagonal."""
        one, two = self.first(x1, x2, diag=diag), self.second(x1, x2, diag=diag)
        if not diag:
            one, two = one.to_dense(), two.to_dense()
        a, b, d = self.shares
        return a * one + b * two + d * one * two


def _shares(kernel: CrossedKernel) -> Tensor:
    return kernel.raw_shares_constraint.transform(kernel.raw_shares)


def _set_shares(kernel: CrossedKernel, shares: Tensor) -> None:
    kernel.initialize(raw_shares=kernel.raw_shares_constraint.inverse_transform(shares))


class PartKernel(Kernel):
    """Covariance of means over the parts of bags: inner products of kernel mean embeddings (Smola et al. 2007).

        K(x, x') = sum_ij s_i s'_j k(z_i, z'_j)

    with z_i and s_i the inputs and the share of the parts, `m` of them, one after the other in x. A process on parts
    with the kernel k, seen through the linear map that takes their mean, is a process on bags with this one.
    """

    has_lengthscale = False

    def __init__(self, each: Kernel, parts: int) -> None:
        super().__init__()
        self.each = each
        self.parts = parts

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """The covariance of `... x n x d` and `... x n' x d`, a few rows at a time; or, of as many, its diagonal."""
        (z1, s1), (z2, s2) = self._apart(x1), self._apart(x2)
        if diag:
            return (s1.unsqueeze(-1) * self.each(z1, z2).to_dense() * s2.unsqueeze(-2)).sum((-2, -1))
        numbers = z1.shape[:-3].numel() * z2.shape[:-1].numel() * self.parts
        rows = max(1, BLOCK // max(1, numbers))
        found = [x1.new_zeros(*torch.broadcast_shapes(x1.shape[:-2], x2.shape[:-2]), 0, x2.shape[-2])]
        for z, s in zip(z1.split(rows, -3), s1.split(rows, -2), strict=True):
            pairs = self.each(z.flatten(-3, -2), z2.flatten(-3, -2)).to_dense()
            means = (pairs.unflatten(-1, s2.shape[-2:]) * s2.unsqueeze(-3)).sum(-1)
            found.append((means.unflatten(-2, s.shape[-2:]) * s.unsqueeze(-1)).sum(-2))
        return torch.cat(found, dim=-2)

    def _apart(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs of the parts, `... x n x m x d`, and their shares, `... x n x m`."""
        z, s = x[..., : -self.parts], x[..., -self.parts :]
        return z.unflatten(-1, (self.parts, -1)), s


def homoscedastic_noise() -> GaussianLikelihood:
    """Noise of one learned variance under a LogNormal(-4, 1) prior (Hvarfner et al. 2024), at its mode, float64."""
    prior = LogNormalPrior(_exactly(-4.0), _exactly(1.0))
    likelihood = GaussianLikelihood(noise_prior=prior, noise_constraint=_above(1e-4)).double()
    likelihood.noise = prior.mode
    return likelihood


def _matern(first: int, width: int, shared: bool = False, stretch: float = 1.0) -> Kernel | None:
    if not width:
        return None
    mode = _exactly(stretch * math.exp(math.sqrt(2) - 3) * math.sqrt(width))
    kernel = MaternKernel(
        nu=2.5,
        ard_num_dims=None if shared else width,
        active_dims=tuple(range(first, first + width)),
        lengthscale_prior=GammaPrior(_exactly(3.0), 2 / mode),
        lengthscale_constraint=_above(0.025),
    ).double()
    kernel.lengthscale = mode
    return kernel


def _scale(kernel: Kernel, rate: float = 2.0) -> Kernel:
    prior = GammaPrior(_exactly(2.0), _exactly(rate))
    scaled = ScaleKernel(kernel, outputscale_prior=prior, outputscale_constraint=_above(1e-4)).double()
    scaled.outputscale = _exactly(1 / rate)
    return scaled


def _scaled(first: int, width: int, shared: bool, rate: float) -> Kernel | None:
    kernel = _matern(first, width, shared)
    return None if kernel is None else _scale(kernel, rate)


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
