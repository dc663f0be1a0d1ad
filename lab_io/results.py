"""Tables of results, checked: every row accepted, fixed by consent, skipped, pending, asked about or rejected.

Nothing is repaired in silence, nothing is written: the caller records `Check.results` when `Check.ok`.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab_io.cells import address
from lab_io.columns import Layout, read_layout
from lab_io.consistency import check_consistent
from lab_io.filtering import Wanted, missing_columns, unwanted
from lab_io.findings import CellError, Finding, Status
from lab_io.fixes import NO_FIXES, Fixes
from lab_io.fractions import gather_compositions
from lab_io.numbers import Decimal, detect_decimal
from lab_io.outliers import outliers
from lab_io.plausible import check_plausible
from lab_io.repeats import Repeats
from lab_io.rows import Draft, Reader
from lab_io.schema import Check, CheckedRow, Column, Expectation, Metric, Result, Value
from lab_io.tables import RawTable

__all__ = ["Check", "CheckedRow", "Column", "Expectation", "Metric", "Result", "Value", "check_results"]


def check_results(
    table: RawTable,
    expect: Expectation,
    mapping: Mapping[str, str] | None = None,
    *,
    units: Mapping[str, str] | None = None,
    fixes: Fixes = NO_FIXES,
    where: Mapping[str, Wanted] | None = None,
) -> Check:
    """Check a table of results against what a campaign expects of it.

    A wide table has a column for each metric; a tidy one has the columns sample_id, metric, value and unit. A unit in
    a cell goes before one in the header, and either is converted to the unit of the spec.

    Args:
        table: as `read_table` gave it.
        expect: names, units, known samples, and what is on record.
        mapping: column name in the file -> our name: sample_id, formula, status, a fraction, a metric, `measured Ni`,
            `keep` (with the measurements), `ignore`.
        units: column name in the file, or our name -> unit; answers a question, and wins over the header.
        fixes: what its owner consents to.
        where: column name in the file -> what its cells must be; other rows are skipped.

    Returns:
        Every row with its status and result. When the header cannot be understood no row is read, and all of them
        carry the status of that.
    """
    layout = read_layout(table, expect, mapping or {}, units or {})
    layout.notices += table.remarks
    layout.fatal += [error.at("where") for error in missing_columns(table, where or {})]
    if not layout.fatal:
        reader = Reader(table, expect, layout, fixes)
        layout.fatal += _decimal_problem(table, reader)
    if layout.fatal:
        return _unread(table, expect, layout)
    drafts = []
    for row in table.rows:
        told = unwanted(table, row, where, reader.decimal) if where and row.kind in ("data", "merged") else None
        drafts.append(Draft(row, left_out=told) if told else reader.read(row))
    gather_compositions(reader, [draft for draft in drafts if draft.left_out is None])
    read = [draft for draft in drafts if draft.left_out is None]
    check_plausible(reader, read)
    check_consistent(reader, read)
    layout.notices += outliers(reader, read)
    repeats = Repeats(expect, table, fixes)
    rows = tuple(_left_out(repeats.checked(draft), fixes) for draft in drafts)
    told_of = {r.result.label for r in rows if r.result is not None and r.result.status != "pending"}
    still = sorted(expect.pending - told_of - repeats.on_record)
    asked = [f for f in reader.doubts.values() if _LEFT_OUT[f.status] not in fixes]
    layout.notices += [f.problem for f in reader.doubts.values() if f not in asked]
    return Check(rows, tuple(asked), tuple(layout.notices), tuple(still))


_LEFT_OUT = {Status.QUESTION: "leave-out-questions", Status.REJECTED: "leave-out-rejected"}
"""Verdict -> the fix that leaves such rows out."""


def _left_out(row: CheckedRow, fixes: Fixes) -> CheckedRow:
    """The row, skipped with its reason where its owner consents to do without it."""
    if _LEFT_OUT.get(row.status) not in fixes.accepted:
        return row
    why = "; ".join(f"{p.where}: {p.what}" for p in row.problems) or "see what is said of its column"
    return CheckedRow(row.number, Status.SKIPPED, notes=(f"left out by consent: {why}",))


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
        stated = reader.fixes.value("decimal")
        hint: Decimal | None = "," if stated == "," or (table.separator == ";" and not stated) else "."
        reader.decimal = detect_decimal(texts, hint=hint if stated or table.separator == ";" else None)
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
