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
from torch import Tensor

from surrogates.bags import Bags
from surrogates.conformal import Score
from surrogates.encoders.base import Encoder
from surrogates.kernel_inputs import KernelInputs, kernel_inputs
from surrogates.kernels import Encode, composition_kernel, homoscedastic_noise
from surrogates.likelihood import JITTER, log_normal_density, log_prior, maximise
from surrogates.quantiles import MEDIAN, normal_quantiles
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


    def subset_output(self, idcs: list[int]) -> SingleTaskGP:
        """The model itself, which has one output.

        Raises:
            UnsupportedError: another output is asked for.
        """
        if any(i not in (0, -1) for i in idcs):
            raise UnsupportedError(f"the model has one output; it has no outputs {idcs}")
        return self


@dataclass(frozen=True)
class GP(Recipe):
    """BoTorch's SingleTaskGP in float64 on standardised targets, with the kernel of `surrogates.kernels`.

    Noise is learned under BoTorch's LogNormal(-4, 1) prior (Hvarfner et al. 2024; it has the mode of BayBE's noise
    prior and a longer tail, so that noisy data are not forced into the kernel), or taken from the targets where the
    variance of every value is known. Hyperparameters maximise the posterior density, from the mode of their priors.
    """

    type: ClassVar[str] = "gp"
    score: ClassVar[Score] = "scaled"
    knows_distance: ClassVar[bool] = True

    principal_components: int = 4
    """At most so many principal components of the fraction-weighted descriptors are inputs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.principal_components < 0:
            raise ValueError(f"principal_components cannot be negative, not {self.principal_components}")

    def train(self, problem: Problem, seed: int) -> Trained:
        """Fit to all rows that may be learned from, and anew without each fold; no randomness."""
        inputs = kernel_inputs(problem.bags, self.principal_components)
        kept = [problem.fold != fold for fold in range(problem.folds)]
        models = [_model(inputs, problem, rows) for rows in (problem.learnable, *kept)]
        notes = _maximise(models[0])
        for fold, refit in enumerate(models[1:]):
            notes += tuple(f"fold {fold + 1}: {note}" for note in _maximise(refit))
        out_of_fold = torch.full((len(problem.value), 1, 9), torch.nan, dtype=torch.float64)
        Z = inputs(problem.bags).detach()
        for rows, refit in zip(kept, models[1:], strict=True):
            out_of_fold[~rows] = _quantiles(refit, Z[~rows])
        return Trained(LearnedGP(problem, inputs, models[0], tuple(models[1:])), out_of_fold, notes)

    def restore(self, tensors: Mapping[str, Tensor], problem: Problem) -> Learned:
        """The same processes on the same data with the hyperparameters learned before."""
        inputs = kernel_inputs(problem.bags, self.principal_components)
        kept = [problem.learnable, *(problem.fold != fold for fold in range(problem.folds))]
        models = [_model(inputs, problem, rows) for rows in kept]
        for i, model in enumerate(models):
            prefix = f"{i}."
            model.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
            model.eval().requires_grad_(False)
        return LearnedGP(problem, inputs, models[0], tuple(models[1:]))


@dataclass(frozen=True, eq=False)
class LearnedGP:
    """A fitted process, over kernel inputs."""

    problem: Problem
    inputs: KernelInputs
    model: SingleTaskGP
    """That of all rows, which predicts."""
    folds: tuple[SingleTaskGP, ...]
    """Those without each fold; as members they say how far the belief hangs on single data."""

    def quantiles(self, bags: Bags) -> Tensor:
        """Quantiles of a measurement, `n x 1 x 9`: noise included."""
        return _quantiles(self.model, self.inputs(bags))

    def probability(self, bags: Bags) -> Tensor:
        """There is none.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("a Gaussian process predicts quantiles, not the probability of a class")

    def member_locations(self, bags: Bags) -> Tensor:
        """Means of the processes without each fold, `K x n x 1`; of the one process if nothing was held out."""
        Z = self.inputs(bags)
        return torch.stack([_quantiles(model, Z)[..., MEDIAN] for model in self.folds or (self.model,)])

    def fold_predictions(self, bags: Bags) -> Tensor:
        """Quantiles of the processes without each fold, `K x n x 1 x 9`."""
        Z = self.inputs(bags)
        return torch.stack([_quantiles(model, Z) for model in self.folds])

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """There is none.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("a Gaussian process has no attention; its element effects explain it")

    def botorch_model(self, encoder: Encoder) -> SingleTaskGP:
        """The same process over designs; everything of SingleTaskGP works, fantasies and gradients in X included."""
        face = _model(self.inputs, self.problem, self.problem.learnable, encoder)
        face.load_state_dict(self.model.state_dict())
        return face.eval().requires_grad_(False)

    def tensors(self) -> dict[str, Tensor]:
        """Hyperparameters and the scale of the target, of every process."""
        models = enumerate((self.model, *self.folds))
        return {f"{i}.{name}": tensor for i, model in models for name, tensor in model.state_dict().items()}


def _model(
    inputs: KernelInputs, problem: Problem, rows: Tensor, encoder: Encoder | None = None
) -> SingleTaskGP:
    """The process on some rows, not yet fitted; over kernel inputs or, with an encoder, over designs."""
    bags, value, variance = problem.bags[rows], problem.value[rows], problem.variance
    if variance is not None:
        spread = value.var() if len(value) > 1 else value.new_ones(())
        variance = variance[rows].clamp_min(SMALLEST_NOISE * float(spread or 1.0))
    return JitteredGP(
        inputs(bags).detach() if encoder is None else encoder.designs(bags),
        value,
        variance,
        likelihood=homoscedastic_noise() if variance is None else None,
        covar_module=composition_kernel(inputs.widths),
        outcome_transform=Standardize(m=1),
        input_transform=None if encoder is None else Encode(encoder, inputs),
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
