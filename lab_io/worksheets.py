"""A batch as a worksheet: what to make, what is expected, and empty columns for what comes of it.

The filled sheet goes back through `read_table` and `check_results` as it is. Text that a spreadsheet could run as a
formula is written behind a `'` (OWASP, CSV injection), which reading takes away again; numbers stay numbers. Equal
worksheets have equal bytes.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from db.errors import InvalidInput, Problem
from db.records import Design
from lab_io.schema import ANSWERS, Column, Metric
from lab_io.tables import ESCAPED, address
from lab_io.words import choices, shown

if TYPE_CHECKING:
    from lab_io.weighing_sheets import WeighingTable

FORMATS = ("csv", "xlsx", "json")
STATES = ("ok", "failed", "void", "pending")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LAST_COLUMN = 16384
"""Of a sheet of a workbook."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip archive can hold."""


@dataclass(frozen=True, slots=True)
class WorksheetRow:
    """One recommendation."""

    sample_id: str
    rank: int
    candidate: str
    """The design on one line, for reading; it is not read back."""
    design: Design
    predictions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Metric -> `{"median": 263.0, "intervals": {"0.8": {"lower": 240.0, "upper": 290.0}}}`, in the metric's unit; an
    interval without ends is left empty. Of a boolean `{"probability": 0.8}`."""
    cost: float | None = None
    """Of making it, in the unit of the worksheet; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Worksheet:
    """A batch for the lab."""

    campaign: str
    batch: int
    elements: tuple[str, ...] = ()
    """Fraction columns."""
    columns: tuple[Column, ...] = ()
    """Other design columns."""
    metrics: tuple[Metric, ...] = ()
    """What is to be measured."""
    cost_unit: str | None = None
    """Of costs; None where they are not counted."""
    rows: tuple[WorksheetRow, ...] = ()
    weighing: WeighingTable | None = None
    """What to weigh; a workbook has it as a sheet of its own."""


def render(worksheet: Worksheet, format: str) -> bytes:
    """The worksheet as a file.

    Args:
        worksheet: the batch.
        format: `csv` (UTF-8 with a mark, so that spreadsheets see it), `xlsx` or `json`.

    Raises:
        InvalidInput: another format.
    """
    if format not in FORMATS:
        what = f"{shown(format)} is not a format of worksheets"
        raise InvalidInput(Problem("worksheet", what, choices(format, FORMATS)))
    if format == "json":
        return _json(worksheet)
    table = _table(worksheet)
    return _csv(table) if format == "csv" else _xlsx(worksheet, table)


def escaped(text: str) -> str:
    """Text that no spreadsheet takes for a formula; control characters become the replacement character."""
    guard = "'" if text.lstrip("'").startswith(ESCAPED) else ""
    return guard + _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _table(worksheet: Worksheet) -> list[list[str | float | None]]:
    """Header and rows; text is escaped, None is a cell to fill in."""
    levels = {m.name: _levels(worksheet.rows, m.name) for m in worksheet.metrics}
    header = ["sample_id", "rank", "candidate", *worksheet.elements]
    header += [with_unit(c.name, c.unit) for c in worksheet.columns]
    for metric in worksheet.metrics:
        header.append(_predicted(metric))
        for level in levels[metric.name]:
            header += [with_unit(f"predicted {metric.name} {level:.0%} {end}", metric.unit) for end in ("from", "to")]
    priced = worksheet.cost_unit is not None
    header += [with_unit("planned cost", worksheet.cost_unit)] * priced
    header += [with_unit(m.name, m.heading_unit) for m in worksheet.metrics]
    header += ["status", "failure_mode", "notes"]
    table: list[list[str | float | None]] = [[escaped(name) for name in header]]
    for row in worksheet.rows:
        cells: list[str | float | None] = [row.sample_id, row.rank, row.candidate]
        cells += [row.design.get(e, 0.0) for e in worksheet.elements]
        cells += [row.design.get(c.name) for c in worksheet.columns]
        for metric in worksheet.metrics:
            expected = row.predictions.get(metric.name, {})
            cells.append(expected.get("probability" if metric.boolean else "median"))
            intervals = {float(k): v for k, v in expected.get("intervals", {}).items()}
            for level in levels[metric.name]:
                cells += [intervals.get(level, {}).get(end) for end in ("lower", "upper")]
        cells += [row.cost] * priced + [None] * (len(worksheet.metrics) + 3)
        table.append([escaped(c) if isinstance(c, str) else c for c in cells])
    return table


def _levels(rows: Sequence[WorksheetRow], metric: str) -> list[float]:
    """All interval levels of a metric, rising."""
    return sorted({float(level) for row in rows for level in row.predictions.get(metric, {}).get("intervals", {})})


def with_unit(name: str, unit: str | None) -> str:
    """A column name with its unit in brackets: `overpotential (mV)`."""
    return f"{name} ({unit})" if unit else name


def _predicted(metric: Metric) -> str:
    """Header of what is expected of a metric; the prefix keeps it from being read back."""
    if metric.boolean:
        return f"predicted chance that {metric.name} is good enough"
    return with_unit(f"predicted {metric.name}", metric.unit)


def _csv(table: list[list[str | float | None]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    return text.getvalue().encode("utf-8-sig")


def _json(worksheet: Worksheet) -> bytes:
    rows = [
        {
            "sample_id": row.sample_id,
            "rank": row.rank,
            "candidate": row.candidate,
            "design": _design(worksheet, row),
            "predictions": {name: dict(expected) for name, expected in row.predictions.items()},
            "planned_cost": {"value": row.cost, "unit": worksheet.cost_unit} if worksheet.cost_unit else None,
            "results": {m.name: {"value": None, "unit": m.heading_unit} for m in worksheet.metrics},
            "status": None,
            "failure_mode": None,
            "notes": None,
        }
        for row in worksheet.rows
    ]
    document = {"campaign": worksheet.campaign, "batch": worksheet.batch, "rows": rows}
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _design(worksheet: Worksheet, row: WorksheetRow) -> dict[str, float | str | None]:
    """The whole design, zero fractions included."""
    columns = {c.name: row.design.get(c.name) for c in worksheet.columns}
    return {name: row.design.get(name, 0.0) for name in worksheet.elements} | columns


def _xlsx(worksheet: Worksheet, table: list[list[str | float | None]]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.styles import Font, PatternFill
    from openpyxl.worksheet.datavalidation import DataValidation

    from lab_io.weighing_sheets import add_sheet, how_to_fill

    book = Workbook()
    sheet: Any = book.active
    sheet.title = "batch"
    to_fill = {with_unit(m.name, m.heading_unit) for m in worksheet.metrics} | {"status", "failure_mode", "notes"}
    for number, row in enumerate(table, start=1):
        for column, value in enumerate(row):
            if value is not None:
                set_cell(sheet.cell(number, column + 1), value)
    for column, name in enumerate(table[0]):
        letters = address(1, column)[:-1]
        widest = max(len(f"{r[column]:.6g}" if isinstance(r[column], float) else str(r[column] or "")) for r in table)
        sheet.column_dimensions[letters].width = min(max(widest + 2, 8), 40)
        sheet[f"{letters}1"].font = Font(bold=True)
        if name in to_fill:
            sheet[f"{letters}1"].fill = PatternFill("solid", fgColor="FFF2CC")
    sheet.freeze_panes = "B2"
    _protect(sheet, table, to_fill)
    for metric in worksheet.metrics:
        if not metric.boolean:
            _explain(sheet, table, metric)
    lists = {"status": STATES} | {with_unit(m.name, ANSWERS): ("yes", "no") for m in worksheet.metrics if m.boolean}
    for name, words in lists.items():
        letters = address(1, table[0].index(name))[:-1]
        choice = DataValidation(type="list", formula1=f'"{",".join(words)}"', allow_blank=True)
        choice.add(f"{letters}2:{letters}{max(len(table), 2)}")
        sheet.add_data_validation(choice)
    if worksheet.weighing is not None:
        add_sheet(book, worksheet.weighing)
    about: Any = book.create_sheet("about")
    notes = (
        ("campaign", worksheet.campaign),
        ("batch", worksheet.batch),
        ("how to fill in", "Write results into the yellow columns of the sheet batch, in the unit of the header."),
        ("", "Leave a cell empty when there is no value yet; write failed and a failure_mode when a sample failed."),
        ("", "The column notes is yours: what you write there is kept with the results."),
        *(how_to_fill(worksheet.weighing) if worksheet.weighing is not None else ()),
        (
            "",
            "Names of columns and what was planned are protected from slips, without a password; other cells are free.",
        ),
    )
    for number, (name, text) in enumerate(notes, start=1):
        set_cell(about.cell(number, 1), name)
        set_cell(about.cell(number, 2), escaped(text) if isinstance(text, str) else text)
    about.column_dimensions["A"].width = 16
    file = io.BytesIO()
    book.save(file)
    return timeless(file.getvalue())


def _protect(sheet: Any, table: Sequence[Sequence[Any]], to_fill: Collection[str]) -> None:
    """Lock the header and what was planned, without a password; what is to be filled in, and all around, stays free."""
    from openpyxl.styles import Protection
    from openpyxl.utils import get_column_letter

    free = Protection(locked=False)
    for column, name in enumerate(table[0], start=1):
        sheet.column_dimensions[get_column_letter(column)].protection = free  # of cells that are not in the file
        for row in range(2, len(table) + 1) if name in to_fill else ():
            sheet.cell(row, column).protection = free
    rest = sheet.column_dimensions[get_column_letter(len(table[0]) + 1)]
    rest.min, rest.max, rest.protection = len(table[0]) + 1, _LAST_COLUMN, free
    sheet.protection.sheet = True
    for may in ("formatCells", "formatColumns", "formatRows", "insertColumns", "insertRows", "sort", "autoFilter"):
        setattr(sheet.protection, may, False)  # what is not forbidden


def _explain(sheet: Any, table: Sequence[Sequence[Any]], metric: Metric) -> None:
    """Say at the cells of a metric what may be written there; nothing is refused, for `<10` and `263 ± 4` are read."""
    from openpyxl.worksheet.datavalidation import DataValidation

    letters = address(1, table[0].index(escaped(with_unit(metric.name, metric.heading_unit))))[:-1]
    unit = f" in {metric.unit}" if metric.unit else ""
    told = f"A number{unit}. Also <10 or >10 for a limit, and 263 ± 4 with its standard deviation. Empty: no value yet."
    hint = DataValidation(type=None, allow_blank=True, showInputMessage=True, promptTitle=metric.name[:32], prompt=told)
    hint.add(f"{letters}2:{letters}{max(len(table), 2)}")
    sheet.add_data_validation(hint)


def set_cell(cell: Any, value: object) -> None:
    """Write text as text: a spreadsheet library takes a leading = for a formula."""
    cell.value = value
    if isinstance(value, str):
        cell.data_type = "s"


def timeless(content: bytes) -> bytes:
    """The same workbook without the time at which it was written."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            if name == "docProps/core.xml":
                part = re.sub(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*", rb"\g<1>1980-01-01T00:00:00Z", part)
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, part)
    return file.getvalue()
