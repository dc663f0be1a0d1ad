"""Designs as people type them on the command line, or keep them in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from campaign.files import read_file
from campaign.spaces import Space, units, variables
from campaign.words import shown
from db.errors import InvalidInput, Problem
from db.records import Design
from lab_io.findings import CellError
from lab_io.tables import MAX_BYTES, cell_text, read_table
from lab_io.units import convert, split_header

FILES = (".json", ".csv", ".xlsx", ".ods")
"""Endings of files with designs."""
_PAIR = re.compile(r"([^\s=,;]+)\s*=([^=()]|\([^()]*\))*")
_PART = re.compile(r"[A-Z][a-z]?[0-9.]*(@[Mm]?[0-9]+)?")
"""A component with its amount, or a dopant on its site."""


def read_designs(words: Iterable[str], space: Space) -> list[str | Design]:
    """Designs as they were typed, in one argument or in several, or in files; lines are left for `candidate_of`.

    Args:
        words: arguments. Those with one pair (`T=300`) or one part of a formula (`Ni0.5`, `Ti@M1`) make up one design
            together, or complete the only one that there is beside them by what is not of its composition; any other
            is a design of its own, or a file: a table with a column for each of the space's, or JSON objects.
        space: whose columns they are in; values of a table are converted to their units.

    Raises:
        InvalidInput: a file cannot be read.
    """
    parts, wholes, found = list[str](), list[str](), list[str | Design]()
    for word in (word.strip() for word in words):
        if "=" not in word and Path(word).suffix.lower() in FILES:
            found += _read_file(Path(word), space)
        elif _PAIR.fullmatch(word) or _PART.fullmatch(word):
            parts.append(word)
        else:
            wholes.append(word)
    if len(wholes) == 1 and not any(_component(part, space) for part in parts):
        wholes, parts = [", ".join([*wholes, *parts])], []
    return [*([", ".join(parts)] if parts else []), *wholes, *found]


def _component(part: str, space: Space) -> bool:
    """Whether a part says something of the composition."""
    pair = _PAIR.fullmatch(part)
    return pair is None or pair[1] in space.components


def _read_file(path: Path, space: Space) -> list[dict[str, float | str]]:
    content = read_file(path, path.name, MAX_BYTES)
    return _from_json(content, path.name) if path.suffix.lower() == ".json" else _from_table(content, path.name, space)


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


def _from_table(content: bytes, name: str, space: Space) -> list[dict[str, float | str]]:
    table, unit_of, names = read_table(content, name), units(space), variables(space)
    heads = [split_header(cell) for cell in table.header]
    kept = [(j, column, unit or table.units[j]) for j, (column, unit) in enumerate(heads) if column in names]
    if not kept:
        what = f"no column is one of the space's; there are {', '.join(table.header)}"
        raise InvalidInput(Problem(name, what, f"name them {', '.join(names)}"))
    found, wrong = [], list[Problem]()
    for row in table.rows:
        design: dict[str, float | str] = {}
        for j, column, unit in kept:
            text, wanted = cell_text(row.cells[j]).strip(), unit_of.get(column)
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
