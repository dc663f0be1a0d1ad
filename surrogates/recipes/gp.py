"""An exact Gaussian process on compositions: the surrogate of few data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from botorch.exceptions.errors import UnsupportedError
from botorch.models import SingleTaskGP
from botorch.models.transforms.outcome import Standardize
from botorch.posteriors import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal
from gpytorch.kernels import Kernel
from gpytorch.means import Mean
from linear_operator.operators import DenseLinearOperator, DiagLinearOperator, LinearOperator
from torch import Tensor

from surrogates.bags import Bags
from surrogates.conformal import Score
from surrogates.encoders.base import Encoder
from surrogates.kernel_inputs import KernelInputs, kernel_inputs
from surrogates.kernels import Encode, homoscedastic_noise, kernel_of
from surrogates.likelihood import JITTER, log_normal_density, log_prior, maximise
from surrogates.marginals import joint, marginals
from surrogates.quantiles import MEDIAN, normal_quantiles
from surrogates.recipes.base import Learned, Problem, Recipe, Trained

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

    def posterior(self, X: Tensor, *args: Any, **kwargs: Any) -> Any:
        """As of any SingleTaskGP; leaner where no gradient is asked for, of `n x d` jointly and of `n x 1 x d`."""
        single = X.ndim == 3 and X.shape[-2] == 1
        noisy = kwargs.get("observation_noise", False)
        others = (v for name, v in kwargs.items() if name != "observation_noise")
        plain = not args and isinstance(noisy, bool) and all(v is None or v is False for v in others)
        if not plain or not (single or X.ndim == 2) or X.requires_grad or self.batch_shape:
            return super().posterior(X, *args, **kwargs)
        self.eval()
        extra = JITTER + (float(self.likelihood.noise.mean()) if noisy else 0.0)
        scale, Z = self.outcome_transform, self.transform_inputs(X.squeeze(-2) if single else X)
        factor = scale.stdvs.square().squeeze()
        if single:
            mean, variance = marginals(self, Z)
            covariance: LinearOperator = DiagLinearOperator(((variance + extra) * factor).unsqueeze(-1))
        else:
            mean, dense = joint(self, Z)
            dense.diagonal().add_(extra)
            covariance = DenseLinearOperator(dense.mul_(factor))
        mean = mean * scale.stdvs.squeeze() + scale.means.squeeze()
        return GPyTorchPosterior(MultivariateNormal(mean.unsqueeze(-1) if single else mean, covariance))

    def condition_on_observations(self, X: Tensor, Y: Tensor, **kwargs: Any) -> Any:
        """As of any SingleTaskGP, which conditions only what has predicted once by its own path."""
        if self.prediction_strategy is None:
            super().posterior(X)
        return super().condition_on_observations(X, Y, **kwargs)

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
    additive_side: bool = False
    """Whether side information only adds to the effect of the composition, as descriptors of it do, instead of changing
    it as well, as the settings of a process do."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.principal_components < 0:
            raise ValueError(f"principal_components cannot be negative, not {self.principal_components}")

    def train(self, problem: Problem, seed: int) -> Trained:
        """Fit to all rows that may be learned from, and anew without each fold; no randomness."""
        learned = self._unfitted(problem)
        notes = self.maximise(learned.whole.model)
        out_of_fold = torch.full((len(problem.value), 1, 9), torch.nan, dtype=torch.float64)
        for fold, process in enumerate(learned.folds):
            notes += tuple(f"fold {fold + 1}: {note}" for note in self.maximise(process.model))
            held = problem.fold == fold
            out_of_fold[held] = process.quantiles(problem.bags[held]).detach()
        # restored, so that nothing that was computed on the way makes a fit differ from a saved one
        return Trained(self.restore(learned.tensors(), problem), out_of_fold, notes)

    def restore(self, tensors: Mapping[str, Tensor], problem: Problem) -> Learned:
        """The same processes on the same data with the hyperparameters learned before."""
        learned = self._unfitted(problem)
        for i, process in enumerate((learned.whole, *learned.folds)):
            prefix = f"{i}."
            own = {k.removeprefix(prefix): v.clone() for k, v in tensors.items() if k.startswith(prefix)}
            process.model.load_state_dict(own)
            process.model.eval().requires_grad_(False)
        return learned

    def _unfitted(self, problem: Problem) -> LearnedGP:
        """The processes, each on its own rows and with the inputs that these have."""
        kept = [problem.learnable, *(problem.fold != fold for fold in range(problem.folds))]
        found = []
        for rows in kept:
            inputs = self.inputs(problem, rows)
            found.append(Process(inputs, self.model(inputs, problem, rows)))
        return LearnedGP(self, problem, found[0], tuple(found[1:]))

    def model(
        self, inputs: KernelInputs, problem: Problem, rows: Tensor, encoder: Encoder | None = None
    ) -> SingleTaskGP:
        """The process on some rows, not yet fitted; over kernel inputs or, with an encoder, over designs."""
        return _model(inputs, problem, rows, self.parts(inputs, problem), encoder)

    def inputs(self, problem: Problem, rows: Tensor) -> KernelInputs:
        """What the process on some rows sees of bags."""
        return kernel_inputs(problem.bags[rows], self.principal_components)

    def parts(self, inputs: KernelInputs, problem: Problem) -> Parts:
        """What the process is made of, at the mode of its priors."""
        return Parts(kernel_of(inputs, additive_side=self.additive_side))

    def maximise(self, model: SingleTaskGP) -> tuple[str, ...]:
        """Fit the hyperparameters to the model's training data; returns notes on what failed."""
        return _maximise(model)


@dataclass(frozen=True, eq=False)
class Parts:
    """What a process is made of."""

    kernel: Kernel
    mean: Mean | None = None
    """A learned constant if left out."""
    outcome: Standardize = field(default_factory=lambda: Standardize(m=1))
    """How targets are scaled."""


@dataclass(frozen=True, eq=False)
class Process:
    """A process and what it sees of bags."""

    inputs: KernelInputs
    model: SingleTaskGP

    def quantiles(self, bags: Bags) -> Tensor:
        """Quantiles of a measurement, `n x 1 x 9`: noise included."""
        return _quantiles(self.model, self.inputs(bags))


@dataclass(frozen=True, eq=False)
class LearnedGP:
    """A fitted process, over kernel inputs, and those without each fold."""

    recipe: GP
    problem: Problem
    whole: Process
    """That of all rows, which predicts."""
    folds: tuple[Process, ...]
    """Those without each fold; as members they say how far the belief hangs on single data."""

    def quantiles(self, bags: Bags) -> Tensor:
        """Quantiles of a measurement, `n x 1 x 9`: noise included."""
        return self.whole.quantiles(bags)

    def probability(self, bags: Bags) -> Tensor:
        """There is none.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("a Gaussian process predicts quantiles, not the probability of a class")

    def member_locations(self, bags: Bags) -> Tensor:
        """Means of the processes without each fold, `K x n x 1`; of the one process if nothing was held out."""
        return torch.stack([process.quantiles(bags)[..., MEDIAN] for process in self.folds or (self.whole,)])

    def fold_predictions(self, bags: Bags) -> Tensor:
        """Quantiles of the processes without each fold, `K x n x 1 x 9`."""
        return torch.stack([process.quantiles(bags) for process in self.folds])

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """There is none.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("a Gaussian process has no attention; its element effects explain it")

    def botorch_model(self, encoder: Encoder) -> SingleTaskGP:
        """The same process over designs; everything of SingleTaskGP works, fantasies and gradients in X included."""
        face = self.recipe.model(self.whole.inputs, self.problem, self.problem.learnable, encoder)
        face.load_state_dict(self.whole.model.state_dict())
        return face.eval().requires_grad_(False)

    def tensors(self) -> dict[str, Tensor]:
        """Hyperparameters and the scale of the target, of every process."""
        found = enumerate((self.whole, *self.folds))
        return {f"{i}.{name}": tensor for i, process in found for name, tensor in process.model.state_dict().items()}


def _model(inputs: KernelInputs, problem: Problem, rows: Tensor, parts: Parts, encoder: Encoder | None) -> SingleTaskGP:
    bags, value, variance = problem.bags[rows], problem.value[rows], problem.variance
    if variance is not None:
        spread = value.var() if len(value) > 1 else value.new_ones(())
        variance = variance[rows].clamp_min(SMALLEST_NOISE * float(spread or 1.0))
    return JitteredGP(
        inputs(bags).detach() if encoder is None else encoder.designs(bags),
        value,
        variance,
        likelihood=homoscedastic_noise() if variance is None else None,
        covar_module=parts.kernel,
        mean_module=parts.mean,
        outcome_transform=parts.outcome,
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
    mean, variance = marginals(model, Z)
    standard = normal_quantiles(mean, (variance + JITTER + noise).sqrt())
    return (standard * scale.stdvs + scale.means).unsqueeze(1)
