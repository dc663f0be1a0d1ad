"""Several targets by a recipe that learns one: a model each, asked together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from surrogates.bags import Bags
from surrogates.recipes.base import Learned, Problem, Recipe, Trained
from surrogates.splits import NEVER

if TYPE_CHECKING:
    from botorch.models.model import Model

    from surrogates.encoders.base import Encoder


def rows_of(problem: Problem, target: int) -> Tensor:
    """The rows in which a target was measured, `n`, bool."""
    return ~problem.value[:, target].isnan()


def _only(problem: Problem, target: int) -> Problem:
    """The data of one target, in the folds that they have."""
    rows = rows_of(problem, target)
    variance = problem.known_variance(target)
    return Problem(
        bags=problem.bags[rows],
        value=problem.value[rows, target : target + 1],
        variance=None if variance is None else variance[rows].unsqueeze(1),
        groups=tuple(problem.groups[i] for i in rows.nonzero().flatten().tolist()),
        fold=_without_gaps(problem.fold[rows]),
    )


def _without_gaps(fold: Tensor) -> Tensor:
    """Folds numbered anew, if some hold out no value of the target."""
    kept = fold[fold != NEVER].unique()
    return torch.where(fold == NEVER, fold, torch.searchsorted(kept, fold)) if len(kept) else fold


def train_separately(recipe: Recipe, problem: Problem, seed: int) -> Trained:
    """Train a recipe on every target by itself."""
    parts = []
    out_of_fold = torch.full((*problem.value.shape, 9), torch.nan, dtype=torch.float64)
    for target in range(problem.value.shape[1]):
        parts.append(recipe.train(_only(problem, target), seed))
        out_of_fold[rows_of(problem, target), target] = parts[-1].out_of_fold[:, 0]
    notes = tuple(f"target {i + 1}: {note}" for i, part in enumerate(parts) for note in part.notes)
    return Trained(Separate(tuple(part.learned for part in parts)), out_of_fold, notes)


def restore_separately(recipe: Recipe, tensors: Mapping[str, Tensor], problem: Problem) -> Separate:
    """What `Separate.tensors` was made from."""
    found = []
    for target in range(problem.value.shape[1]):
        prefix = f"target{target}."
        part = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        found.append(recipe.restore(part, _only(problem, target)))
    return Separate(tuple(found))


@dataclass(frozen=True, eq=False)
class Separate:
    """Models of one target each, `t` of them; as documented for `Learned`."""

    parts: tuple[Learned, ...]

    def quantiles(self, bags: Bags) -> Tensor:
        """`n x t x 9`."""
        return torch.cat([part.quantiles(bags) for part in self.parts], dim=1)

    def probability(self, bags: Bags) -> Tensor:
        """`n x t`; UnsupportedError, because recipes of one target have no classes."""
        return torch.cat([part.probability(bags) for part in self.parts], dim=1)

    def member_locations(self, bags: Bags) -> Tensor:
        """`P x n x t`; where targets have members of different number, some occur twice."""
        return _side_by_side([part.member_locations(bags) for part in self.parts])

    def fold_predictions(self, bags: Bags) -> Tensor:
        """`K x n x t x 9`; where targets have folds of different number, some occur twice."""
        return _side_by_side([part.fold_predictions(bags) for part in self.parts])

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """Mean and sd, `n x k` each, of the first target; UnsupportedError if there is none."""
        return self.parts[0].attention(bags)

    def botorch_model(self, encoder: Encoder) -> Model:
        """Independent outputs."""
        from botorch.models import ModelListGP

        from surrogates.conditioning import GaussianBelief, IndependentOutputs

        models = [part.botorch_model(encoder) for part in self.parts]
        return IndependentOutputs(models) if isinstance(models[0], GaussianBelief) else ModelListGP(*models)

    def tensors(self) -> dict[str, Tensor]:
        """All that was learned."""
        return {f"target{i}.{k}": v for i, part in enumerate(self.parts) for k, v in part.tensors().items()}


def _side_by_side(found: list[Tensor]) -> Tensor:
    """Members `P x n x 1 x ...` of each target as `P x n x t x ...`."""
    most = max(len(part) for part in found)
    return torch.cat([part[torch.arange(most) % len(part)] for part in found], dim=2)
