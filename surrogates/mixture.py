"""The BoTorch face of several beliefs about one value: the normal one with the moments of their mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from botorch.exceptions.errors import UnsupportedError
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from torch import Tensor, nn

from surrogates.conditioning import GaussianBelief


class MixtureBelief(GaussianBelief):
    """R beliefs of one output, weighted as stacked predictive distributions are (Yao et al. 2018), as one belief.

    The mixture sum_r w_r N(m_r, C_r) of normal beliefs over functions has

        mean = sum_r w_r m_r
        covariance = sum_r w_r (C_r + (m_r - mean) (m_r - mean)^T)

    at any points, whichever others are asked with them; the posterior is normal with these moments. What the parts know
    jointly stays, and where they contradict each other it is wide, along the direction in which they do. Conditioning
    on observations is that of the normal distribution: neither parts nor weights are found anew.

    Args:
        models: `R`, each with one output, a normal posterior and noise of its own.
        weights: `R`, not negative, of sum 1.
    """

    def __init__(self, models: Sequence[Model], weights: Tensor) -> None:
        super().__init__()
        self._models = nn.ModuleList(models)
        self.weights = weights

    @property
    def models(self) -> list[Model]:
        """The beliefs that are mixed."""
        return list(self._models)

    @property
    def num_outputs(self) -> int:
        """One."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """Empty: one model."""
        return torch.Size()

    def belief(self, X: Tensor, noisy: bool) -> tuple[Tensor, Tensor]:
        """Mean and covariance, each part asked once; memory is that of one part and the answer."""
        means: list[Tensor] = []
        covariance = X.new_zeros(())
        for model, weight in zip(self.models, self.weights.tolist(), strict=True):
            found = cast(GPyTorchPosterior, model.posterior(X, observation_noise=noisy))
            means.append(found.mean.squeeze(-1))
            covariance = torch.add(covariance, found.distribution.covariance_matrix, alpha=weight)
        located = torch.stack(means, dim=-2)
        mean = torch.einsum("r,...rq->...q", self.weights, located)
        apart = self.weights.sqrt().unsqueeze(-1) * (located - mean.unsqueeze(-2))
        return mean.unsqueeze(-1), covariance + apart.mT @ apart

    def noise_variance(self, X: Tensor) -> Tensor:
        """That of the parts, averaged by weight: what a measurement adds to each of them."""
        alone, total = X.unsqueeze(-2), X.new_zeros(())
        for model, weight in zip(self.models, self.weights.tolist(), strict=True):
            noisy = model.posterior(alone, observation_noise=True).variance
            total = total + weight * (noisy - model.posterior(alone).variance)
        return total.squeeze(-2).clamp_min(0)

    def subset_output(self, idcs: list[int]) -> Model:
        """The model itself, which has one output.

        Raises:
            UnsupportedError: another output is asked for.
        """
        if any(i not in (0, -1) for i in idcs):
            raise UnsupportedError(f"the model has one output; it has no outputs {idcs}")
        return self
