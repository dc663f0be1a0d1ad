"""What an exact Gaussian process believes of points, one by one or jointly, in little more memory than the answer.

The lazy path of GPyTorch takes every single point as a batch of its own, and a joint covariance in a dozen copies.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from gpytorch.models import ExactGP
from torch import Tensor

BLOCK = 2**18
"""Numbers of a kernel block that are held at once: 2 MB, which stay in the processor's cache."""


def marginals(model: ExactGP, Z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the noise-free process at single points (Rasmussen and Williams 2006, eqs. 2.25 and 2.26).

    Args:
        model: one output and no batch dimensions, evaluating.
        Z: inputs as its kernel sees them, `n x d`.

    Returns:
        Mean and variance, `n` each, in the units of the model's training targets. Memory is a few blocks.
    """
    means, variances = [], []
    for part, mean, white in _whitened(model, Z):
        means.append(mean)
        variances.append((model.covar_module(part, diag=True) - white.square().sum(0)).clamp_min(0))
    return torch.cat(means), torch.cat(variances)


def joint(model: ExactGP, Z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, `n`, and covariance, `n x n`, of the same, without gradients. Memory is the covariance and a few blocks."""
    with torch.no_grad():
        means, whites = zip(*((mean, white) for _, mean, white in _whitened(model, Z)), strict=True)
        white = torch.cat(whites, dim=1)
        covariance = Z.new_empty(len(Z), len(Z))
        for rows in torch.arange(len(Z)).split(max(1, BLOCK // max(1, len(Z)))):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            covariance[part] = model.covar_module(Z[part], Z).to_dense()
            covariance[part].addmm_(white[:, part].mT, white, alpha=-1)
    return torch.cat(means), covariance


def _whitened(model: ExactGP, Z: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Parts of Z, the mean there, and L^-1 k(train, part), with L the Cholesky factor of the data's covariance."""
    train = model.train_inputs[0]
    missed = (model.train_targets - model.mean_module(train)).unsqueeze(-1)
    noise = torch.diag(model.likelihood.noise.expand(len(train)))
    factor = torch.linalg.cholesky(model.covar_module(train).to_dense() + noise)
    learned = torch.linalg.solve_triangular(factor, missed, upper=False).squeeze(-1)
    for part in Z.split(max(1, BLOCK // len(train))):
        white = torch.linalg.solve_triangular(factor, model.covar_module(train, part).to_dense(), upper=False)
        yield part, model.mean_module(part) + learned @ white, white
