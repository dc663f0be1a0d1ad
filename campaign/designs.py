"""Designs that a table states, checked against the space that they are to be of."""

from __future__ import annotations

from dataclasses import replace

from campaign.spaces import Space
from db.errors import InvalidInput, Problem
from lab_io.findings import Status
from lab_io.schema import Check, CheckedRow


def refuse_strangers(checked: Check, space: Space, name: str) -> Check:
    """The same check with every row rejected whose design is none of the space: `Ti@M99` in a slab of 12 sites.

    Args:
        checked: of a table.
        space: of the campaign; a design need not be a candidate.
        name: of the file.
    """
    return replace(checked, rows=tuple(_checked(row, space, name) for row in checked.rows))


def _checked(row: CheckedRow, space: Space, name: str) -> CheckedRow:
    if row.result is None or not row.result.design:
        return row
    try:
        space.design_candidate(row.result.design)
    except InvalidInput as error:
        wrong = [Problem(f"{name}, row {row.number}, {p.where}", p.what, p.fix) for p in error.problems]
        return replace(row, status=Status.REJECTED, problems=(*row.problems, *wrong), result=None)
    return row
