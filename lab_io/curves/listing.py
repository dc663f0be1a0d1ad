"""What every reader of a vendor's file hands on: headings, rows with line numbers, words of the header."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lab_io.findings import CellError
from lab_io.words import shown

MAX_POINTS = 200_000
"""Most points of a curve that are read."""
MAX_LINES = 2 * MAX_POINTS
"""Most lines of a file."""
MAX_LINE = 20_000
"""Longest line of a file, in characters."""

Row = tuple[int, tuple[str, ...]]
"""Line number from 1, and the cells as they stand."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The table of a curve as it stands in its file; nothing is a number yet."""

    format: str
    """`BioLogic`, `Gamry`, `CHI`, `Autolab` or `CSV`."""
    headings: tuple[str, ...]
    """As written, with their units: `Ewe/V`."""
    rows: tuple[Row, ...]
    decimal_comma: bool
    """Whether a comma may be a decimal sign here: it is not what separates the cells."""
    cycles: tuple[int, ...] = ()
    """Of each row, where the file holds one block per cycle."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the header says, as far as we look at it: `area`, `reference`, `scan rate`, `technique`."""
    left_out: tuple[int, ...] = ()
    """Lines of points that the instrument itself marked as overloaded."""


class Reader(Protocol):
    """A vendor's format: one module each."""

    NAME: str

    def sniff(self, text: str) -> bool:
        """Whether a file is of this format, by its content alone."""
        ...

    def read(self, text: str) -> Listing:
        """Its table.

        Raises:
            CellError: the file is of this format, and damaged.
        """
        ...


def decode(content: bytes) -> str:
    """The text of a vendor's file: UTF-16 with a mark, UTF-8, else Windows-1252, else Latin-1.

    Raises:
        CellError: it is empty, or not text.
    """
    if not content.strip():
        raise CellError("the file is empty", "export the curve again")
    text = None
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252", "latin-1"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if text is None or re.search("[\x00-\x08\x0e-\x1f]", text):
        raise CellError("the file is not text", "export the curve as text: .mpt, .DTA, .txt or .csv")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (lines := text.count("\n")) > MAX_LINES:
        raise CellError(f"the file has {lines:,} lines", f"export fewer points: at most {MAX_POINTS:,}")
    sizes = [len(line) for line in text.split("\n")]
    if max(sizes) > MAX_LINE:
        what = f"line {sizes.index(max(sizes)) + 1} has {max(sizes):,} characters"
        raise CellError(what, "export the curve again, one point per line")
    return text


def table(lines: Sequence[str], first: int, separator: str | None) -> tuple[Row, ...]:
    """The cells of lines that are not blank.

    Args:
        lines: of the file.
        first: position from 0 of the first one of the table.
        separator: between cells; None for runs of blanks.

    Raises:
        CellError: there are more than `MAX_POINTS`.
    """
    rows = tuple(
        (number, tuple(cell.strip() for cell in line.strip("\n").split(separator)))
        for number, line in enumerate(lines[first:], first + 1)
        if line.strip()
    )
    if len(rows) > MAX_POINTS:
        fix = f"export fewer points: at most {MAX_POINTS:,}, one point per mV is plenty"
        raise CellError(f"the curve has {len(rows):,} points", fix)
    return rows


def said(lines: Sequence[str], words: Mapping[str, str]) -> dict[str, str]:
    """What lines such as `Electrode surface area : 0,196 cm²` or `Scan Rate (V/s) = 0.005` say.

    Args:
        lines: of a header.
        words: how a line begins -> our name for it.
    """
    found: dict[str, str] = {}
    for line in lines:
        for begin, name in words.items():
            if line.strip().casefold().startswith(begin):
                value = re.sub(r"^\s*[:=]?\s*", "", line.strip()[len(begin) :])
                found.setdefault(name, value.strip())
    return {name: value for name, value in found.items() if value}


def no_table(what: str) -> CellError:
    """The error of a file whose table is missing."""
    return CellError(what, "export the curve again, with its column names and at least one point")


def line_error(number: int, what: str, fix: str) -> CellError:
    """An error on a line of the header."""
    return CellError(f"line {number}: {shown(what)}", fix)
