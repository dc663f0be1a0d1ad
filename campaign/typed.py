"""Designs as people type them on the command line, or keep them in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from campaign.files import read_file
from campaign.spaces import Space
from campaign.words import shown
from db.errors import InvalidInput, Problem
from lab_io.findings import CellError
from lab_io.tables import MAX_BYTES, cell_text, read_table
from lab_io.units import convert, split_header

FILES = (".json", ".csv", ".xlsx", ".ods")
"""Endings of files with designs."""
EXAMPLE = "write COLUMN=VALUE for each column of the space, such as `Ni=0.3 Fe=0.7`"
_BETWEEN = re.compile(r"[\s,;]+(?=[^\s=,;]+=)")
"""Between two pairs; a value may hold blanks itself."""


def read_designs(words: Iterable[str], units: Mapping[str, str | None]) -> list[dict[str, float | str]]:
    """Designs as they were typed: `Ni=0.3 Fe=0.7` in one argument or in several, or files.

    Args:
        words: arguments. One pair in each makes up one design together; one with several is a design of its own; one
            with an ending of `FILES` is a file: a table with a column for each of the space's, or JSON objects.
        units: column of the space -> its unit, to which a table that states another is converted.

    Raises:
        InvalidInput: something is neither; all problems at once.
    """
    found, single, wrong = list[dict[str, float | str]](), dict[str, float | str](), list[Problem]()
    for word in words:
        if "=" not in word and Path(word).suffix.lower() in FILES:
            found += _read_file(Path(word), units)
            continue
        pairs = [part.partition("=") for part in _BETWEEN.split(word.strip())]
        if not all(name and value for name, _, value in pairs):
            wrong.append(Problem(shown(word), "it is not COLUMN=VALUE and no file", EXAMPLE))
            continue
        design: dict[str, float | str] = {name: value for name, _, value in pairs}
        if len(pairs) > 1:
            found.append(design)
        else:
            wrong += [
                Problem(word, f"{name} is given twice", "give each column once") for name in design if name in single
            ]
            single |= design
    if wrong:
        raise InvalidInput(wrong)
    return ([single] if single else []) + found


def _read_file(path: Path, units: Mapping[str, str | None]) -> list[dict[str, float | str]]:
    content = read_file(path, path.name, MAX_BYTES)
    return _from_json(content, path.name) if path.suffix.lower() == ".json" else _from_table(content, path.name, units)


def _from_json(content: bytes, name: str) -> list[dict[str, float | str]]:
    fix = 'write `[{"Ni": 0.3, "Fe": 0.7}]`'
    try:
        given = json.loads(content)
    except ValueError as error:
        raise InvalidInput(Problem(name, f"it is no JSON ({error})", fix)) from None
    rows = given if isinstance(given, list) else [given]
    wrong = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not all(type(value) in (str, int, float) for value in row.values()):
            wrong.append(Problem(f"{name}, item {number}", f"{shown(row)} is no object of numbers and words", fix))
    if wrong:
        raise InvalidInput(wrong)
    return rows


def _from_table(content: bytes, name: str, units: Mapping[str, str | None]) -> list[dict[str, float | str]]:
    table = read_table(content, name)
    heads = [split_header(cell) for cell in table.header]
    kept = [(j, column, unit or table.units[j]) for j, (column, unit) in enumerate(heads) if column in units]
    if not kept:
        what = f"no column is one of the space's; there are {', '.join(table.header)}"
        raise InvalidInput(Problem(name, what, f"name them {', '.join(units)}"))
    found, wrong = [], list[Problem]()
    for row in table.rows:
        design: dict[str, float | str] = {}
        for j, column, unit in kept:
            text, wanted = cell_text(row.cells[j]).strip(), units[column]
            if not text:
                continue
            design[column] = text
            if unit and wanted and unit != wanted:
                try:
                    design[column] = convert(float(text), unit, wanted)
                except (CellError, ValueError) as error:
                    what = error.what if isinstance(error, CellError) else f"{shown(text)} is not a number"
                    wrong.append(Problem(table.where(row.number, j), what, f"write a number in {wanted}"))
        found.append(design)
    if wrong:
        raise InvalidInput(wrong)
    return found


def columns_of(space: Space) -> dict[str, str | None]:
    """Column of a design -> its unit."""
    sides = {column.name: column.unit for column in space.side_columns()}
    return {name: sides.get(name) for name in (*space.components, *sides)}
