"""A finite pool, believed once: the joint posterior of its rows, drawn once and then only indexed.

Scoring a batch over a discrete pool asks the same model about the same rows once per pick. `CachedPool` asks it a
single time and keeps the joint samples. It is also a BoTorch model whose inputs are row numbers, so that BoTorch's own
acquisition functions run on the very same samples.
"""

from __future__ import annotations

from typing import Any

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.exceptions.errors import UnsupportedError
from botorch.models.model import Model
from botorch.posteriors.posterior import Posterior
from botorch.sampling.base import MCSampler
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

N_SAMPLES = 512
"""Joint posterior samples per pool. Monte-Carlo error of an expected improvement is then about 4 % of its own sd."""


KNOWN = 1e-6
"""Variance of what is known for certain."""
SMALLEST_VARIANCE = 1e-8
"""Least variance left after conditioning, as a share of the variance before."""


class RowPosterior(Posterior):
    """Samples of some rows of a pool: `samples` is `n_samples x batch_shape x q x m`."""

    def __init__(self, samples: Tensor) -> None:
        self.samples = samples

    @property
    def device(self) -> torch.device:
        """Device of the samples."""
        return self.samples.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the samples."""
        return self.samples.dtype

    def _extended_shape(self, sample_shape: torch.Size = torch.Size()) -> torch.Size:  # noqa: B008
        return sample_shape + self.samples.shape[1:]

    def rsample(self, sample_shape: torch.Size | None = None) -> Tensor:
        """The first `sample_shape` of the cached samples: `sample_shape x batch_shape x q x m`.

        Raises:
            UnsupportedError: more samples are asked for than were drawn.
        """
        n = (sample_shape or torch.Size([1])).numel()
        if n > len(self.samples):
            raise UnsupportedError(f"{n} samples asked for, {len(self.samples)} were drawn with the pool")
        return self.samples[:n]


class CachedSampler(MCSampler):
    """Returns the samples that the pool holds; the same for every acquisition function."""

    def __init__(self, n_samples: int = N_SAMPLES) -> None:
        super().__init__(sample_shape=torch.Size([n_samples]), seed=0)

    def forward(self, posterior: RowPosterior) -> Tensor:
        """`n_samples x batch_shape x q x m` samples of the posterior's rows."""
        return posterior.rsample(self.sample_shape)

    def _update_base_samples(self, posterior: RowPosterior, base_sampler: MCSampler) -> None:
        """Nothing to align: every row has the same samples whoever asks."""


class CachedPool(Model):
    """A BoTorch model over the rows of a finite pool.

    Args:
        model: any BoTorch model with a Gaussian posterior and `m` outputs.
        X: the pool, `n x d`.
        seed: of the joint draw; the same model, pool and seed give the same samples bit for bit.
        n_samples: how many joint samples to draw.

    Its inputs X are row numbers, `batch_shape x q x 1`. Memory is `8 n (n + n_samples) m` bytes while drawing.
    """

    def __init__(self, model: Model, X: Tensor, *, seed: int, n_samples: int = N_SAMPLES) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            posteriors = (
                [model.subset_output([j]).posterior(X) for j in range(model.num_outputs)]
                if (model.num_outputs > 1)
                else [model.posterior(X)]
            )
            self.mean = torch.cat([p.mean for p in posteriors], dim=-1)
            """Posterior mean, `n x m`."""
            known = [p.distribution.covariance_matrix for p in posteriors]
            self.covariance = torch.stack(known) if len(known) > 1 else known[0].unsqueeze(0)
            """Posterior covariance of the noise-free values, `m x n x n`."""
            root = psd_safe_cholesky(self.covariance)
            # one draw an output, so that a further output leaves the samples of the others as they are
            draws = [torch.randn(X.shape[0], n_samples, generator=generator, dtype=X.dtype) for _ in root]
            self.samples = (root @ torch.stack(draws)).permute(2, 1, 0) + self.mean
            """Joint samples of the noise-free values, `n_samples x n x m`."""

    def given(self, rows: list[int], n: int, output: int = 0) -> tuple[Tensor, Tensor]:
        """Belief about one output of the first `n` rows given each joint sample of that output at some rows.

        Returns:
            Mean, `n_samples x n`, and sd, `n`, which is the same for all samples. Without rows the mean is repeated.
        """
        mean, covariance = self.mean[:n, output], self.covariance[output]
        variance = covariance.diagonal()[:n]
        if not rows:
            return mean.expand(len(self.samples), -1), variance.clamp_min(0).sqrt()
        root = psd_safe_cholesky(covariance[rows][:, rows])
        weights = torch.cholesky_solve(covariance[rows, :n], root)
        moved = (self.samples[:, rows, output] - self.mean[rows, output]) @ weights
        left = variance - (weights * covariance[rows, :n]).sum(0)
        return mean + moved, left.clamp_min(SMALLEST_VARIANCE * variance).sqrt()

    def settle(self, rows: list[int], output: int, value: float) -> None:
        """Make one output of some rows a known value that tells nothing of the other rows."""
        self.mean[rows, output] = value
        self.samples[:, rows, output] = value
        covariance = self.covariance[output]
        covariance[rows, :] = 0
        covariance[:, rows] = 0
        covariance[rows, rows] = KNOWN  # a covariance of some rows stays positive definite

    @property
    def num_outputs(self) -> int:
        """Number of objectives m."""
        return self.mean.shape[-1]

    @property
    def batch_shape(self) -> torch.Size:
        """Always empty: one pool, one model."""
        return torch.Size()

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
        **kwargs: Any,
    ) -> RowPosterior:
        """Cached samples of the rows named in `X` (`batch_shape x q x 1`).

        Raises:
            UnsupportedError: for observation noise or a posterior transform; the pool holds noise-free samples only.
        """
        if observation_noise is not False or posterior_transform is not None or output_indices is not None:
            raise UnsupportedError("a CachedPool holds noise-free samples of all outputs; use an objective instead")
        return RowPosterior(self.samples[:, X.squeeze(-1).long()])
