"""Whether there is a precursor on the shelf for every element."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from pydantic import field_validator

from campaign.files import stays_inside
from campaign.filters.base import Facts, Filter, Finding
from campaign.filters.elements import known_elements
from campaign.filters.material import Material
from campaign.grammar import fault
from campaign.words import listed, shown
from lab_io.inventory import read_inventory


class PrecursorAvailable(Filter):
    """Whether the inventory has a precursor in stock for each element."""

    rule: Literal["precursor_available"] = "precursor_available"
    """Which rule it is."""
    inventory: str
    """A CSV or XLSX table with the columns precursor, element and, if kept, stock, such as `stock (g)`."""
    free: tuple[str, ...] = ("H", "O")
    """Elements that need no precursor; H and O if left out, which come from water and air."""

    _known = field_validator("free")(known_elements)

    @field_validator("inventory")
    @classmethod
    def _inside(cls, inventory: str) -> str:
        if not stays_inside(inventory):
            what = f"{shown(inventory)} is not a file in the folder of the spec"
            raise fault(what, "copy it there and write its name")
        return inventory

    def files(self) -> tuple[str, ...]:
        """The inventory."""
        return (self.inventory,)

    def check(self, facts: Facts) -> None:
        """Whether the inventory can be read.

        Raises:
            InvalidInput: a column is missing, or a cell is no element or no number; all problems at once.
        """
        precursors(facts.files[self.inventory], self.inventory)

    @property
    def source(self) -> str:
        """The inventory."""
        return self.inventory

    def judge(self, material: Material, x: int | None, facts: Facts) -> Finding:
        """Value: the elements without a precursor."""
        content = facts.files[self.inventory]
        stock = precursors(content, self.inventory)
        version = f"{self.inventory}, sha256 {sha256(content).hexdigest()[:12]}"
        missing = [e for e in material.elements if e not in self.free and not stock.get(e)]
        if missing:
            return Finding(False, ", ".join(missing), f"no precursor of {listed(missing)} is in stock ({version})")
        used = [f"{e} from {stock[e][0]}" for e in material.elements if e in stock and e not in self.free]
        return Finding(True, None, f"{listed(used)} ({version})" if used else "needs no precursor")


def precursors(content: bytes, name: str) -> dict[str, tuple[str, ...]]:
    """Precursors in stock by element; a precursor without a stated stock counts as in stock.

    Raises:
        InvalidInput: a column is missing, or a cell is no element or no number; all problems at once.
    """
    found = dict[str, tuple[str, ...]]()
    for p in read_inventory(content, name, weighed=False).precursors:
        if p.in_stock:
            found[p.element] = (*found.get(p.element, ()), p.name)
    return found
