"""Plain tables of a curve: CSV with `,`, `;`, tabs or blanks, with or without lines above the column names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab_io.curves.listing import Listing, no_table, table

NAME = "CSV"

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")


def sniff(text: str) -> bool:
    """Any text may be a plain table; asked last."""
    return True


def read(text: str) -> Listing:
    """The longest stretch of lines that hold two numbers or more each; the line above it holds the names.

    A file without names gets the headings `1`, `2`, ... which say nothing of what they are: the user must name them.

    Raises:
        CellError: no two lines follow each other that hold numbers alike.
    """
    lines = text.split("\n")
    separator, start = _begin(lines)
    widest = [cell.strip().strip('"') for cell in _split(lines[start], separator)]
    above = next((i for i in range(start - 1, -1, -1) if lines[i].strip()), None)
    names = [] if above is None else [cell.strip().strip('"') for cell in _split(lines[above], separator)]
    if len(names) != len(widest) and above is not None and separator is None:  # `E (V)  I (mA)` between blanks
        names = [cell.strip() for cell in re.split(r"\t|\s{2,}", lines[above].strip())]
    if len(names) != len(widest) or all(_NUMBER.fullmatch(name) for name in names):
        names = [str(i + 1) for i in range(len(widest))]
    return Listing(NAME, tuple(names), table(lines, start, separator), decimal_comma=separator != ",")


def _begin(lines: Sequence[str]) -> tuple[str | None, int]:
    """The separator, and the first line of data."""
    for separator in ("\t", ";", ",", None):
        for at in range(min(len(lines) - 1, 500)):
            here, after = (_split(lines[i], separator) for i in (at, at + 1))
            if len(here) > 1 and len(here) == len(after) and _numbers(here) and _numbers(after):
                return separator, at
    raise no_table("no column of potentials and no column of currents were found")


def _split(line: str, separator: str | None) -> list[str]:
    return line.strip(" \n").split(separator)


def _numbers(cells: Sequence[str]) -> bool:
    return sum(bool(_NUMBER.fullmatch(cell.strip().strip('"'))) for cell in cells) > 1
