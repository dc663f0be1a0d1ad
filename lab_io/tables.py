"""One table of a file, cell by cell, with the address of each: nothing is converted, repaired or dropped.

A table has its header in the first row that is not blank. The row below may hold units only. What does not look like
data (averages, notes, hidden or merged rows, rows of another length) is marked with a finding, and the user decides.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from db.errors import InvalidInput, Problem
from lab_io.delimited import read_text
from lab_io.findings import CellError, Finding, Status
from lab_io.units import is_unit
from lab_io.words import count, normalise, shown
from lab_io.workbooks import MAX_COLUMNS, MAX_ROWS, Cell, Fault, Sheet, read_workbook

MAX_BYTES = 20 << 20
MAX_NAME = 200
"""Longest column name."""
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
_LABEL = re.compile(r"\w*\d", re.ASCII)
"""A word that ends in a digit, or a number."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of data."""

    number: int
    """As the spreadsheet counts: the header is usually row 1."""
    cells: tuple[Cell, ...]
    """As many as the header has."""
    finding: Finding | None = None
    """Why the row may not be data."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as it stands in its file."""

    name: str
    """What the file is called; only used in messages."""
    format: str
    """`csv`, `xlsx` or `ods`."""
    sheet: str | None
    separator: str | None
    """Of a text table."""
    header: tuple[str, ...]
    header_row: int
    units: tuple[str | None, ...]
    """From a row of units below the header; all None when there is none."""
    rows: tuple[Row, ...]

    def where(self, row: int, column: int) -> str:
        """`results.csv, D4`, and `results.xlsx, batch!D4` in a workbook; row from 1, column from 0."""
        return self.place(address(row, column))

    def place(self, cell: str) -> str:
        """The same of an address such as `D4`."""
        return f"{self.name}, {f'{self.sheet}!' if self.sheet else ''}{cell}"


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


def read_table(content: bytes, name: str, *, sheet: str | None = None) -> RawTable:
    """Read a table of results from the bytes of a file.

    Args:
        content: CSV in any common dialect, XLSX or ODS; told apart by content, not by name.
        name: what to call the file in messages.
        sheet: sheet of a workbook; None takes the only visible one with cells that is not called `about`.

    Raises:
        InvalidInput: the file is empty, too large, damaged or not a table, or its header cannot be used; all header
            problems at once.
    """
    try:
        if len(content) > MAX_BYTES:
            raise CellError(f"the file has {len(content) / 2**20:.0f} MiB", f"split it: at most {MAX_BYTES >> 20} MiB")
        if not content.strip():
            raise CellError("the file is empty", "send a table with a header row and at least one row of data")
        if content.startswith(b"\xd0\xcf\x11\xe0"):
            what = "the file is an old .xls workbook, or one with a password; errors in its cells cannot be told apart"
            raise CellError(what, "save it as .xlsx without a password, or as .csv")
        if content.startswith(b"PK"):
            kind, scan, grid = read_workbook(content, sheet)
            return _table(RawTable(name, kind, scan.name, None, (), 0, (), ()), _unescaped(grid), scan)
        if sheet is not None:
            raise CellError("a text table has no sheets", f"leave out the sheet {shown(sheet)}")
        separator, lines = read_text(content)
        return _table(RawTable(name, "csv", None, separator, (), 0, (), ()), _unescaped(lines), None)
    except CellError as error:
        raise InvalidInput(error.at(name).problem) from None


def _unescaped(rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """Rows without the `'` that protects text which looks like a formula, or like text protected in this way."""

    def guarded(cell: Cell) -> bool:
        return isinstance(cell, str) and cell[:1] == "'" and cell.lstrip("'").startswith(ESCAPED)

    return [[c[1:] if isinstance(c, str) and guarded(c) else c for c in r] for r in rows]


def _table(table: RawTable, grid: list[list[Cell]], scan: Sheet | None) -> RawTable:
    filled = [i for i, row in enumerate(grid) if not all(blank(c) for c in row)]
    if not filled:
        raise CellError("the table is empty", "send a table with a header row and at least one row of data")
    if len(filled) > MAX_ROWS:
        raise CellError(f"the table has {len(filled):,} rows", f"split it: at most {count(MAX_ROWS, 'row')}")
    top, data = filled[0], filled[1:]
    header = _trimmed(grid[top])
    table = replace(table, header=tuple(cell_text(c) for c in header), header_row=top + 1)
    problems = _header_problems(table, header, [grid[i] for i in data])
    units: tuple[str | None, ...] = (None,) * len(header)
    if data and (row := _units_row(grid[data[0]], len(header))):
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
    return replace(table, units=units, rows=tuple(rows))


def _trimmed(row: list[Cell]) -> list[Cell]:
    """A row without the empty cells at its end."""
    last = max((i for i, c in enumerate(row) if not blank(c)), default=-1)
    return row[: last + 1]


def _header_problems(table: RawTable, header: list[Cell], below: list[list[Cell]]) -> list[Problem]:
    """What is wrong with the column names; raised at once where nothing else can be said."""
    if len(header) > MAX_COLUMNS:
        raise CellError(f"the table has {len(header):,} columns", f"at most {count(MAX_COLUMNS, 'column')}")
    named = [cell_text(c) for c in header if not blank(c)]
    if len(named) == 1 and max((len(_trimmed(r)) for r in below[:5]), default=0) > 1:
        what = f"the first row holds only {shown(named[0])}: a title instead of column names"
        raise CellError(what, "remove the rows above the column names")
    if all(re.fullmatch(r"[+-]?[0-9.,]+([eE][+-]?[0-9]+)?", name) for name in named):
        raise CellError("the first row holds numbers instead of column names", "add a row with the column names")
    problems, seen = [], dict[str, int]()
    for column, (cell, name) in enumerate(zip(header, table.header, strict=True)):
        where = table.where(table.header_row, column)
        if not isinstance(cell, str):
            problems.append(Problem(where, f"the column name {shown(name)} is not text", "write a name"))
        elif not name and any(not blank(c) for r in below for c in r[column : column + 1]):
            problems.append(Problem(where, "a column with data has no name", "name the column, or remove it"))
        elif len(name) > MAX_NAME:
            problems.append(Problem(where, f"the column name has {len(name):,} characters", f"at most {MAX_NAME}"))
        elif name and name in seen:
            other = address(table.header_row, seen[name])
            problems.append(Problem(where, f"the column name {shown(name)} is also in {other}", "rename one of them"))
        seen.setdefault(name, column)
    return problems


def _units_row(row: list[Cell], width: int) -> tuple[str | None, ...] | None:
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


def _row(table: RawTable, grid: list[list[Cell]], index: int, scan: Sheet | None) -> Row:
    width = len(table.header)
    raw = grid[index]
    row = Row(index + 1, tuple([*raw, *[""] * width][:width]))
    filled = [(j, c) for j, c in enumerate(raw) if not blank(c)]
    column, start = filled[0]
    text = cell_text(start) if isinstance(start, str) else ""

    def marked(status: Status, what: str, fix: str, at: int = column) -> Row:
        return replace(row, finding=Finding(status, Problem(table.where(row.number, at), what, fix)))

    if _AGGREGATE.fullmatch(text):
        return marked(Status.QUESTION, f"{shown(text)} looks like a row of averages or sums", "remove the row")
    after_blank = index > 0 and all(blank(c) for c in grid[index - 1])
    if len(filled) == 1 and (_NOTE.match(text) or len(text) > 40 or (after_blank and width > 2)):
        return marked(Status.QUESTION, f"{shown(text)} looks like a note below the table", "remove the row")
    if len(_trimmed(raw)) > width or (table.format == "csv" and len(raw) < width):
        what = f"the row has {count(len(_trimmed(raw)) if len(raw) > width else len(raw), 'cell')}, the header {width}"
        fix = "add or remove separators, so that every row has the cells of the header"
        if table.separator == "," and len(raw) > width:
            fix += "; with decimal commas, separate cells by semicolons"
        return marked(Status.REJECTED, what, fix)
    if scan is not None and index in scan.hidden_rows:
        return marked(Status.QUESTION, "the row is hidden", "show the row, or delete it")
    for top, left, bottom, right in scan.merged if scan is not None else ():
        if top <= index <= bottom and left < width:
            what = f"the cells {address(top + 1, left)} to {address(bottom + 1, right)} are merged"
            return marked(Status.QUESTION, what, "split the merged cells, and fill in each of them", left)
    return row
