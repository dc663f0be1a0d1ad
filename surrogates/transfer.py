"""Whether to believe with a history or without: what was predicted out of fold decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from botorch.exceptions.errors import UnsupportedError

from surrogates.bags import Bags, Targets
from surrogates.choice import score
from surrogates.fitted import Fitted, fit
from surrogates.history import History
from surrogates.recipes.base import Recipe
from surrogates.recipes.gp import GP, LearnedGP
from surrogates.recipes.transfer import TransferGP

CHECKED_FROM = 10
"""Rows predicted out of fold from which belief with a history is compared with belief without it."""


@dataclass(frozen=True, eq=False)
class Warm:
    """A fit with histories beside one without."""

    fitted: Fitted
    weights: tuple[float, ...]
    """Of each history: how much here goes with a difference of 1 there, in the unit of the values."""
    kept: bool
    """Whether it is to be believed rather than the fit without."""
    reason: str


def warm(
    cold: Fitted,
    bags: Bags,
    targets: Targets,
    history: Sequence[History],
    *,
    strata: Sequence[str] | None = None,
    seed: int,
) -> Warm:
    """Fit with histories, and compare with the fit without them on the same folds.

    The fit with histories stays unless its out-of-fold loss is larger by more than one standard error of the paired
    difference, or with fewer than `CHECKED_FROM` rows.

    Args:
        cold: the fit without, on the same data under the same seed.
        bags: as for `fit`.
        targets: as for `fit`.
        history: at least one.
        strata: as for `fit`.
        seed: as for `fit`.

    Raises:
        ValueError: as of `fit`.
    """
    fitted = fit(_with_history(cold.recipe), bags, targets, strata=strata, seed=seed, history=history)
    found = weights(fitted)
    before, after = score(cold).losses, score(fitted).losses
    n = len(after)
    if n < CHECKED_FROM or len(before) != n:
        return Warm(fitted, found, True, f"from {CHECKED_FROM} measurements on it is compared with a start without it")
    harm = after - before
    worse, error = float(harm.mean()), float(harm.std()) / math.sqrt(n)
    told = f"out-of-fold loss {float(after.mean()):.4f} with it, {float(before.mean()):.4f} without, on {n} samples"
    return Warm(fitted, found, worse <= error, told)


def _with_history(cold: Recipe) -> TransferGP:
    """The recipe with histories: with the settings of a process, else with what it shares with any recipe."""
    shared = fields(GP if isinstance(cold, GP) else Recipe)
    return TransferGP(**{f.name: getattr(cold, f.name) for f in shared})


def weights(fitted: Fitted) -> tuple[float, ...]:
    """Weight of each history in a fit of the transfer recipe, in the unit of the values.

    Raises:
        UnsupportedError: the fit has none.
    """
    if not fitted.recipe.uses_history or not isinstance(fitted.learned, LearnedGP):
        raise UnsupportedError(f"{fitted.recipe.type} has no weights of histories")
    model = fitted.learned.whole.model
    sd = float(model.outcome_transform.stdvs)
    return tuple(
        float(b) * sd / believed.scale
        for b, believed in zip(model.mean_module.weight, model.mean_module.believed, strict=True)
    )
