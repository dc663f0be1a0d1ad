"""An exact Gaussian process on compositions: the surrogate of few data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from botorch.exceptions.errors import UnsupportedError
from botorch.models import SingleTaskGP
from botorch.models.transforms.outcome import Standardize
from botorch.models.utils import gpt_posterior_settings
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import Kernel
from torch import Tensor

from surrogates.bags import Bags
from surrogates.conformal import Score
from surrogates.encoders.elements import CompositionEncoder
from surrogates.kernels import Encode, KernelInputs, composition_kernel, homoscedastic_noise
from surrogates.likelihood import JITTER, log_normal_density, log_prior, maximise
from surrogates.quantiles import normal_quantiles
from surrogates.recipes.base import Learned, Problem, Recipe, Trained

CHUNK = 512
"""Bags that are predicted together."""
SMALLEST_NOISE = 1e-4
"""Least noise variance, in variances of the target; a stated variance below it counts as this much."""


class JitteredGP(SingleTaskGP):
    """SingleTaskGP whose posterior covariance is positive definite where a design occurs twice, as replicates do."""

    def __call__(self, *args: Any, **kwargs: Any) -> MultivariateNormal:
        """As of any exact process; in evaluation, with `JITTER` on the diagonal of the standardised covariance."""
        belief = super().__call__(*args, **kwargs)
        if self.training:
            return belief
        return MultivariateNormal(belief.mean, belief.lazy_covariance_matrix.add_jitter(JITTER))


@dataclass(frozen=True)
class GP(Recipe):
    """BoTorch's SingleTaskGP in float64 on standardised targets, with the kernel of `surrogates.kernels`.

    Noise is learned under BoTorch's LogNormal(-4, 1) prior (Hvarfner et al. 2024; it has the mode of BayBE's noise
    prior and a longer tail, so that noisy data are not forced into the kernel), or taken from the targets where the
    variance of every value is known. Hyperparameters maximise the posterior density, from the mode of their priors.
    """

    type: ClassVar[str] = "gp"
    score: ClassVar[Score] = "scaled"

    principal_components: int = 4
    """At most so many principal components of the fraction-weighted descriptors are inputs."""

    def __post_init__(self) -> None:
        if self.principal_components < 0:
            raise ValueError(f"principal_components cannot be negative, not {self.principal_components}")

    def train(self, problem: Problem, seed: int) -> Trained:
        """Fit to all rows and, for the out-of-fold quantiles, anew to the other folds of every fold; no randomness."""
        inputs = KernelInputs.of(problem.bags, self.principal_components)
        Z = inputs(problem.bags).detach()
        model = _model(Z, problem, torch.ones(len(Z), dtype=torch.bool), composition_kernel(inputs.widths))
        notes = _maximise(model)
        out_of_fold = torch.full((len(Z), 1, 9), torch.nan, dtype=torch.float64)
        for fold in range(problem.folds):
            held = problem.fold == fold
            refit = _model(Z, problem, ~held, composition_kernel(inputs.widths))
            notes += tuple(f"fold {fold + 1}: {note}" for note in _maximise(refit))
            out_of_fold[held] = _quantiles(refit, Z[held])
        return Trained(LearnedGP(problem, inputs, model), out_of_fold, notes)

    def restore(self, tensors: Mapping[str, Tensor], problem: Problem) -> Learned:
        """The same process on the same data with the hyperparameters learned before."""
        inputs = KernelInputs.of(problem.bags, self.principal_components)
        everything = torch.ones(len(problem.bags), dtype=torch.bool)
        model = _model(inputs(problem.bags), problem, everything, composition_kernel(inputs.widths))
        model.load_state_dict(dict(tensors))
        return LearnedGP(problem, inputs, model.eval().requires_grad_(False))


@dataclass(frozen=True, eq=False)
class LearnedGP:
    """A fitted process, over kernel inputs."""

    problem: Problem
    inputs: KernelInputs
    model: SingleTaskGP

    def quantiles(self, bags: Bags) -> Tensor:
        """Quantiles of a measurement, `n x 1 x 9`: noise included."""
        return _quantiles(self.model, self.inputs(bags))

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """There is none.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("a Gaussian process has no attention; its element effects explain it")

    def botorch_model(self, encoder: CompositionEncoder) -> SingleTaskGP:
        """The same process over designs; everything of SingleTaskGP works, fantasies and gradients in X included."""
        everything = torch.ones(len(self.problem.bags), dtype=torch.bool)
        X = encoder.designs(self.problem.bags)
        face = _model(X, self.problem, everything, composition_kernel(self.inputs.widths), Encode(encoder, self.inputs))
        face.load_state_dict(self.model.state_dict())
        return face.eval().requires_grad_(False)

    def tensors(self) -> dict[str, Tensor]:
        """Hyperparameters and the scale of the target."""
        return dict(self.model.state_dict())


def _model(X: Tensor, problem: Problem, rows: Tensor, kernel: Kernel, transform: Encode | None = None) -> SingleTaskGP:
    """The process on some rows, not yet fitted."""
    value, variance = problem.value[rows], problem.variance
    if variance is not None:
        spread = value.var() if len(value) > 1 else value.new_ones(())
        variance = variance[rows].clamp_min(SMALLEST_NOISE * float(spread or 1.0))
    return JitteredGP(
        X[rows],
        value,
        variance,
        likelihood=homoscedastic_noise() if variance is None else None,
        covar_module=kernel,
        outcome_transform=Standardize(m=1),
        input_transform=transform,
    )


def _maximise(model: SingleTaskGP) -> tuple[str, ...]:
    """Fit the hyperparameters to the model's training data; returns notes on what failed."""
    (Z,), y = model.train_inputs, model.train_targets

    def objective() -> Tensor:
        covariance = model.covar_module(Z).to_dense() + torch.diag(model.likelihood.noise.expand(len(y)))
        return log_normal_density(y - model.mean_module(Z), covariance) + log_prior(model)

    notes = maximise(objective, model, len(y))
    model.eval().requires_grad_(False)
    return notes


def _quantiles(model: SingleTaskGP, Z: Tensor) -> Tensor:
    """Quantiles of a measurement, `n x 1 x 9`, found in standardised units, in which any unit is as good as another."""
    noise, scale = model.likelihood.noise.mean(), model.outcome_transform
    chunks = [Z.new_zeros(0, 1, 9)]
    with gpt_posterior_settings():
        for part in Z.split(CHUNK):
            belief = model(part)
            standard = normal_quantiles(belief.mean, (belief.variance + noise).sqrt())
            chunks.append((standard * scale.stdvs + scale.means).unsqueeze(1))
    return torch.cat(chunks)
