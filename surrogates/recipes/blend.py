"""Several recipes as one, by weights found on what none of them had seen: quantiles averaged, beliefs mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from botorch.exceptions.errors import UnsupportedError
from torch import Tensor

from surrogates.bags import Bags
from surrogates.conformal import Score
from surrogates.ensemble import FoldMembers
from surrogates.quantiles import LEVELS
from surrogates.recipes import recipe_from
from surrogates.recipes.base import Learned, Problem, Recipe, Trained
from surrogates.splits import NEVER

if TYPE_CHECKING:
    from botorch.models.model import Model

    from surrogates.encoders.base import Encoder

HALF_WAY = 40
"""Rows at which the weights are half way between those that are safe and the best."""
STEPS = 1000
"""Steps of the search for weights."""


def simplex_weights(quantiles: Tensor, value: Tensor, rows: Tensor | None = None) -> Tensor:
    """Weights `... x R` of R predictions, not negative, of sum 1, that minimise the pinball loss of their average.

    Mirror descent with the entropy, normalised steps and averaged weights (Beck and Teboulle 2003); the loss is convex.

    Args:
        quantiles: `R x n x 9`.
        value: `n`.
        rows: which rows count, `... x n`, bool; weights for each set of them. All count by default.
    """
    rows = torch.ones_like(value) if rows is None else rows.to(value)
    share = (rows / rows.sum(-1, keepdim=True).clamp_min(1)).repeat_interleave(len(LEVELS), -1)
    flat, levels = quantiles.flatten(1), quantiles.new_tensor(LEVELS).repeat(len(value))
    seen = value.repeat_interleave(len(LEVELS))
    logits = total = quantiles.new_zeros(*rows.shape[:-1], len(quantiles))
    largest = quantiles.new_tensor(torch.finfo(quantiles.dtype).tiny)
    for step in range(1, STEPS + 1):
        weights = logits.softmax(-1)
        above = seen < weights @ flat
        slope = ((above.to(levels) - levels) * share) @ flat.mT
        slope = slope - slope.mean(-1, keepdim=True)
        largest = torch.maximum(largest, slope.abs().amax(-1, keepdim=True))
        logits = logits - slope / (largest * step**0.5)
        total = total + weights
    return total / STEPS


@dataclass(frozen=True)
class Blend(Recipe):
    """Recipes trained on the same folds and stacked (Wolpert 1992; Yao, Vehtari, Simpson and Gelman 2018).

    A measurement is predicted by the average of the recipes' quantiles (Vincentised), the noise-free value by the
    mixture of their joint beliefs (`surrogates.mixture`). The weights minimise the pinball loss of what was predicted
    out of fold, as in super learning (van der Laan, Polley and Hubbard 2007), shrunk towards safe ones:
    w = n / (n + HALF_WAY) best + HALF_WAY / (n + HALF_WAY) safe. What is predicted out of fold has weights that did not
    see the fold. Every recipe predicts as it does alone. Calibration is the blend's own.

    Raises:
        ValueError: there are fewer than two recipes, one occurs twice or predicts classes, or one is unknown.
    """

    type: ClassVar[str] = "blend"
    score: ClassVar[Score] = "scaled"

    recipes: Sequence[Recipe | str | Mapping[str, Any]] = ("gp", "forest")
    """What is blended: recipes, or their tags or JSON; kept as recipes."""
    safe: Literal["equal", "first"] = "equal"
    """Weights on few data: equal ones, which are hard to beat where recipes are about as good (Timmermann 2006), or all
    on the first recipe, where it is known to be the better one on few data."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.safe not in ("equal", "first"):
            raise ValueError(f"safe must be equal or first, not {self.safe!r}")
        parts = tuple(part if isinstance(part, Recipe) else recipe_from(part) for part in self.recipes)
        if len(parts) < 2 or len(set(parts)) < len(parts):
            raise ValueError(f"a blend is of at least two different recipes, not {[part.type for part in parts]}")
        for part in parts:
            if getattr(part, "head", None) == "class":
                raise ValueError(f"a blend averages quantiles, and {part.type} with a class head has none")
        object.__setattr__(self, "recipes", parts)

    @property
    def parts(self) -> tuple[Recipe, ...]:
        """The recipes that are blended."""
        return tuple(self.recipes)  # type: ignore[arg-type]

    @property
    def averages(self) -> bool:
        """Whether each of its recipes can."""
        return all(part.averages for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """Type tag and settings, the recipes by theirs."""
        return {**super().to_json(), "recipes": [part.to_json() for part in self.parts]}

    def train(self, problem: Problem, seed: int) -> Trained:
        """Train every recipe on the problem's folds, and weigh them."""
        known = problem.trained
        trained = [known[part] if part in known else part.train(problem, seed) for part in self.parts]
        seen = torch.stack([found.out_of_fold[:, 0] for found in trained]).detach()
        value = problem.value[:, 0]
        told = ~value.isnan() & ~seen.isnan().any(2).any(0)
        # a split calibrates on the only rows that were held out, which nothing may learn from
        several = told & (problem.folds > 1)
        without = [several & (problem.fold != fold) for fold in range(problem.folds)]
        fold_weights = self._weights(seen[:, told], value[told], torch.stack([*without, several])[:, told])
        out_of_fold = torch.einsum("nr,rnl->nl", fold_weights[problem.fold], seen).unsqueeze(1)
        shares = ", ".join(
            f"{part.type} {weight:.2f}" for part, weight in zip(self.parts, fold_weights[-1], strict=True)
        )
        notes = [f"{part.type}: {note}" for part, f in zip(self.parts, trained, strict=True) for note in f.notes]
        learned = LearnedBlend(tuple(found.learned for found in trained), fold_weights, replace(problem, trained={}))
        return Trained(learned, out_of_fold, (f"weights: {shares}", *notes))

    def _weights(self, seen: Tensor, value: Tensor, rows: Tensor) -> Tensor:
        """Weights found on each of some sets of rows, `B x n`: `B x R`; the safe ones where a set is empty."""
        safe = seen.new_full((len(seen),), 1 / len(seen))
        if self.safe == "first":
            safe = torch.eye(len(seen), dtype=seen.dtype)[0]
        n = rows.sum(1, keepdim=True)
        return (n * simplex_weights(seen, value, rows) + HALF_WAY * safe) / (n + HALF_WAY)

    def restore(self, tensors: Mapping[str, Tensor], problem: Problem) -> Learned:
        """The same models under the same weights."""
        found = []
        for i, part in enumerate(self.parts):
            prefix = f"{i}."
            own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            found.append(part.restore(own, problem))
        return LearnedBlend(tuple(found), tensors["weights"], problem)


@dataclass(frozen=True, eq=False)
class LearnedBlend(FoldMembers):
    """Models of several recipes, predicting together."""

    parts: tuple[Learned, ...]
    fold_weights: Tensor
    """Of each part, found without each fold and then on everything, `(K + 1) x R`."""
    problem: Problem

    @property
    def weights(self) -> Tensor:
        """Of each part, `R`."""
        return self.fold_weights[-1]

    @property
    def member_fold(self) -> Tensor:
        """The fold that each blend left out; one blend of everything without folds."""
        return torch.tensor(list(range(self.problem.folds)) or [NEVER])

    def predictions(self, bags: Bags) -> Tensor:
        """Quantiles of the parts as each predicts alone, averaged by weight, `n x 1 x 9`."""
        return torch.einsum("r,r...->...", self.weights, torch.stack([part.quantiles(bags) for part in self.parts]))

    def member_predictions(self, bags: Bags, members: Tensor) -> Tensor:
        """Quantiles of the blends without some folds, `P' x n x 1 x 9`."""
        if not self.problem.folds:
            return self.predictions(bags).unsqueeze(0)
        parts = torch.stack([part.fold_predictions(bags)[members] for part in self.parts])
        return torch.einsum("pr,rp...->p...", self.fold_weights[members], parts)

    def botorch_model(self, encoder: Encoder) -> Model:
        """The beliefs of the parts, mixed by the same weights: what they know jointly of several designs is kept."""
        from surrogates.mixture import MixtureBelief

        return MixtureBelief([part.botorch_model(encoder) for part in self.parts], self.weights)

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """That of the parts that have some, averaged by weight, `n x k` each.

        Raises:
            UnsupportedError: parts without attention make up most of the blend.
        """
        found, shares = [], []
        for part, weight in zip(self.parts, self.weights.tolist(), strict=True):
            try:
                found.append(part.attention(bags))
            except UnsupportedError:
                continue
            shares.append(weight)
        if sum(shares) < 0.5:
            raise UnsupportedError(
                f"a blend has no attention of its own, and parts with attention make up {sum(shares):.2f} of this one; "
                "fit one of its recipes to see weights"
            )
        share = self.weights.new_tensor(shares) / sum(shares)
        means, sds = (torch.stack(tensors) for tensors in zip(*found, strict=True))
        mean = torch.einsum("r,rnk->nk", share, means)
        variance = torch.einsum("r,rnk->nk", share, sds.square() + (means - mean).square())
        return mean, variance.sqrt()

    def tensors(self) -> dict[str, Tensor]:
        """The weights, and what each part learned under its number."""
        parts = {f"{i}.{name}": tensor for i, part in enumerate(self.parts) for name, tensor in part.tensors().items()}
        return {"weights": self.fold_weights, **parts}
