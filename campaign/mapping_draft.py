"""A first mapping for a table nobody prepared: what each column is taken for, and what stands in the others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from campaign.yaml import dump
from db.errors import Conflict, InvalidInput, Problem
from lab_io.cells import blank, cell_text
from lab_io.columns import Kind, read_layout
from lab_io.schema import Expectation
from lab_io.tables import RawTable
from lab_io.words import count, shown

SHOWN = 4
"""How many values of a column to show."""


def draft(table: RawTable, expect: Expectation, accept: Sequence[str] = ()) -> str:
    """A mapping file with comments, to be completed by hand; it reads the table as it would be read without it.

    Args:
        table: the table.
        expect: what the campaign knows.
        accept: the fixes with which it was read.
    """
    layout = read_layout(table, expect, {}, {})
    known = {h.index: h for h in layout.headings}
    metrics = ", ".join(m.name for m in expect.metrics)
    lines = [
        f"# How {table.name} is read: {count(len(table.rows), 'row')}, {count(len(table.header), 'column')}.",
        f"# Columns may be: sample_id, formula, {metrics}, a fraction, measured FRACTION, keep, ignore, ...",
        "mapping_version: 1",
    ]
    if table.sheet:
        lines.append(dump({"sheet": table.sheet}).rstrip())
    lines.append("columns:")
    for index, header in enumerate(table.header):
        if not header:
            continue
        key = dump({header: 0}).rstrip().removesuffix(": 0").removesuffix(":\n0")
        heading = known.get(index)
        if heading is None:
            lines.append(f"  # {key}: ignore  # {_values(table, index)}")
        else:
            ours = f"measured {heading.name}" if heading.kind is Kind.MEASURED else heading.name or str(heading.kind)
            unit = f" in {heading.unit}" if heading.unit else ""
            lines.append(f"  {dump({header: ours}).rstrip()}  # read as {heading.kind}{unit}")
    if len(known) == 0:
        lines[-1 - sum(bool(h) for h in table.header)] = "columns: {}"
    lines += [
        "units: {}  # column: unit, where the file does not say",
        "where: {}  # of the rows to read, column: value, [values], {min: 20, max: 30}, {not: value} or {filled: true}",
        f"accept: {json.dumps(list(accept))}  # fixes that are consented to, as for --accept-fix",
    ]
    return "\n".join(lines) + "\n"


def _values(table: RawTable, index: int) -> str:
    """How many cells of a column are filled, and with what."""
    texts = [cell_text(r.cells[index]) for r in table.rows if not blank(r.cells[index])]
    told = ", ".join(shown(" ".join(text.split())) for text, _ in Counter(texts).most_common(SHOWN))
    return f"{len(texts)} filled, {len(set(texts))} different: {told}"


def write_draft(path: Path, text: str) -> Path:
    """Write a draft where no file is.

    Raises:
        Conflict: there is one.
        InvalidInput: the folder cannot be written to.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Conflict(Problem(str(path), "exists already", "choose another --output")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(Problem(str(path), f"cannot be written: {reason}", "choose another folder")) from None
    return path
