"""What an earlier campaign tells: a Gaussian process on its measurements, asked about the designs of a new one.

Its hyperparameters are fitted to at most `LEARNED` rows; the belief is of all rows, through at most `INDUCING` of them
(Titsias 2009, eq. 6), chosen by greedy variance (Burt, Rasmussen and van der Wilk 2020, algorithm 1): exact for fewer.
The inputs are those of `surrogates.kernel_inputs` over the components of both campaigns, so that an element that the
history lacks borrows from those with similar descriptors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from botorch.models import SingleTaskGP
from gpytorch.kernels import Kernel
from torch import Tensor

from surrogates.bags import Bags, content_hash
from surrogates.encoders.elements import CONSTANT_LABEL, CompositionEncoder
from surrogates.kernel_inputs import KernelInputs
from surrogates.likelihood import JITTER
from surrogates.recipes.base import Problem
from surrogates.recipes.gp import GP
from surrogates.splits import NEVER, generator

LEARNED = 300
"""Most rows that hyperparameters are fitted to."""
INDUCING = 512
"""Most rows through which all rows are believed."""
MOST = 20_000
"""Most rows that are used at all."""
FEWEST = 5
"""Fewest rows that can be learned from."""
SURE = 2.0
"""Standard errors by which a history must predict its own rows better than their mean does."""


@dataclass(frozen=True)
class Skill:
    """How well a history predicts its own rows, each left out in turn."""

    gain: float
    """Share of the variance explained (R squared), by what is left out; negative if worse than the mean."""
    error: float
    """Its standard error."""

    @property
    def told(self) -> bool:
        """Whether the history predicts anything at all beyond doubt."""
        return self.gain > SURE * self.error


@dataclass(frozen=True, eq=False)
class History:
    """An earlier campaign, learnt; frozen, and a pure function of its data.

    Made by `learn`.
    """

    name: str
    """What to call it."""
    labels: tuple[str, ...]
    """Components in the order of the first columns of X: those of the new campaign and its own."""
    X: Tensor
    """Designs, `n x (components + side columns)`, float64; side columns scaled as in the new campaign's bags."""
    value: Tensor
    """Measured, `n`, larger is better, in the unit of the new campaign; one value a design."""
    hyperparameters: Mapping[str, Tensor]
    skill: Skill

    @property
    def hash(self) -> str:
        """SHA-256 of the data."""
        return content_hash(self.X, self.value, self.labels)

    def __len__(self) -> int:
        return len(self.value)

    def tensors(self) -> dict[str, Tensor]:
        """All that `restored` needs beside `about`."""
        return {"X": self.X, "value": self.value, **{f"learned.{k}": v for k, v in self.hyperparameters.items()}}

    def about(self) -> dict[str, Any]:
        """Name, components and skill, as plain values."""
        return {"name": self.name, "labels": self.labels, "skill": asdict(self.skill)}

    @classmethod
    def restored(cls, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> History:
        """What `about` and `tensors` were made from."""
        learned = {k.removeprefix("learned."): v for k, v in tensors.items() if k.startswith("learned.")}
        labels = tuple(about["labels"])
        return cls(about["name"], labels, tensors["X"], tensors["value"], learned, Skill(**about["skill"]))

    @property
    def scale(self) -> float:
        """Sd of the values; 1 where they do not differ."""
        return float(self.value.std()) or 1.0

    def bags(self, X: Tensor) -> Bags:
        """Designs over the components of both campaigns as bags."""
        elements = () if self.labels == (CONSTANT_LABEL,) else self.labels
        side = tuple(f"side {i + 1}" for i in range(X.shape[1] - len(elements)))
        return CompositionEncoder(elements, side)(X)

    def designs(self, bags: Bags) -> Tensor:
        """Designs over the components of both campaigns, `n x d`, of the new campaign's bags; differentiable.

        Raises:
            ValueError: the bags have a component or a number of side columns that the history was not made for.
        """
        own, side = bags.shared_labels or (), bags.side.double()
        width = self.X.shape[1] - (0 if self.labels == (CONSTANT_LABEL,) else len(self.labels))
        if not set(own) <= set(self.labels) or side.shape[1] != width:
            raise ValueError(f"bags of {own} with {side.shape[1]} side columns do not fit a history of {self.labels}")
        if self.labels == (CONSTANT_LABEL,):
            return side
        place = torch.zeros(len(own), len(self.labels), dtype=torch.float64)
        place[torch.arange(len(own)), [self.labels.index(name) for name in own]] = 1.0
        return torch.cat([(bags.weights * bags.mask).double() @ place, side], dim=1)

    @cached_property
    def believed(self) -> Believed:
        """The belief of all rows."""
        return Believed.of(self)


def learn(name: str, labels: tuple[str, ...], X: Tensor, value: Tensor) -> History:
    """Learn from an earlier campaign: a pure function, the same data give bit-identical results.

    Args:
        name: what to call it.
        labels: components of X, those of the new campaign among them; `("design",)` where there are none.
        X: designs, `n x (components + side columns)`, float64. Rows of one design are averaged.
        value: measured, `n`, larger is better.

    Raises:
        ValueError: fewer than `FEWEST` different designs.
    """
    X, place = torch.unique(X.detach().double(), dim=0, return_inverse=True)
    total = torch.zeros(len(X), dtype=torch.float64).index_add(0, place, value.detach().double())
    value = total / torch.bincount(place, minlength=len(X))
    if len(X) < FEWEST:
        raise ValueError(f"{name} has {len(X)} different designs; at least {FEWEST} are needed to learn from")
    drawn = torch.randperm(len(X), generator=generator("history", len(X)))
    X, value = X[drawn[:MOST]], value[drawn[:MOST]]
    unlearnt = History(name, tuple(labels), X, value, {}, Skill(0.0, 0.0))
    model = process(unlearnt)
    GP().maximise(model)
    state = {key: tensor.detach().clone() for key, tensor in model.state_dict().items()}
    return replace(unlearnt, hyperparameters=state, skill=_skill(model))


def _inputs(history: History) -> KernelInputs:
    return GP().inputs(_problem(history), torch.arange(len(_problem(history).value)))


def _problem(history: History) -> Problem:
    X, value = history.X[:LEARNED], history.value[:LEARNED]  # rows are in random order
    groups = tuple(str(i) for i in range(len(X)))
    return Problem(history.bags(X), value.unsqueeze(-1), None, groups, torch.full((len(X),), NEVER))


def process(history: History) -> SingleTaskGP:
    """The process on the rows that hyperparameters are fitted to, not yet fitted."""
    problem = _problem(history)
    rows = torch.arange(len(problem.value))
    return GP().model(GP().inputs(problem, rows), problem, rows)


def _skill(model: SingleTaskGP) -> Skill:
    """Leave-one-out residuals in closed form (Rasmussen and Williams 2006, eq. 5.12), beside those of the mean."""
    (Z,), y = model.train_inputs, model.train_targets
    with torch.no_grad():
        K = model.covar_module(Z).to_dense() + torch.diag(model.likelihood.noise.expand(len(y)))
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(K + JITTER * torch.eye(len(y), dtype=K.dtype)))
        missed = (inverse @ (y - model.mean_module(Z))) / inverse.diagonal()
        alone = (y - y.mean()) * len(y) / (len(y) - 1)
        gain = (alone.square() - missed.square()) / alone.square().mean().clamp_min(1e-12)
    return Skill(float(gain.mean()), float(gain.std()) / len(y) ** 0.5)


@dataclass(frozen=True, eq=False)
class Believed:
    """A history's posterior over kernel inputs, in standardised units: mean and covariance in closed form."""

    inputs: KernelInputs
    kernel: Kernel
    inducing: Tensor
    """Kernel inputs of the rows through which all are believed, `m x d`."""
    weights: Tensor
    """`m`: the mean is `constant + k(z, inducing) @ weights`."""
    before: Tensor
    """`m x m`: |before k(inducing, z)|^2 is the variance that would be known without noise."""
    after: Tensor
    """`m x m`: |after k(inducing, z)|^2 is that part of it which the noise leaves unknown."""
    constant: float
    centre: float
    """In the unit of the values."""
    scale: float
    """In the unit of the values."""

    @classmethod
    def of(cls, history: History) -> Believed:
        """The belief of all rows, with the hyperparameters found before."""
        model = process(history)
        model.load_state_dict(dict(history.hyperparameters))
        model.eval().requires_grad_(False)
        inputs, scale = _inputs(history), model.outcome_transform
        Z = inputs(history.bags(history.X)).detach()
        y = (history.value - scale.means.squeeze()) / scale.stdvs.squeeze()
        constant, noise = float(model.mean_module(Z[:1])), float(model.likelihood.noise.mean())
        kernel = model.covar_module
        chosen = _greedy(kernel, Z)
        K = kernel(Z[chosen]).to_dense()
        eye = torch.eye(len(chosen), dtype=K.dtype)
        root = torch.linalg.cholesky(K + JITTER * eye)
        before = torch.linalg.solve_triangular(root, eye, upper=False)
        B = before @ kernel(Z[chosen], Z).to_dense() / noise**0.5
        inner = torch.linalg.cholesky(eye + B @ B.T)
        after = torch.linalg.solve_triangular(inner, before, upper=False)
        fitted = torch.linalg.solve_triangular(inner, B @ (y - constant).unsqueeze(-1), upper=False).squeeze(-1)
        return cls(
            inputs=inputs,
            kernel=kernel,
            inducing=Z[chosen],
            weights=after.T @ fitted / noise**0.5,
            before=before,
            after=after,
            constant=constant,
            centre=float(scale.means),
            scale=float(scale.stdvs),
        )

    def mean(self, Z: Tensor) -> Tensor:
        """Standardised mean at kernel inputs, `... x n x d` to `... x n`."""
        return self.constant + self.kernel(Z, self.inducing).to_dense() @ self.weights

    def covariance(self, Z: Tensor, other: Tensor) -> Tensor:
        """Standardised covariance of what is left unknown: `... x n x d` and `... x m x d` to `... x n x m`."""
        one = self.kernel(self.inducing, Z).to_dense()
        two = one if other is Z else self.kernel(self.inducing, _once(other)).to_dense()
        known = (self.before @ one).mT @ (self.before @ two) - (self.after @ one).mT @ (self.after @ two)
        return self.kernel(Z, other).to_dense() - known

    def variance(self, Z: Tensor) -> Tensor:
        """Diagonal of `covariance(Z, Z)`, `... x n`."""
        one = self.kernel(self.inducing, Z).to_dense()
        known = (self.before @ one).square().sum(-2) - (self.after @ one).square().sum(-2)
        return self.kernel(Z, diag=True) - known


def _once(Z: Tensor) -> Tensor:
    """Rows `... x n x d` as `n x d` where they are the same in all of a batch, as training rows are in a screening."""
    if Z.ndim == 2 or Z.requires_grad:
        return Z
    batch = Z.flatten(0, -3)
    return batch[0] if bool((batch == batch[:1]).all()) else Z


def _greedy(kernel: Kernel, Z: Tensor) -> Tensor:
    """Row numbers of at most `INDUCING` rows, each the least known given those before it (a pivoted Cholesky)."""
    left = kernel(Z, diag=True).clone()
    least = 1e-5 * float(left.amax())
    factors = Z.new_zeros(min(INDUCING, len(Z)), len(Z))
    rows: list[int] = []
    for j in range(len(factors)):
        row = int(left.argmax())
        if float(left[row]) < least:
            break
        column = kernel(Z, Z[row : row + 1]).to_dense().squeeze(-1)
        factors[j] = (column - factors[:j].T @ factors[:j, row]) / left[row].sqrt()
        left = (left - factors[j].square()).clamp_min(0)
        rows.append(row)
    return torch.tensor(rows)
