"""Which recipe to believe: the one with the better out-of-fold score, and the present one in doubt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.bags import Bags, Targets
from surrogates.fitted import Fitted, fit
from surrogates.quantiles import pinball
from surrogates.recipes import recipe_hash
from surrogates.recipes.base import Recipe

ENOUGH = 40
"""Exact values from which recipes are compared; below that the simplest is taken (seed note on attention: N >= 40)."""
GROWTH = 1.25
"""Growth of the data after which scores are out of date."""


@dataclass(frozen=True, eq=False)
class Score:
    """How well a recipe predicted what it had not seen."""

    losses: Tensor
    """Of each row, `m`: pinball loss averaged over the nine levels, in sds of the targets (about half the CRPS)."""

    @property
    def mean(self) -> float:
        """Smaller is better."""
        return float(self.losses.mean())


@dataclass(frozen=True, eq=False)
class Choice:
    """The recipe chosen, fitted, and why."""

    recipe: Recipe
    scores: Mapping[str, Score]
    """By recipe hash; empty where nothing was compared."""
    reason: str
    fitted: Fitted
    fits: Mapping[str, Fitted]
    """Every fit that was compared, by recipe hash."""


def score(fitted: Fitted) -> Score:
    """The out-of-fold score of a fit: of each row, averaged over the targets that it has."""
    seen = fitted.out_of_fold
    spread = torch.stack([_sd(column[~column.isnan()]) for column in seen.value.unbind(1)])
    losses = pinball(seen.predictions, seen.value) / spread
    return Score(losses.nanmean(1))


def _sd(values: Tensor) -> Tensor:
    """Sd of values `n`; 1 where they do not differ."""
    sd = values.std()
    return torch.where(sd > 0, sd, torch.ones_like(sd))


def needs_rescoring(n_then: int, n_now: int) -> bool:
    """Whether recipes should be compared again: at the first `ENOUGH` data, and after they grew by a quarter.

    Between these the caller passes the recipe chosen last as the only candidate.
    """
    return n_then < ENOUGH <= n_now or (n_now >= ENOUGH and n_now >= GROWTH * n_then)


def choose(
    candidates: Sequence[Recipe],
    bags: Bags,
    targets: Targets,
    *,
    strata: Sequence[str] | None = None,
    seed: int,
    incumbent: Recipe | None = None,
) -> Choice:
    """Choose a recipe and fit it.

    A recipe replaces the present one only if its out-of-fold loss is smaller by more than one standard error of the
    paired difference over rows. The present one is the incumbent, or the first candidate where there is none. With
    fewer than `ENOUGH` exact values the first candidate is taken and nothing is compared.

    Args:
        candidates: simplest first.
        bags: as for `fit`.
        targets: as for `fit`.
        strata: as for `fit`.
        seed: as for `fit`.
        incumbent: the recipe chosen last; it counts if it is among the candidates.

    Raises:
        ValueError: there are no candidates, they cannot be compared, or the data cannot be fitted.
    """
    if not candidates:
        raise ValueError("there is no recipe to choose from")
    if len(candidates) > 1 and {recipe.calibration for recipe in candidates} != {"cross"}:
        raise ValueError("recipes are compared by what they predict out of fold; all need calibration cross")
    if len(candidates) > 1 and any(getattr(recipe, "head", None) == "class" for recipe in candidates):
        raise ValueError("recipes are compared by their quantiles, and a class head has none")
    fits: dict[str, Fitted] = {}

    def fitted(recipe: Recipe) -> Fitted:
        key = recipe_hash(recipe)
        if key not in fits:
            fits[key] = fit(recipe, bags, targets, strata=strata, seed=seed, known=tuple(fits.values()))
        return fits[key]

    present = incumbent if incumbent is not None and incumbent in candidates else candidates[0]
    if len(candidates) == 1:
        before = ", chosen before," if present == incumbent else ""
        return Choice(present, {}, f"{present.type}{before} is the only candidate", fitted(present), fits)
    first = fitted(candidates[0])
    n = len(first.problem.value)
    if n < ENOUGH:
        reason = f"{candidates[0].type}: from {ENOUGH} measured samples on other models are compared, there are {n}"
        return Choice(candidates[0], {}, reason, first, fits)
    scores = {recipe_hash(recipe): score(fitted(recipe)) for recipe in candidates}
    best = min(candidates, key=lambda r: scores[recipe_hash(r)].mean)
    chosen, reason = _decide(present, best, scores, n)
    return Choice(chosen, scores, reason, fitted(chosen), fits)


def _decide(present: Recipe, best: Recipe, scores: Mapping[str, Score], n: int) -> tuple[Recipe, str]:
    now, then = scores[recipe_hash(best)], scores[recipe_hash(present)]
    if best == present:
        others = ", ".join(f"{s.mean:.4f}" for key, s in scores.items() if key != recipe_hash(present))
        return present, f"{present.type} has the best out-of-fold loss on {n} samples: {then.mean:.4f} against {others}"
    gain = then.losses - now.losses
    error = float(gain.std()) / math.sqrt(len(gain))
    better = float(gain.mean())
    losses = f"out-of-fold loss {now.mean:.4f} against {then.mean:.4f} on {n} samples"
    told = f"{losses}, gain {better:.4f} ± {error:.4f}"
    if better > error:
        return best, f"{best.type} replaces {present.type}: {told}"
    return present, f"{present.type} stays: {best.type} is not better by more than one standard error ({told})"
