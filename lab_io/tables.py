"""One table of a file, cell by cell, with the address of each: nothing is converted, repaired or dropped.

A table has its header in the first row that is not blank. The row below may hold units only. What does not look like
data (averages, notes, hidden or merged rows, rows of another length) is marked with a finding, and the user decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from db.errors import InvalidInput, Problem
from lab_io.cells import Cell, Fault, address, blank, cell_text, trimmed
from lab_io.delimited import read_text
from lab_io.findings import CellError, Finding, Status
from lab_io.fixes import offered
from lab_io.headers import header_problems, joined, units_row
from lab_io.old_workbooks import SIGNATURE, read_old_workbook
from lab_io.words import count, shown
from lab_io.workbooks import MAX_ROWS, Sheet, read_workbook

__all__ = ["ESCAPED", "MAX_BYTES", "Cell", "Fault", "RawTable", "Row", "address", "blank", "cell_text", "read_table"]

MAX_BYTES = 20 << 20
MAX_TEXT = 10_000
"""Longest text in a cell."""

ESCAPED = ("=", "+", "-", "@", "\t", "\r", "\0")
"""A text cell that starts with one of these could run as a formula in a spreadsheet; it is written behind a `'`."""

_AGGREGATE = re.compile(
    r"(avg|average|mean|median|mittel(wert)?|durchschnitt|moyenne|st\.? ?dev|std|sd|sum|summe|total|min|max)\.?:?"
    r"( of .{1,40}| ?\([^()]{1,40}\))?",
    re.IGNORECASE,
)
_NOTE = re.compile(r"(notes?|remarks?|comments?|legend|source|anmerkung|\*|#(?!\w*[!?/])|†)", re.IGNORECASE)

RowKind = Literal["data", "averages", "note", "ragged", "hidden", "merged"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of data."""

    number: int
    """As the spreadsheet counts: the header is usually row 1."""
    cells: tuple[Cell, ...]
    """As many as the header has."""
    finding: Finding | None = None
    """Why the row may not be data."""
    kind: RowKind = "data"
    """What it looks like."""
    filled: tuple[Cell, ...] = ()
    """Of a merged row: its cells, each merged value in every cell of its range."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as it stands in its file."""

    name: str
    """What the file is called; only used in messages."""
    format: str
    """`csv`, `xlsx`, `xls` or `ods`."""
    sheet: str | None
    separator: str | None
    """Of a text table."""
    header: tuple[str, ...]
    header_row: int
    units: tuple[str | None, ...]
    """From a row of units below the header; all None when there is none."""
    rows: tuple[Row, ...]
    remarks: tuple[Problem, ...] = ()
    """What is hidden, and worth knowing."""
    beside: tuple[str, ...] = ()
    """Other sheets of the workbook that have cells."""

    def where(self, row: int, column: int) -> str:
        """`results.csv, D4`, and `results.xlsx, batch!D4` in a workbook; row from 1, column from 0."""
        return self.place(address(row, column))

    def place(self, cell: str) -> str:
        """The same of an address such as `D4`."""
        return f"{self.name}, {f'{self.sheet}!' if self.sheet else ''}{cell}"


def read_table(
    content: bytes, name: str, *, sheet: str | None = None, header_row: int | None = None, header_rows: int = 1
) -> RawTable:
    """Read a table of results from the bytes of a file.

    Args:
        content: CSV in any common dialect, XLSX, XLS or ODS; told apart by content, not by name.
        name: what to call the file in messages.
        sheet: sheet of a workbook; None takes the only visible one with cells that is not called `about`, and of our
            own workbooks the sheet `batch`.
        header_row: the row, from 1, in which the column names begin; None for the first that is not blank.
        header_rows: how many rows they take.

    Raises:
        InvalidInput: the file is empty, too large, damaged or not a table, or its header cannot be used; all header
            problems at once.
    """
    try:
        if len(content) > MAX_BYTES:
            raise CellError(f"the file has {len(content) / 2**20:.0f} MiB", f"split it: at most {MAX_BYTES >> 20} MiB")
        if not content.strip():
            raise CellError("the file is empty", "send a table with a header row and at least one row of data")
        if content.startswith((b"PK", SIGNATURE)):
            read = read_old_workbook if content.startswith(SIGNATURE) else read_workbook
            kind, scan, grid = read(content, sheet)
            table = RawTable(name, kind, scan.name, None, (), 0, (), (), beside=scan.beside)
            return _table(table, _unescaped(grid), scan, header_row, header_rows)
        if sheet is not None:
            raise CellError("a text table has no sheets", f"leave out the sheet {shown(sheet)}")
        separator, lines = read_text(content)
        table = RawTable(name, "csv", None, separator, (), 0, (), ())
        return _table(table, _unescaped(lines), None, header_row, header_rows)
    except CellError as error:
        raise InvalidInput(error.at(name).problem) from None


def _unescaped(rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """Rows without the `'` that protects text which looks like a formula, or like text protected in this way."""

    def guarded(cell: Cell) -> bool:
        return isinstance(cell, str) and cell[:1] == "'" and cell.lstrip("'").startswith(ESCAPED)

    return [[c[1:] if isinstance(c, str) and guarded(c) else c for c in r] for r in rows]


def _table(
    table: RawTable, grid: list[list[Cell]], scan: Sheet | None, header_row: int | None, header_rows: int
) -> RawTable:
    filled = [i for i, row in enumerate(grid) if not all(blank(c) for c in row)]
    if not filled:
        raise CellError("the table is empty", "send a table with a header row and at least one row of data")
    if len(filled) > MAX_ROWS:
        raise CellError(f"the table has {len(filled):,} rows", f"split it: at most {count(MAX_ROWS, 'row')}")
    top = filled[0] if header_row is None else header_row - 1
    if top not in filled or top + header_rows > len(grid):
        what = f"row {top + 1} was to hold column names, and is empty"
        likely = next((i for i in filled if i > top), filled[0])
        raise CellError(what, f"name the row with the column names, such as row {likely + 1}")
    data = [i for i in filled if i >= top + header_rows]
    header = joined(grid, top, header_rows, scan.merged if scan else ())
    last = top + header_rows
    table = replace(table, header=tuple(cell_text(c) for c in header), header_row=last)
    after = data[0] + 1 if data else last + 1
    problems = header_problems(header, table.header, [grid[i] for i in data], last, after, table.where)
    units: tuple[str | None, ...] = (None,) * len(header)
    if data and (row := units_row(grid[data[0]], len(header))):
        units, data = row, data[1:]
    if not data:
        problems.append(Problem(table.name, "the table has a header but no rows of data", "add at least one row"))
    problems += [
        Problem(table.where(i + 1, j), f"the text has {len(c):,} characters", f"at most {MAX_TEXT:,}")
        for i in data
        for j, c in enumerate(grid[i])
        if isinstance(c, str) and len(c) > MAX_TEXT
    ]
    if problems:
        raise InvalidInput(problems)
    rows = (_row(table, grid, i, scan) for i in data)
    return replace(table, units=units, rows=tuple(rows), remarks=tuple(_hidden(table, scan)) if scan else ())


def _hidden(table: RawTable, scan: Sheet) -> list[Problem]:
    """Columns and sheets that are there and not seen."""
    columns = [j for j, name in enumerate(table.header) if name and j in scan.hidden_columns]
    found = [
        Problem(table.where(table.header_row, j), f"the column {shown(table.header[j])} is hidden", "look at it once")
        for j in columns
    ]
    if scan.hidden_sheets:
        what = f"hidden sheets with cells are not read: {', '.join(map(shown, scan.hidden_sheets[:5]))}"
        found.append(Problem(table.name, what, "name the sheet if it should be read"))
    return found


def _row(table: RawTable, grid: list[list[Cell]], index: int, scan: Sheet | None) -> Row:
    width = len(table.header)
    raw = grid[index]
    row = Row(index + 1, tuple([*raw, *[""] * width][:width]))
    filled = [(j, c) for j, c in enumerate(raw) if not blank(c)]
    column, start = filled[0]
    text = cell_text(start) if isinstance(start, str) else ""

    def marked(kind: RowKind, status: Status, what: str, fix: str, at: int = column) -> Row:
        return replace(row, kind=kind, finding=Finding(status, Problem(table.where(row.number, at), what, fix)))

    if _AGGREGATE.fullmatch(text):
        what = f"{shown(text)} looks like a row of averages or sums"
        return marked("averages", Status.QUESTION, what, f"remove the row, or {offered('drop-averages')}")
    after_blank = index > 0 and all(blank(c) for c in grid[index - 1])
    if len(filled) == 1 and (_NOTE.match(text) or len(text) > 40 or (after_blank and width > 2)):
        what = f"{shown(text)} looks like a note below the table"
        return marked("note", Status.QUESTION, what, f"remove the row, or {offered('drop-notes')}")
    if len(trimmed(raw)) > width or (table.format == "csv" and len(raw) < width):
        what = f"the row has {count(len(trimmed(raw)) if len(raw) > width else len(raw), 'cell')}, the header {width}"
        fix = "add or remove separators, so that every row has the cells of the header"
        if table.separator == "," and len(raw) > width:
            fix += "; with decimal commas, separate cells by semicolons"
        return marked("ragged", Status.REJECTED, what, fix)
    if scan is not None and index in scan.hidden_rows:
        fix = f"show the row, delete it, or {offered('read-hidden', 'drop-hidden')}"
        return marked("hidden", Status.QUESTION, "the row is hidden", fix)
    spans = [m for m in (scan.merged if scan else ()) if m[0] <= index <= m[2] and m[1] < width]
    if spans:
        top, left, bottom, right = spans[0]
        what = f"the cells {address(top + 1, left)} to {address(bottom + 1, right)} are merged"
        fix = f"split the merged cells, and fill in each of them, or {offered('fill-merged')}"
        cells = list(row.cells)
        for first, left, _, right in spans:
            cells[left : right + 1] = [grid[first][left]] * (min(right + 1, width) - left)
        return replace(marked("merged", Status.QUESTION, what, fix, spans[0][1]), filled=tuple(cells))
    return row
