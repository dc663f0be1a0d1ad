"""One value typed by hand goes through the same door as a table: it is read, checked and kept as a row of one."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping

from campaign.record import Reading
from campaign.state import State
from campaign.words import listed
from db.errors import InvalidInput, Problem
from lab_io.words import fold

NAME = "by hand"
"""What the row is called in messages and in the ledger."""

_BARE = re.compile(r"\s*[<>≤≥~]?\s*[-+]?[\d.,\s]*(?:[eE][-+]?\d+)?\s*")


def typed_row(
    state: State, sample: str, values: Mapping[str, str], *, unit: str | None = None, sd: str | None = None
) -> Reading:
    """A row of one sample, as a table that can be checked and recorded.

    Args:
        state: the campaign.
        sample: its label, of a recommendation, a known sample, or a new one.
        values: header -> cell, for all that a table of results may say: `{"overpotential": "263"}`, `{"status":
            "failed"}`, `{"measured Ni": "0.48"}`, `{"operator": "mk"}`.
        unit: of the metrics whose cell does not say.
        sd: standard deviation of the only metric, in the same unit.

    Raises:
        InvalidInput: a metric has no unit though the spec has one, or it is not clear what `sd` belongs to.
    """
    of_spec = {fold(m.name): m for m in state.metrics}
    metrics = [header for header in values if fold(header) in of_spec]
    problems = []
    if not values:
        fix = f"write {state.metrics[0].name}=263" if state.metrics else "write status=failed"
        problems.append(Problem(sample, "nothing is said of it", fix))
    for header in metrics:
        wanted = of_spec[fold(header)].unit
        if wanted and not unit and _BARE.fullmatch(values[header]):
            what = f"no unit for {header}: {values[header]!r} does not say whether it is in {wanted}"
            problems.append(Problem(f"{sample}, {header}", what, f"add --unit {wanted}, or the unit it was read in"))
    if sd is not None and len(metrics) != 1:
        what = f"the standard deviation {sd} could belong to {listed(metrics) or 'nothing that is said'}"
        problems.append(Problem(f"{sample}, --sd", what, "record one value at a time"))
    if problems:
        raise InvalidInput(problems)
    cells = {"sample_id": sample, **values} | ({f"{metrics[0]} sd": sd} if sd is not None else {})
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(cells), list(cells.values())])
    units = {header: unit for header in metrics if unit and of_spec[fold(header)].unit}
    return Reading(text.getvalue().encode(), NAME, {}, units)
