"""The lab's inventory of precursors: what there is, how pure, how much of it, and at what price.

Columns are known by their names, units stand in headers or cells, and everything wrong is told at once with its cell.
Hazard codes are the lab's own words: nothing is added to them, and nothing is made of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from db.errors import InvalidInput, Problem
from lab_io.cells import Cell, Fault, cell_text
from lab_io.findings import CellError
from lab_io.hydrates import Formula, metal_of, parse_hydrate
from lab_io.numbers import Decimal, Number, detect_decimal, parse_number
from lab_io.tables import RawTable, Row, read_table
from lab_io.units import convert, is_unit, same_dimension, split_header
from lab_io.words import choices, fold, nearest, shown

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
    currencies = sorted({c for c in reader.currencies if c})
    if len(currencies) > 1:
        what = f"prices are in {', '.join(currencies)}"
        reader.wrong.append(Problem(name, what, "write all of them in one currency"))
    if reader.wrong:
        raise InvalidInput(reader.wrong)
    return Inventory(name, tuple(found), currencies[0] if currencies else None)


class _Reader:
    """Reads the rows of an inventory and keeps what is wrong with them.

    Raises:
        InvalidInput: a column is missing or there twice, or the decimal sign is unclear.
    """

    def __init__(self, table: RawTable, weighed: bool) -> None:
        self.table, self.weighed = table, weighed
        self.wrong: list[Problem] = []
        self.currencies: set[str] = set()
        self.at, self.units = _columns(table)
        texts = {
            table.where(row.number, self.at[c]): cell
            for row in table.rows
            for c in NUMERIC
            if c in self.at and isinstance(cell := row.cells[self.at[c]], str)
        }
        try:
            self.decimal: Decimal = detect_decimal(texts, hint="," if table.separator == ";" else ".")
        except CellError as error:
            raise InvalidInput(Problem(table.name, error.what, error.fix)) from None

    def read(self, row: Row) -> Precursor | None:
        """One bottle; None when something is wrong with it, which is kept."""
        before = len(self.wrong)
        if row.finding is not None:
            self.wrong.append(row.finding.problem)
            return None
        name = self.text(row, "precursor")
        formula = self._formula(row, name) if self.weighed else None
        element = self._element(row, name, formula)
        if not self.weighed:
            stock = self.number(row, "stock")
            in_stock = stock is None or stock.value > 0
            return Precursor(name or element, element, in_stock=in_stock) if len(self.wrong) == before else None
        concentration = self.quantity(row, "concentration", "mol/L")
        assay = self._assay(row)
        volume = concentration is not None
        if concentration is not None and concentration <= 0:
            self.note(row, "concentration", CellError("a concentration is above zero", "leave it empty for a solid"))
        stock_left = self.quantity(row, "stock", "uL" if volume else "mg")
        price = self._price(row, "uL" if volume else "mg")
        if len(self.wrong) > before or formula is None:
            return None
        return Precursor(
            name=formula.text,
            element=element,
            formula=formula,
            assay=1.0 if assay is None else assay,
            assay_stated=assay is not None,
            concentration=concentration,
            supplier=self.text(row, "supplier"),
            lot=self.text(row, "lot"),
            in_stock=stock_left is None or stock_left > 0,
            stock=stock_left,
            price=price,
            hazards=self.text(row, "hazards"),
            counter_ion=self.text(row, "counter_ion"),
            incompatible_with=tuple(w for w in re.split(r"[\s,;]+", self.text(row, "incompatible_with")) if w),
            where=f"{self.table.name}, row {row.number}",
        )

    def note(self, row: Row, column: str, error: CellError) -> None:
        """Keep what is wrong with a cell."""
        self.wrong.append(error.at(self.table.where(row.number, self.at.get(column, self.at["precursor"]))).problem)

    def text(self, row: Row, column: str) -> str:
        """The text of a cell, empty where there is none."""
        if column not in self.at:
            return ""
        cell: Cell = row.cells[self.at[column]]
        if isinstance(cell, Fault):
            self.note(row, column, CellError(f"the cell holds {cell.text}", "mend the formula, or paste its value"))
            return ""
        return cell_text(cell)

    def number(self, row: Row, column: str) -> Number | None:
        """The number in a cell; None where it is empty, or wrong, which is kept."""
        try:
            cell = row.cells[self.at[column]] if column in self.at else ""
            if isinstance(cell, float):
                found: Number | None = Number(cell)
            else:
                found = parse_number(self.text(row, column), decimal=self.decimal)
            if self.weighed and found is not None and found.qualifier != "=":
                raise CellError(f"{shown(cell_text(cell))} is a limit", f"write the {column} itself")
            if self.weighed and found is not None and found.value < 0:
                raise CellError(f"{shown(cell_text(cell))} is below zero", f"write the {column} as a positive number")
        except CellError as error:
            self.note(row, column, error)
            return None
        return found

    def quantity(self, row: Row, column: str, unit: str) -> float | None:
        """A cell in `unit`; a unit in the cell goes before that of the header, and one of them must be there."""
        found = self.number(row, column)
        if found is None:
            return None
        own = found.unit or self.units.get(column)
        try:
            if not own:
                raise CellError(f"the {column} has no unit", f"write it in the cell or the header: {column} ({unit})")
            return convert(found.value, own, unit)
        except CellError as error:
            self.note(row, column, error)
            return None

    def _formula(self, row: Row, name: str) -> Formula | None:
        try:
            if not name:
                raise CellError("the precursor is missing", "write its formula, with its water: Co(NO3)2·6H2O")
            return parse_hydrate(name)
        except CellError as error:
            self.note(row, "precursor", error)
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
                what = f"{formula.text} has no {stated}"
                raise CellError(what, "correct the element or the formula")
            if stated or (self.weighed and formula is None):  # what is wrong with the formula is told
                return stated
            found = metal_of(formula or parse_hydrate(name))
            if found is None:
                raise CellError(f"{shown(name)} may be a precursor of several elements", "state the element")
            return found
        except CellError as error:
            self.note(row, "element", error)
            return stated

    def _assay(self, row: Row) -> float | None:
        found = self.number(row, "assay")
        if found is None:
            return None
        own = found.unit or self.units.get("assay")
        try:
            if own and not same_dimension(own, "%") and same_dimension(own, "wt%"):
                own = "%"
            value = convert(found.value, own or "", "")
            if not own and value > PUREST:
                raise CellError(f"the assay {found.value:g} has no unit", "write it in the header: assay (%)")
            if not 0 < value <= PUREST:
                raise CellError(f"an assay of {100 * value:g} % is not possible", "write 98 %, or 0.98 without a unit")
        except CellError as error:
            self.note(row, "assay", error)
            return None
        return value

    def _price(self, row: Row, unit: str) -> float | None:
        """Price for one `unit`."""
        found = self.number(row, "price")
        if found is None:
            return None
        own = found.unit or self.units.get("price") or ""
        given = _PRICE.fullmatch(own)
        try:
            if not given or not is_unit(given["unit"]):
                raise CellError(
                    f"the price {shown(cell_text(row.cells[self.at['price']]))} does not say per what",
                    "write it in the header: price (EUR/g)",
                )
            per = convert(float(given["n"] or 1), given["unit"], unit)
        except CellError as error:
            self.note(row, "price", error)
            return None
        self.currencies.add(given["currency"])
        return found.value / per


def _columns(table: RawTable) -> tuple[dict[str, int], Mapping[str, str | None]]:
    """Position and unit of each column that is known.

    Raises:
        InvalidInput: the column precursor is missing, or two columns mean the same.
    """
    known = {word: column for column, words in _WORDS.items() for word in words.split(",")}
    at: dict[str, int] = {}
    units: dict[str, str | None] = {}
    wrong = []
    for j, header in enumerate(table.header):
        for text, unit in ((header, None), split_header(header)):
            column = known.get(fold(text))
            if column is None:
                continue
            if column in at:
                what = f"{shown(table.header[at[column]])} and {shown(header)} both mean {column}"
                wrong.append(Problem(table.where(table.header_row, j), what, "rename one of them"))
            at.setdefault(column, j)
            units.setdefault(column, unit or table.units[j])
            break
    if "precursor" not in at:
        fix = choices("precursor", [h for h in table.header if h])
        fix = fix if fix.startswith("did") else "add a column precursor"
        wrong.append(Problem(table.name, "the inventory has no column precursor", fix))
    if wrong:
        raise InvalidInput(wrong)
    return at, units
