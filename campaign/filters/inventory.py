"""Whether there is a precursor on the shelf for every element."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Literal

from pydantic import field_validator

from campaign.files import stays_inside
from campaign.filters.base import Facts, Filter, Finding
from campaign.filters.elements import known_elements
from campaign.filters.material import Material
from campaign.grammar import fault
from campaign.spaces.base import ELEMENTS
from campaign.words import listed, shown, suggestion
from db.errors import InvalidInput, Problem
from lab_io.findings import CellError
from lab_io.numbers import detect_decimal, parse_number
from lab_io.tables import cell_text, read_table
from lab_io.units import split_header


class PrecursorAvailable(Filter):
    """Whether the inventory has a precursor in stock for each element."""

    rule: Literal["precursor_available"] = "precursor_available"
    """Which rule it is."""
    inventory: str
    """A CSV or XLSX table with the columns element, precursor and, if kept, stock, such as `stock (g)`."""
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


@lru_cache(maxsize=16)
def precursors(content: bytes, name: str) -> dict[str, tuple[str, ...]]:
    """Precursors in stock by element; a precursor without a stated stock counts as in stock.

    Raises:
        InvalidInput: a column is missing, or a cell is no element or no number; all problems at once.
    """
    table = read_table(content, name)
    at = {split_header(header)[0].strip().casefold(): j for j, header in enumerate(table.header) if header}
    absent = [
        Problem(name, f"the inventory has no column {column}", f"add a column {column}")
        for column in ("element", "precursor")
        if column not in at
    ]
    if absent:
        raise InvalidInput(absent)
    cells = {key: [cell_text(row.cells[j]) for row in table.rows] for key, j in at.items()}
    stocks = cells.get("stock", [""] * len(table.rows))
    wrong, found = [], dict[str, tuple[str, ...]]()
    try:
        decimal = detect_decimal({f"{name}, row {row.number}": s for row, s in zip(table.rows, stocks, strict=True)})
    except CellError as error:
        raise InvalidInput(Problem(name, error.what, error.fix)) from None
    for row, element, precursor, stock in zip(table.rows, cells["element"], cells["precursor"], stocks, strict=True):
        if element not in ELEMENTS:
            where = table.where(row.number, at["element"])
            wrong.append(Problem(where, f"{shown(element)} is no chemical element", suggestion(element, ELEMENTS)))
            continue
        try:
            number = parse_number(stock, decimal=decimal) if stock else None
        except CellError as error:
            wrong.append(Problem(table.where(row.number, at["stock"]), error.what, error.fix))
            continue
        if number is None or number.value > 0:
            found[element] = (*found.get(element, ()), precursor or element)
    if wrong:
        raise InvalidInput(wrong)
    return found
