"""A Gaussian process that begins with what earlier campaigns tell.

    f = a + sum_i b_i h_i + d

h_i is what is believed of the property in an earlier campaign i, mean and remaining uncertainty, in its own sds; d is a
process of its own for what is different here, with the kernel of the gp recipe; a takes the offset between two labs. It
is the recursive form of co-kriging (Kennedy and O'Hagan 2000; Le Gratiet and Garnier 2014) and, with the history
learned once, the hierarchical process of Tighineanu et al. (2022). All of a, b and d are found together by the data of
the new campaign; a prior of b that is wide enough to reach 0 and below lets them turn a misleading history off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, ClassVar

import torch
from botorch.models import SingleTaskGP
from botorch.models.transforms.outcome import Standardize
from gpytorch.kernels import Kernel
from gpytorch.means import Mean
from gpytorch.priors import NormalPrior
from torch import Tensor, nn

from surrogates.bags import Bags
from surrogates.conditioning import GaussianBelief
from surrogates.encoders.base import Encoder
from surrogates.history import Believed, History
from surrogates.kernel_inputs import KernelInputs, kernel_inputs
from surrogates.kernels import composition_kernel
from surrogates.likelihood import JITTER, log_normal_density, log_prior, maximise
from surrogates.recipes.base import Problem, Trained
from surrogates.recipes.gp import GP, Parts

EXPECTED = 0.7
"""Prior mean of the weight of a history, in its own sds; shared among several."""
SPREAD = 0.5
"""Prior sd of the weight of a history."""
PSEUDO = 10
"""Measurements that the spread of the histories counts as, when the new campaign's values are scaled."""


@dataclass(frozen=True)
class TransferGP(GP):
    """The process above, fitted like that of the gp recipe; with no rows of its own, see `prior_belief`.

    Weights have a Normal(0.7, 0.5) prior. Values are scaled by their own variance and that of the histories, which
    counts as `PSEUDO` measurements, so that the first few do not set the scale.
    """

    type: ClassVar[str] = "transfer"
    uses_history: ClassVar[bool] = True

    def train(self, problem: Problem, seed: int) -> Trained:
        """As of the gp recipe.

        Raises:
            ValueError: there is no history.
        """
        if not problem.history:
            raise ValueError("the recipe transfer needs a history; use gp without one")
        return super().train(problem, seed)

    def inputs(self, problem: Problem, rows: Tensor) -> KernelInputs:
        """Kernel inputs of its own, then those of each history."""
        own = kernel_inputs(problem.bags[rows], self.principal_components)
        return TransferInputs(own, problem.history)

    def parts(self, inputs: KernelInputs, problem: Problem) -> Parts:
        """Kernel and mean with the histories in them, and the scale."""
        own = super().parts(inputs, problem).kernel
        mean = HistoryMean(inputs.widths, problem.history)
        spread = math.sqrt(sum(h.scale**2 for h in problem.history) / len(problem.history))
        return Parts(WithHistory(own, mean), mean, PooledScale(spread))

    def maximise(self, model: SingleTaskGP) -> tuple[str, ...]:
        """As of the gp recipe, with what does not change computed once."""
        (Z,), y = model.train_inputs, model.train_targets
        mean, kernel = model.mean_module, model.covar_module
        with torch.no_grad():
            means, covariances = mean.means(Z), mean.covariances(Z, Z)

        def objective() -> Tensor:
            b = mean.weight
            covariance = kernel.own(Z).to_dense() + torch.einsum("h,hij->ij", b.square(), covariances)
            covariance = covariance + torch.diag(model.likelihood.noise.expand(len(y)))
            return log_normal_density(y - mean.constant - b @ means, covariance) + log_prior(model)

        notes = maximise(objective, model, len(y))
        model.eval().requires_grad_(False)
        return notes


class TransferInputs:
    """Kernel inputs of a new campaign, then those of each history: `n x sum`, float64, differentiable in the bags."""

    def __init__(self, own: KernelInputs, histories: Sequence[History]) -> None:
        self.own = own
        self.histories = tuple(histories)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Of the new campaign's own inputs, which come first."""
        return self.own.widths

    @property
    def outline(self) -> tuple[int, ...]:
        """Empty: histories tell of compositions."""
        return ()

    @property
    def parts(self) -> None:
        """None: histories tell of compositions, which have no parts."""
        return None

    def __call__(self, bags: Bags) -> Tensor:
        """The inputs of each bag.

        Raises:
            ValueError: the bags are of another kind.
        """
        past = [h.believed.inputs(h.bags(h.designs(bags))) for h in self.histories]
        return torch.cat([self.own(bags), *past], dim=1)


def places(widths: tuple[int, int, int], histories: Sequence[History]) -> list[slice]:
    """Columns of each history among the inputs, after those of the new campaign."""
    ends = list(accumulate((h.believed.inducing.shape[1] for h in histories), initial=sum(widths)))
    return [slice(first, last) for first, last in pairwise(ends)]


class HistoryMean(Mean):
    """a + sum_i b_i m_i, m_i being the standardised mean of a history."""

    def __init__(self, widths: tuple[int, int, int], histories: Sequence[History]) -> None:
        super().__init__()
        self.places = places(widths, histories)
        self.believed: tuple[Believed, ...] = tuple(h.believed for h in histories)
        n = len(self.believed)
        self.constant = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.weight = nn.Parameter(torch.full((n,), EXPECTED / n, dtype=torch.float64))
        prior = NormalPrior(self.weight.detach().clone(), torch.full_like(self.weight, SPREAD / math.sqrt(n)).detach())
        self.register_prior("weight_prior", prior, "weight")

    def means(self, Z: Tensor) -> Tensor:
        """Of each history, `histories x ... x n`."""
        return torch.stack([h.mean(Z[..., place]) for h, place in zip(self.believed, self.places, strict=True)])

    def covariances(self, Z: Tensor, other: Tensor) -> Tensor:
        """What each history leaves unknown, `histories x ... x n x m`."""
        found = []
        for h, place in zip(self.believed, self.places, strict=True):
            one = Z[..., place]
            found.append(h.covariance(one, one if other is Z else other[..., place]))
        return torch.stack(found)

    def variances(self, Z: Tensor) -> Tensor:
        """Their diagonals, `histories x ... x n`."""
        return torch.stack([h.variance(Z[..., place]) for h, place in zip(self.believed, self.places, strict=True)])

    def forward(self, Z: Tensor) -> Tensor:
        """`... x n x d` to `... x n`."""
        return self.constant + torch.einsum("h,h...->...", self.weight, self.means(Z))


class WithHistory(Kernel):
    """The kernel of what is different, plus what the histories leave unknown times their squared weights."""

    def __init__(self, own: Kernel, mean: HistoryMean) -> None:
        super().__init__()
        self.own = own
        self.history = mean  # the very weights of the mean

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Covariance `... x n x m`, or its diagonal."""
        b = self.history.weight.square()
        if diag:
            return self.own(x1, x2, diag=True) + torch.einsum("h,h...->...", b, self.history.variances(x1))
        return self.own(x1, x2).to_dense() + torch.einsum("h,h...->...", b, self.history.covariances(x1, x2))


class PooledScale(Standardize):
    """Standardize whose variance is pooled with one known before, which counts as `PSEUDO` values."""

    def __init__(self, scale: float) -> None:
        super().__init__(m=1)
        self.known = scale

    def forward(self, Y: Tensor, Yvar: Tensor | None = None, X: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """As of Standardize; `n x 1`."""
        if self.training:
            super().forward(Y, Yvar, X)
            squares = (Y - self.means).square().sum(dim=-2, keepdim=True)
            self._stdvs_sq = (PSEUDO * self.known**2 + squares) / (PSEUDO + Y.shape[-2] - 1)
            self.stdvs = self._stdvs_sq.sqrt()
        return (Y - self.means) / self.stdvs, None if Yvar is None else Yvar / self._stdvs_sq


class PriorBelief(GaussianBelief):
    """What histories alone tell of a new campaign of which nothing is measured yet: the process above, not fitted.

    Its level is that of the histories, shifted by nothing.

    Args:
        histories: at least one.
        bags: any of the new campaign.
        encoder: of its designs.
    """

    def __init__(self, histories: Sequence[History], bags: Bags, encoder: Encoder, recipe: GP) -> None:
        super().__init__()
        self.encoder = encoder
        self.inputs = TransferInputs(kernel_inputs(bags, recipe.principal_components), histories)
        self.mean = HistoryMean(self.inputs.widths, histories).requires_grad_(False)
        own = composition_kernel(self.inputs.widths, additive_side=recipe.additive_side)
        self.kernel = WithHistory(own, self.mean).requires_grad_(False)
        self.centre = sum(h.believed.centre for h in histories) / len(histories)
        self.scale = math.sqrt(sum(h.scale**2 for h in histories) / len(histories))

    @property
    def num_outputs(self) -> int:
        """One."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """Empty: one model."""
        return torch.Size()

    def belief(self, X: Tensor, noisy: bool) -> tuple[Tensor, Tensor]:
        """Mean and covariance; what is noise here is not known yet, a measurement counts as its noise-free value."""
        Z = self.inputs(self.encoder(X)).unflatten(0, X.shape[:-1])
        covariance = self.kernel(Z).to_dense() + JITTER * torch.eye(Z.shape[-2], dtype=Z.dtype)
        return (self.centre + self.scale * self.mean(Z)).unsqueeze(-1), self.scale**2 * covariance

    def noise_variance(self, X: Tensor) -> Tensor:
        """Not known yet: 0, `batch_shape x q x 1`."""
        return X.new_zeros(*X.shape[:-1], 1)

    def subset_output(self, idcs: list[int]) -> GaussianBelief:
        """The model itself, which has one output."""
        return self
