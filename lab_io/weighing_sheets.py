"""What to weigh as a table: to print, to fill in and hand back, and as a worklist for a robot.

Text that a spreadsheet could run as a formula is escaped, as in every table that is written here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from db.errors import InvalidInput, Problem
from lab_io.cells import address
from lab_io.precursors import Plan, Portion, Weighing
from lab_io.schema import Mass
from lab_io.weighings import SHEET
from lab_io.worksheets import escaped, set_cell, timeless

Cell = str | float | None
ADVICE = "Hazards are repeated from the lab's inventory as they stand there; they are no assessment of safety."
FRACTION_DIGITS = 5
PLATES = {6: (2, 3), 24: (4, 6), 48: (6, 8), 96: (8, 12), 384: (16, 24)}
"""Wells of a plate -> its rows and columns."""
HEADER = (
    "sample_id",
    "element",
    "precursor",
    "assay (%)",
    "lot",
    "target mass (mg)",
    "actual mass (mg)",
    "concentration (mol/L)",
    "target volume (µL)",
    "actual volume (µL)",
    "target fraction",
    "fraction as rounded",
    "supplier",
    "hazards",
    "remarks",
)
TO_FILL = ("actual mass (mg)", "actual volume (µL)")


@dataclass(frozen=True, slots=True)
class WeighingTable:
    """What to weigh, as rows of cells below `header`."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    """What concerns the whole batch."""


def weighing_table(plan: Plan, done: Mapping[str, Sequence[Mass]] | None = None) -> WeighingTable:
    """The plan as a table; columns of volumes only where a volume is to be taken.

    Args:
        plan: what to weigh.
        done: sample -> what was weighed already, which takes the place of the plan.
    """
    rows = [row for w in plan.weighings for row in _rows(plan, w, (done or {}).get(w.label, ()))]
    liquid = {j for j, name in enumerate(HEADER) if "volume" in name or "mol/L" in name}
    if all(row[j] is None for row in rows for j in liquid):
        keep = [j for j in range(len(HEADER)) if j not in liquid]
    else:
        keep = list(range(len(HEADER)))
    cells = tuple(tuple(row[j] for j in keep) for row in rows)
    return WeighingTable(tuple(HEADER[j] for j in keep), cells, tuple(_notes(plan)))


def _rows(plan: Plan, weighing: Weighing, done: Sequence[Mass]) -> Iterator[list[Cell]]:
    if done:
        for m in done:
            fraction = weighing.target.get(m.element)
            yield [
                weighing.label, m.element, m.precursor, 100 * m.assay, m.lot or None, None, m.mass, m.concentration,
                None, m.volume, _fraction(fraction), None, None, None, "on record",
            ]  # fmt: skip
        return
    obtained = weighing.obtained
    for p in weighing.portions:
        bottle, solid, strength = p.precursor, p.precursor.concentration is None, p.source.concentration
        volume = None if strength is None else p.taken
        yield [
            weighing.label, bottle.element, bottle.name, round(100 * bottle.assay, 6) if solid else None,
            bottle.lot or None, p.rounded if solid else None, None, strength and float(f"{strength:.6g}"), volume, None,
            _fraction(p.fraction), _fraction(obtained.get(bottle.element, 0.0)), bottle.supplier or None,
            bottle.hazards or None, "; ".join(_remarks(plan, weighing, p)) or None,
        ]  # fmt: skip
    for element in weighing.missing:
        row: list[Cell] = [None] * len(HEADER)
        row[0], row[1], row[-1] = weighing.label, element, f"no precursor of {element} in {plan.inventory}"
        row[HEADER.index("target fraction")] = _fraction(weighing.target[element])
        yield row


def _remarks(plan: Plan, weighing: Weighing, portion: Portion) -> Iterator[str]:
    bottle = portion.precursor
    if portion.solution is not None:
        yield f"too little to weigh well: take the volume from {portion.solution}"
    elif portion.small:
        yield f"less than the {'balance' if bottle.concentration is None else 'pipette'} is good for"
    for conflict in weighing.conflicts:
        if conflict.one is bottle:
            yield f"not with {conflict.other.name}: {conflict.reason}"
    if any(s.precursor is bottle for s in plan.shortages):
        yield "not enough in stock for the batch"
    if not bottle.assay_stated and bottle.concentration is None:
        yield "no assay in the inventory: counted as 100 %"


def _notes(plan: Plan) -> Iterator[str]:
    """What concerns the whole batch."""
    yield f"Each sample holds {plan.amount:g} mmol of metal; masses are of the formula as written, at its assay."
    yield from (f"No precursor of {element} is in {plan.inventory}." for element in plan.missing)
    yield from (f"Not enough of {shortage}." for shortage in plan.shortages)
    yield from (f"Make a solution: {s}, for {', '.join(s.portions)}." for s in plan.solutions)
    told = dict.fromkeys(str(c) for w in plan.weighings for c in w.conflicts)
    yield from (f"Does not go together: {conflict}." for conflict in told)
    if plan.cost is not None and plan.currency:
        yield f"The precursors cost {plan.cost:.4g} {plan.currency}."
    if any(p.hazards for p in plan.chosen.values()):
        yield ADVICE


def _fraction(value: float | None) -> float | None:
    return None if value is None else round(value, FRACTION_DIGITS)


def to_csv(table: WeighingTable) -> bytes:
    """The table as CSV: UTF-8 with a mark, so that spreadsheets see it."""
    return _csv([table.header, *table.rows], "utf-8-sig")


def to_xlsx(table: WeighingTable, about: Sequence[tuple[str, str]]) -> bytes:
    """A workbook with the sheet to fill in, set up for printing, and a sheet of notes; equal tables, equal bytes.

    Args:
        table: what to weigh.
        about: name and text of further notes, such as the campaign.
    """
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    add_sheet(book, table)
    notes: Any = book.create_sheet("about")
    for number, (name, text) in enumerate([*about, *how_to_fill(table)], start=1):
        set_cell(notes.cell(number, 1), name)
        set_cell(notes.cell(number, 2), escaped(text))
    notes.column_dimensions["A"].width = 16
    file = io.BytesIO()
    book.save(file)
    return timeless(file.getvalue())


def how_to_fill(table: WeighingTable) -> list[tuple[str, str]]:
    """Notes for the lab: what to write where, and what concerns the batch."""
    fill = "Write what was weighed into the yellow columns of the sheet weighing, and another precursor, assay or lot"
    return [
        ("what to weigh", f"{fill} where one was used; 0 where nothing was taken."),
        *(("", n) for n in table.notes),
    ]


def add_sheet(book: Any, table: WeighingTable) -> None:
    """Add the table to a workbook as the sheet `weighing`, on paper in landscape, as wide as the page."""
    from openpyxl.styles import Border, Font, PatternFill, Side

    sheet = book.create_sheet(SHEET)
    line = Border(top=Side(style="thin"))
    for number, row in enumerate([table.header, *table.rows], start=1):
        new = number > 2 and row[0] != table.rows[number - 3][0]
        for column, value in enumerate(row):
            cell = sheet.cell(number, column + 1)
            if value is not None:
                set_cell(cell, escaped(value) if isinstance(value, str) else value)
            if new:
                cell.border = line
    for column, name in enumerate(table.header):
        letters = address(1, column)[:-1]
        widest = max(len(_told(r[column])) for r in [table.header, *table.rows])
        sheet.column_dimensions[letters].width = min(max(widest + 2, 8), 40)
        sheet[f"{letters}1"].font = Font(bold=True)
        if name in TO_FILL:
            sheet[f"{letters}1"].fill = PatternFill("solid", fgColor="FFF2CC")
    sheet.freeze_panes = "B2"
    sheet.print_title_rows = "1:1"
    sheet.page_setup.orientation, sheet.page_setup.fitToHeight = "landscape", 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.oddFooter.center.text = "page &P of &N"


def _told(cell: Cell) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell or "")


def wells(n: int, plate: int) -> list[str]:
    """Names of the first wells of a plate, row by row: A1, A2, ...

    Raises:
        InvalidInput: there is no such plate, or it has fewer wells.
    """
    if plate not in PLATES:
        known = ", ".join(map(str, PLATES))
        raise InvalidInput(Problem("--plate", f"a plate of {plate} wells is not known", f"use one of {known}"))
    rows, columns = PLATES[plate]
    if n > plate:
        fix = next((f"use --plate {more}" for more in PLATES if more >= n), "split the batch")
        raise InvalidInput(Problem("--plate", f"{n} samples do not fit on a plate of {plate} wells", fix))
    return [f"{ascii_uppercase[i]}{j}" for i in range(rows) for j in range(1, columns + 1)][:n]


def worklist(plan: Plan, plate: int = 96) -> bytes:
    """The plan for a robot, as plain CSV: one line for each transfer, a mass in mg or a volume in µL.

    Args:
        plan: what to weigh.
        plate: wells of the plate that the samples stand in, row by row in the order of the batch.

    Raises:
        InvalidInput: as `wells`, or an element has no precursor.
    """
    if plan.missing:
        raise InvalidInput([no_precursor(element, plan) for element in plan.missing])
    lines: list[Sequence[Cell]] = [("well", "sample_id", "precursor", "lot", "source", "mass_mg", "volume_uL")]
    for well, w in zip(wells(len(plan.weighings), plate), plan.weighings, strict=True):
        for p in w.portions:
            solid = p.source.concentration is None
            amounts = ("solid", p.taken, None) if solid else ("solution", None, p.taken)
            lines.append((well, w.label, p.precursor.name, p.precursor.lot, *amounts))
    return _csv(lines, "utf-8")


def no_precursor(element: str, plan: Plan) -> Problem:
    """An element that cannot be weighed."""
    fix = "add a row for it that is in stock and brings no other element of the batch, or list the element in `free`"
    return Problem(plan.inventory, f"there is no precursor of {element}", fix)


def _csv(rows: Sequence[Sequence[Cell]], encoding: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([escaped(c) if isinstance(c, str) else c for c in row] for row in rows)
    return text.getvalue().encode(encoding)
