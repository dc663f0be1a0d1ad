"""Fitting the hyperparameters of Gaussian processes: densities, priors, and one deterministic optimiser.

Covariances are evaluated densely and directly; at the sizes of a campaign this is several times faster than the lazy
path of GPyTorch, and the modules are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy

import torch
from botorch.optim.core import OptimizationStatus, scipy_minimize
from torch import Tensor, nn

JITTER = 1e-6
"""Added to the diagonal of a covariance of standardised values."""


def log_normal_density(residual: Tensor, covariance: Tensor) -> Tensor:
    """Log of N(residual; 0, covariance), of `n` and `n x n`, a scalar (Rasmussen and Williams 2006, eq. 2.30)."""
    n = len(residual)
    factor = torch.linalg.cholesky(covariance + JITTER * torch.eye(n, dtype=covariance.dtype))
    white = torch.linalg.solve_triangular(factor, residual.unsqueeze(-1), upper=False)
    return -0.5 * white.square().sum() - factor.diagonal().log().sum() - 0.5 * n * math.log(2 * math.pi)


def log_prior(module: nn.Module) -> Tensor:
    """Sum of the log densities of all priors registered in a GPyTorch module."""
    terms = [prior.log_prob(value(owner)).sum() for _, owner, prior, value, _ in module.named_priors()]  # type: ignore[operator]
    return torch.stack(terms).sum() if terms else torch.zeros((), dtype=torch.float64)


def maximise(objective: Callable[[], Tensor], module: nn.Module, n: int, max_iterations: int = 200) -> tuple[str, ...]:
    """Maximise a log density over the parameters of a module, by L-BFGS from where they stand.

    Args:
        objective: a differentiable scalar.
        module: its parameters are written.
        n: number of observations, which scales the objective so that the stopping rule means the same at every size.
        max_iterations: at most so many steps.

    Returns:
        Notes: empty, or why the parameters were left where they stood.
    """
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    start = deepcopy(module.state_dict())

    def closure() -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = -objective() / n
        return loss, torch.autograd.grad(loss, tuple(parameters.values()))

    with torch.no_grad():
        before = -float(objective()) / n
    result = scipy_minimize(closure, parameters, options={"maxiter": max_iterations})
    if result.status != OptimizationStatus.FAILURE or float(result.fval or math.inf) < before:
        return ()
    module.load_state_dict(start)
    return (f"hyperparameters stay at the mode of their priors: the optimiser failed ({result.message})",)
