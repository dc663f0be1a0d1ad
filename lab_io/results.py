"""Tables of results, checked: every row accepted, skipped, pending, in question or rejected, with the cell and the fix.

Nothing is repaired in silence, nothing is written: the caller records `Check.results` when `Check.ok`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from db.errors import Problem
from lab_io.columns import Layout, read_layout
from lab_io.findings import CellError, Finding, Status
from lab_io.numbers import detect_decimal
from lab_io.plausible import check_plausible
from lab_io.rows import Draft, Reader
from lab_io.schema import Check, CheckedRow, Column, Expectation, Metric, Result, Value
from lab_io.tables import RawTable, address
from lab_io.words import answer

__all__ = ["Check", "CheckedRow", "Column", "Expectation", "Metric", "Result", "Value", "check_results"]


def check_results(
    table: RawTable,
    expect: Expectation,
    mapping: Mapping[str, str] | None = None,
    *,
    units: Mapping[str, str] | None = None,
) -> Check:
    """Check a table of results against what a campaign expects of it.

    A wide table has a column for each metric; a tidy one has the columns sample_id, metric, value and unit. A unit in
    a cell goes before one in the header, and either is converted to the unit of the spec.

    Args:
        table: as `read_table` gave it.
        expect: names, units, known samples, and what is on record.
        mapping: column name in the file -> our name: sample_id, formula, status, a fraction, a metric, `measured Ni`,
            `ignore`.
        units: column name in the file, or our name -> unit; answers a question, and wins over the header.

    Returns:
        Every row with its status and result. When the header cannot be understood no row is read, and all of them
        carry the status of that.
    """
    layout = read_layout(table, expect, mapping or {}, units or {})
    if not layout.fatal:
        layout.fatal += _decimal_problem(table, reader := Reader(table, expect, layout))
    if layout.fatal:
        return _unread(table, expect, layout)
    drafts = [reader.read(row) for row in table.rows]
    check_plausible(reader, drafts)
    kept = _Kept(expect, table)
    rows = tuple(kept.checked(draft) for draft in drafts)
    told = {r.result.label for r in rows if r.result is not None and r.result.status != "pending"}
    still = sorted(expect.pending - told - kept.on_record)
    return Check(rows, tuple(reader.doubts.values()), tuple(layout.notices), tuple(still))


def _decimal_problem(table: RawTable, reader: Reader) -> list[Finding]:
    """Settle the decimal sign of the file from all cells in which numbers are expected."""
    columns = [h.index for h in reader.layout.headings if reader.numeric(h)]
    texts = {
        address(row.number, column): cell
        for row in table.rows
        if row.finding is None
        for column in columns
        if isinstance(cell := row.cells[column], str) and cell
    }
    try:
        reader.decimal = detect_decimal(texts, hint="," if table.separator == ";" else None)
    except CellError as error:
        return [error.at(table.name)]
    return []


def _unread(table: RawTable, expect: Expectation, layout: Layout) -> Check:
    """A table whose header, or decimal sign, leaves every row open."""
    refused = any(f.status is Status.REJECTED for f in layout.fatal)
    status = Status.REJECTED if refused else Status.QUESTION
    rows = tuple(CheckedRow(row.number, status) for row in table.rows)
    findings = (*layout.fatal, *layout.doubts.values())
    return Check(rows, findings, tuple(layout.notices), tuple(sorted(expect.pending)))


@dataclass
class _Kept:
    """What is on record and what earlier rows of the file said, to tell repetition from contradiction."""

    expect: Expectation
    table: RawTable

    def __post_init__(self) -> None:
        self.seen: dict[tuple[str, str, str | None], Value] = {}
        self.compositions = dict(self.expect.compositions)
        """By sample, of the record and of earlier rows."""
        self.outcomes: dict[str, tuple[str, int]] = {}
        self.on_record: set[str] = set()
        """Labels of rows that say nothing new."""

    def checked(self, draft: Draft) -> CheckedRow:
        """The row with what became of it."""
        problems = [f.problem for f in draft.findings]
        if draft.verdict is not Status.ACCEPTED:
            return CheckedRow(draft.row.number, draft.verdict, tuple(problems))
        questions = self._outcome_questions(draft)
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
            return CheckedRow(draft.row.number, Status.SKIPPED)
        self.outcomes.setdefault(draft.key, (draft.status, draft.row.number))
        result = Result(
            draft.label,
            draft.design,
            composition,
            fresh,
            draft.status,
            draft.failure_mode,
            draft.replicate,
            draft.conditions,
        )
        return CheckedRow(draft.row.number, Status.ACCEPTED if said else Status.PENDING, (), result)

    def _compared(self, draft: Draft, metric: str, value: Value) -> tuple[list[Problem], bool]:
        """A question when something else is known, and whether the value is new."""
        key = (draft.key, metric, draft.replicate)
        where = self.table.place(value.cell)
        name = draft.label or "this composition"
        if (known := self.expect.recorded.get(key)) is not None:
            if _equal(value.value, value.qualifier, *known):
                return [], False
            recorded = answer(known[0] or 0) if value.boolean else _shown(*known)
            what = f"{metric} of {name} is on record as {recorded}, the table says {value.text}"
            fix = "number a further measurement in a column replicate; if the old one is wrong, `siteloop amend` it"
            return [Problem(where, what, fix)], False
        if (first := self.seen.setdefault(key, value)) is not value:
            if _equal(value.value, value.qualifier, first.value, first.qualifier):
                return [], False
            what = f"{metric} of {name} is {value.text} here and {first.text} in {first.cell}"
            return [Problem(where, what, "remove one, or number them in a column replicate")], False
        return [], True

    def _composition_question(self, draft: Draft, known: Mapping[str, float]) -> Problem:
        told = ", ".join(f"{element} {fraction:.4g}" for element, fraction in known.items())
        what = f"{draft.label or 'this composition'} was already measured as {told}, the row says otherwise"
        return Problem(f"{self.table.name}, row {draft.row.number}", what, "keep one of the two measured compositions")

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
    return qualifier == others and other is not None and math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-12)


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    names = {*one, *other}
    return all(math.isclose(one.get(n, 0.0), other.get(n, 0.0), abs_tol=1e-6) for n in names)


def _shown(value: float | None, qualifier: str) -> str:
    return f"{'' if qualifier == '=' else qualifier}{'nothing' if value is None else f'{value:g}'}"
