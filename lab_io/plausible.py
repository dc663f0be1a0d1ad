"""Readings that are possible but unlikely: asked once for a column, never corrected.

An overpotential is the potential at which a current is reached minus the 1.229 V of the reaction, so values of 0.1-1.0
mV are volts, and values of 1350-2000 mV are potentials against the reversible hydrogen electrode.
"""

from __future__ import annotations

import re

from db.errors import Problem
from lab_io.columns import Kind
from lab_io.rows import Draft, Reader
from lab_io.schema import Value
from lab_io.units import convert, same_dimension
from lab_io.words import count

_OVERPOTENTIAL = re.compile(r"over.?potential|(?<![a-z])eta(?![a-z])|η", re.IGNORECASE)
IN_VOLTS = (0.1, 1.0)
"""mV; a whole column in this band was given in V."""
AGAINST_RHE = (1350.0, 2000.0)
"""mV; a value in this band is a potential."""
USUAL = (100.0, 1000.0)
"""mV; a value outside is worth a second look, and no more than that."""


def check_plausible(reader: Reader, drafts: list[Draft]) -> None:
    """Mark the rows whose values look like another quantity or another unit."""
    for metric in reader.expect.metrics:
        if not (metric.unit and same_dimension(metric.unit, "V") and _OVERPOTENTIAL.search(metric.name)):
            continue
        heading = reader.layout.of(Kind.METRIC).get(metric.name) or reader.layout.one(Kind.VALUE)
        held = [(d, v, convert(v.value, metric.unit, "mV")) for d in drafts if (v := d.values.get(metric.name))]
        if heading is None or not held:
            continue
        below = [h for h in held if h[2] < 0]
        _ask(reader, heading.index, metric.name, below, "below 0", "check the sign and the reference electrode")
        far = [h for h in held if h[2] > 0 and not USUAL[0] <= h[2] <= USUAL[1]]
        if far:
            cells = ", ".join(f"{v.text} in {v.cell} ({mv:.4g} mV)" for _, v, mv in far[:5])
            usual = f"the usual {USUAL[0]:g} to {USUAL[1]:g} mV"
            what = f"{count(len(far), 'value')} of {metric.name} outside {usual}: {cells}"
            reader.layout.notices.append(Problem(reader.table.name, what, "check the unit and the decimal sign"))
        high = [h for h in held if AGAINST_RHE[0] <= h[2] <= AGAINST_RHE[1]]
        what = "between 1350 and 2000 mV, like a potential rather than an overpotential"
        _ask(reader, heading.index, metric.name, high, what, "subtract 1.229 V from potentials against RHE")
        if all(IN_VOLTS[0] <= mv <= IN_VOLTS[1] for _, _, mv in held):
            what = "between 0.1 and 1.0 mV, like values in V"
            fix = f"write V in the header, or answer --unit '{reader.table.header[heading.index]}=V'"
            _ask(reader, heading.index, metric.name, held, what, fix)


def _ask(reader: Reader, column: int, name: str, found: list[tuple[Draft, Value, float]], what: str, fix: str) -> None:
    for draft, _, _ in found:
        first = found[0][1]
        text = f"{name} has {count(len(found), 'value')} {what}; the first is {first.text} in {first.cell}"
        reader.ask(draft, column, text, fix)
