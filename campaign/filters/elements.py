"""Elements that must not be used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from campaign.filters.base import Facts, Filter, Finding
from campaign.filters.material import Material
from campaign.grammar import fault
from campaign.spaces.base import ELEMENTS
from campaign.words import listed, shown, suggestion


def known_elements(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """The symbols themselves.

    Raises:
        PydanticCustomError: one is no element.
    """
    for symbol in symbols:
        if symbol not in ELEMENTS:
            raise fault(f"{shown(symbol)} is no chemical element", suggestion(symbol, ELEMENTS))
    return symbols


class ExcludedElements(Filter):
    """Elements that are not to be used: toxic, scarce, or unwanted."""

    rule: Literal["excluded_elements"] = "excluded_elements"
    """Which rule it is."""
    elements: Annotated[tuple[str, ...], Field(min_length=1)]
    """Their symbols: `[Pb, Cd]`."""
    reason: str = "excluded in the spec"
    """Why; shown with what it finds."""

    _known = field_validator("elements")(known_elements)

    @property
    def source(self) -> str:
        """The spec."""
        return "spec"

    def judge(self, material: Material, x: int | None, facts: Facts) -> Finding:
        """Fails if any of them is in the material."""
        found = [e for e in self.elements if e in material.elements]
        if found:
            return Finding(False, ", ".join(found), f"contains {listed(found)}: {self.reason}")
        return Finding(True, None, "contains no excluded element")
