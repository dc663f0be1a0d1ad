"""Workbooks (XLSX, ODS; for XLS see `old_workbooks`) as grids of typed cells, after checks that make opening safe.

Values are read by calamine. Before it sees a file, the archive is measured and the sheets are scanned here, because
calamine reads `#REF!` and formulas without a stored value as empty cells, and allocates whatever area a single far-off
cell spans. XML goes through defusedxml, which refuses document types and entities.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse

from lab_io.cells import Cell, Fault, Percent
from lab_io.findings import CellError
from lab_io.headers import MAX_COLUMNS
from lab_io.words import count, shown

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

OWN_SHEETS = ("batch", "weighing")
"""Sheets of our own workbooks: what is measured, and what was weighed for it; the first is the one to read."""
MAX_ENTRIES = 2_000
MAX_UNPACKED = 256 << 20
"""Bytes of all parts together, as they really unpack."""
MAX_RATIO = 300
"""Unpacked over packed bytes of one part that is larger than 1 MiB."""
ENCRYPTED = 0x1
"""Bit of the flags of a part that needs a password (PKWARE APPNOTE 4.4.4)."""
MAX_ROWS = 200_000
MAX_MERGED = 200
MAX_CELLS = 2_000_000
"""Area that the filled cells of a sheet span."""


@dataclass
class Sheet:
    """What the scan of a sheet found; rows and columns count from 0."""

    name: str
    hidden: bool = False
    height: int = 0
    width: int = 0
    faults: dict[tuple[int, int], Fault] = field(default_factory=dict)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    hidden_sheets: tuple[str, ...] = ()
    """Other sheets of the workbook that are hidden and have cells."""
    beside: tuple[str, ...] = ()
    """Other sheets of the workbook that have cells."""
    percent: set[tuple[int, int]] = field(default_factory=set)
    """Numbers that are shown as percentages."""
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    """First row, first column, last row, last column of each merged range."""

    def merge(self, top: int, left: int, bottom: int, right: int) -> None:
        """Note a merged range.

        Raises:
            CellError: there are too many.
        """
        self.merged.append((top, left, bottom, right))
        if len(self.merged) > MAX_MERGED:
            raise CellError(f"sheet {shown(self.name)} has more than {MAX_MERGED} merged ranges", "split merged cells")

    def extend(self, row: int, column: int) -> None:
        """Count a filled cell.

        Raises:
            CellError: the sheet is now too large.
        """
        self.height, self.width = max(self.height, row + 1), max(self.width, column + 1)
        for n, most, noun in ((self.height, MAX_ROWS, "row"), (self.width, MAX_COLUMNS, "column")):
            if n > most:
                what = f"sheet {shown(self.name)} has cells out to {noun} {n:,}; the limit is {count(most, noun)}"
                raise CellError(what, f"delete stray cells, or split the table: at most {count(most, noun)}")
        if self.height * self.width > MAX_CELLS:
            what = f"sheet {shown(self.name)} spans {self.height:,} rows and {self.width:,} columns"
            raise CellError(what, f"split the table: at most {MAX_CELLS:,} cells")


def read_workbook(content: bytes, wanted: str | None) -> tuple[str, Sheet, list[list[Cell]]]:
    """One sheet of a workbook.

    Args:
        content: the file.
        wanted: the sheet to read; None takes the only visible one with cells that is not called `about`, and `batch`
            where only `weighing` stands beside it.

    Returns:
        `xlsx` or `ods`, what the scan found, and the cells from A1 on, rows of equal length.

    Raises:
        CellError: the file is damaged, too large, not a workbook, or it is unclear which sheet is meant.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _measure(archive)
            names = set(archive.namelist())
            kind = "xlsx" if "xl/workbook.xml" in names else "ods" if "content.xml" in names else None
            if kind is None:
                raise CellError("the file is a zip archive but not an XLSX or ODS workbook", SAVE_AS)
            sheets = list(_xlsx_sheets(archive) if kind == "xlsx" else _ods_sheets(archive))
    # zipfile raises NotImplementedError for versions and compressions that it does not know
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CellError(f"the workbook is damaged or encrypted: {str(error)[:100]}", SAVE_AS) from None
    except (ParseError, DefusedXmlException, UnicodeError, ValueError) as error:
        if isinstance(error, CellError):
            raise
        raise CellError(f"the workbook holds XML that cannot be read: {str(error)[:100]}", SAVE_AS) from None
    sheet = chosen(sheets, wanted)
    return kind, sheet, placed(_grid(content, sheet.name), sheet)


SAVE_AS = "open the file in a spreadsheet program and save it again as .xlsx or .csv, without a password"


def _measure(archive: zipfile.ZipFile) -> None:
    """Unpack every part once, counting: the sizes that an archive states may lie."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise CellError(f"the workbook has {len(entries):,} parts; the limit is {MAX_ENTRIES:,}", SAVE_AS)
    total = 0
    for entry in entries:
        if entry.flag_bits & ENCRYPTED:
            raise CellError("the workbook is damaged or encrypted: a part needs a password", SAVE_AS)
        size = 0
        with archive.open(entry) as part:
            while chunk := part.read(1 << 20):
                size += len(chunk)
                if total + size > MAX_UNPACKED or (size > 1 << 20 and size > MAX_RATIO * max(entry.compress_size, 1)):
                    what = f"the workbook's part {shown(entry.filename)} unpacks to more than a table needs"
                    raise CellError(what, "send a workbook without images and large unused areas, or a .csv file")
        total += size


def chosen(sheets: list[Sheet], wanted: str | None) -> Sheet:
    """The sheet to read; it is told which others are hidden.

    Raises:
        CellError: there is no such sheet, none with cells, or several.
    """
    sheet = _chosen(sheets, wanted)
    sheet.hidden_sheets = tuple(s.name for s in sheets if s.hidden and s.height and s is not sheet)
    sheet.beside = tuple(s.name for s in sheets if s.height and s is not sheet)
    return sheet


def _chosen(sheets: list[Sheet], wanted: str | None) -> Sheet:
    if wanted is not None:
        for sheet in sheets:
            if sheet.name == wanted:
                return sheet
        raise CellError(f"there is no sheet {shown(wanted)}", f"name one of {', '.join(s.name for s in sheets)}")
    filled = [s for s in sheets if s.height and not s.hidden and s.name.casefold() != "about"]
    if len(filled) > 1 and {s.name for s in filled} == set(OWN_SHEETS):
        filled = [s for s in filled if s.name == OWN_SHEETS[0]]
    if len(filled) > 1:
        names = ", ".join(s.name for s in filled)
        raise CellError(
            f"the workbook has several sheets: {names}", "name the one to read, `--sheet NAME`, or keep only that one"
        )
    if not filled:
        hidden = " (hidden sheets are not read)" if any(s.height for s in sheets) else ""
        raise CellError(f"the workbook has no visible sheet with cells{hidden}", "fill a visible sheet")
    return filled[0]


def _grid(content: bytes, sheet: str) -> Sequence[Sequence[Cell]]:
    import python_calamine as calamine

    try:
        with calamine.load_workbook(io.BytesIO(content)) as book:
            return book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except (calamine.CalamineError, OSError, ValueError, TypeError, OverflowError) as error:
        raise CellError(f"the workbook cannot be read: {str(error)[:100]}", SAVE_AS) from None


def placed(grid: Sequence[Sequence[Cell]], sheet: Sheet) -> list[list[Cell]]:
    """Cells from A1 on in rows of equal length, with the faults of the sheet in their places."""
    width = max([sheet.width, *(len(row) for row in grid)])
    rows = [_row(row, width) for row in grid]
    rows += [[""] * width for _ in range(sheet.height - len(rows))]
    for row, column in sheet.percent:
        if type(number := rows[row][column]) is float:
            rows[row][column] = Percent(number)
    for (row, column), fault in sheet.faults.items():
        rows[row][column] = fault
    return rows


def _row(cells: Sequence[Cell], width: int) -> list[Cell]:
    return [float(c) if type(c) is int else c for c in cells] + [""] * (width - len(cells))


_REF = re.compile(r"([A-Za-z]{1,3})([1-9][0-9]{0,6})")


def _position(ref: str) -> tuple[int, int]:
    """`D4` as row and column from 0."""
    if not (found := _REF.fullmatch(ref)):
        raise CellError(f"the workbook names a cell {shown(ref)}", SAVE_AS)
    column = 0
    for letter in found[1].upper():
        column = column * 26 + ord(letter) - 64
    return int(found[2]) - 1, column - 1


def _local(name: str) -> str:
    """A tag or attribute without its namespace."""
    return name.rpartition("}")[2]


def _open(archive: zipfile.ZipFile, path: str) -> IO[bytes]:
    """A part that another part names."""
    if path not in archive.namelist():
        raise CellError(f"the workbook is damaged or encrypted: its part {shown(path)} is lost", SAVE_AS)
    return archive.open(path)


def _tags(archive: zipfile.ZipFile, path: str, wanted: str) -> list[dict[str, str]]:
    """The attributes of all elements of one name in a small part."""
    with _open(archive, path) as part:
        found = [e for _, e in iterparse(part, forbid_dtd=True) if _local(e.tag) == wanted]
    return [{_local(k): v for k, v in e.attrib.items()} for e in found]


def _xlsx_sheets(archive: zipfile.ZipFile) -> Iterator[Sheet]:
    relations = _tags(archive, "xl/_rels/workbook.xml.rels", "Relationship")
    targets = {a.get("Id"): a.get("Target", "") for a in relations}
    percent = _percent_styles(archive)
    for attributes in _tags(archive, "xl/workbook.xml", "sheet"):
        sheet = Sheet(attributes.get("name", ""), attributes.get("state", "visible") != "visible")
        path = posixpath.normpath(posixpath.join("/xl", targets.get(attributes.get("id"), ""))).lstrip("/")
        if "worksheet" in path:  # chart sheets hold no cells
            with _open(archive, path) as part:
                _scan_xlsx(part, sheet, percent)
        yield sheet


_STYLES = "xl/styles.xml"
PERCENTS = frozenset((9, 10))
"""Built-in number formats `0%` and `0.00%` (section 18.8.30)."""


def is_percent(code: str) -> bool:
    """Whether a number format shows percentages: it has a % that is neither quoted nor escaped."""
    return "%" in re.sub(r'"[^"]*"|\\.|\[[^\]]*\]', "", code)


def _percent_styles(archive: zipfile.ZipFile) -> frozenset[int]:
    """Which cell styles show numbers as percentages (sections 18.8.10 and 18.8.31)."""
    if _STYLES not in archive.namelist():
        return frozenset()
    formats, styles, of_cells = set(PERCENTS), list[int](), False
    with archive.open(_STYLES) as part:
        for event, element in iterparse(part, events=("start", "end"), forbid_dtd=True):
            tag = _local(element.tag)
            if tag == "cellXfs":
                of_cells = event == "start"
            elif event == "start" and tag == "numFmt" and is_percent(element.get("formatCode", "")):
                formats.add(int(element.get("numFmtId", -1)))
            elif event == "start" and tag == "xf" and of_cells:
                styles.append(int(element.get("numFmtId", 0)))
    return frozenset(i for i, used in enumerate(styles) if used in formats)


def _scan_xlsx(part: IO[bytes], sheet: Sheet, percent: frozenset[int]) -> None:
    """Extent, faults, percentages, hidden rows and merged ranges of a sheet (ECMA-376 part 1, section 18.3.1)."""
    row, column, formula, value = 0, -1, False, ""
    for event, element in iterparse(part, events=("start", "end"), forbid_dtd=True):
        tag = _local(element.tag)
        if event == "start" and tag == "row":
            row, column = int(element.get("r", row + 1)), -1
            if element.get("hidden") in ("1", "true"):
                sheet.hidden_rows.add(row - 1)
        elif event == "start" and tag == "col" and element.get("hidden") in ("1", "true"):
            first, last = (int(element.get(end, 1)) for end in ("min", "max"))
            sheet.hidden_columns.update(range(first - 1, min(last, MAX_COLUMNS)))
        elif event == "start" and tag == "c":
            at = _position(element.get("r")) if element.get("r") else (max(row - 1, 0), column + 1)
            row, column, formula, value = at[0] + 1, at[1], False, ""
        elif event == "end" and tag == "f":
            formula = True
        elif event == "end" and tag in ("v", "is"):
            value = "text" if tag == "is" else element.text or ""
        elif event == "end" and tag == "c":
            kind = element.get("t", "n")
            if len(element):
                sheet.extend(row - 1, column)
                if kind == "e":
                    sheet.faults[row - 1, column] = Fault(value or "#ERROR!")
                elif formula and not value and kind != "str":
                    sheet.faults[row - 1, column] = Fault("a formula without a stored value")
                elif kind == "n" and int(element.get("s", 0)) in percent:
                    sheet.percent.add((row - 1, column))
            element.clear()
        elif event == "end" and tag == "mergeCell":
            first, _, last = element.get("ref", "A1").partition(":")
            sheet.merge(*_position(first), *_position(last or first))
        elif event == "end" and tag == "row":
            element.clear()


def _ods_sheets(archive: zipfile.ZipFile) -> Iterator[Sheet]:
    """The same for OpenDocument (part 3, section 9.1), where empty and equal cells are written once and counted."""
    sheet: Sheet | None = None
    row = column = times = 0
    with archive.open("content.xml") as part:
        for event, element in iterparse(part, events=("start", "end"), forbid_dtd=True):
            tag = _local(element.tag)
            if tag not in ("table", "table-column", "table-row", "table-cell", "covered-table-cell"):
                continue
            attributes = {_local(k): v for k, v in element.attrib.items()}
            if event == "start":
                if tag == "table":
                    sheet, row, column = Sheet(attributes.get("name", "")), 0, 0
                elif tag == "table-column" and sheet is not None:
                    wide = max(int(attributes.get("number-columns-repeated", 1)), 1)
                    if attributes.get("visibility", "visible") != "visible":
                        sheet.hidden_columns.update(range(column, min(column + wide, MAX_COLUMNS)))
                    column += wide
                elif tag == "table-row":
                    column, times = 0, max(int(attributes.get("number-rows-repeated", 1)), 1)
            elif sheet is not None and tag == "table":
                yield sheet
                sheet = None
            elif sheet is not None and tag == "table-row":
                if attributes.get("visibility", "visible") != "visible" and sheet.height > row:
                    sheet.hidden_rows.update(range(row, min(row + times, sheet.height)))
                row += times
                element.clear()
            elif sheet is not None and tag != "table-column":
                wide = max(int(attributes.get("number-columns-repeated", 1)), 1)
                if len(element) or "value-type" in attributes:
                    sheet.extend(row + times - 1, column + wide - 1)
                    _ods_cell(sheet, element, range(row, row + times), range(column, column + wide))
                column += wide


def _ods_cell(sheet: Sheet, cell: Element, rows: range, columns: range) -> None:
    types = [v for k, v in cell.attrib.items() if _local(k) == "value-type"]  # LibreOffice adds one of its own
    attributes = {_local(k): v for k, v in cell.attrib.items()}
    text = "".join(cell.itertext()).strip()
    if "error" in types or ("formula" in attributes and not types):
        fault = Fault(text or "a formula without a stored value")
        sheet.faults.update({(r, c): fault for r in rows for c in columns})
    if "percentage" in types:
        sheet.percent.update((r, c) for r in rows for c in columns)
    down, across = (int(attributes.get(f"number-{n}-spanned", 1)) for n in ("rows", "columns"))
    if down > 1 or across > 1:
        sheet.merge(rows[0], columns[0], rows[0] + down - 1, columns[0] + across - 1)
