"""Fitting the hyperparameters of Gaussian processes: densities, priors, and one deterministic optimiser.

Covariances are evaluated densely and directly; at the sizes of a campaign this is several times faster than the lazy
path of GPyTorch, and the modules are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import deepcopy

import torch
from botorch.optim.core import scipy_minimize
from torch import Tensor, nn

JITTER = 1e-6
"""Added to the diagonal of a covariance of standardised values."""
WORST = 1e10
"""Stands for a density that cannot be evaluated."""


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

    Parameters at which the density cannot be evaluated count as very bad, so that the line search turns back.

    Args:
        objective: a differentiable scalar.
        module: its parameters are written.
        n: number of observations, which scales the objective so that the stopping rule means the same at every size.
        max_iterations: at most so many steps.

    Returns:
        Notes: empty, or that the parameters were left where they stood because no better ones could be found.
    """
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    start = deepcopy(module.state_dict())

    def closure() -> tuple[Tensor, tuple[Tensor, ...]]:
        try:
            with torch.enable_grad():
                loss = -objective() / n
            gradients = torch.autograd.grad(loss, tuple(parameters.values()))
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            return _nowhere(parameters)
        sound = loss.isfinite() and all(gradient.isfinite().all() for gradient in gradients)
        return (loss, gradients) if sound else _nowhere(parameters)

    result = scipy_minimize(closure, parameters, options={"maxiter": max_iterations})
    if result.fval is not None and float(result.fval) < WORST:
        return ()
    module.load_state_dict(start)
    return ("hyperparameters stay at the mode of their priors: their density could not be evaluated",)


def _nowhere(parameters: Mapping[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    return torch.tensor(WORST, dtype=torch.float64), tuple(torch.zeros_like(p) for p in parameters.values())
