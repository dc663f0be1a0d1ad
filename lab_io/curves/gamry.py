"""Gamry Explain text (.DTA): tab-separated settings, then one `CURVE TABLE` per cycle with a row of units."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab_io.curves.listing import Listing, Row, no_table, table

NAME = "Gamry"

_TABLE = re.compile(r"(?P<name>[A-Z]*CURVE)(?P<number>\d*)\tTABLE\b")
_WORDS = {"AREA": "area", "SCANRATE": "scan rate", "TITLE": "technique"}


def sniff(text: str) -> bool:
    """Whether the first line is Gamry's."""
    return bool(re.match(r"\s*EXPLAIN\s*\n", text))


def read(text: str) -> Listing:
    """All tables of measured curves, one cycle each; the table of the open-circuit potential is passed over.

    Raises:
        CellError: there is no such table, or two of them have other columns.
    """
    lines = text.split("\n")
    headings: tuple[str, ...] = ()
    rows: list[Row] = []
    cycles: list[int] = []
    for at, line in enumerate(lines):
        found = _TABLE.match(line)
        if not found or found["name"] != "CURVE":
            continue
        end = next((i for i in range(at + 1, len(lines)) if not lines[i].startswith("\t")), len(lines))
        if end - at < 4:
            continue
        names, units = (_cells(lines[i]) for i in (at + 1, at + 2))
        joined = tuple(f"{n} ({u})" if u else n for n, u in zip(names, (*units, *[""] * len(names)), strict=False))
        if headings and joined != headings:
            raise no_table(f"line {at + 2} has other columns than the curve before it")
        headings = joined
        block = [(number, cells[1:]) for number, cells in table(lines[:end], at + 3, "\t")]
        rows += block
        cycles += [int(found["number"] or 1)] * len(block)
    if not rows:
        raise no_table("there is no table named CURVE with points in it")
    over = next((i for i, name in enumerate(headings) if name.startswith("Over")), None)
    marked = [over is not None and over < len(cells) and bool(cells[over].strip(".")) for _, cells in rows]
    return Listing(
        NAME,
        headings,
        tuple(row for row, bad in zip(rows, marked, strict=True) if not bad),
        decimal_comma=True,
        cycles=tuple(cycle for cycle, bad in zip(cycles, marked, strict=True) if not bad),
        settings=_settings(lines),
        left_out=tuple(row[0] for row, bad in zip(rows, marked, strict=True) if bad),
    )


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.rstrip("\t \n").split("\t")[1:])


def _settings(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        cells = line.split("\t")
        if len(cells) > 2 and (name := _WORDS.get(cells[0])):
            unit = {"area": " cm^2", "scan rate": " mV/s"}.get(name, "")
            found.setdefault(name, cells[2].strip().replace(",", ".") + unit)
    return found
