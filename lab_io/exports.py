"""Results on record as a table that a spreadsheet cannot run and that `read_table` reads back without loss.

One row a measurement. Text that a spreadsheet could take for a formula stands behind a `'`, which reading takes away
again (OWASP, CSV injection); numbers are numbers, with as many digits as they need.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from db.records import Design
from lab_io.columns import CONDITIONS
from lab_io.schema import Column
from lab_io.worksheets import escaped, set_cell, timeless, with_unit

Cell = str | float | None
_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
"""What a workbook reads as an escaped character (ECMA-376 part 1, 22.9.2.19); its underscore is itself escaped."""

_KEPT = ("role", *CONDITIONS)
"""What is read of a measurement beside its value, under the names under which it is read again."""


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One measurement; or a measured composition, or an outcome without either."""

    sample_id: str
    design: Design
    metric: str | None = None
    value: float | None = None
    """In `unit`."""
    unit: str | None = None
    sd: float | None = None
    qualifier: str | None = None
    replicate: str | None = None
    composition: Mapping[str, float] = field(default_factory=dict)
    status: str = "ok"
    failure_mode: str | None = None
    set_aside: float | None = None
    """A value of a sample that failed later: it no longer counts, and is not read back."""
    conditions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Export:
    """The results of a campaign."""

    elements: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    """Other design columns."""
    rows: tuple[ExportRow, ...] = ()


def to_csv(export: Export) -> bytes:
    """The table as CSV: UTF-8 with a mark, so that spreadsheets see it; text in quotes, numbers without."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    for row in _table(export):
        writer.writerow(["" if cell is None else cell for cell in row])
    return out.getvalue().encode("utf-8-sig")


def to_xlsx(export: Export) -> bytes:
    """The table as a workbook with one sheet of typed cells; equal tables have equal bytes."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("results")
    sheet.freeze_panes = "B2"
    for row in _table(export):
        cells = []
        for value in row:
            cell: Any = WriteOnlyCell(sheet)
            if isinstance(value, str):
                set_cell(cell, _ESCAPE.sub("_x005F_", value))
            elif value is not None:
                cell._value, cell.data_type = repr(float(value)), "n"  # openpyxl itself writes 16 digits of 17
            cells.append(cell)
        sheet.append(cells)
    file = io.BytesIO()
    book.save(file)
    return timeless(file.getvalue())


def _table(export: Export) -> Iterator[list[Cell]]:
    """Header and rows; text is escaped, None is an empty cell."""
    measured = [e for e in export.elements if any(e in row.composition for row in export.rows)]
    header: list[Cell] = ["sample_id", *export.elements, *(with_unit(c.name, c.unit) for c in export.columns)]
    header += [*(f"measured {e}" for e in measured), "metric", "value", "unit", "sd", "qualifier", "replicate"]
    header += ["status", "failure_mode", "set_aside", *_KEPT]
    yield [escaped(name) if isinstance(name, str) else name for name in header]
    for row in export.rows:
        cells: list[Cell] = [row.sample_id, *(row.design.get(e, 0.0) for e in export.elements)]
        cells += [row.design.get(c.name) for c in export.columns]
        cells += [row.composition.get(e, 0.0) if row.composition else None for e in measured]
        cells += [row.metric, row.value, row.unit, row.sd, row.qualifier, row.replicate]
        cells += [row.status, row.failure_mode, row.set_aside, *(row.conditions.get(name) for name in _KEPT)]
        yield [escaped(cell) if isinstance(cell, str) else cell for cell in cells]
