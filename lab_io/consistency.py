"""Values that do not go together: overpotentials at two current densities, a Tafel slope, a change of unit on the way.

A Tafel slope b (mV per decade of current) ties overpotentials: eta at 100 mA/cm2 is about eta at 10 mA/cm2 plus b, when
the ohmic drop is compensated. A higher current density never needs a lower overpotential.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from db.errors import Problem
from lab_io.columns import Kind
from lab_io.findings import CellError, Status
from lab_io.fixes import offered
from lab_io.plausible import is_overpotential
from lab_io.rows import Draft, Reader
from lab_io.schema import Metric, Value
from lab_io.units import convert, same_dimension
from lab_io.words import count

TAFEL = (20.0, 200.0)
"""mV/dec; a slope outside is worth a second look."""
EXCESS = (2.0, 20.0)
"""A difference of overpotentials above this many times the slope plus so many mV holds an ohmic drop, or worse."""
JUMP = 300.0
"""Neighbours among sorted currents with a larger ratio, near a thousand, were not all given in one unit."""

_DENSITY = re.compile(r"(?<![\d.])(\d{1,4})(?![\d.])")


@dataclass
class _Told:
    """One value of one sample."""

    draft: Draft | None
    """None for one on record."""
    value: Value | None
    mv: float

    @property
    def cell(self) -> str:
        return f"{self.value.text} in {self.value.cell}" if self.value else f"{self.mv:g} mV on record"


def density(metric: Metric) -> float | None:
    """The current density of an overpotential in mA/cm2: as the spec says, else the number in its name (`eta_10`)."""
    if metric.current_density is not None:
        return metric.current_density
    found = _DENSITY.findall(metric.name.replace("_", " "))
    if not found and (tail := re.search(r"[a-zA-Zη](\d{1,4})(?!\d)", metric.name)):
        found = [tail[1]]
    return float(found[0]) if found and float(found[0]) > 0 else None


def check_consistent(reader: Reader, drafts: list[Draft]) -> None:
    """Mark rows with values that contradict each other, and note what is only unlikely."""
    metrics = reader.expect.metrics
    curve = sorted(((j, m) for m in metrics if is_overpotential(m) and (j := density(m))), key=lambda pair: pair[0])
    slope = next((m for m in metrics if m.unit and _is(m.unit, "mV/dec")), None)
    for (low, first), (high, second) in pairwise(curve):
        for sample in _samples(reader, drafts, [first, second, *([slope] if slope else [])]):
            if first.name in sample and second.name in sample and low < high:
                _check_pair(reader, sample, first, second, math.log10(high / low), slope)
    if slope:
        _note_slopes(reader, drafts, slope)
    for metric in metrics:
        if metric.unit and (_is(metric.unit, "A") or _is(metric.unit, "A/cm^2")):
            _check_jump(reader, drafts, metric)


def _is(unit: str, other: str) -> bool:
    try:
        return same_dimension(unit, other)
    except CellError:
        return False


def _samples(reader: Reader, drafts: list[Draft], metrics: list[Metric]) -> Iterator[dict[str, _Told]]:
    """Metric -> value, of each sample of which the table says something new."""
    found: dict[tuple[str, str | None], dict[str, _Told]] = {}
    for draft in drafts:
        for metric in metrics:
            if value := draft.values.get(metric.name):
                mv = convert(value.value, metric.unit or "", _plain_unit(metric))
                found.setdefault((draft.key, draft.replicate), {}).setdefault(metric.name, _Told(draft, value, mv))
    for (key, replicate), values in found.items():
        for metric in metrics:
            known, qualifier = reader.expect.recorded.get((key, metric.name, replicate), (None, "="))
            if metric.name not in values and known is not None and qualifier == "=":
                values[metric.name] = _Told(None, None, convert(known, metric.unit or "", _plain_unit(metric)))
    yield from found.values()


def _plain_unit(metric: Metric) -> str:
    return "mV/dec" if _is(metric.unit or "", "mV/dec") else "mV"


def _check_pair(
    reader: Reader, sample: dict[str, _Told], first: Metric, second: Metric, decades: float, slope: Metric | None
) -> None:
    low, high = sample[first.name], sample[second.name]
    rise, steep = high.mv - low.mv, sample.get(slope.name) if slope else None
    told = f", and the slope {steep.mv:g} mV/dec" if steep else ""
    if rise < 0:
        _ask_swapped(reader, low, high, first, second, told)
    elif steep and rise > EXCESS[0] * steep.mv * decades + EXCESS[1]:
        what = (
            f"{second.name} ({high.cell}) is {rise:.4g} mV above {first.name} ({low.cell}){told}: an ohmic drop "
            "that is not compensated, or swapped columns"
        )
        reader.layout.notices.append(Problem(reader.table.name, what, "check the iR compensation and the columns"))


def _ask_swapped(reader: Reader, low: _Told, high: _Told, first: Metric, second: Metric, told: str) -> None:
    """Ask about an overpotential that falls with the current; both readings are shown."""
    if "as-stated" in reader.fixes:
        return
    one = high if high.draft is not None else low
    if one.draft is None or one.value is None or one.draft.as_stated:
        return
    swap = low.draft is not None and high.draft is not None and low.value is not None and high.value is not None
    if swap and "swapped" in reader.fixes:
        _exchange(low, high, first, second)
        return
    what = (
        f"{second.name} is {high.cell} and {first.name} is {low.cell}: it falls with the current{told}. Swapped, "
        f"{first.name} would be {high.mv:.4g} mV and {second.name} {low.mv:.4g} mV"
    )
    fix = f"check the columns; {offered('swapped', 'as-stated') if swap else offered('as-stated')}"
    heading = reader.layout.of(Kind.METRIC).get(second.name) or reader.layout.one(Kind.VALUE)
    reader.note(one.draft, heading, CellError(what, fix, Status.QUESTION))


def _exchange(low: _Told, high: _Told, first: Metric, second: Metric) -> None:
    """By consent, read two values the other way round; each keeps the cell that it stands in."""
    for told, metric, other in ((low, first, second), (high, second, first)):
        if told.draft is not None:
            told.draft.fixes.append(f"swapped: {told.cell} read as {other.name}")
            told.draft.values.pop(metric.name)
    for told, other in ((low, second), (high, first)):
        if told.draft is not None and told.value is not None:
            told.draft.values[other.name] = replace(told.value, value=convert(told.mv, "mV", other.unit or "mV"))


def _note_slopes(reader: Reader, drafts: list[Draft], slope: Metric) -> None:
    held = [(v, convert(v.value, slope.unit or "", "mV/dec")) for d in drafts if (v := d.values.get(slope.name))]
    if far := [(v, b) for v, b in held if not TAFEL[0] <= b <= TAFEL[1]]:
        cells = ", ".join(f"{v.text} in {v.cell} ({b:.4g} mV/dec)" for v, b in far[:5])
        what = (
            f"{count(len(far), 'value')} of {slope.name} outside the usual {TAFEL[0]:g} to {TAFEL[1]:g} mV/dec: {cells}"
        )
        reader.layout.notices.append(Problem(reader.table.name, what, "check the unit and the columns"))


def _check_jump(reader: Reader, drafts: list[Draft], metric: Metric) -> None:
    """Refuse currents of which some are about a thousand times the others: A and mA in one column."""
    held = sorted(
        ((abs(v.value), d, v) for d in drafts if (v := d.values.get(metric.name)) and v.value), key=lambda h: h[0]
    )
    for (small, _, below), (large, draft, above) in pairwise(held):
        if JUMP < large / small < 1e6 / JUMP:
            what = (
                f"{metric.name} jumps by a factor of {large / small:.0f} from {below.text} in {below.cell} to "
                f"{above.text} in {above.cell}, like A and mA in one column"
            )
            fix = "give all values in one unit, or the unit in each cell"
            heading = reader.layout.of(Kind.METRIC).get(metric.name) or reader.layout.one(Kind.VALUE)
            if below.unit == above.unit and not draft.as_stated:
                reader.note(draft, heading, CellError(what, fix))
