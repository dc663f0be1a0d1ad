"""A batch as a worksheet that the lab fills in and hands back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from campaign.cards import RecommendedBatch
from campaign.files import write_file
from campaign.formulas import formula
from campaign.record import expectation
from campaign.state import State
from campaign.weighing import batch_table
from db.errors import Conflict, InvalidInput, Problem
from db.records import Recommendation
from lab_io.worksheets import FORMATS, Worksheet, WorksheetRow, render


def worksheet(state: State, batch: RecommendedBatch) -> Worksheet:
    """A batch as the lab sees it: what to make, what is expected, and empty columns for what comes of it.

    Raises:
        InvalidInput: every item of it was vetoed, or superseded when the batch was proposed anew.
    """
    gone = state.decisions.superseded
    wanted = [r for r in batch if r.id not in gone]
    if not wanted:
        fix = f"`siteloop recommend {state.name}` shows the open batch"
        raise InvalidInput(Problem(f"batch {batch.batch.number}", "nothing of it is wanted any more", fix))
    expect = expectation(state)
    return Worksheet(
        campaign=state.name,
        batch=batch.batch.number,
        elements=expect.elements,
        columns=expect.columns,
        metrics=expect.metrics,
        cost_unit=state.costs.costs.unit if state.costs else None,
        rows=tuple(
            WorksheetRow(
                r.label,
                r.rank,
                formula(r.design, state.space),
                r.design,
                predictions=_rounded(_expected(r)),
                cost=r.rationale.get("cost", {}).get("value"),
            )
            for r in wanted
        ),
        weighing=batch_table(state, batch),
    )


def write_worksheet(state: State, batch: RecommendedBatch, path: Path) -> Path:
    """Write a batch as CSV, XLSX or JSON, by the ending of `path`.

    Raises:
        Conflict: there is a file that is not this very worksheet; the lab may have filled it in.
        InvalidInput: the ending is another one, or the file cannot be written.
    """
    content = render(worksheet(state, batch), path.suffix.lstrip(".").lower())
    if path.is_file() and path.read_bytes() != content:
        what = "there is a file of this name with something else in it, such as results that were filled in"
        fix = f"name another one: `siteloop worksheet {state.name} -o FILE`"
        raise Conflict(Problem(str(path), what, fix))
    return write_file(path, content, "the worksheet")


def check_target(path: Path) -> None:
    """Whether a worksheet could be written there, before anything else is done.

    Raises:
        InvalidInput: the ending is no format of worksheets, or the folder does not exist.
    """
    if path.suffix.lstrip(".").lower() not in FORMATS:
        fix = f"end the name with {', '.join(f'.{f}' for f in FORMATS)}"
        raise InvalidInput(Problem(str(path), f"{path.suffix or 'no ending'} is not a format of worksheets", fix))
    if not path.parent.is_dir():
        raise InvalidInput(Problem(str(path), "the folder does not exist", "make it first, or choose another"))


def _expected(recommendation: Recommendation) -> dict[str, Any]:
    """Predictions of the objectives, and of the constraints beside them."""
    feasibility = recommendation.rationale.get("feasibility", {})
    return {**recommendation.prediction, **feasibility.get("constraints", {})}


def _rounded(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """Predictions to four significant digits, which is more than they mean."""

    def rounded(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: inner if key == "level" else rounded(inner) for key, inner in value.items()}
        return float(f"{value:.4g}") if isinstance(value, float) else value

    return {name: rounded(expected) for name, expected in prediction.items()}
