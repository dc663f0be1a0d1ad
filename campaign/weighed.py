"""What was weighed, as the lab hands it back: checked beside the results, and recorded with the samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from campaign.filters import FormulaSpace
from campaign.sharing import COMPOSITION, WEIGHED
from campaign.weighing import metals
from db.errors import Problem
from lab_io.cells import cell_text
from lab_io.findings import Status
from lab_io.schema import Check, CheckedRow, Weighed
from lab_io.tables import RawTable, read_table
from lab_io.weighings import SHEET, is_weighing, read_weighings

if TYPE_CHECKING:
    from campaign.record import Reading
    from campaign.state import State


def masses_alone(state: State, table: RawTable, reading: Reading) -> Check | None:
    """The check of a table that is a weighing sheet; None for any other, or where the spec has no `synthesis`.

    Raises:
        InvalidInput: a column is missing.
    """
    if state.spec.synthesis is None or not is_weighing(table):
        return None
    rows = _checked(state, table, reading)
    return Check(rows, (), table.remarks, tuple(sorted(r.label for r in state.pending)))


def with_masses(state: State, table: RawTable, reading: Reading, checked: Check) -> Check:
    """The check of a table of results, and of what is filled in on the sheet `weighing` beside it.

    Raises:
        InvalidInput: that sheet cannot be read.
    """
    if SHEET not in table.beside:
        return checked
    if state.spec.synthesis is None:
        what = f"the sheet {SHEET} is not read: the spec says nothing of synthesis"
        return replace(checked, notices=(*checked.notices, Problem(reading.name, what, "nothing, if that is so")))
    rows = _checked(state, read_table(reading.content, reading.name, sheet=SHEET), reading)
    return replace(checked, rows=(*checked.rows, *(row for row in rows if row.status is not Status.PENDING)))


def _checked(state: State, table: RawTable, reading: Reading) -> tuple[CheckedRow, ...]:
    given = state.spec.synthesis
    assert given is not None
    designs = {r.label: r.design for r in state.recommendations}
    designs |= {s.label: s.design for s in state.samples if s.campaign == state.name}
    named = {cell_text(cell) for row in table.rows for cell in row.cells} & designs.keys()
    targets = {name: metals(state.space, designs[name], given) for name in named}
    label = {s.id: s.label for s in state.samples}
    on_record = {
        label[s]: _shares({e: x for e, x in (rows[-1].composition or {}).items() if e not in given.free})
        for (s, metric), rows in state.measured.items()
        if metric == WEIGHED
    }
    measured = {label[s] for s, metric in state.measured if metric == COMPOSITION}
    found = []
    for row in read_weighings(table, designs, targets, on_record, reading.fixes):
        if row.result is not None and row.result.weighed is not None:
            told = _use(state, row.result.label in measured)
            whole = _whole(state, row.result.weighed, row.result.design)
            row = replace(row, result=replace(row.result, weighed=whole), notes=(*row.notes, told))
        found.append(row)
    return tuple(found)


def _use(state: State, measured: bool) -> str:
    """What becomes of a composition that was weighed: nothing is taken for the target's in silence."""
    if isinstance(state.space, FormulaSpace):
        return "the composition weighed is kept; the surrogate learns from the structure as planned"
    if measured:
        return "the composition weighed is kept; the surrogate learns from the measured one"
    return "the surrogate learns from the composition weighed, until one is measured"


def _whole(state: State, weighed: Weighed, design: Mapping[str, float | str]) -> Weighed:
    """With the elements that are not weighed in the share that was planned."""
    free = {e: float(design[e]) for e in state.space.components if e in design and e not in weighed.composition}
    given = state.spec.synthesis
    free = {e: x for e, x in free.items() if given is not None and e in given.free}
    left = 1 - math.fsum(free.values())
    return replace(weighed, composition={**{e: x * left for e, x in weighed.composition.items()}, **free})


def _shares(amounts: Mapping[str, float]) -> dict[str, float]:
    total = math.fsum(amounts.values())
    return {e: x / total for e, x in amounts.items()} if total > 0 else {}


def kept(weighed: Weighed) -> dict[str, Any]:
    """The masses as plain values, to be kept with the composition."""
    masses = [{key: value for key, value in asdict(m).items() if value is not None} for m in weighed.masses]
    return {"masses": masses}
