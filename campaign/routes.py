"""What spaces of routes ask of surrogates: an encoder that reads steps in order, and recipes that heed the order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from campaign.spaces import Space
from campaign.spaces.base import Floats
from campaign.spaces.product import route_of
from campaign.spaces.route.space import SequenceSpace
from campaign.words import signed

if TYPE_CHECKING:
    from surrogates.encoders.routes import RouteEncoder

ROUTE_RECIPES: tuple[Mapping[str, Any], ...] = ({"type": "gp"}, {"type": "transformer", "ordered": True})
"""What `model: auto` chooses from where designs have routes, simplest first: the Gaussian process sees the steps with
their places, the sequence recipe the order itself; bags of steps see neither."""


def route_encoder(space: Space, routes: SequenceSpace, first: int) -> RouteEncoder:
    """The encoder of a space with routes.

    Args:
        space: of the designs.
        routes: the part of it that is routes.
        first: column of X where their code begins.
    """
    from surrogates.encoders.routes import RouteEncoder, Slot
    from surrogates.encoders.steps import StepEncoder

    code, k = routes.code, len(space.components)
    scale = list(code.parameters.values())
    steps = StepEncoder(
        tuple(step.name for step in routes.vocabulary),
        tuple(code.parameters),
        code.length,
        ([low for low, _ in scale], [extent for _, extent in scale]),
    )
    slots = tuple(
        tuple(Slot(code.features[s, j], bool(v.words)) for j, v in enumerate(step.parameters))
        for s, step in enumerate(routes.vocabulary)
    )
    others = np.delete(np.arange(k, len(space.columns)), np.arange(first - k, first - k + len(code.columns)))
    shift, extent = (part[others - k] for part in space.side_scale())
    return RouteEncoder(steps, slots, first, space.components, (tuple(shift.tolist()), tuple(extent.tolist())))


def route_recipe(space: Space, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe of a spec as it works on a space: a transformer heeds the order of routes, unless told not to."""
    ordered = recipe["type"] == "transformer" and route_of(space) is not None
    return {"ordered": True, **recipe} if ordered else dict(recipe)


def without_steps(space: Space, x: Floats) -> list[tuple[str, Floats]]:
    """A design [d] without each of its steps: the step, as `2 anneal`, and what is left; nothing for one step alone.

    What is left need not obey the rules of the space: it says what the prediction owes to the step.
    """
    found = route_of(space)
    if found is None:
        return []
    routes, first = found
    part = slice(first, first + len(routes.code.columns))
    route = routes.code.route(x[part])
    left = []
    for place, (name, _) in enumerate(route if len(route) > 1 else ()):
        shorter = x.copy()
        shorter[part] = routes.code.numbers((*route[:place], *route[place + 1 :]))
        left.append((f"{place + 1} {name}", shorter))
    return left


def step_sentence(name: str, steps: Sequence[Mapping[str, Any]], unit: str | None) -> str:
    """What a prediction owes to the steps of a route, largest change first.

    Args:
        name: of the objective.
        steps: name, change and sd of the prediction without each step.
        unit: of the change.
    """
    top, *rest = sorted(steps, key=lambda step: -abs(step["change"]))
    told = signed(top["change"], top["sd"], unit)
    if abs(top["change"]) <= top["sd"]:
        lead = f"No single step changes the predicted {name} by more than its uncertainty"
        return f"{lead}; the largest change is {told} without step {top['name']}."
    others = ", ".join(f"{step['name']} {signed(step['change'], step['sd'], None)}" for step in rest[:3])
    then = f" (then {others})" if others else ""
    return f"Of the steps, the predicted {name} changes most without {top['name']}: by {told}{then}."
