"""A batch as a worksheet that the lab fills in and hands back."""

from __future__ import annotations

from pathlib import Path

from campaign.cards import RecommendedBatch
from campaign.record import expectation
from campaign.sentences import formula
from campaign.state import State
from db.errors import InvalidInput, Problem
from lab_io.worksheets import Worksheet, WorksheetRow, render


def worksheet(state: State, batch: RecommendedBatch) -> Worksheet:
    """A batch as the lab sees it: what to make, what is expected, and empty columns for what comes of it."""
    expect = expectation(state)
    return Worksheet(
        campaign=state.name,
        batch=batch.batch.number,
        elements=expect.elements,
        columns=expect.columns,
        metrics=expect.metrics,
        rows=tuple(
            WorksheetRow(r.label, r.rank, formula(r.design), r.design, predictions=dict(r.prediction)) for r in batch
        ),
    )


def write_worksheet(state: State, batch: RecommendedBatch, path: Path) -> Path:
    """Write a batch as CSV, XLSX or JSON, by the ending of `path`.

    Raises:
        InvalidInput: the ending is another one, or the file cannot be written.
    """
    content = render(worksheet(state, batch), path.suffix.lstrip(".").lower())
    try:
        path.write_bytes(content)
    except OSError as error:
        fix = "choose a folder that exists and may be written to"
        raise InvalidInput(Problem(str(path), f"the worksheet cannot be written ({error.strerror})", fix)) from error
    return path
