"""The structure of a recommendation with its sites coloured by their effects, for the report."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from campaign.formulas import formula
from campaign.spaces.slab.decorated import DecorationSpace
from campaign.state import State
from db.records import Recommendation


@dataclass(frozen=True)
class StructurePicture:
    """One structure, twice."""

    png: str
    """A PNG, as a data URL."""
    interactive: str
    """A piece of HTML that leaves Plotly's JavaScript to the page."""


def structure_picture(state: State, recommendation: Recommendation) -> StructurePicture | None:
    """The picture of a decoration and its effects on the first objective; None where there are no site effects."""
    why: dict[str, Any] = next(iter(recommendation.rationale.get("objectives", {}).values()), {})
    if not isinstance(state.space, DecorationSpace) or "gate" not in why:
        return None
    from campaign.pictures import picture_html, picture_png

    (structure,) = state.space.structures(int(state.space.x_of(recommendation.design)[0]))
    shown = why["gate"] != "withheld"
    effects = {effect["name"]: (effect["change"], effect["sd"], shown) for effect in why["effects"]}
    name = next(iter(recommendation.prediction))
    title = f"{recommendation.label}: {formula(recommendation.design, state.space)}, change of {name} with each dopant"
    png = picture_png(structure, effects, unit=why["unit"], title=title)
    return StructurePicture(
        f"data:image/png;base64,{b64encode(png).decode()}",
        picture_html(structure, effects, unit=why["unit"], name=recommendation.label),
    )
