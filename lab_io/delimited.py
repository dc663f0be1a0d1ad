"""Text tables (CSV and its relatives): encoding, separator and cells, with our own sniffing."""

from __future__ import annotations

import csv
import io
import re

from lab_io.findings import CellError
from lab_io.words import shown

SEPARATORS = "\t;,"
_BINARY = re.compile("[\x00-\x08\x0e-\x1f]")
_SNIFFED = 50
"""Lines that the separator is chosen from."""


def read_text(content: bytes) -> tuple[str, list[list[str]]]:
    """The cells of a text table.

    Args:
        content: UTF-8 (with or without a mark), UTF-16 with a mark, else Windows-1252.

    Returns:
        The separator, and the rows as they are: of different lengths, blank ones as empty lists.

    Raises:
        CellError: it is not text, or its quotes do not match.
    """
    text = _decoded(content)
    if text.lstrip()[:200].casefold().startswith(("<html", "<!doctype html", "<table")):
        raise CellError("the file is a web page", "open it in a spreadsheet program and save it as .xlsx or .csv")
    if _BINARY.search(text):
        raise CellError("the file is not text", "send a table as .csv, .xlsx, .xls or .ods")
    first, _, rest = text.partition("\n")
    if stated := re.fullmatch(r"sep=([,;\t|])\s*", first):  # how Excel is told the separator
        return stated[1], _rows(rest, stated[1])
    separator = _sniffed(text)
    return separator, _rows(text, separator)


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CellError("the file is not text in UTF-8, UTF-16 or Windows-1252", "save it as CSV UTF-8")


def _sniffed(text: str) -> str:
    """The separator under which most lines have as many cells as the first, and that is more than one."""
    lines = [line for line in text[: 1 << 18].splitlines(keepends=True) if line.strip()][:_SNIFFED]

    def merit(separator: str) -> tuple[int, int]:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            return 0, 0
        return (widths.count(widths[0]), widths[0]) if widths and widths[0] > 1 else (0, 0)

    return max(SEPARATORS, key=merit) if any(merit(s)[0] for s in SEPARATORS) else ","


def _rows(text: str, separator: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(reader)
    except csv.Error as error:
        fix = "check that every quote sign is closed, and that quotes inside a cell are doubled"
        raise CellError(f"line {reader.line_num} cannot be read: {shown(error)}", fix) from None
    return rows
