"""CH Instruments text: a date, the technique, `Instrument Model: CHI660E`, settings, then `Potential/V, Current/A`."""

from __future__ import annotations

import re

from lab_io.curves.listing import Listing, no_table, said, table

NAME = "CHI"

_HEAD = re.compile(r"^\s*Potential/V\s*[,\t;]", re.IGNORECASE)


def sniff(text: str) -> bool:
    """Whether the header names the instrument."""
    return bool(re.search(r"^\s*Instrument Model:\s*CHI", text[:5000], re.IGNORECASE | re.MULTILINE))


def read(text: str) -> Listing:
    """The table behind the line that begins with `Potential/V`.

    Raises:
        CellError: there is no such line.
    """
    lines = text.split("\n")
    top = next((i for i, line in enumerate(lines) if _HEAD.match(line)), None)
    if top is None:
        raise no_table("there is no line that begins with `Potential/V`: not a polarisation curve")
    separator = "\t" if "\t" in lines[top] else ";" if ";" in lines[top] else ","
    settings = said(lines[:top], {"scan rate (v/s)": "scan rate"})
    if rate := settings.get("scan rate"):
        settings["scan rate"] = f"{rate} V/s"
    technique = next((line.strip() for line in lines[1:top] if re.search("voltammetry|tafel|amper", line, re.I)), "")
    return Listing(
        NAME,
        tuple(cell.strip() for cell in lines[top].split(separator)),
        table(lines, top + 1, separator),
        decimal_comma=separator != ",",
        settings=settings | ({"technique": technique} if technique else {}),
    )
