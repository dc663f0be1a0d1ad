"""Autolab text as NOVA exports it: one row of names such as `WE(1).Potential (V)`, separated by `;`, tabs or commas."""

from __future__ import annotations

from lab_io.curves.listing import Listing, table

NAME = "Autolab"


def sniff(text: str) -> bool:
    """Whether one of the first lines names the working electrode as NOVA does."""
    return any("WE(1)." in line for line in text.split("\n", 20)[:20])


def read(text: str) -> Listing:
    """The table below the row of names; lines above it are passed over."""
    lines = text.split("\n")
    top = next(i for i, line in enumerate(lines) if "WE(1)." in line)
    separator = max(";\t,", key=lines[top].count)
    headings = tuple(cell.strip().strip('"') for cell in lines[top].split(separator))
    return Listing(NAME, headings, table(lines, top + 1, separator), decimal_comma=separator != ",")
