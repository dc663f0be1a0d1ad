"""Old workbooks (XLS) for the messy pack, written record by record ([MS-XLS], BIFF8, in a compound file [MS-CFB])."""

from __future__ import annotations

import struct
from collections.abc import Sequence

END, FREE, TABLE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD


class Error(int):
    """A cell with a spreadsheet error, by its code: 7 is #DIV/0!."""


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def _cell(row: int, column: int, value: object) -> bytes:
    at = struct.pack("<HHH", row, column, 0)
    if isinstance(value, Error):
        return _record(0x205, at + bytes([value, 1]))
    if isinstance(value, int | float):
        return _record(0x203, at + struct.pack("<d", value))
    text = str(value).encode("utf-16-le")
    return _record(0x204, at + struct.pack("<HB", len(text) // 2, 1) + text)


def old_workbook(*rows: Sequence[object], hidden: Sequence[int] = (), password: bool = False) -> bytes:
    """Rows as an XLS workbook with one sheet; None is no cell.

    Args:
        rows: the cells.
        hidden: rows, from 0, that are hidden.
        password: whether it says that it is encrypted.
    """
    bof = struct.Struct("<HHHHII")
    cells = b"".join(
        _record(0x208, struct.pack("<HHHHHHI", i, 0, len(row), 255, 0, 0, 0x20 if i in hidden else 0))
        + b"".join(_cell(i, j, value) for j, value in enumerate(row) if value is not None)
        for i, row in enumerate(rows)
    )
    page = _record(0x809, bof.pack(0x600, 0x10, 0, 0, 0, 6))
    page += _record(0x200, struct.pack("<IIHHH", 0, len(rows), 0, max(map(len, rows)), 0)) + cells + _record(0x0A, b"")
    book = _record(0x809, bof.pack(0x600, 0x05, 0, 0, 0, 6)) + _record(0x42, struct.pack("<H", 1200))
    book += _record(0x2F, bytes(54)) if password else b""
    name = b"Sheet"
    at = len(book) + 4 + 8 + len(name) + 4
    book += _record(0x85, struct.pack("<IBBBB", at, 0, 0, len(name), 0) + name) + _record(0x0A, b"")
    return compound(book + page)


def compound(stream: bytes) -> bytes:
    """A compound file with one stream, `Workbook`."""
    stream = stream.ljust(max(4096, -(-len(stream) // 512) * 512), b"\0")
    n = len(stream) // 512
    table = [TABLE, END, *range(3, n + 2), END]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, END, 0, END, 0) + struct.pack("<109I", 0, *[FREE] * 108)

    def entry(title: str, kind: int, child: int, start: int, size: int) -> bytes:
        raw = title.encode("utf-16-le")
        made = raw.ljust(64, b"\0") + struct.pack("<HBBIII", len(raw) + 2 if raw else 0, kind, 1, FREE, FREE, child)
        return made + bytes(36) + struct.pack("<IQ", start, size)

    folder = (
        entry("Root Entry", 5, 1, END, 0) + entry("Workbook", 2, FREE, 2, len(stream)) + entry("", 0, FREE, 0, 0) * 2
    )
    return header + struct.pack("<128I", *table, *[FREE] * (128 - len(table))) + folder + stream
