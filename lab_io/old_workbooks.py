"""Old workbooks (XLS) scanned before calamine opens them: extent, errors, formulas without a value, what is hidden.

An XLS file is a compound file ([MS-CFB]) whose stream `Workbook` holds records ([MS-XLS], BIFF8): two bytes of kind,
two of length, and the content. Only what the scan needs is read here; the values come from `old_cells`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

from lab_io.cells import Cell, Fault
from lab_io.findings import CellError
from lab_io.old_cells import old_cells
from lab_io.workbooks import PERCENTS, SAVE_AS, Sheet, chosen, is_percent, placed

SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAX_RECORDS = 4_000_000

_BOF, _EOF, _SHEET, _PASSWORD = 0x809, 0x0A, 0x85, 0x2F
_ROW, _COLUMNS, _MERGED, _FORMULA, _ERROR = 0x208, 0x7D, 0xE5, 0x06, 0x205
_CELLS = {0xFD, 0x203, 0x27E, 0x204, 0x205, 0x06}
"""Text, number, compact number, old text, logical or error, formula; each begins with row and column."""
_RUN = 0xBD
"""Compact numbers in neighbouring columns of a row."""
_FORMAT, _STYLE = 0x41E, 0xE0
_NUMBERS = {0x203, 0x27E, 0x06}
"""Number, compact number, formula; behind row and column stands the style."""
_ERRORS = {0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A"}
_FREE = 0xFFFFFFFA
"""Sector numbers from here on end a chain."""


def read_old_workbook(content: bytes, wanted: str | None) -> tuple[str, Sheet, list[list[Cell]]]:
    """One sheet of an XLS workbook; as `read_workbook`.

    Raises:
        CellError: the file is damaged, has a password, is no workbook, or it is unclear which sheet is meant.
    """
    try:
        stream = _stream(content)
        sheets = list(_sheets(stream))
    except (struct.error, IndexError, UnicodeDecodeError):
        raise CellError("the old workbook is damaged", SAVE_AS) from None
    sheet = chosen(sheets, wanted)
    grid = old_cells(content, sheet.name)
    if grid is None:
        raise CellError("the old workbook is damaged", SAVE_AS)
    return "xls", sheet, placed(grid, sheet)


def _stream(content: bytes) -> bytes:
    """The stream `Workbook` of a compound file ([MS-CFB] 2.2 to 2.6)."""
    shift, small_shift = struct.unpack_from("<HH", content, 30)
    (directory,) = struct.unpack_from("<I", content, 48)
    cutoff, small_start, _, more, _ = struct.unpack_from("<IIIII", content, 56)
    if shift not in (9, 12) or small_shift != 6:
        raise CellError("the old workbook is damaged", SAVE_AS)
    size = 1 << shift
    sectors = len(content) // size
    table_at = [s for s in struct.unpack_from("<109I", content, 76) if s < _FREE]
    seen: set[int] = set()
    while more < _FREE and more not in seen:
        seen.add(more)
        entries = struct.unpack_from(f"<{size // 4}I", content, (more + 1) * size)
        table_at += [s for s in entries[:-1] if s < _FREE]
        more = entries[-1]
    table: list[int] = []
    for sector in table_at[:sectors]:
        table += struct.unpack_from(f"<{size // 4}I", content, (sector + 1) * size)

    def chain(start: int, links: list[int], source: bytes, width: int, offset: int) -> bytes:
        parts: list[bytes] = []
        at = start
        while at < _FREE and len(parts) <= len(source) // width:
            parts.append(source[(at + offset) * width : (at + offset + 1) * width])
            at = links[at]
        return b"".join(parts)

    folder = chain(directory, table, content, size, 1)
    root = struct.unpack_from("<I", folder, 116)[0]
    for at in range(0, len(folder) - 127, 128):
        (length,) = struct.unpack_from("<H", folder, at + 64)
        name = folder[at : at + max(min(length, 64) - 2, 0)].decode("utf-16-le")
        start, long = struct.unpack_from("<II", folder, at + 116)
        if name in ("Workbook", "Book"):
            if long >= cutoff:
                return chain(start, table, content, size, 1)[:long]
            small = chain(small_start, table, content, size, 1)
            links = list(struct.unpack(f"<{len(small) // 4}I", small[: len(small) // 4 * 4]))
            return chain(start, links, chain(root, table, content, size, 1), 64, 0)[:long]
    raise CellError("the file is an old document, but not a workbook", SAVE_AS)


def _records(stream: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Kind, content and end of each record from an offset on."""
    for _ in range(MAX_RECORDS):
        if at + 4 > len(stream):
            return
        kind, length = struct.unpack_from("<HH", stream, at)
        yield kind, stream[at + 4 : at + 4 + length], at + 4 + length
        at += 4 + length


def _sheets(stream: bytes) -> Iterator[Sheet]:
    """Every worksheet, scanned."""
    begun, formats, styles = False, set(PERCENTS), list[int]()
    for kind, data, _ in _records(stream, 0):
        if kind == _BOF:
            if struct.unpack_from("<H", data)[0] != 0x600:
                raise CellError("the workbook is older than Excel 97", SAVE_AS)
            begun = True
        elif kind == _PASSWORD:
            raise CellError("the workbook is damaged or encrypted: it has a password", SAVE_AS)
        elif kind == _FORMAT:
            number, length, wide = struct.unpack_from("<HHB", data)
            code = data[5 : 5 + length * (2 if wide & 1 else 1)].decode("utf-16-le" if wide & 1 else "latin-1")
            if is_percent(code):
                formats.add(number)
        elif kind == _STYLE:
            styles.append(struct.unpack_from("<HH", data)[1])
        elif kind == _SHEET and begun:
            at, hidden, what, length, wide = struct.unpack_from("<IBBBB", data)
            raw = data[8 : 8 + length * (2 if wide & 1 else 1)]
            name = raw.decode("utf-16-le" if wide & 1 else "latin-1")
            if what == 0:
                percent = {i for i, used in enumerate(styles) if used in formats}
                yield _scanned(stream, at, Sheet(name, hidden=bool(hidden & 3)), percent)
        elif kind == _EOF:
            return
    if not begun:
        raise CellError("the old workbook is damaged", SAVE_AS)


def _scanned(stream: bytes, at: int, sheet: Sheet, percent: Collection[int]) -> Sheet:
    depth = 0
    for kind, data, _ in _records(stream, at):
        if kind == _BOF:
            depth += 1
        elif kind == _EOF:
            depth -= 1
            if depth <= 0:
                break
        elif depth > 1:  # a chart inside the sheet
            continue
        elif kind == _ROW:
            row, flags = struct.unpack_from("<H", data)[0], struct.unpack_from("<I", data, 12)[0]
            if flags & 0x20:
                sheet.hidden_rows.add(row)
        elif kind == _COLUMNS:
            first, last, _, _, flags = struct.unpack_from("<HHHHH", data)
            if flags & 1:
                sheet.hidden_columns.update(range(first, min(last, 255) + 1))
        elif kind == _MERGED:
            for i in range(struct.unpack_from("<H", data)[0]):
                top, bottom, left, right = struct.unpack_from("<HHHH", data, 2 + 8 * i)
                sheet.merge(top, left, bottom, right)
        elif kind in _CELLS:
            row, column = struct.unpack_from("<HH", data)
            sheet.extend(row, column)
            if fault := _fault(kind, data):
                sheet.faults[row, column] = fault
            if kind in _NUMBERS and struct.unpack_from("<H", data, 4)[0] in percent:
                sheet.percent.add((row, column))
        elif kind == _RUN:
            row, first = struct.unpack_from("<HH", data)
            last = struct.unpack_from("<H", data, len(data) - 2)[0]
            sheet.extend(row, max(first, last))
            in_style = enumerate(struct.iter_unpack("<H4x", data[4 : 4 + (len(data) - 6) // 6 * 6]), start=first)
            sheet.percent.update((row, column) for column, (style,) in in_style if style in percent)
    return sheet


def _fault(kind: int, data: bytes) -> Fault | None:
    """An error value, stated or as the result of a formula ([MS-XLS] 2.4.24 and 2.5.133)."""
    if kind == _ERROR and len(data) >= 8 and data[7] == 1:
        return Fault(_ERRORS.get(data[6], "#ERROR!"))
    if kind == _FORMULA and len(data) >= 14 and data[12:14] == b"\xff\xff" and data[6] == 2:
        return Fault(_ERRORS.get(data[8], "#ERROR!"))
    return None
