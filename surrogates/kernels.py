"""The kernel of Gaussian processes on compositions, and the inputs that it sees.

Inputs are the square roots of the fractions (Hellinger geometry), up to four principal components of the
fraction-weighted element descriptors, and the side columns:

    k = (s1 Matern52(square roots) + s2 Matern52(components)) * Matern52(side)

Every column has its own length scale, as in BoTorch and BayBE, under the dimension-scaled Gamma prior of BayBE's
default preset (baybe.surrogates.gaussian_process.presets.baybe: concentration 3, mode exp(sqrt 2 - 3) sqrt d, after
Hvarfner et al. 2024). The two output scales of a standardised target have a Gamma(2, 2) prior of ours: mode a half
each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from botorch.models.transforms.input import InputTransform
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.priors import GammaPrior, LogNormalPrior
from torch import Tensor

from surrogates.bags import Bags
from surrogates.encoders.elements import CompositionEncoder, principal_axes, smooth_sqrt


@dataclass(frozen=True)
class KernelInputs:
    """Maps bags of named components to the inputs of the kernel, `n x (k + p + s)`, float64, differentiable.

    With a single component the fractions tell nothing and only the side columns remain.
    """

    labels: tuple[str, ...]
    side: int
    """Number of side columns."""
    components: int
    """At most so many principal components."""

    @classmethod
    def of(cls, bags: Bags, components: int) -> KernelInputs:
        """The inputs that bags of this kind have.

        Raises:
            ValueError: the bags do not share their labels, or have neither two components nor side columns.
        """
        if bags.shared_labels is None:
            raise ValueError("a Gaussian process on compositions needs bags that share their labels (named components)")
        found = cls(bags.shared_labels, bags.side.shape[1], components)
        if not sum(found.widths):
            raise ValueError("bags of one component and without side columns have nothing to tell them apart")
        return found

    @property
    def axes(self) -> Tensor:
        """Loadings of the principal components, `k x p`."""
        return principal_axes(self.labels, self.components)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Number of square roots, principal components and side columns."""
        k = len(self.labels)
        return (k, self.axes.shape[1], self.side) if k > 1 else (0, 0, self.side)

    def __call__(self, bags: Bags) -> Tensor:
        """The inputs of each bag.

        Raises:
            ValueError: the bags are of another kind.
        """
        if bags.shared_labels != self.labels or bags.side.shape[1] != self.side:
            raise ValueError(
                f"bags of {bags.labels} with {bags.side.shape[1]} side columns do not fit a model of {self.labels} "
                f"with {self.side}"
            )
        if len(self.labels) == 1:
            return bags.side.double()
        weights = bags.weights.double()
        return torch.cat([smooth_sqrt(weights), weights @ self.axes, bags.side.double()], dim=1)


def composition_kernel(widths: tuple[int, int, int]) -> Kernel:
    """The kernel over inputs of these widths, at the mode of its priors, float64."""
    roots, components, side = widths
    terms = [_scaled(0, roots), _scaled(roots, components)]
    mixture = [term for term in terms if term is not None]
    process = _matern(roots + components, side)
    if not mixture:
        return _scale(process)
    kernel = mixture[0] if len(mixture) == 1 else mixture[0] + mixture[1]
    return kernel if process is None else kernel * process


def homoscedastic_noise() -> GaussianLikelihood:
    """Noise of one learned variance under a LogNormal(-4, 1) prior (Hvarfner et al. 2024), at its mode, float64."""
    prior = LogNormalPrior(_exactly(-4.0), _exactly(1.0))
    likelihood = GaussianLikelihood(noise_prior=prior, noise_constraint=_above(1e-4)).double()
    likelihood.noise = prior.mode
    return likelihood


def _matern(first: int, width: int) -> Kernel | None:
    if not width:
        return None
    mode = _exactly(math.exp(math.sqrt(2) - 3) * math.sqrt(width))
    kernel = MaternKernel(
        nu=2.5,
        ard_num_dims=width,
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


def _scaled(first: int, width: int) -> Kernel | None:
    kernel = _matern(first, width)
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

    def __init__(self, encoder: CompositionEncoder, inputs: KernelInputs) -> None:
        super().__init__()
        self.encoder = encoder
        self.inputs = inputs

    def transform(self, X: Tensor) -> Tensor:
        """Kernel inputs of designs."""
        return self.inputs(self.encoder(X)).reshape(*X.shape[:-1], -1)
