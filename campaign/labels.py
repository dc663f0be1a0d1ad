"""Computed labels: values of constraints that come with the spec, from a table of designs, and not from the lab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from campaign.costs import cost_model
from campaign.designs import refuse_strangers
from campaign.encoding import check_encoder
from campaign.filters import Sieve
from campaign.outcomes import OutcomeConstraint, metric_of
from campaign.spaces import Space
from campaign.spec import CampaignSpec, check_space
from campaign.weighing import check_synthesis
from db.errors import InvalidInput, Problem
from db.records import Candidate
from lab_io.results import check_results
from lab_io.schema import Expectation
from lab_io.tables import read_table


@dataclass(frozen=True)
class Label:
    """One computed value of one metric for one design."""

    candidate: Candidate
    value: float
    censor: int
    """-1 if the true value is below `value`, 1 if above, 0 if it is as computed."""
    row: int
    """Of the file, as a spreadsheet counts."""


def computed(spec: CampaignSpec) -> tuple[OutcomeConstraint, ...]:
    """The constraints whose values come from the labels file."""
    return tuple(c for c in spec.outcome_constraints if c.source == "computed")


def check_files(spec: CampaignSpec, space: Space, files: Mapping[str, bytes]) -> None:
    """Check what can only be known once the space is built and the files are read.

    Args:
        spec: of the campaign.
        space: of the campaign.
        files: bytes of the files that the spec names.

    Raises:
        InvalidInput: as `check_space`, or labels, costs or the files of filters cannot be used.
    """
    check_space(spec, space)
    check_encoder(space, spec.encoder)
    Sieve(spec.filters, space, files).check()
    read_labels(spec, space, files)
    cost_model(spec, space, files)
    check_synthesis(spec, space, files)


def read_labels(spec: CampaignSpec, space: Space, files: Mapping[str, bytes]) -> dict[str, tuple[Label, ...]]:
    """Computed values by metric, matched by the design columns; the file is read with the care of a result table.

    Args:
        spec: of the campaign.
        space: of the campaign; a labelled design need not be a candidate.
        files: bytes of the files that the spec names.

    Raises:
        InvalidInput: a column is missing, or a row cannot be read; all problems at once.
    """
    wanted = computed(spec)
    table_spec = spec.labels.computed
    if table_spec is None or not wanted:
        return {}
    table = read_table(files[table_spec.file], table_spec.file)
    mapping = {column: metric for metric, column in table_spec.columns.items()}
    absent = [
        Problem(f"labels.computed.columns.{metric}", f"{table_spec.file} has no column {column!r}", "correct the name")
        for column, metric in mapping.items()
        if not any(header == column or header.startswith(f"{column} (") for header in table.header)
    ]
    if absent:
        raise InvalidInput(absent)
    in_file = {h: mapping[c] for c in mapping for h in table.header if h == c or h.startswith(f"{c} (")}
    expect = Expectation(
        elements=space.components,
        columns=space.side_columns(),
        metrics=tuple(metric_of(c) for c in wanted),
    )
    checked = refuse_strangers(check_results(table, expect, mapping=in_file), space, table_spec.file)
    if not checked.ok:
        raise InvalidInput(checked.problems)
    found: dict[str, list[Label]] = {c.name: [] for c in wanted}
    for row in checked.rows:
        for metric, value in (row.result.values if row.result else {}).items():
            candidate = space.design_candidate(row.result.design) if row.result else None
            if candidate is not None:
                found[metric].append(
                    Label(candidate, value.value, {"<": -1, ">": 1}.get(value.qualifier, 0), row.number)
                )
    return {metric: tuple(labels) for metric, labels in found.items()}
