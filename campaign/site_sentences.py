"""Which site carries a prediction, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from campaign.words import listed, signed

NEXT = 3
"""Further dopants that are told after the first."""


def site_effects(name: str, why: Mapping[str, Any]) -> list[str]:
    """What a prediction changes with most, largest first; an effect within its own uncertainty is not called one.

    Args:
        name: of the objective.
        why: its part of a rationale, see `campaign.site_rationale.explain_sites`.
    """
    effects, unit = why["effects"], why["unit"]
    if not effects:
        return [f"No dopant, so no site of {name} to explain."]
    if why["gate"] == "withheld":
        return [f"Site effects on {name} are withheld: {why['reason']}."]
    top = effects[0]
    if abs(top["change"]) <= top["sd"]:
        largest = signed(top["change"], top["sd"], unit)
        lead = f"No single dopant changes the predicted {name} by more than its uncertainty"
        lines = [f"{lead}; the largest change is {largest}, of {_where(top)} {_change(top)}."]
    else:
        verb = "rises" if top["change"] > 0 else "falls"
        size = signed(abs(top["change"]), top["sd"], unit).lstrip("+")
        rest = ", ".join(f"{e['name']} {signed(e['change'], e['sd'], None)}" for e in effects[1 : 1 + NEXT])
        then = f" (then {rest})" if rest else ""
        average = " on average" if top["kind"] == "swaps" else ""
        lines = [
            f"The prediction changes most at {_where(top)}: {_change(top)}, the predicted {name} {verb} by "
            f"{size}{average}{then}."
        ]
    if top["leaves_data"]:
        back = top["ways"]["reversion"]
        lines.append(
            f"Indicative only, as nothing with so few dopants was measured: {top['name']} reverted to {back['to']}, "
            f"{signed(back['change'], back['sd'], unit)}."
        )
    if why["gate"] == "indicative":
        lines.append(f"Site effects are indicative: {why['reason']}.")
    return lines


def _where(effect: Mapping[str, Any]) -> str:
    """`the surface Zn@M7 beside Ti@M3`."""
    if effect["site"] is None:
        return f"{effect['element']}, one atom of it"
    surface = "surface " if effect["surface"] else ""
    beside = f" beside {listed(effect['beside'])}" if effect["beside"] else ", with no dopant beside it"
    return f"the {surface}{effect['name']}{beside}"


def _change(effect: Mapping[str, Any]) -> str:
    if effect["kind"] == "swaps":
        return "swapped for each other dopant"
    return f"reverted to {effect['ways']['reversion']['to']}"
