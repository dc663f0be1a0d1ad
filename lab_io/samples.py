"""Which sample a row is about: by the label on the worksheet, else by its whole target; never by a near miss."""

from __future__ import annotations

import datetime as dt
import re

from db.records import Design
from lab_io.cells import Cell
from lab_io.findings import CellError, Status
from lab_io.schema import Expectation
from lab_io.words import choices, count, shown

SAME_FRACTION = 0.01
"""Fractions this close agree: a composition typed beside a known label may be rounded to two decimals."""
SAME_NUMBER = 1e-3
"""Relative difference up to which a typed number agrees with the one on record."""
_SMALL = 0.01
"""Below it three decimals would make equal what is not, such as 0.0001 and 0.0004 mol/L."""

_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_SPREADSHEET_DATE = re.compile(rf"\d{{1,2}}-{_MONTH}|{_MONTH}-\d{{2}}", re.ASCII | re.IGNORECASE)
_LISTED = re.compile(r"(b\d+-)\d+")
"""Labels as batches give them: `b1-03`."""


class Samples:
    """The samples that a campaign knows, by label and by target.

    Args:
        expect: labels, targets, and which of them are pending.
    """

    def __init__(self, expect: Expectation) -> None:
        self.expect = expect
        self._spelling = {_skeleton(label): label for label in expect.labels}
        self._by_target: dict[str, list[str]] = {}
        for label, design in expect.labels.items():
            self._by_target.setdefault(target_key(design), []).append(label)

    def find(self, label: str, stated: Design) -> tuple[str | None, Design]:
        """The label and the target of a row.

        Args:
            label: as written; empty when the row has none.
            stated: what the row says of the target, as far as it does.

        Returns:
            The label (None for a target that no known sample has), and the target.

        Raises:
            CellError: the row contradicts what the label stands for, or does not say which sample it is.
        """
        if label in self.expect.labels:
            self._agree(label, stated)
            return label, self.expect.labels[label]
        if label and (twin := self._spelling.get(_skeleton(label))):
            fix = f"write {twin} if that is the sample, else a name that differs in more than its spelling"
            raise CellError(f"{shown(label)} is not known, {twin} is", fix, Status.QUESTION)
        self._complete(label, stated)
        batch = _LISTED.fullmatch(label)
        if batch and any(known.startswith(batch[1]) for known in self.expect.labels):
            fix = f"{choices(label, self.expect.labels)}; give a sample of your own another name"
            raise CellError(f"{shown(label)} reads like a label of a batch that has no such item", fix, Status.QUESTION)
        return label or self._same_target(stated), stated

    def fractions_differ(self, one: Design, other: Design) -> bool:
        """Whether two compositions differ by more than rounding."""
        return any(abs(_amount(one, e) - _amount(other, e)) > SAME_FRACTION for e in self.expect.elements)

    def _agree(self, label: str, stated: Design) -> None:
        known = self.expect.labels[label]
        apart = []
        if any(e in stated for e in self.expect.elements):
            apart = [e for e in self.expect.elements if abs(_amount(stated, e) - _amount(known, e)) > SAME_FRACTION]
        columns = [c.name for c in self.expect.columns if c.name in stated]
        apart += [name for name in columns if _differ(stated[name], known.get(name))]
        if apart:
            units = {c.name: c.unit for c in self.expect.columns}
            was, says = (", ".join(f"{n} {_told(d.get(n, 0.0), units.get(n))}" for n in apart) for d in (known, stated))
            fix = "correct the row; if something else was made, give it a label of its own"
            raise CellError(f"{label} was to have {was}, the row says {says}", fix)

    def _complete(self, label: str, stated: Design) -> None:
        """A sample that nobody knows must state its whole target."""
        missing = [c.name for c in self.expect.columns if c.name not in stated]
        if self.expect.elements and not any(e in stated for e in self.expect.elements):
            missing.insert(0, "composition")
        if missing and label:
            fix = f"{choices(label, self.expect.labels)}; for another sample, state its {' and '.join(missing)}"
            raise CellError(f"the sample {shown(label)} is not known and states no {' or '.join(missing)}", fix)
        if missing:
            what = f"the row has no label and no {' or '.join(missing)}"
            raise CellError(what, "add the sample_id of the worksheet, or what the sample was to be")

    def _same_target(self, stated: Design) -> str | None:
        """The known sample with this target; of several the one that is pending."""
        same = self._by_target.get(target_key(stated), [])
        waiting = [label for label in same if label in self.expect.pending]
        if len(same) > 1 and len(waiting) != 1:
            what = f"{count(len(same), 'sample')} have this target: {', '.join(same[:6])}"
            raise CellError(what, "add the sample_id of the one that was measured", Status.QUESTION)
        return next(iter(waiting or same), None)


def target_key(design: Design) -> str:
    """A design as text: fractions and numbers to three decimals, small ones to three digits, zeros left out."""
    return ";".join(f"{k}={v if isinstance(v, str) else _rounded(v)}" for k, v in sorted(design.items()) if v != 0)


def _rounded(value: float) -> str:
    return f"{value:.3f}" if abs(value) >= _SMALL else f"{value:.2e}"


def check_label(cell: Cell, text: str, *, known: bool) -> None:
    """A label is text or a number; spreadsheets turn `1-2` into a date.

    Raises:
        CellError: it is a date, too long or not printable; a question when it may have been made from a date.
    """
    if isinstance(cell, dt.date | dt.time | dt.timedelta):
        fix = "format the column as text and type the label again"
        raise CellError(f"{shown(text)} is a date, not a sample label", fix)
    if len(text) > 200 or not text.isprintable():
        raise CellError(f"{shown(text)} cannot be a sample label", "at most 200 printable characters")
    if not known and (date := _serial(cell)):
        fix = "if a spreadsheet made it from a label such as 1-2, type the label again, in a column formatted as text"
        raise CellError(f"{shown(text)} may be a label that became the date {date}", fix, Status.QUESTION)
    if not known and isinstance(cell, str) and _SPREADSHEET_DATE.fullmatch(text):
        fix = "if a spreadsheet made it from a label such as 1-2, type the label again, in a column formatted as text"
        raise CellError(f"{shown(text)} may be a label that became a date", fix, Status.QUESTION)


_SERIALS = range(36526, 54789)
"""Days since 1900 of 2000 to 2049, as spreadsheets count them."""


def _serial(cell: Cell) -> dt.date | None:
    """The date that a whole number may stand for."""
    if not isinstance(cell, float) or not cell.is_integer() or int(cell) not in _SERIALS:
        return None
    return dt.date(1899, 12, 30) + dt.timedelta(days=int(cell))


def _skeleton(label: str) -> str:
    """A label without case, signs and leading zeros: `B1_3` and `b1-03` are alike."""
    return ".".join(part.lstrip("0") or "0" for part in re.findall(r"[^\W\d_]+|\d+", label.casefold()))


def _amount(design: Design, element: str) -> float:
    return float(design.get(element, 0.0))


def _differ(one: float | str, other: float | str | None) -> bool:
    if isinstance(one, str) or isinstance(other, str) or other is None:
        return one != other
    return abs(one - other) > SAME_NUMBER * max(abs(one), abs(other))


def _told(value: float | str, unit: str | None) -> str:
    return value if isinstance(value, str) else f"{value:.4g} {unit or ''}".rstrip()
