"""Whether the elements' common oxidation states can add up to a neutral whole."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import Field, field_validator

from campaign.filters.base import Facts, Filter, Finding, pymatgen_version
from campaign.filters.elements import known_elements
from campaign.filters.material import Material
from campaign.grammar import Number
from campaign.words import listed

NON_METAL = 2.5
"""Electronegativity (Pauling) above which an element can be an anion; below it is a cation beside one."""
TOLERANCE = 1e-6
"""Charge for each atom that counts as none, in e."""


class ChargeBalance(Filter):
    """Whether common oxidation states can balance; elements may be of mixed valence."""

    rule: Literal["charge_balance"] = "charge_balance"
    """Which rule it is."""
    anions: dict[str, Annotated[Number, Field(gt=0)]] = Field(default_factory=dict)
    """What each atom of a candidate comes with, where the space lists cations only: `{O: 1.5}`; nothing if left out."""

    @field_validator("anions")
    @classmethod
    def _known(cls, anions: dict[str, float]) -> dict[str, float]:
        known_elements(tuple(anions))
        return anions

    @property
    def source(self) -> str:
        """Common oxidation states of pymatgen."""
        return f"common oxidation states of {pymatgen_version()}"

    def judge(self, material: Material, x: int | None, facts: Facts) -> Finding:
        """Value: the charge that is left over, in e for the formula as given; 0 if it can balance."""
        total = sum(amount for _, amount in material.amounts)
        amounts = dict(material.amounts)
        for anion, each in self.anions.items():
            amounts[anion] = amounts.get(anion, 0.0) + each * total
        return _balance(tuple(sorted(amounts.items())))


def _balance(amounts: tuple[tuple[str, float], ...]) -> Finding:
    """With mixed valence an element takes any mean charge between its extremes, so that no search is needed."""
    states = {element: _states(element) for element, _ in amounts}
    if unknown := [element for element, s in states.items() if not s]:
        return Finding(None, None, f"no common oxidation state is known of {listed(unknown)}")
    anions = [e for e, s in states.items() if s[0] < 0 and _electronegativity(e) > NON_METAL]
    if not anions:
        return Finding(None, None, "there is no anion to balance; name what the space leaves out under `anions`")
    first = max(anions, key=_electronegativity)
    low = high = 0.0
    for element, n in amounts:
        known = states[element]
        if element == first:
            known = tuple(s for s in known if s < 0)
        elif _electronegativity(element) <= NON_METAL:
            known = tuple(s for s in known if s > 0) or known
        low, high = low + n * known[0], high + n * known[-1]
    slack = TOLERANCE * sum(n for _, n in amounts)
    if low <= slack and high >= -slack:
        return Finding(True, 0.0, "common oxidation states can balance")
    left = low if low > 0 else high
    return Finding(False, round(left, 6), f"common oxidation states leave a charge of {left:+.3g} e")


@cache
def _states(element: str) -> tuple[int, ...]:
    """Common oxidation states, ascending."""
    from pymatgen.core import Element

    return tuple(sorted(Element(element).common_oxidation_states))


@cache
def _electronegativity(element: str) -> float:
    from pymatgen.core import Element

    return float(Element(element).X)
