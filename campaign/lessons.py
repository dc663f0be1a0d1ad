"""What a campaign learns from its histories: which of them, how much, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from campaign.history import Past, past
from campaign.spec import Objective
from campaign.state import State
from lab_io.words import count
from surrogates.bags import Bags, Targets, content_hash
from surrogates.choice import Choice
from surrogates.encoders.elements import CONSTANT_LABEL
from surrogates.history import FEWEST, History, learn
from surrogates.transfer import warm

KEPT = 8
"""Histories kept in memory as they were learnt, for round after round."""

_learnt: dict[str, History] = {}


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learnt from one history about one objective."""

    past: Past
    history: History | None
    """None where there is too little of it."""
    used: bool
    reason: str
    """Why it is used, or not."""
    weight: float | None = None
    """How much here goes with a difference of 1 there; None where it is not used, or nothing is measured here."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for the ledger; the hash is of the rows that were learnt from."""
        found: dict[str, Any] = {"name": self.past.name, "rows": len(self.past), "notes": list(self.past.notes)}
        if self.history is not None:
            found |= {"hash": self.history.hash, "r_squared": self.history.skill.gain}
        return found | {"used": self.used, "weight": self.weight, "reason": self.reason}

    def sentence(self) -> str:
        """`learnt from campaign plate-a: 240 measurements, weight 0.6 (...)`."""
        rows = count(len(self.past), "measurement")
        if not self.used:
            return f"nothing is learnt from {self.past.name} ({rows}): {self.reason}"
        weight = "" if self.weight is None else f", weight {self.weight:.2g}"
        return "; ".join([f"learnt from {self.past.name}: {rows}{weight} ({self.reason})", *self.past.notes])


def lessons(state: State, objective: Objective, sign: float) -> tuple[Lesson, ...]:
    """What each history tells of an objective, before anything of the campaign itself is looked at.

    Args:
        state: the campaign.
        objective: whose history.
        sign: from the user's values to "larger is better".
    """
    return tuple(_lesson(held, sign) for held in past(state, objective)) if state.spec.history else ()


def _lesson(held: Past, sign: float) -> Lesson:
    X, value = torch.from_numpy(held.X), sign * torch.from_numpy(held.values)
    if len(torch.unique(X, dim=0)) < FEWEST:
        return Lesson(held, None, False, f"it has fewer than {FEWEST} different designs")
    labels = held.components or (CONSTANT_LABEL,)
    key = content_hash(X, value, labels, held.name)
    history = _learnt.pop(key, None) or learn(held.name, labels, X, value)
    _learnt[key] = history  # the latest comes last
    for old in list(_learnt)[:-KEPT]:
        del _learnt[old]
    skill = history.skill
    known = f"leaving out each of its own measurements explains {skill.gain:.2f} ± {skill.error:.2f} of their variance"
    return Lesson(held, history, skill.told, known if skill.told else f"{known}, no more than chance does")


def with_lessons(
    choice: Choice, learnt: Sequence[Lesson], bags: Bags, targets: Targets, strata: Sequence[str], seed: int
) -> tuple[Choice, tuple[Lesson, ...]]:
    """The choice with the histories in it, unless it predicts better without; and what became of each of them.

    Args:
        choice: made without histories.
        learnt: what each history tells.
        bags: of the campaign's own measurements, as all that follows.
        targets: of them.
        strata: of them.
        seed: of the fits.
    """
    told = [lesson.history for lesson in learnt if lesson.used and lesson.history is not None]
    if not told:
        return choice, tuple(learnt)
    found = warm(choice.fitted, bags, targets, told, strata=strata, seed=seed)
    weights = iter(found.weights)
    after = tuple(
        replace(
            lesson,
            used=found.kept,
            weight=next(weights),
            reason=found.reason if found.kept else f"this campaign is predicted better without it: {found.reason}",
        )
        if lesson.used
        else lesson
        for lesson in learnt
    )
    if not found.kept:
        return choice, after
    reason = f"transfer, which begins with what histories tell ({found.reason}); without them: {choice.reason}"
    return replace(choice, recipe=found.fitted.recipe, fitted=found.fitted, reason=reason), after
