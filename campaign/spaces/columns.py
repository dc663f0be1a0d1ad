"""From the cells of a candidate table to typed columns, with every problem at its cell address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from campaign.spaces.base import ELEMENTS, SUM_TOLERANCE, Floats, sum_fix
from campaign.words import shown, suggestion
from db.errors import InvalidInput, Problem
from lab_io.findings import CellError
from lab_io.numbers import Decimal, detect_decimal, parse_number
from lab_io.tables import RawTable, cell_text, read_table
from lab_io.units import convert, is_unit, same_dimension, split_header
from lab_io.words import count

MAX_WORDS = 200
"""Different words in one category; more than that are names."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The rows of a candidate table, by kind of column."""

    fractions: dict[str, Floats]
    """Component -> fractions [n]; normalised, they sum to 1 in each row."""
    numbers: dict[str, Floats]
    """Column -> values [n], in its unit."""
    units: dict[str, str]
    """Unit of each number column; empty for plain numbers."""
    categories: dict[str, list[str]]
    groups: list[str] | None
    """Stratum of each row, where the table has a column for it."""
    places: list[str]
    """What to call each row in messages: `candidates.csv, row 3`."""

    @property
    def component_noun(self) -> str:
        """`element` where all components are chemical elements, else `component`."""
        return "element" if ELEMENTS.issuperset(self.fractions) else "component"


def read_columns(
    content: bytes,
    file: str,
    kinds: Mapping[str, str],
    units: Mapping[str, str],
    *,
    name_column: str | None = None,
    group_column: str | None = None,
) -> Columns:
    """Read a candidate table.

    Args:
        content: bytes of the table.
        file: its name.
        kinds: column -> `fraction`, `number` or `category`; when empty, kinds are inferred for all columns.
        units: column -> unit to have its numbers in, whatever unit its header names.
        name_column: a column of names, which is no part of the design.
        group_column: a column of strata, which is no part of the design.

    Raises:
        InvalidInput: it is not a table, or cells are missing or not what their column says; all problems at once.
    """
    table = read_table(content, file)
    asked = dict.fromkeys(kinds, "columns")
    asked |= {name: key for name, key in ((name_column, "id"), (group_column, "group")) if name is not None}
    reader = _Reader(table, asked, units)
    absent = [
        Problem(f"space.{key}", f"{file} has no column {shown(name)}", suggestion(name, reader.at))
        for name, key in asked.items()
        if name not in reader.at
    ]
    if absent:
        raise InvalidInput(absent)
    # in the order of the table, which outlives any reordering of the spec's keys
    design = [name for name in reader.at if name in kinds or (not kinds and name not in (name_column, group_column))]
    decimal = reader.decimal([name for name in design if kinds.get(name) != "category"])
    kinds = {name: kinds.get(name) or reader.kind(name, decimal) for name in design}
    if not kinds:
        reader.problems.append(Problem(file, "the table has no design columns", "add at least one column"))
    fractions = {name: reader.fractions(name, decimal) for name, kind in kinds.items() if kind == "fraction"}
    numbers = {name: reader.numbers(name, decimal) for name, kind in kinds.items() if kind == "number"}
    categories = {name: reader.words(name) for name, kind in kinds.items() if kind == "category"}
    groups = reader.words(group_column) if group_column else None
    for name, words in categories.items():
        if len(set(words)) > MAX_WORDS:
            what = f"{name} has {count(len(set(words)), 'different word')}, too many for a category"
            fix = f"name the design columns under `columns:`, or set `id: {name}`"
            reader.problems.append(Problem(file, what, fix))
    if fractions and not reader.problems:
        fractions = reader.normalised(fractions)
    if reader.problems:
        raise InvalidInput(reader.problems)
    places = [f"{file}, row {row.number}" for row in table.rows]
    return Columns(fractions, numbers, {n: reader.unit(n) for n in numbers}, categories, groups, places)


@dataclass
class _Reader:
    """Columns of one table by name, with the problems met on the way."""

    table: RawTable
    asked: Mapping[str, str]
    """Names that the spec uses; a header that is one of them is not split into name and unit."""
    units: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    at: dict[str, int] = field(default_factory=dict)
    """Name -> position."""
    written: dict[str, str | None] = field(default_factory=dict)
    """Name -> unit in the header, or in the row below it."""

    def __post_init__(self) -> None:
        self.problems += [row.finding.problem for row in self.table.rows if row.finding]
        for j, header in enumerate(self.table.header):
            name, unit = split_header(header)
            if header in self.asked or not (unit is None or is_unit(unit)):
                name, unit = header, None
            if not name:
                continue
            if name in self.at:
                first = self.table.where(self.table.header_row, self.at[name])
                where = self.table.where(self.table.header_row, j)
                self.problems.append(Problem(where, f"{name} is also the column of {first}", "rename one of them"))
                continue
            self.at[name] = j
            self.written[name] = unit or self.table.units[j]

    def unit(self, name: str) -> str:
        return self.units.get(name) or self.written[name] or ""

    def decimal(self, names: Sequence[str]) -> Decimal:
        cells = {self._where(name, row): text for name in names for row, text in enumerate(self._texts(name))}
        try:
            return detect_decimal(cells)
        except CellError as error:
            raise InvalidInput([*self.problems, Problem(self.table.name, error.what, error.fix)]) from None

    def kind(self, name: str, decimal: Decimal) -> str:
        """What a column holds, from its header and cells."""
        written = self.written[name] or ""
        try:
            values = [self._number(text, decimal, written) for text in self._texts(name) if text]
        except CellError:
            return "category"
        if name in ELEMENTS and same_dimension(written, "") and all(0 <= convert(v, written, "") <= 1 for v in values):
            return "fraction"
        return "number" if values else "category"

    def fractions(self, name: str, decimal: Decimal) -> Floats:
        values = self._values(name, decimal, "")
        for row in np.flatnonzero((values < 0) | (values > 1)).tolist():
            what = f"{name} is {values[row]:g}, not a fraction"
            fix = "write a number from 0 to 1; for percent, name the column as in `Ni (at.%)`"
            self.problems.append(Problem(self._where(name, row), what, fix))
        return values

    def numbers(self, name: str, decimal: Decimal) -> Floats:
        return self._values(name, decimal, self.unit(name))

    def words(self, name: str) -> list[str]:
        words = self._texts(name)
        empty = [row for row, text in enumerate(words) if not text]
        self.problems += [Problem(self._where(name, row), f"{name} is empty", "fill the cell") for row in empty]
        return words

    def normalised(self, fractions: dict[str, Floats]) -> dict[str, Floats]:
        """Each row of fractions divided by its sum; a problem where that is not 1 within 0.02."""
        total = np.sum([*fractions.values()], axis=0)
        for row in np.flatnonzero(np.abs(total - 1) > SUM_TOLERANCE).tolist():
            what = f"the fractions of this row sum to {total[row]:.4g}, not to 1"
            self.problems.append(Problem(self._where(next(iter(fractions)), row), what, sum_fix(total[row])))
        return fractions if self.problems else {name: column / total for name, column in fractions.items()}

    def _values(self, name: str, decimal: Decimal, unit: str) -> Floats:
        """The numbers of a column [n] in `unit`, with 0 where a cell is wrong and noted."""
        written = self.written[name] or unit
        values = np.zeros(len(self.table.rows))
        try:
            convert(0.0, written, unit)
        except CellError as error:
            where = self.table.where(self.table.header_row, self.at[name])
            self.problems.append(Problem(where, f"{name}: {error.what}", error.fix))
            return values
        for row, text in enumerate(self._texts(name)):
            try:
                values[row] = convert(self._number(text, decimal, written), written, unit)
            except CellError as error:
                self.problems.append(Problem(self._where(name, row), f"{name}: {error.what}", error.fix))
        return values

    def _number(self, text: str, decimal: Decimal, unit: str) -> float:
        """One cell as a plain number.

        Raises:
            CellError: it is empty, no number, a limit such as <5, or has another unit than its column.
        """
        number = parse_number(text, decimal=decimal)
        if number is None:
            raise CellError("the cell is empty", "fill the cell, or remove the row")
        if number.qualifier != "=" or number.sd is not None:
            raise CellError(f"{shown(text)} is not an exact number", "write one number")
        return number.value if number.unit is None else convert(number.value, number.unit, unit)

    def _texts(self, name: str) -> list[str]:
        return [cell_text(row.cells[self.at[name]]) for row in self.table.rows]

    def _where(self, name: str, row: int) -> str:
        return self.table.where(self.table.rows[row].number, self.at[name])
