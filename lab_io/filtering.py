"""Which rows of a table are meant: what the cells of some columns must be, compared and never evaluated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lab_io.cells import Cell, Fault, Percent, blank, cell_text
from lab_io.findings import CellError
from lab_io.numbers import Decimal, parse_number
from lab_io.tables import RawTable, Row
from lab_io.words import choices, normalise, shown


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the cell of a column must be for its row to be read."""

    values: tuple[str | float, ...] = ()
    """One of these: a text as it stands in the cell, or a number; any when empty."""
    unlike: tuple[str | float, ...] = ()
    """None of these."""
    least: float | None = None
    """A number from this one on."""
    most: float | None = None
    """A number up to this one."""
    filled: bool | None = None
    """Whether something must be written there, or nothing."""


def missing_columns(table: RawTable, where: Mapping[str, Wanted]) -> Iterator[CellError]:
    """What to say of conditions on columns that the table has not."""
    for header in where:
        if header not in table.header:
            yield CellError(f"the table has no column {shown(header)}", choices(header, table.header))


def unwanted(table: RawTable, row: Row, where: Mapping[str, Wanted], decimal: Decimal) -> str | None:
    """Why a row is not meant, in words; None for one that is."""
    for header, wanted in where.items():
        cell = (row.filled or row.cells)[table.header.index(header)]
        text = "" if isinstance(cell, Fault) else cell_text(cell)
        number = _number(cell, decimal)
        if wanted.filled is not None and blank(cell) == wanted.filled:
            return f"{shown(header)} is {'empty' if wanted.filled else 'filled'}"
        if wanted.values and not _among(text, number, wanted.values):
            return f"{shown(header)} is not {' or '.join(map(_told, wanted.values[:5]))}"
        if wanted.unlike and _among(text, number, wanted.unlike):
            return f"{shown(header)} is {shown(text)}"
        if wanted.least is None and wanted.most is None:
            continue
        low, high = (math.inf * s if bound is None else bound for s, bound in ((-1, wanted.least), (1, wanted.most)))
        if number is None or not low <= number <= high:
            return f"{shown(header)} is not a number from {low:g} to {high:g}"
    return None


def _told(value: str | float) -> str:
    return shown(value) if isinstance(value, str) else f"{value:g}"


def _among(text: str, number: float | None, values: tuple[str | float, ...]) -> bool:
    return any(number == v if isinstance(v, float) else text == normalise(v) for v in values)


def _number(cell: Cell, decimal: Decimal) -> float | None:
    """The exact number in a cell; None for anything else."""
    if isinstance(cell, float):
        return cell.shown if isinstance(cell, Percent) else cell
    try:
        read = parse_number(cell, decimal=decimal) if isinstance(cell, str) else None
    except CellError:
        return None
    return read.value if read is not None and read.qualifier == "=" else None
