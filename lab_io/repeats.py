"""Rows about the same sample: repetition, replicates and contradiction, in the table and against the record."""

from __future__ import annotations

import math
from collections.abc import Mapping

from db.errors import Problem
from db.records import Design
from lab_io.findings import Status
from lab_io.fixes import Fixes, offered
from lab_io.rows import Draft
from lab_io.samples import target_key
from lab_io.schema import CheckedRow, Expectation, Result, Value
from lab_io.tables import RawTable
from lab_io.words import answer, shown

_REPEATED = ("replicates", "own-samples")


class Repeats:
    """What is on record and what earlier rows of the file said, to tell repetition from contradiction.

    Args:
        expect: what the campaign knows.
        table: the table.
        fixes: what its owner consents to.
    """

    def __init__(self, expect: Expectation, table: RawTable, fixes: Fixes) -> None:
        self.expect = expect
        self.table = table
        self.fixes = fixes
        self.first_row: dict[str, int] = {}
        """Key of a sample -> the first row that says something of it."""
        self._told: dict[str, int] = {}
        self._designs: dict[str, tuple[Design, int]] = {}
        """Of labels that nobody knew before the table: what the first row says, and its number."""
        self._recorded_targets: dict[str, list[str]] = {}
        for label, design in expect.labels.items():
            self._recorded_targets.setdefault(target_key(design), []).append(label)
        self.seen: dict[tuple[str, str, str | None], Value] = {}
        self.compositions = dict(self.expect.compositions)
        """By sample, of the record and of earlier rows."""
        self.outcomes: dict[str, tuple[str, int]] = {}
        self.on_record: set[str] = set()
        """Labels of rows that say nothing new."""

    def checked(self, draft: Draft) -> CheckedRow:
        """The row with what became of it."""
        problems = [f.problem for f in draft.findings]
        if draft.left_out is not None:
            return CheckedRow(draft.row.number, Status.SKIPPED, notes=(draft.left_out,))
        if draft.verdict is not Status.ACCEPTED:
            return CheckedRow(draft.row.number, draft.verdict, tuple(problems))
        if draft.label is None:
            if not (draft.values or draft.composition or draft.status in ("failed", "void")):
                return CheckedRow(draft.row.number, Status.SKIPPED, notes=("it brings no value, and has no label",))
            if "own-samples" in self.fixes:
                if said_before := self._said_before(draft):
                    return CheckedRow(draft.row.number, Status.SKIPPED, notes=(said_before,))
                draft.apart = f"|row {draft.row.number}"
        questions = self._design_questions(draft) + self._outcome_questions(draft)
        self._number_replicate(draft)
        fresh = {}
        for metric, value in draft.values.items():
            question, is_new = self._compared(draft, metric, value)
            questions += question
            if is_new:
                fresh[metric] = value
        composition = draft.composition
        if composition and (known := self.compositions.setdefault(draft.key, composition)) is not composition:
            if not _same(composition, known):
                questions.append(self._composition_question(draft, known))
            composition = None
        if questions:
            return CheckedRow(draft.row.number, Status.QUESTION, tuple(questions))
        said = bool(draft.values or draft.composition) or draft.status in ("failed", "void")
        news = bool(fresh or composition) or (draft.status in ("failed", "void") and not self._already_closed(draft))
        if said and not news:
            self.on_record.add(draft.key)
            earlier = self.first_row.get(draft.key)
            note = f"row {earlier} says the same" if earlier else "it is on record"
            return CheckedRow(draft.row.number, Status.SKIPPED, notes=(note,))
        self.outcomes.setdefault(draft.key, (draft.status, draft.row.number))
        fixes = {"fixes": "; ".join(draft.fixes)} if draft.fixes else {}
        result = Result(
            draft.label,
            draft.design,
            composition,
            fresh,
            draft.status,
            draft.failure_mode,
            draft.replicate,
            {**draft.conditions, **fixes},
            self.first_row.setdefault(draft.key, draft.row.number),
            composition_sd=draft.composition_sd if composition else {},
        )
        status = Status.FIXED if draft.fixes else Status.ACCEPTED if said else Status.PENDING
        return CheckedRow(draft.row.number, status, (), result, tuple(draft.fixes))

    def _said_before(self, draft: Draft) -> str | None:
        """Where the same was said of the same target, by a row without a label; None for what is new."""
        target = target_key(draft.design)
        values = {m: (v.value, v.qualifier) for m, v in draft.values.items()}
        first = self._told.setdefault(f"{target}|{sorted(values.items())}", draft.row.number)
        if first != draft.row.number:
            return f"row {first} says the same"
        for label in self._recorded_targets.get(target, ()) if values else ():
            known = [self.expect.recorded.get((label, m, draft.replicate)) for m in values]
            if all(k is not None and _equal(*v, *k) for k, v in zip(known, values.values(), strict=True)):
                return f"it is on record as {label}"
        return None

    def _number_replicate(self, draft: Draft) -> None:
        """By consent, number the row as a further replicate of its sample where another value is known of it."""
        if "replicates" not in self.fixes or draft.replicate is not None:
            return
        for number in range(1, len(self.table.rows) + len(self.expect.recorded) + 2):
            draft.replicate = str(number) if number > 1 else None
            if not any(self._compared(draft, m, v, look=True)[0] for m, v in draft.values.items()):
                break
        if draft.replicate:
            draft.fixes.append(f"replicates: replicate {draft.replicate} of {draft.label or 'this composition'}")

    def _compared(self, draft: Draft, metric: str, value: Value, *, look: bool = False) -> tuple[list[Problem], bool]:
        """A question when something else is known, and whether the value is new; it is kept unless `look`."""
        key = (draft.key, metric, draft.replicate)
        where = self.table.place(value.cell)
        name = draft.label or "this composition"
        if (known := self.expect.recorded.get(key)) is not None:
            if _equal(value.value, value.qualifier, *known):
                return self._spread_questions(name, metric, value, self.expect.recorded_sd.get(key)), False
            recorded = answer(known[0] or 0) if value.boolean else _shown(*known)
            what = f"{metric} of {name} is on record as {recorded}, the table says {value.text}"
            fix = (
                f"number it in a column replicate, or {offered('replicates')}; "
                "if the old one is wrong, `siteloop amend` it"
            )
            return [Problem(where, what, fix)], False
        first = self.seen.get(key, value) if look else self.seen.setdefault(key, value)
        if first is not value:
            if _equal(value.value, value.qualifier, first.value, first.qualifier):
                return [], False
            what = f"{metric} of {name} is {value.text} here and {first.text} in {first.cell}"
            fix = (
                f"remove one, number them in a column replicate, or {offered(*_REPEATED[: 1 + (draft.label is None)])}"
            )
            return [Problem(where, what, fix)], False
        return [], True

    def _spread_questions(self, name: str, metric: str, value: Value, known: float | None) -> list[Problem]:
        """A value on record may not get another standard deviation by being handed in again."""
        if value.sd is None or (known is not None and math.isclose(value.sd, known, rel_tol=1e-9)):
            return []
        beside = "without a standard deviation" if known is None else f"with a standard deviation of {known:g}"
        what = f"{metric} of {name} is on record {beside}, the table says {value.sd:g}"
        fix = "`siteloop amend` it with --sd if the table is right, or leave the standard deviation out"
        return [Problem(self.table.place(value.cell), what, fix)]

    def _composition_question(self, draft: Draft, known: Mapping[str, float]) -> Problem:
        told = ", ".join(f"{element} {fraction:.4g}" for element, fraction in known.items())
        what = f"{draft.label or 'this composition'} was already measured as {told}, the row says otherwise"
        return Problem(f"{self.table.name}, row {draft.row.number}", what, "keep one of the two measured compositions")

    def _design_questions(self, draft: Draft) -> list[Problem]:
        """A label has one target."""
        if draft.label is None or draft.label in self.expect.labels:
            return []
        first, row = self._designs.setdefault(draft.label, (draft.design, draft.row.number))
        if target_key(first) == target_key(draft.design):
            return []
        what = f"{shown(draft.label)} is {_of(draft.design)} here and {_of(first)} in row {row}"
        return [Problem(f"{self.table.name}, row {draft.row.number}", what, "give each sample a label of its own")]

    def _already_closed(self, draft: Draft) -> bool:
        earlier = self.outcomes.get(draft.key, (None, 0))[0]
        return draft.status in (self.expect.closed.get(draft.key), earlier)

    def _outcome_questions(self, draft: Draft) -> list[Problem]:
        """A sample that failed has no values, in the same table or on record."""
        where = f"{self.table.name}, row {draft.row.number}"
        closed = self.expect.closed.get(draft.key)
        if closed and draft.status not in ("pending", closed):
            what = f"{draft.label} is on record as {closed}, the row says {draft.status}"
            return [Problem(where, what, "give a repeated sample a label of its own")]
        earlier, row = self.outcomes.get(draft.key, (draft.status, 0))
        if {earlier, draft.status} == {"ok", "failed"} and draft.replicate is None:
            what = f"{draft.label or 'this composition'} is {draft.status} here and {earlier} in row {row}"
            return [Problem(where, what, "keep one of the two rows, or number them in a column replicate")]
        return []


def _equal(value: float, qualifier: str, other: float | None, others: str) -> bool:
    return qualifier == others and other is not None and math.isclose(value, other, rel_tol=1e-9)


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    names = {*one, *other}
    return all(math.isclose(one.get(n, 0.0), other.get(n, 0.0), abs_tol=1e-6) for n in names)


def _of(design: Design) -> str:
    return " ".join(f"{name} {v if isinstance(v, str) else f'{v:.4g}'}" for name, v in design.items())[:80]


def _shown(value: float | None, qualifier: str) -> str:
    return f"{'' if qualifier == '=' else qualifier}{'nothing' if value is None else f'{value:g}'}"
