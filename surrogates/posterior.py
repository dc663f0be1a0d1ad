"""The BoTorch face of an ensemble: a Gaussian belief about the noise-free value, joint over all points asked."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.exceptions.errors import UnsupportedError
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior, Posterior
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import Kernel
from torch import Tensor, nn

from surrogates.bags import Bags
from surrogates.encoders.elements import CompositionEncoder
from surrogates.kernels import KernelInputs, composition_kernel
from surrogates.likelihood import JITTER, log_normal_density, log_prior, maximise
from surrogates.quantiles import MEDIAN, head_variance
from surrogates.recipes.base import Problem

COMPONENTS = 4
"""Principal components among the inputs of the residual process."""
FACTOR_SD = 1.0
"""Sd of the normal priors on the logarithms of the two factors below, around 0."""


class Members(Protocol):
    """What the face asks of an ensemble of `P` members."""

    @property
    def problem(self) -> Problem:
        """What it was trained on."""
        ...

    def member_quantiles(self, bags: Bags) -> Tensor:
        """Quantiles of each member, `P x n x t x 9`."""
        ...

    def held_out(self) -> Tensor:
        """Whether each member did not see each training row, `P x n`."""
        ...

    def out_of_fold(self) -> Tensor:
        """Quantiles of each training row by the members that did not see it, `n x t x 9`."""
        ...


class ResidualProcess(nn.Module):
    """A small Gaussian process on what the ensemble misses out of fold.

    In units of the targets' sd, the out-of-fold residual of row i is

        r_i ~ N(0, k(x_i, x_j) + [i = j] (c^2 d_i^2 + a^2 h_i))

    with k the kernel of `surrogates.kernels`, d_i^2 the variance over the members that did not see row i, and h_i the
    variance that the head states (or that is known of the measurement). The factors c and a and the kernel's
    hyperparameters are fitted together by this density, the log score of the residuals.
    """

    def __init__(self, ensemble: Members) -> None:
        super().__init__()
        problem = ensemble.problem
        self.inputs = KernelInputs.of(problem.bags, COMPONENTS)
        self.scale = float(problem.value.std()) or 1.0
        with torch.no_grad():
            members, held = ensemble.member_quantiles(problem.bags)[:, :, 0], ensemble.held_out()
            seen = ensemble.out_of_fold()[:, 0]
            medians = members[:, :, MEDIAN]
            spread = ((medians - seen[:, MEDIAN]).square() * held).sum(0) / (held.sum(0) - 1).clamp_min(1)
            self.residual = (problem.value[:, 0] - seen[:, MEDIAN]) / self.scale
            known = problem.variance
            self.head = (head_variance(seen) if known is None else known[:, 0]) / self.scale**2
            self.deviation = spread / self.scale**2
            self.Z = self.inputs(problem.bags)
        self.known_noise = None if known is None else float(known.mean()) / self.scale**2
        self.kernel: Kernel = composition_kernel(self.inputs.widths)
        self.log_c = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.log_a = nn.Parameter(torch.zeros((), dtype=torch.float64), requires_grad=known is None)
        self.notes = maximise(self._log_score, self, len(self.residual))
        self.requires_grad_(False)
        self.factor = torch.linalg.cholesky(self._covariance() + JITTER * torch.eye(len(self.Z), dtype=torch.float64))

    def _covariance(self) -> Tensor:
        noise = (2 * self.log_c).exp() * self.deviation + (2 * self.log_a).exp() * self.head
        return self.kernel(self.Z).to_dense() + torch.diag(noise)

    def _log_score(self) -> Tensor:
        factors = torch.stack([self.log_c, self.log_a])
        prior = log_prior(self.kernel) - 0.5 * (factors / FACTOR_SD).square().sum()
        return log_normal_density(self.residual, self._covariance()) + prior

    def covariance(self, Z: Tensor) -> Tensor:
        """Posterior covariance at kernel inputs `batch_shape x q x d`: `... x q x q`, in squared target units."""
        cross = self.kernel(self.Z, Z).to_dense()
        white = torch.linalg.solve_triangular(self.factor, cross, upper=False)
        return self.scale**2 * (self.kernel(Z).to_dense() - white.mT @ white)

    def noise(self, quantiles: Tensor) -> Tensor:
        """Variance of a measurement where the ensemble predicts these quantiles: `... x 9` to `...`."""
        if self.known_noise is not None:
            return torch.full_like(quantiles[..., MEDIAN], self.known_noise * self.scale**2)
        return (2 * self.log_a).exp() * head_variance(quantiles)


class EnsembleBagModel(Model):
    """An ensemble of bag networks as a BoTorch model with one output.

    The posterior at X is normal with

        mean = mean over members of their medians
        covariance = c^2 D^T D / (P - 1) + covariance of the residual process

    where D, `P x q`, are the members' deviations from their mean. It is about the noise-free value; with
    `observation_noise=True` the variance that the head states, times a^2, is added. Samples are joint, and of full
    rank at distinct points. The result is differentiable in X.
    """

    def __init__(self, ensemble: Members, encoder: CompositionEncoder) -> None:
        super().__init__()
        self.ensemble = ensemble
        self.encoder = encoder
        self.process = ResidualProcess(ensemble)

    @property
    def num_outputs(self) -> int:
        """One."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """Empty: one model."""
        return torch.Size()

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
        **kwargs: Any,
    ) -> Posterior:
        """The belief at X, `batch_shape x q x d`.

        Raises:
            UnsupportedError: another output than 0 is asked for, or observation noise is given as a tensor.
        """
        if output_indices not in (None, [0]):
            raise UnsupportedError(f"the model has one output; output_indices cannot be {output_indices}")
        if isinstance(observation_noise, Tensor):
            raise UnsupportedError("the noise of an ensemble is its own; observation_noise is True or False")
        shape = X.shape[:-1]
        bags = self.encoder(X)
        members = self.ensemble.member_quantiles(bags)[:, :, 0]
        medians = members[..., MEDIAN].reshape(-1, *shape)
        mean = medians.mean(0)
        deviations = ((medians - mean) * self.process.log_c.exp() / math.sqrt(len(medians) - 1)).movedim(0, -2)
        residual = self.process.covariance(self.process.inputs(bags).reshape(*shape, -1))
        covariance = deviations.mT @ deviations + residual
        extra = torch.full_like(mean, JITTER * self.process.scale**2)
        if observation_noise:
            extra = extra + self.process.noise(members.mean(0)).reshape(shape)
        posterior = GPyTorchPosterior(MultivariateNormal(mean, covariance + torch.diag_embed(extra)))
        return posterior if posterior_transform is None else posterior_transform(posterior, X=X)

    def subset_output(self, idcs: list[int]) -> Model:
        """The model itself, which has one output.

        Raises:
            UnsupportedError: another output is asked for.
        """
        if idcs != [0]:
            raise UnsupportedError(f"the model has one output; it has no outputs {idcs}")
        return self

    def condition_on_observations(self, X: Tensor, Y: Tensor, **kwargs: Any) -> Model:
        """Not possible: members would have to be trained anew.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("an ensemble cannot be conditioned on observations; fit it again with the new data")

    def fantasize(self, *args: Any, **kwargs: Any) -> Model:
        """Not possible, as `condition_on_observations` is not.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("an ensemble has no fantasies; acquisition functions that need them take a gp model")
