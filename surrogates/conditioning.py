"""Conditioning of a Gaussian belief on further observations: what fantasies and the knowledge gradient ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.exceptions.errors import UnsupportedError
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior, Posterior
from botorch.sampling.base import MCSampler
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from torch import Tensor, nn

from surrogates.likelihood import JITTER


class GaussianBelief(Model, ABC):
    """A model whose posterior is jointly normal over points and outputs, so that it can be conditioned exactly."""

    @abstractmethod
    def noise_variance(self, X: Tensor) -> Tensor:
        """Variance of a measurement at X, `batch_shape x q x d`, about its noise-free value: `batch_shape x q x m`."""

    @abstractmethod
    def belief(self, X: Tensor, noisy: bool) -> tuple[Tensor, Tensor]:
        """Mean `... x q x m` and covariance `... x (q m) x (q m)`, the outputs of the first point first.

        Args:
            X: `batch_shape x q x d`.
            noisy: whether of a measurement.
        """

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
            UnsupportedError: observation noise is given as a tensor, or there is no such output.
        """
        if isinstance(observation_noise, Tensor):
            raise UnsupportedError("the noise of the belief is its own; observation_noise is True or False")
        asked = self if output_indices is None else self.subset_output(output_indices)
        posterior = GPyTorchPosterior(joint_normal(*asked.belief(X, observation_noise)))
        return posterior if posterior_transform is None else posterior_transform(posterior, X=X)

    def condition_on_observations(self, X: Tensor, Y: Tensor, noise: Tensor | None = None, **kwargs: Any) -> Model:
        """The belief after observing Y, `... x n x m`, at X, `... x n x d`.

        Args:
            X: where.
            Y: what; by leading dimensions of its own it gives a batch of beliefs, as fantasies do.
            noise: variance of each observation, `... x n x m`; by default that of a measurement.
            **kwargs: of other models, not used.
        """
        return ConditionedModel(self, X, Y, self.noise_variance(X) if noise is None else noise)

    def fantasize(self, X: Tensor, sampler: MCSampler, observation_noise: Tensor | None = None, **kwargs: Any) -> Model:
        """The beliefs after measurements drawn from the present one at X, `batch_shape x q x d`.

        Args:
            X: where.
            sampler: draws `num_fantasies` measurements; with them the batch shape is `num_fantasies x batch_shape`.
            observation_noise: variance of each measurement, `batch_shape x q x m`; by default the model's own.
            **kwargs: of other models, not used.
        """
        noise = self.noise_variance(X) if observation_noise is None else observation_noise
        quiet = self.posterior(X)
        covariance = quiet.distribution.covariance_matrix
        covariance = covariance + torch.diag_embed(noise.expand_as(quiet.mean).flatten(-2))
        drawn = sampler(GPyTorchPosterior(joint_normal(quiet.mean, covariance)))
        return self.condition_on_observations(X, drawn, noise=noise)


def joint_normal(mean: Tensor, covariance: Tensor) -> MultivariateNormal:
    """The normal distribution of m outputs at q points.

    Args:
        mean: `... x q x m`.
        covariance: `... x (q m) x (q m)`, the outputs of the first point first.
    """
    if mean.shape[-1] == 1:
        return MultivariateNormal(mean.squeeze(-1), covariance)
    return MultitaskMultivariateNormal(mean, covariance)


def interleaved(covariances: Sequence[Tensor]) -> Tensor:
    """Covariances of m independent outputs, `... x q x q` each, as one of `... x (q m) x (q m)`."""
    blocks = torch.diag_embed(torch.stack(list(covariances), dim=-1)).movedim(-2, -3)
    return blocks.flatten(-4, -3).flatten(-2)


class ConditionedModel(GaussianBelief):
    """A Gaussian belief after n observations (Rasmussen and Williams 2006, eq. A.6).

    Args:
        base: the belief before.
        X: where it was observed, `... x n x d`.
        Y: what, `... x n x m`; leading dimensions of X and Y are broadcast and become the model's batch shape.
        noise: variance of each observation, `... x n x m`.
    """

    def __init__(self, base: GaussianBelief, X: Tensor, Y: Tensor, noise: Tensor) -> None:
        super().__init__()
        self.base, self.Y, self.noise = base, Y, noise
        self.X = X.expand(*torch.broadcast_shapes(X.shape[:-2], Y.shape[:-2]), *X.shape[-2:])

    @property
    def num_outputs(self) -> int:
        """Those of the belief before."""
        return self.base.num_outputs

    @property
    def batch_shape(self) -> torch.Size:
        """Leading dimensions of the observations."""
        return self.X.shape[:-2]

    def belief(self, X: Tensor, noisy: bool) -> tuple[Tensor, Tensor]:
        """Mean and covariance."""
        shape = torch.broadcast_shapes(X.shape[:-2], self.batch_shape)
        both = torch.cat([self.X.expand(*shape, *self.X.shape[-2:]), X.expand(*shape, *X.shape[-2:])], dim=-2)
        before, covariance = self.base.belief(both, False)
        mean = before.flatten(-2)
        known = self.Y.shape[-2] * self.num_outputs
        seen = covariance[..., :known, :known] + torch.diag_embed(self.noise.flatten(-2).expand(*shape, known))
        cross = covariance[..., :known, known:]
        factor = torch.linalg.cholesky(seen + JITTER * torch.diag_embed(seen.diagonal(dim1=-2, dim2=-1)))
        white = torch.linalg.solve_triangular(factor, cross, upper=False)
        missed = (self.Y.flatten(-2) - mean[..., :known]).unsqueeze(-1)
        shift = white.mT @ torch.linalg.solve_triangular(factor, missed, upper=False)
        after = covariance[..., known:, known:] - white.mT @ white
        if noisy:
            after = after + torch.diag_embed(self.noise_variance(X).flatten(-2).expand(after.shape[:-1]))
        return (mean[..., known:] + shift.squeeze(-1)).unflatten(-1, (-1, self.num_outputs)), after

    def noise_variance(self, X: Tensor) -> Tensor:
        """That of the belief before."""
        return self.base.noise_variance(X)

    def subset_output(self, idcs: list[int]) -> Model:
        """Not possible: outputs that are dropped were observed, and tell about those that are kept.

        Raises:
            UnsupportedError: some output is left out.
        """
        if list(idcs) != list(range(self.num_outputs)):
            raise UnsupportedError("outputs of a conditioned belief hang together; condition the subset instead")
        return self


class IndependentOutputs(GaussianBelief):
    """Beliefs of one output each, asked together.

    Args:
        models: `m` of them.
    """

    def __init__(self, models: Sequence[GaussianBelief]) -> None:
        super().__init__()
        self._models = nn.ModuleList(models)

    @property
    def models(self) -> list[GaussianBelief]:
        """The beliefs."""
        return list(self._models)  # type: ignore[arg-type]

    @property
    def num_outputs(self) -> int:
        """One for each model."""
        return len(self.models)

    @property
    def batch_shape(self) -> torch.Size:
        """Empty: one model."""
        return torch.Size()

    def belief(self, X: Tensor, noisy: bool) -> tuple[Tensor, Tensor]:
        """Mean and covariance."""
        means, covariances = zip(*(model.belief(X, noisy) for model in self.models), strict=True)
        return torch.cat(means, dim=-1), interleaved(covariances)

    def noise_variance(self, X: Tensor) -> Tensor:
        """Of each output."""
        return torch.cat([model.noise_variance(X) for model in self.models], dim=-1)

    def subset_output(self, idcs: list[int]) -> Model:
        """The beliefs about some outputs."""
        return IndependentOutputs([self.models[i] for i in idcs])
