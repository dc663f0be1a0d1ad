"""Cells and their addresses, whatever file they come from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from lab_io.words import normalise


@dataclass(frozen=True, slots=True)
class Fault:
    """A cell without a usable value: a spreadsheet error, or a formula whose value was never stored."""

    text: str


class Percent(float):
    """The number in a cell that its workbook shows as a percentage: 0.95, which people see, and typed, as 95 %."""

    __slots__ = ()

    @property
    def shown(self) -> float:
        """95, of 0.95."""
        return float(f"{100 * self:.15g}")


Cell = str | float | bool | dt.datetime | dt.date | dt.time | dt.timedelta | Fault
"""One cell; empty is the empty text. Numbers are floats."""


def address(row: int, column: int) -> str:
    """`D4` for row 4 (from 1) and column 3 (from 0)."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(65 + letter) + letters
    return f"{letters}{row}"


def cell_text(cell: Cell) -> str:
    """A cell as the text that a person would have typed: `12` for the number 12.0, ISO dates, `TRUE`."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, Percent):
        return f"{cell_text(cell.shown)}%"
    if isinstance(cell, float):
        return repr(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, str):
        return normalise(cell)
    if isinstance(cell, Fault):
        return cell.text
    return cell.isoformat() if isinstance(cell, dt.date | dt.time) else str(cell)


def blank(cell: Cell) -> bool:
    """Whether nothing is written in a cell."""
    return isinstance(cell, str) and not cell.strip()


def trimmed(row: Sequence[Cell]) -> list[Cell]:
    """A row without the empty cells at its end."""
    last = max((i for i, c in enumerate(row) if not blank(c)), default=-1)
    return list(row[: last + 1])
