"""EC-Lab text (.mpt): `EC-Lab ASCII FILE`, `Nb header lines : 62`, a free header, then a tab-separated table."""

from __future__ import annotations

import re

from lab_io.curves.listing import Listing, line_error, no_table, said, table

NAME = "BioLogic"

_WORDS = {
    "electrode surface area": "area",
    "reference electrode": "reference",
    "de/dt unit": "scan unit",
    "de/dt  ": "scan rate",
}
_TECHNIQUES = re.compile(r"(linear sweep|cyclic|staircase|chrono|open circuit|potentio|galvano|tafel)", re.IGNORECASE)


def sniff(text: str) -> bool:
    """Whether the first line is EC-Lab's."""
    return bool(re.match(r"\s*(EC|BT)-Lab ASCII FILE", text, re.IGNORECASE))


def read(text: str) -> Listing:
    """The table below the header, whose last line holds the column names.

    Raises:
        CellError: the number of header lines is missing, impossible or wrong.
    """
    lines = text.split("\n")
    number = next((i for i, line in enumerate(lines[:10]) if line.casefold().startswith("nb header lines")), None)
    if number is None:
        raise no_table("the line `Nb header lines : ...` is missing")
    count = re.fullmatch(r"[^:]*:\s*(\d{1,6})\s*", lines[number])
    last = int(count[1]) if count else 0
    if not number + 1 < last < len(lines):
        fix = f"it should be the number of the line with the column names, from {number + 2} to {len(lines) - 1}"
        raise line_error(number + 1, lines[number], fix)
    headings = tuple(cell.strip() for cell in lines[last - 1].rstrip("\t \n").split("\t"))
    if len(headings) < 2:
        fix = f"line {last} should hold the column names: correct the number of header lines, or export again"
        raise line_error(number + 1, lines[number], fix)
    settings = said(lines[: last - 1], _WORDS)
    if rate := settings.pop("scan rate", ""):
        settings["scan rate"] = f"{rate.split()[0].replace(',', '.')} {settings.pop('scan unit', '')}".strip()
    settings.pop("scan unit", None)
    if found := next((line.strip() for line in lines[:last] if _TECHNIQUES.match(line.strip())), None):
        settings["technique"] = found
    return Listing(NAME, headings, table(lines, last, "\t"), decimal_comma=True, settings=settings)
