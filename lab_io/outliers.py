"""Values far from what was measured before: flagged for people to look at, never a reason to refuse a row.

Replicates of one sample are compared with the spread of all replicates (robust: 1.4826 times the median absolute
deviation, Rousseeuw and Croux 1993), a column with its own median, and samples that are measured again with what is on
record: when all of them move one way, a reference electrode or an operator has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from db.errors import Problem
from lab_io.rows import Draft, Reader
from lab_io.schema import Value
from lab_io.words import count

FAR_REPLICATE = 5.0
"""Robust standard deviations of replicates."""
FAR_COLUMN = 8.0
"""Robust standard deviations of a column."""
ENOUGH_REPLICATES, ENOUGH_VALUES, ENOUGH_CONTROLS = 6, 8, 3
"""How many values there must be to say something."""


def outliers(reader: Reader, drafts: list[Draft]) -> Iterator[Problem]:
    """What is worth a second look, one remark for each metric and kind."""
    for metric in reader.expect.metrics:
        held = [(d, v) for d in drafts if (v := d.values.get(metric.name)) and v.qualifier == "="]
        known: dict[str, list[float]] = {}
        for (label, name, _), (value, qualifier) in reader.expect.recorded.items():
            if name == metric.name and value is not None and qualifier == "=":
                known.setdefault(label, []).append(value)
        found = [
            (_far_replicates(held, known), "from the other replicates of its sample", "check these cells"),
            (_far_values(held), "from the rest of the column", "check the decimal sign and the unit of these cells"),
        ]
        for far, what, fix in found:
            if far:
                cells = ", ".join(f"{v.text} in {v.cell}" for v in far[:5])
                yield Problem(
                    reader.table.name, f"{count(len(far), 'value')} of {metric.name} far {what}: {cells}", fix
                )
        if shift := _shift(held, known):
            moved = f"{metric.name} moved by {shift[1]:+.4g} {metric.unit or ''}".strip()
            what = f"{count(shift[0], 'sample')} measured again: {moved}"
            yield Problem(reader.table.name, what, "look at the reference electrode and the controls")


def _spread(values: Sequence[float]) -> float:
    """1.4826 times the median absolute deviation."""
    middle = median(values)
    return 1.4826 * median(abs(v - middle) for v in values)


def _far_replicates(held: list[tuple[Draft, Value]], known: dict[str, list[float]]) -> list[Value]:
    samples: dict[str, list[Value | float]] = {key: list(values) for key, values in known.items()}
    for draft, value in held:
        samples.setdefault(draft.key, []).append(value)
    apart: list[tuple[float, Value | float]] = []
    for values in samples.values():
        if len(values) > 2:
            middle = median(_number(v) for v in values)
            apart += [(abs(_number(v) - middle), v) for v in values]
    if len(apart) < ENOUGH_REPLICATES:
        return []
    spread = 1.4826 * median(a for a, _ in apart)
    return [v for a, v in apart if spread > 0 and a > FAR_REPLICATE * spread and isinstance(v, Value)]


def _number(value: Value | float) -> float:
    return value.value if isinstance(value, Value) else value


def _far_values(held: list[tuple[Draft, Value]]) -> list[Value]:
    values = [v.value for _, v in held]
    if len(values) < ENOUGH_VALUES or not (spread := _spread(values)):
        return []
    middle = median(values)
    return [v for _, v in held if abs(v.value - middle) > FAR_COLUMN * spread]


def _shift(held: list[tuple[Draft, Value]], known: dict[str, list[float]]) -> tuple[int, float] | None:
    """How many known samples were measured again with another result, and by how much they moved, all one way."""
    again: dict[str, list[float]] = {}
    for draft, value in held:
        if draft.key in known and value.value not in known[draft.key]:
            again.setdefault(draft.key, []).append(value.value)
    moves = [median(values) - median(known[key]) for key, values in again.items()]
    if len(moves) < ENOUGH_CONTROLS or not (all(m > 0 for m in moves) or all(m < 0 for m in moves)):
        return None
    return (len(moves), median(moves)) if abs(median(moves)) > 3 * _spread(moves) else None
