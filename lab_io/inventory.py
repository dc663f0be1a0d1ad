"""The lab's inventory of precursors: what there is, how pure, how much of it, and at what price.

Columns are known by their names, units stand in headers or cells, and everything wrong is told at once with its cell.
Hazard codes are the lab's own words: nothing is added to them, and nothing is made of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from db.errors import InvalidInput, Problem
from lab_io.findings import CellError
from lab_io.hydrates import Formula, metal_of, parse_hydrate
from lab_io.named import NamedColumns
from lab_io.tables import RawTable, Row, read_table
from lab_io.units import convert, is_unit
from lab_io.words import nearest, shown

_WORDS = {
    "element": "element,metal,symbol",
    "precursor": "precursor,formula,compound,chemical",
    "assay": "assay,purity,content",
    "supplier": "supplier,vendor,manufacturer",
    "lot": "lot,lot no,lot number,batch,charge",
    "stock": "stock,in stock,amount,quantity",
    "price": "price,cost",
    "hazards": "hazards,hazard codes,hazard code,ghs,ghs codes,h statements,h codes",
    "counter_ion": "counter ion,counterion,anion",
    "incompatible_with": "incompatible with,not with",
    "concentration": "concentration,stock concentration,molarity",
}
"""What a column is -> the names that it may have, as `fold` leaves them."""
NUMERIC = ("assay", "stock", "price", "concentration")
PUREST = 1.1
"""Largest assay: that of a hydrate may be a little above 1, where some of the water is lost."""
_PRICE = re.compile(r"(?P<currency>[^\s/\d]{1,8})\s*(?:/|per)\s*(?P<n>\d+(?:\.\d+)?)?\s*(?P<unit>[^\W\d_]+)")


@dataclass(frozen=True, slots=True)
class Precursor:
    """One bottle of the inventory: a solid that is weighed, or a stock solution of which a volume is taken."""

    name: str
    """Its formula as written there."""
    element: str
    """What it is taken for."""
    formula: Formula | None = None
    """None only where the inventory is not read for weighing."""
    assay: float = 1.0
    """Mass of the formula in the mass of what is weighed; 1 where the sheet does not say."""
    assay_stated: bool = False
    concentration: float | None = None
    """Of a solution, formula units in mol/L; None for a solid."""
    supplier: str = ""
    lot: str = ""
    in_stock: bool = True
    """False where the sheet says that nothing is left."""
    stock: float | None = None
    """In mg, or µL of a solution; None where the sheet does not say."""
    price: float | None = None
    """Per mg, or per µL of a solution, in the currency of the inventory."""
    hazards: str = ""
    """As given by the lab."""
    counter_ion: str = ""
    """As stated in the sheet; empty where it is to be derived from the formula."""
    incompatible_with: tuple[str, ...] = ()
    """Elements, counter-ions or formulas, as the sheet states them."""
    where: str = ""
    """Its row, for messages: `inventory.csv, row 4`."""

    @property
    def unit(self) -> str:
        """What its amounts are in: `mg`, or `µL`."""
        return "mg" if self.concentration is None else "µL"

    @property
    def per_mmol(self) -> float:
        """mg, or µL, that hold one mmol of `element`."""
        assert self.formula is not None
        atoms = self.formula.atoms[self.element]
        if self.concentration is not None:
            return 1e3 / (self.concentration * atoms)
        return self.formula.molar_mass / (self.assay * atoms)

    def __str__(self) -> str:
        return f"{self.name}{f' (lot {self.lot})' if self.lot else ''}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """All precursors, in the order of the sheet."""

    name: str
    """What the file is called."""
    precursors: tuple[Precursor, ...]
    currency: str | None = None
    """Of prices; None where there are none."""

    def of(self, element: str) -> tuple[Precursor, ...]:
        """The precursors of an element."""
        return tuple(p for p in self.precursors if p.element == element)


@lru_cache(maxsize=16)
def read_inventory(content: bytes, name: str, *, weighed: bool = True) -> Inventory:
    """Read an inventory.

    Args:
        content: CSV, XLSX, XLS or ODS, with a column precursor and, as far as the lab has them, element, assay (or
            purity), supplier, lot, stock, price, hazards, counter-ion, incompatible_with and concentration.
        name: what to call the file in messages.
        weighed: whether masses are to be computed from it; if not, only what is there, of which element, is read, and
            a precursor may have any name.

    Raises:
        InvalidInput: a column is missing, or a cell cannot be what its column says; all problems at once.
    """
    table = read_table(content, name)
    reader = _Reader(table, weighed)
    found = [p for row in table.rows if (p := reader.read(row)) is not None]
    wrong = [finding.problem for finding in reader.findings]
    currencies = sorted(reader.currencies)
    if len(currencies) > 1:
        wrong.append(Problem(name, f"prices are in {', '.join(currencies)}", "write all of them in one currency"))
    if wrong:
        raise InvalidInput(wrong)
    return Inventory(name, tuple(found), currencies[0] if currencies else None)


class _Reader(NamedColumns):
    """Reads the rows of an inventory."""

    def __init__(self, table: RawTable, weighed: bool) -> None:
        super().__init__(table, _WORDS, NUMERIC, ("precursor",), "the inventory")
        self.weighed = weighed
        self.currencies: set[str] = set()

    def read(self, row: Row) -> Precursor | None:
        """One bottle; None when something is wrong with it, which is kept."""
        before = len(self.findings)
        if row.finding is not None:
            self.findings.append(row.finding)
            return None
        name = self.text(row, "precursor")
        formula = self._formula(row, name) if self.weighed else None
        element = self._element(row, name, formula)
        if not self.weighed:
            stock = self.number(row, "stock")
            in_stock = stock is None or stock.value > 0
            return Precursor(name or element, element, in_stock=in_stock) if len(self.findings) == before else None
        concentration = self.quantity(row, "concentration", "mol/L")
        if concentration == 0:
            self.note(row, "concentration", "a concentration is above zero", "leave it empty for a solid")
        unit = "mg" if concentration is None else "uL"
        assay, left, price = self.share(row, "assay", PUREST), self.quantity(row, "stock", unit), self._price(row, unit)
        texts = {c: self.text(row, c) for c in ("supplier", "lot", "hazards", "counter_ion", "incompatible_with")}
        if len(self.findings) > before or formula is None:
            return None
        return Precursor(
            name=formula.text,
            element=element,
            formula=formula,
            assay=1.0 if assay is None else assay,
            assay_stated=assay is not None,
            concentration=concentration,
            supplier=texts["supplier"],
            lot=texts["lot"],
            in_stock=left is None or left > 0,
            stock=left,
            price=price,
            hazards=texts["hazards"],
            counter_ion=texts["counter_ion"],
            incompatible_with=tuple(w for w in re.split(r"[\s,;]+", texts["incompatible_with"]) if w),
            where=f"{self.table.name}, row {row.number}",
        )

    def _formula(self, row: Row, name: str) -> Formula | None:
        try:
            if not name:
                raise CellError("the precursor is missing", "write its formula, with its water: Co(NO3)2·6H2O")
            return parse_hydrate(name)
        except CellError as error:
            self.note(row, "precursor", error.what, error.fix)
            return None

    def _element(self, row: Row, name: str, formula: Formula | None) -> str:
        """The element as stated, else the one metal of the formula."""
        from pymatgen.core import Element

        stated = self.text(row, "element")
        try:
            if stated and not Element.is_valid_symbol(stated):
                fix = f"did you mean {near}?" if (near := nearest(stated, [e.symbol for e in Element])) else "write Co"
                raise CellError(f"{shown(stated)} is no chemical element", fix)
            if stated and formula and stated not in formula.atoms:
                raise CellError(f"{formula.text} has no {stated}", "correct the element or the formula")
            if stated or (self.weighed and formula is None):  # what is wrong with the formula is told
                return stated
            found = metal_of(formula or parse_hydrate(name))
            if found is None:
                raise CellError(f"{shown(name)} may be a precursor of several elements", "state the element")
            return found
        except CellError as error:
            self.note(row, "element", error.what, error.fix)
            return stated

    def _price(self, row: Row, unit: str) -> float | None:
        """Price for one `unit`."""
        found = self.number(row, "price")
        if found is None:
            return None
        given = _PRICE.fullmatch(found.unit or self.units.get("price") or "")
        try:
            if not given or not is_unit(given["unit"]):
                raise CellError("the price does not say per what", "write it in the header: price (EUR/g)")
            if found.value < 0 or found.qualifier != "=":
                raise CellError("a price is a number from 0 on", "correct it, or leave the cell empty")
            per = convert(float(given["n"] or 1), given["unit"], unit)
        except CellError as error:
            self.note(row, "price", error.what, error.fix)
            return None
        self.currencies.add(given["currency"])
        return found.value / per
