"""A campaign's results as a table to take away, and to hand in again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from campaign.files import write_file
from campaign.record import expectation
from campaign.sharing import WEIGHED
from campaign.state import COMPOSITION, COMPOSITION_SD, State
from db.errors import InvalidInput, Problem
from db.records import Measurement, Sample
from lab_io.exports import Export, ExportRow, to_csv, to_xlsx, vouched

WRITERS = {".csv": to_csv, ".xlsx": to_xlsx}
MOST_ROWS = 1_000_000
"""Rows that a spreadsheet holds."""


def results(state: State) -> Export:
    """Every sample with its current measurements: what counts, and what was set aside."""
    expect = expectation(state)
    by_sample: dict[str, list[Measurement]] = {}
    for m in state.measurements:
        if m.metric != WEIGHED:  # masses are no results: weighing sheets hold them
            by_sample.setdefault(m.sample, []).append(m)
    rows = tuple(row for sample in state.samples for row in _rows(state, sample, by_sample.get(sample.id, [])))
    return vouched(Export(expect.elements, expect.columns, rows), expect)


def write_results(state: State, path: Path) -> Path:
    """Write the results as CSV or XLSX, by the ending of `path`; a file that exists is replaced.

    Raises:
        InvalidInput: another ending, more rows than a spreadsheet holds, or the file cannot be written.
    """
    if path.suffix.lower() not in WRITERS:
        fix = f"end the name with {' or '.join(WRITERS)}"
        raise InvalidInput(Problem(str(path), f"{path.suffix or 'no ending'} is not a format of results", fix))
    table = results(state)
    if path.suffix.lower() == ".xlsx" and len(table.rows) > MOST_ROWS:
        raise InvalidInput(Problem(str(path), f"{len(table.rows):,} rows are too many for a sheet", "write a .csv"))
    return write_file(path, WRITERS[path.suffix.lower()](table), "the results")


def _rows(state: State, sample: Sample, measurements: list[Measurement]) -> Iterator[ExportRow]:
    status, mode = state.status(sample.id), state.statuses.get(sample.id, {}).get("mode")
    if not measurements:
        yield ExportRow(sample.label, sample.design, status=status, failure_mode=mode)
    for m in measurements:
        composed, failed = m.metric == COMPOSITION, status == "failed"
        yield ExportRow(
            sample_id=sample.label,
            design=sample.design,
            metric=None if composed else m.metric,
            value=None if failed else m.value,
            unit=m.unit,
            sd=None if failed else m.sd,
            qualifier=None if composed or failed else m.qualifier,
            replicate=m.replicate,
            composition=m.composition or {},
            composition_sd=m.conditions.get(COMPOSITION_SD, {}),
            status=status,
            failure_mode=mode,
            set_aside=m.value if failed else None,
            conditions={name: text for name, text in m.conditions.items() if isinstance(text, str)},
        )
