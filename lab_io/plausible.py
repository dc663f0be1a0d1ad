"""Readings that are possible but unlikely: asked once for a column, and changed only by consent.

An overpotential is the potential at which a current is reached minus the 1.229 V of the reaction, so values of 0.1-1.0
mV are volts, and values of 1350-2000 mV are potentials against the reversible hydrogen electrode.
"""

from __future__ import annotations

import re
from dataclasses import replace

from db.errors import Problem
from lab_io.columns import Kind
from lab_io.findings import CellError
from lab_io.fixes import offered
from lab_io.rows import Draft, Reader
from lab_io.schema import Metric, Value
from lab_io.units import convert, same_dimension
from lab_io.words import count

_OVERPOTENTIAL = re.compile(r"over.?potential|(?<![a-z])eta(?![a-z])|η", re.IGNORECASE)
EQUILIBRIUM = 1229.0
"""mV; potential of the oxygen electrode against RHE at 25 °C."""
IN_VOLTS = (0.1, 1.0)
"""mV; a value in this band was given in V."""
AGAINST_RHE = (1350.0, 2000.0)
"""mV; a value in this band, or a thousandth of it, is a potential."""
USUAL = (100.0, 1000.0)
"""mV; a value outside is worth a second look, and no more than that."""


def is_overpotential(metric: Metric) -> bool:
    """Whether a metric is an overpotential, by its name and unit."""
    return bool(metric.unit and same_dimension(metric.unit, "V") and _OVERPOTENTIAL.search(metric.name))


def check_plausible(reader: Reader, drafts: list[Draft]) -> None:
    """Mark the rows whose values look like another quantity or another unit; by consent, read them as that."""
    for metric in reader.expect.metrics:
        heading = reader.layout.of(Kind.METRIC).get(metric.name) or reader.layout.one(Kind.VALUE)
        if heading is not None and is_overpotential(metric):
            _check_overpotentials(reader, metric, heading.index, _held(drafts, metric))


Held = list[tuple[Draft, Value, float]]
"""Rows with a value, and that in mV."""


def _held(drafts: list[Draft], metric: Metric) -> Held:
    unit = metric.unit or ""
    return [(d, v, convert(v.value, unit, "mV")) for d in drafts if (v := d.values.get(metric.name))]


def _check_overpotentials(reader: Reader, metric: Metric, column: int, held: Held) -> None:
    doubted = [h for h in held if not h[0].as_stated]
    small = [h for h in doubted if IN_VOLTS[0] <= h[2] <= IN_VOLTS[1]]
    if small:
        if "V->mV" in reader.fixes:
            _changed(small, metric, "V->mV", 1000.0, 0.0)
        else:
            what = "between 0.1 and 1.0 mV, like values in V"
            answer = f"answer --unit '{reader.table.header[column]}=V'"
            _ask(reader, column, metric.name, small, what, f"write V in the header, {answer}, or {offered('V->mV')}")
    high = [h for h in doubted if _against_rhe(h[2])]
    if high and "RHE->overpotential" in reader.fixes:
        for h in high:
            _changed([h], metric, "RHE->overpotential", 1.0 if h[2] >= AGAINST_RHE[0] else 1000.0, -EQUILIBRIUM)
    elif high:
        band = "1350 and 2000 mV" if high[0][2] >= AGAINST_RHE[0] else "1.35 and 2.0 mV"
        what = f"between {band}, like a potential rather than an overpotential"
        fix = f"subtract 1.229 V from potentials against RHE, or {offered('RHE->overpotential')}"
        _ask(reader, column, metric.name, high, what, fix)
    for draft, value, mv in held:
        if mv < 0:
            what = f"{metric.name} is {value.text}, below 0"
            fix = "check the sign and the reference electrode"
            reader.note(draft, replace(reader.layout.headings[0], index=column), CellError(what, fix))
    odd = {id(v) for h in (small, high) for _, v, _ in h}
    far = [(v, mv) for _, v, mv in held if mv > 0 and id(v) not in odd and not USUAL[0] <= mv <= USUAL[1]]
    if far:
        cells = ", ".join(f"{v.text} in {v.cell} ({mv:.4g} mV)" for v, mv in far[:5])
        usual = f"the usual {USUAL[0]:g} to {USUAL[1]:g} mV"
        what = f"{count(len(far), 'value')} of {metric.name} outside {usual}: {cells}"
        reader.layout.notices.append(Problem(reader.table.name, what, "check the unit and the decimal sign"))


def _against_rhe(mv: float) -> bool:
    """Whether a value in mV is a potential, in mV or in V."""
    return AGAINST_RHE[0] <= mv <= AGAINST_RHE[1] or AGAINST_RHE[0] <= 1000 * mv <= AGAINST_RHE[1]


def _changed(found: Held, metric: Metric, fix: str, factor: float, shift: float) -> None:
    """Read values as `factor` times themselves plus `shift` mV, and say so."""
    for draft, value, mv in found:
        now = mv * factor + shift
        draft.fixes.append(f"{fix}: {value.text} in {value.cell} read as {now:.6g} mV")
        sd = None if value.sd is None else value.sd * factor
        draft.values[metric.name] = replace(value, value=convert(now, "mV", metric.unit or ""), sd=sd)


def _ask(reader: Reader, column: int, name: str, found: Held, what: str, fix: str) -> None:
    for draft, _, _ in found:
        first = found[0][1]
        text = f"{name} has {count(len(found), 'value')} {what}; the first is {first.text} in {first.cell}"
        reader.ask(draft, column, text, fix)
