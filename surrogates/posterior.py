"""The BoTorch face of an ensemble: a Gaussian belief about the noise-free value, joint over all points asked."""

from __future__ import annotations

import math
from copy import copy
from typing import Protocol

import torch
from botorch.exceptions.errors import UnsupportedError
from botorch.models.model import Model
from gpytorch.kernels import Kernel
from torch import Tensor, nn

from surrogates.bags import Bags
from surrogates.conditioning import GaussianBelief, interleaved
from surrogates.encoders.base import Encoder
from surrogates.kernel_inputs import kernel_inputs
from surrogates.kernels import kernel_of
from surrogates.likelihood import JITTER, log_normal_density, log_prior, maximise
from surrogates.networks.heads import Head
from surrogates.recipes.base import Problem
from surrogates.splits import NEVER

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

    @property
    def head(self) -> Head:
        """What it predicts."""
        ...

    @property
    def predicting(self) -> Tensor:
        """Numbers of the members that predict."""
        ...

    def predictions(self, bags: Bags) -> Tensor:
        """What they predict together, `n x t x o`."""
        ...

    def member_predictions(self, bags: Bags, members: Tensor) -> Tensor:
        """Predictions of some members, `P' x n x t x o`."""
        ...

    def held_out(self) -> tuple[Tensor, Tensor]:
        """Predictions for the training rows by members that left out a fold, `P' x n x t x o`, and which, `P' x n`."""
        ...


class ResidualProcess(nn.Module):
    """A small Gaussian process on what the ensemble misses out of fold, of one target.

    In units of the target's sd, the out-of-fold residual of row i is

        r_i ~ N(0, k(x_i, x_j) + [i = j] (c^2 d_i^2 + a^2 h_i))

    with k the kernel of `surrogates.kernels`, d_i^2 the variance over the members that did not see row i, and h_i the
    variance that the head states (or that is known of the measurement). The factors c and a and the kernel's
    hyperparameters are fitted together by this density, the log score of the residuals. Where a single member left out
    each row, nothing tells how far disagreement means error: c is 0, and the process alone knows what is not known.

    Raises:
        ValueError: nothing was predicted out of fold.
    """

    def __init__(self, ensemble: Members, target: int) -> None:
        super().__init__()
        problem, self.head = ensemble.problem, ensemble.head
        rows = (problem.fold != NEVER) & ~problem.value[:, target].isnan()
        if not rows.any():
            raise ValueError("a belief needs out-of-fold residuals; calibration none, or a single group, leaves none")
        value, bags = problem.value[rows, target], problem.bags[rows]
        self.inputs = kernel_inputs(bags, COMPONENTS)
        self.scale = float(value.std(correction=0)) or 1.0
        with torch.no_grad():
            predictions, held = ensemble.held_out()
            predictions, held = predictions[:, rows, target], held[:, rows]
            self.several = bool((held.sum(0) > 1).all())
            share = held.unsqueeze(-1).double()
            seen = (predictions * share).sum(0) / share.sum(0)
            location = self.head.location(seen)
            missed = (self.head.location(predictions) - location).square() * held
            known = problem.known_variance(target)
            self.residual = (value - location) / self.scale
            self.noisy = (self.head.noise(seen) if known is None else known[rows]) / self.scale**2
            self.deviation = missed.sum(0) / (held.sum(0) - 1).clamp_min(1) / self.scale**2
            self.Z = self.inputs(bags)
        self.known_noise = None if known is None else float(known[rows].mean())
        self.kernel: Kernel = kernel_of(self.inputs)
        self.log_c = nn.Parameter(torch.zeros((), dtype=torch.float64), requires_grad=self.several)
        self.log_a = nn.Parameter(torch.zeros((), dtype=torch.float64), requires_grad=known is None)
        self.notes = maximise(self._log_score, self, len(self.residual))
        self.requires_grad_(False)
        self.factor = torch.linalg.cholesky(self._covariance() + JITTER * torch.eye(len(self.Z), dtype=torch.float64))

    @property
    def c(self) -> Tensor:
        """The factor on the members' deviations."""
        return self.log_c.exp() * self.several

    def _covariance(self) -> Tensor:
        noise = self.c.square() * self.deviation + (2 * self.log_a).exp() * self.noisy
        return self.kernel(self.Z).to_dense() + torch.diag(noise)

    def _log_score(self) -> Tensor:
        factors = torch.stack([self.log_c, self.log_a])
        prior = log_prior(self.kernel) - 0.5 * (factors / FACTOR_SD).square().sum()
        return log_normal_density(self.residual, self._covariance()) + prior

    def covariance(self, Z: Tensor) -> Tensor:
        """Posterior covariance at kernel inputs `batch_shape x q x d`: `... x q x q`, in squared target units."""
        cross = self.kernel(self.Z, Z.flatten(0, -2)).to_dense()
        white = torch.linalg.solve_triangular(self.factor, cross, upper=False)
        white = white.unflatten(1, Z.shape[:-1]).movedim(0, -2)
        return self.scale**2 * (self.kernel(Z).to_dense() - white.mT @ white)

    def noise(self, prediction: Tensor) -> Tensor:
        """Variance of a measurement for which the ensemble predicts this: `... x o` to `...`."""
        found = (2 * self.log_a).exp() * self.head.noise(prediction)
        return found if self.known_noise is None else torch.full_like(found, self.known_noise)


class EnsembleBagModel(GaussianBelief):
    """An ensemble as a BoTorch model with an output for each target.

    The posterior at X is normal with

        mean = mean over members of their central predictions
        covariance = c^2 D^T D / (P - 1) + covariance of the residual process

    where D, `P x q`, are the members' deviations from their mean. It is about the noise-free value; with
    `observation_noise=True` the variance that the head states, times a^2, is added. Samples are joint over points and
    outputs (members that miss one target tend to miss another), and of full rank at distinct points; residual processes
    of different outputs are independent. The result is differentiable in X, and conditioning on observations is that of
    the normal distribution: members are not trained anew.

    Raises:
        ValueError: nothing was predicted out of fold.
    """

    def __init__(self, ensemble: Members, encoder: Encoder) -> None:
        super().__init__()
        self.ensemble = ensemble
        self.encoder = encoder
        self.targets = list(range(ensemble.problem.value.shape[1]))
        self._processes = nn.ModuleList([ResidualProcess(ensemble, target) for target in self.targets])

    @property
    def processes(self) -> list[ResidualProcess]:
        """The residual process of each output."""
        return [self._processes[target] for target in self.targets]  # type: ignore[misc]

    @property
    def num_outputs(self) -> int:
        """One for each target."""
        return len(self.targets)

    @property
    def batch_shape(self) -> torch.Size:
        """Empty: one model."""
        return torch.Size()

    def belief(self, X: Tensor, noisy: bool) -> tuple[Tensor, Tensor]:
        """Mean and covariance, with a little on the diagonal so that points may occur twice."""
        shape, bags = X.shape[:-1], self.encoder(X)
        predictions = self.ensemble.member_predictions(bags, self.ensemble.predicting)[:, :, self.targets]
        located = self.ensemble.head.location(predictions).unflatten(1, shape)
        mean = located.mean(0)
        factors = torch.stack([process.c for process in self.processes])
        deviations = ((located - mean) * factors / math.sqrt(max(len(located) - 1, 1))).movedim(0, -3)
        residuals = [process.covariance(process.inputs(bags).unflatten(0, shape)) for process in self.processes]
        extra = torch.stack([torch.full(shape, JITTER * p.scale**2, dtype=mean.dtype) for p in self.processes], dim=-1)
        if noisy:
            extra = extra + self._noise(predictions.mean(0)).unflatten(0, shape)
        D = deviations.flatten(-2)
        return mean, D.mT @ D + interleaved(residuals) + torch.diag_embed(extra.flatten(-2))

    def noise_variance(self, X: Tensor) -> Tensor:
        """Variance of a measurement at X, `batch_shape x q x d`, about its noise-free value: `batch_shape x q x m`."""
        predictions = self.ensemble.predictions(self.encoder(X))[:, self.targets]
        return self._noise(predictions).unflatten(0, X.shape[:-1])

    def _noise(self, predictions: Tensor) -> Tensor:
        return torch.stack([p.noise(predictions[:, i]) for i, p in enumerate(self.processes)], dim=-1)

    def subset_output(self, idcs: list[int]) -> Model:
        """The same belief about some outputs.

        Raises:
            UnsupportedError: there is no such output.
        """
        if not all(-self.num_outputs <= i < self.num_outputs for i in idcs):
            raise UnsupportedError(f"the model has outputs 0 to {self.num_outputs - 1}; it has no outputs {idcs}")
        part = copy(self)
        part.targets = [self.targets[i] for i in idcs]
        return part
