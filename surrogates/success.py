"""How likely a synthesis is to succeed, learned from those that did and those that failed.

A synthesis succeeds where its liability g = f + e is above zero: f is a Gaussian process on the kernel of the
regression (`surrogates.kernels`), and e ~ N(0, 1) is what no two syntheses of one design share. Hence P(success) is
Phi(f), the probit classifier (Rasmussen and Williams 2006, section 3.6), and since the liability is an ordinary
Gaussian output that has to be above zero, whatever takes constraints takes it as one more.

The posterior of f is approximated by expectation propagation, whose probabilities are the closest to exact of the
deterministic ones (Kuss and Rasmussen 2005; Nickisch and Rasmussen 2008). Far from all data the probability is the base
rate: the mean of the Beta posterior of the success rate under Jeffreys' prior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.exceptions.errors import UnsupportedError
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from botorch.posteriors.posterior import Posterior
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import Kernel
from torch import Tensor

from surrogates.bags import Bags, content_hash
from surrogates.encoders.base import Encoder
from surrogates.kernel_inputs import KernelInputs, kernel_inputs
from surrogates.kernels import Encode, kernel_of
from surrogates.likelihood import JITTER, log_prior, maximise

JEFFREYS = 0.5
"""Both parameters of the Beta prior of the success rate."""
SPREAD = 4.0
"""Variance of f in units of the kernel's, which is 1 at the mode of its priors: a boundary may be as sharp as it is
blurred by e, whose variance is 1."""
COMPONENTS = 4
"""At most so many principal components of the descriptors of a composition are inputs, as in the regression."""
DAMPING = 0.8
"""Share of each step of the sites that is taken."""
CONVERGED = 1e-9
SWEEPS = 200


@dataclass(frozen=True)
class Sites:
    """The Gaussian that stands for the likelihood: exp(shift_i f_i - precision_i f_i^2 / 2), both `n`."""

    shift: Tensor
    precision: Tensor


@dataclass(frozen=True, eq=False)
class Success:
    """A fitted classifier: a cache of (bags, outcomes), never the truth."""

    inputs: KernelInputs
    kernel: Kernel
    Z: Tensor
    """Kernel inputs of what was tried, `n x d`."""
    mean: Tensor
    """Prior mean of f, a scalar."""
    weights: Tensor
    """What the covariance with each outcome adds to the mean of f, `n`."""
    known: Tensor
    """What the covariance with the outcomes takes from that of f, as a root, `n x n`."""
    data_hash: str
    """SHA-256 of bags and outcomes."""
    notes: tuple[str, ...] = ()

    def latent(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """Belief about f at kernel inputs `... x q x d`: mean `... x q`, covariance `... x q x q`."""
        across = SPREAD * self.kernel(self.Z, Z).to_dense()
        gone = self.known @ across
        return self.mean + self.weights @ across, SPREAD * self.kernel(Z).to_dense() - gone.mT @ gone

    def probability(self, bags: Bags) -> Tensor:
        """Probability of success, `n`."""
        with torch.no_grad():
            mean, covariance = self.latent(self.inputs(bags).unsqueeze(-2))
            return torch.special.ndtr(mean / (1 + covariance.squeeze(-1)).sqrt()).squeeze(-1)

    def botorch_model(self, encoder: Encoder) -> LiabilityModel:
        """The liability of a further synthesis as a BoTorch model over designs; above zero it succeeds."""
        return LiabilityModel(self, encoder)


class LiabilityModel(Model):
    """The liability of one synthesis of each design, `batch_shape x q x d`: f and the blur of its own."""

    def __init__(self, success: Success, encoder: Encoder) -> None:
        super().__init__()
        self.success = success
        self.encode = Encode(encoder, success.inputs)

    @property
    def num_outputs(self) -> int:
        """One."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """Always empty: one classifier."""
        return torch.Size()

    def subset_output(self, idcs: list[int]) -> LiabilityModel:
        """The model itself, which has one output.

        Raises:
            UnsupportedError: another output is asked for.
        """
        if any(i not in (0, -1) for i in idcs):
            raise UnsupportedError(f"the model has one output; it has no outputs {idcs}")
        return self

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
    ) -> Posterior:
        """Gaussian belief about the liabilities; the probability of success is that of a value above zero.

        No liability is ever observed, so that observation noise makes no difference.
        """
        mean, covariance = self.success.latent(self.encode.transform(X))
        blur = torch.eye(X.shape[-2], dtype=covariance.dtype)
        posterior = GPyTorchPosterior(MultivariateNormal(mean, covariance + blur))
        return posterior if posterior_transform is None else posterior_transform(posterior, X=X)


def learn_success(bags: Bags, made: Sequence[bool]) -> Success:
    """Learn from what was tried; no randomness, the same arguments give bit-identical results.

    Hyperparameters maximise the evidence of expectation propagation (Rasmussen and Williams 2006, eq. 3.65) times their
    priors, from the mode of the priors.

    Args:
        bags: `n` designs that were tried.
        made: whether each of them succeeded.

    Raises:
        ValueError: the two differ in number, or nothing succeeded or nothing failed.
    """
    outcome = torch.tensor(list(made), dtype=torch.bool)
    if len(bags) != len(outcome):
        raise ValueError(f"{len(bags)} bags have {len(outcome)} outcomes")
    if outcome.all() or not outcome.any():
        raise ValueError(f"of {len(outcome)} syntheses all or none failed; some of both are needed to tell them apart")
    inputs = kernel_inputs(bags, COMPONENTS)
    Z = inputs(bags).detach()
    kernel = kernel_of(inputs)
    notes = maximise(lambda: _log_evidence(kernel, Z, outcome) + log_prior(kernel), kernel, len(outcome))
    kernel.eval().requires_grad_(False)
    mean, covariance = _prior(kernel, Z, outcome)
    sites = propagate(covariance, mean, outcome)
    root, shift = sites.precision.sqrt(), sites.shift - sites.precision * mean
    known = torch.linalg.solve_triangular(_factor(covariance, root), root.diag(), upper=False)
    weights = shift - known.T @ (known @ (covariance @ shift))
    return Success(inputs, kernel, Z, mean, weights, known, data_hash=content_hash(bags.hash, outcome), notes=notes)


def base_rate(made: Tensor) -> float:
    """Mean of the Beta posterior of the success rate under Jeffreys' prior (Brown, Cai and DasGupta 2001)."""
    return float((made.sum() + JEFFREYS) / (len(made) + 2 * JEFFREYS))


def _prior(kernel: Kernel, Z: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, a scalar, and covariance, `n x n`, of f; where nothing is known P(success) is then the base rate."""
    covariance = SPREAD * kernel(Z).to_dense()
    rate = torch.tensor(base_rate(made), dtype=torch.float64)
    # stationary but for means over parts, whose variances differ a little
    mean = torch.special.ndtri(rate) * (1 + covariance.diagonal().mean()).sqrt()
    return mean, covariance + JITTER * torch.eye(len(Z), dtype=Z.dtype)


def _factor(covariance: Tensor, root: Tensor) -> Tensor:
    """Cholesky factor of B = 1 + S^(1/2) K S^(1/2)."""
    B = torch.eye(len(root), dtype=root.dtype) + root.unsqueeze(-1) * covariance * root
    return torch.linalg.cholesky(B)


def _marginals(covariance: Tensor, mean: Tensor, sites: Sites) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each f_i under prior and sites, and the log of their joint integral."""
    root = sites.precision.sqrt()
    factor = _factor(covariance, root)
    white = torch.linalg.solve_triangular(factor, root.unsqueeze(-1) * covariance, upper=False)
    posterior = covariance - white.mT @ white
    shift = sites.shift - sites.precision * mean
    moved = posterior @ shift
    integral = (sites.shift * mean - 0.5 * sites.precision * mean.square() + 0.5 * shift * moved).sum()
    return mean + moved, posterior.diagonal(), integral - factor.diagonal().log().sum()


@dataclass(frozen=True)
class _Cavity:
    """What each f_i would be without its own outcome."""

    mean: Tensor
    variance: Tensor
    z: Tensor
    """How far on the side of the outcome, in sds of the liability."""

    @classmethod
    def of(cls, mean: Tensor, variance: Tensor, sites: Sites, side: Tensor) -> _Cavity:
        left = 1 / (1 / variance - sites.precision)
        centre = left * (mean / variance - sites.shift)
        return cls(centre, left, side * centre / (1 + left).sqrt())


def propagate(covariance: Tensor, mean: Tensor, made: Tensor) -> Sites:
    """Expectation propagation, all sites at once (Rasmussen and Williams 2006, algorithm 3.5 and eq. 3.58).

    Args:
        covariance: of f, `n x n`.
        mean: of f, a scalar.
        made: outcomes, bool `n`.
    """
    side = torch.where(made, 1.0, -1.0).to(covariance)
    sites = Sites(torch.zeros_like(side), torch.zeros_like(side))
    with torch.no_grad():
        for _ in range(SWEEPS):
            centre, variance, _ = _marginals(covariance, mean, sites)
            cavity = _Cavity.of(centre, variance, sites, side)
            scale = (1 + cavity.variance).sqrt()
            slope = torch.exp(-0.5 * cavity.z.square() - torch.special.log_ndtr(cavity.z)) / math.sqrt(2 * math.pi)
            matched = cavity.mean + side * cavity.variance * slope / scale
            left = cavity.variance * (1 - cavity.variance * slope * (cavity.z + slope) / (1 + cavity.variance))
            precision = (1 / left - 1 / cavity.variance).clamp_min(0)
            shift = matched / left - cavity.mean / cavity.variance
            change = max(float((precision - sites.precision).abs().max()), float((shift - sites.shift).abs().max()))
            sites = Sites(torch.lerp(sites.shift, shift, DAMPING), torch.lerp(sites.precision, precision, DAMPING))
            if change < CONVERGED:
                break
    return sites


def _log_evidence(kernel: Kernel, Z: Tensor, made: Tensor) -> Tensor:
    """Log of the approximate P(outcomes), a scalar; at converged sites its gradient is that at fixed sites."""
    mean, covariance = _prior(kernel, Z, made)
    sites = propagate(covariance.detach(), mean.detach(), made)
    centre, variance, integral = _marginals(covariance, mean, sites)
    side = torch.where(made, 1.0, -1.0).to(covariance)
    cavity = _Cavity.of(centre.detach(), variance.detach(), sites, side)
    widened = 1 + sites.precision * cavity.variance
    moved = (sites.shift - sites.precision * cavity.mean).square() * cavity.variance / widened
    own = sites.shift * cavity.mean - 0.5 * sites.precision * cavity.mean.square() + 0.5 * (moved - widened.log())
    return integral + (torch.special.log_ndtr(cavity.z) - own).sum()
