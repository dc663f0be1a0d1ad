"""Column names: one row or several, merged cells above them, and a row of units below."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from db.errors import Problem
from lab_io.cells import Cell, address, blank, cell_text, trimmed
from lab_io.findings import CellError
from lab_io.fixes import offered
from lab_io.units import is_unit
from lab_io.words import count, shown

MAX_NAME = 200
"""Longest column name."""
MAX_COLUMNS = 500
GROUP = ": "
"""Between the names of a column in several header rows: `composition (at.%): Ni`."""

_LABEL = re.compile(r"\w*\d", re.ASCII)
"""A word that ends in a digit, or a number."""
_NUMBER = re.compile(r"[+-]?[0-9.,]+([eE][+-]?[0-9]+)?")

Merged = Sequence[tuple[int, int, int, int]]
"""First row, first column, last row, last column of merged ranges, from 0."""


def joined(grid: Sequence[Sequence[Cell]], top: int, rows: int, merged: Merged) -> list[Cell]:
    """The column names of several header rows, each column's from above to below.

    A name above several columns holds for all of them: those of its merged range, or, where no cell of the row is
    merged (a text table), the columns up to the next name.
    """
    width = max(len(trimmed(grid[i])) for i in range(top, top + rows))
    if rows == 1:
        return trimmed(grid[top])
    levels = []
    for i in range(top, top + rows):
        row = [*grid[i], *[""] * width][:width]
        spans = [m for m in merged if m[0] <= i <= m[2]]
        for first, left, _, right in spans:
            for j in range(left, min(right + 1, width)):
                row[j] = [*grid[first], *[""] * width][left]
        if not spans and i < top + rows - 1:
            for j in range(1, width):
                row[j] = row[j - 1] if blank(row[j]) else row[j]
        levels.append([cell_text(c) for c in row])
    return [GROUP.join(dict.fromkeys(filter(None, names))) for names in zip(*levels, strict=True)]


def header_problems(
    header: list[Cell],
    names: Sequence[str],
    below: list[list[Cell]],
    row: int,
    after: int,
    where: Callable[[int, int], str],
) -> list[Problem]:
    """What is wrong with the column names.

    Args:
        header: the cells.
        names: their texts.
        below: all further rows that are not blank.
        row: the header's number, from 1.
        after: the number of the next row that is not blank.
        where: the place of a cell, by row from 1 and column from 0.

    Raises:
        CellError: the first row holds no column names at all, or too many.
    """
    if len(header) > MAX_COLUMNS:
        raise CellError(f"the table has {len(header):,} columns", f"at most {count(MAX_COLUMNS, 'column')}")
    named = [cell_text(c) for c in header if not blank(c)]
    if len(named) == 1 and max((len(trimmed(r)) for r in below[:5]), default=0) > 1:
        what = f"the first row holds only {shown(named[0])}: a title instead of column names"
        raise CellError(what, f"remove the rows above the column names, or {offered(f'header-row={after}')}")
    if all(_NUMBER.fullmatch(name) for name in named):
        raise CellError("the first row holds numbers instead of column names", "add a row with the column names")
    unnamed = [j for j, c in enumerate(header) if blank(c) and any(not blank(x) for r in below for x in r[j : j + 1])]
    if below and unnamed and _second_row(header, below[0], unnamed):
        what = "the column names seem to take two rows: some have a name in the second row only"
        return [Problem(where(row + 1, unnamed[0]), what, f"write them in one row, or {offered('header-rows=2')}")]
    problems, seen = [], dict[str, int]()
    for column, (cell, name) in enumerate(zip(header, names, strict=True)):
        at = where(row, column)
        if not isinstance(cell, str):
            problems.append(Problem(at, f"the column name {shown(name)} is not text", "write a name"))
        elif column in unnamed:
            problems.append(Problem(at, "a column with data has no name", "name the column, or remove it"))
        elif len(name) > MAX_NAME:
            problems.append(Problem(at, f"the column name has {len(name):,} characters", f"at most {MAX_NAME}"))
        elif name and name in seen:
            other = address(row, seen[name])
            problems.append(Problem(at, f"the column name {shown(name)} is also in {other}", "rename one of them"))
        seen.setdefault(name, column)
    return problems


def _second_row(header: Sequence[Cell], row: Sequence[Cell], unnamed: Sequence[int]) -> bool:
    """Whether a row below the header goes on with it: only words, some of them where the header has none."""
    words = [c for c in row[: len(header)] if not blank(c)]
    texts = all(isinstance(c, str) and not _NUMBER.fullmatch(cell_text(c)) for c in words)
    return texts and len(words) > 1 and all(j < len(row) and not blank(row[j]) for j in unnamed)


def units_row(row: list[Cell], width: int) -> tuple[str | None, ...] | None:
    """The row below the header, if it holds units and nothing else.

    A row of data must never be taken for units: `A` and `s1` may be samples, so one unit must be longer than a letter,
    none may end like a label, and where the first cell is filled another one must be.
    """
    texts = [re.sub(r"^[(\[](.*)[)\]]$", r"\1", cell_text(c)).strip() for c in row[:width]]
    texts = ["" if t in ("-", "–", "—") else t for t in texts]
    units = [t for t in texts if t]
    if not all(isinstance(c, str) for c in row) or not all(is_unit(t) and not _LABEL.fullmatch(t) for t in units):
        return None
    if not any(len(t) > 1 or t == "%" for t in units) or (texts[0] and len(units) == 1):
        return None
    return tuple(t or None for t in texts) + (None,) * (width - len(texts))
