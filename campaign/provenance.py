"""Where a batch comes from: the surrogates, their settings, and what is to be known of them."""

from __future__ import annotations

import math
from typing import Any

from campaign.answers import untold
from campaign.belief import Belief, ObjectiveBelief, unlearnt
from campaign.noise import lab_notes, shift_notes
from campaign.outcomes import OutcomeConstraint
from campaign.pareto import measured_front, reference_note
from campaign.request import Request
from campaign.state import State
from campaign.surroundings import surroundings
from campaign.words import listed
from db.records import ModelVersion
from surrogates.recipes import recipe_hash

ORIGIN = "origin"
"""Where a batch's settings keep what `origin` tells."""


def origin(state: State, request: Request) -> dict[str, Any]:
    """What a batch can be computed from again, beside the spec and the data: plain values to keep with it.

    Returns:
        `asked`, the request; `as_of`, the number of the last event that was seen of the campaign and of those it learns
        from or shares samples with; and `surroundings`, the code, packages, machine and threads.
    """
    others = {name: earlier.head.seq for name, earlier in state.earlier.items()} | dict(state.heads)
    as_of = {"event": state.head.seq, "others": others}
    return {"asked": request.as_json(), "as_of": as_of, "surroundings": surroundings()}


def choice_settings(state: State, belief: Belief) -> dict[str, Any]:
    """What a batch was computed with, as it is stored."""
    return {
        "acquisition": state.spec.acquisition.type,
        "models": {
            b.objective.name: {
                "recipe": b.choice.recipe.type,
                "settings": {k: v for k, v in b.choice.recipe.to_json().items() if k != "type"},
                "recipe_hash": recipe_hash(b.choice.recipe),
                "data_hash": b.choice.fitted.data_hash,
                "artefact": b.choice.fitted.hash,
                "measured": len(b.data),
                "scored_at": b.scored_at,
                "reason": b.choice.reason,
                "notes": list(b.choice.fitted.notes),
                "working_alpha": {f"{level:g}": alpha for level, alpha in b.alphas.items()},
            }
            | _history(b)
            for b in belief.all
        },
        **({"answers": {c.constraint.name: c.as_json() for c in belief.answers}} if belief.answers else {}),
        **({"success": belief.success.as_json()} if belief.success else {}),
    }


def _history(belief: ObjectiveBelief) -> dict[str, Any]:
    if not belief.lessons:
        return {}
    return {"without_history": belief.without, "history": [lesson.as_json() for lesson in belief.lessons]}


def choice_notes(state: State, belief: Belief) -> tuple[str, ...]:
    """What the reader of a batch should know of the belief behind it."""
    told = [f"{b.objective.name}: {b.choice.reason}" for b in belief.all]
    if measured := measured_front(state):
        told.append(reference_note(measured))
    told += [f"{b.objective.name}: {lesson.sentence()}" for b in belief.all for lesson in b.lessons]
    told += [*lab_notes(state), *shift_notes(state)]
    told += [f"{c.name}: {_why_not(state, c)}, it does not weigh on this batch" for c in unlearnt(state)]
    told += [c.note() for c in belief.answers]
    if belief.constraints and belief.best_measured() == -math.inf and state.spec.acquisition.type != "max_variance":
        names = listed([c.constraint.name for c in belief.constraints])
        told.append(f"nothing measured meets {names} with enough probability: this batch looks for something that does")
    if belief.success:
        told.append(belief.success.note())
    for b in belief.objectives:
        told += [
            f"{b.objective.name}: {100 * level:g} % intervals are computed at {100 * (1 - alpha):.0f} %, "
            "because of the coverage of past batches"
            for level, alpha in b.alphas.items()
            if abs(1 - alpha - level) > 0.005
        ]
    return tuple(told + [f"{b.objective.name}: {note}" for b in belief.all for note in b.choice.fitted.notes])


def _why_not(state: State, constraint: OutcomeConstraint) -> str:
    return untold(state, constraint) if constraint.boolean else "too little is known to learn from"


def model_versions(state: State, belief: Belief, seed: int) -> tuple[ModelVersion, ...]:
    """The surrogates that a batch was computed with, as they can be fitted again."""
    return tuple(
        ModelVersion(
            recipe_hash=recipe_hash(b.choice.recipe),
            data_hash=b.choice.fitted.data_hash,
            seed=seed,
            campaign=state.name,
            objective=b.objective.name,
            recipe=b.choice.recipe.to_json(),
            scores={"reason": b.choice.reason},
        )
        for b in belief.all
    )
