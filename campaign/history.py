"""Reading histories: the measurements of earlier campaigns and tables, in the columns and units of the new campaign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from campaign.earlier import EarlierData
from campaign.outcomes import OutcomeConstraint
from campaign.spaces import Space
from campaign.spaces.base import ELEMENTS
from campaign.spaces.product import route_of
from campaign.spec import CampaignSpec, Objective
from campaign.state import State, load_state
from campaign.words import listed
from db.errors import InvalidInput, Problem
from db.records import Design
from db.store import Store
from lab_io.findings import CellError
from lab_io.results import check_results
from lab_io.schema import Column, Expectation, Metric
from lab_io.tables import read_table
from lab_io.units import convert, split_header
from lab_io.words import choices, count, fold

DIGITS = 5
"""Decimals of a fraction; designs that were typed to as many are the same as computed ones."""
SAME = 9
"""Significant digits to which a value of a history that is also a measurement of the campaign is the same."""


@dataclass(frozen=True)
class Past:
    """What a history holds of one objective."""

    name: str
    """`campaign plate-a` or `prior.csv`."""
    components: tuple[str, ...]
    """Those of the campaign, then others of the history: the first columns of X."""
    X: NDArray[np.float64]
    """Designs, `n x (components + side columns)`; side columns scaled as the campaign's encoder scales them."""
    values: NDArray[np.float64]
    """Measured, in the unit of the campaign's objective, `n`."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""

    def __len__(self) -> int:
        return len(self.values)


def check_histories(store: Store | None, spec: CampaignSpec, space: Space, files: Mapping[str, bytes]) -> None:
    """Check what can only be known once histories are read.

    Args:
        store: where earlier campaigns are; without it only tables are checked.
        spec: of the new campaign.
        space: of the new campaign.
        files: bytes of the files that the spec names.

    Raises:
        InvalidInput: a campaign or metric does not exist, a unit or column does not fit, or a row cannot be read; all
            problems at once.
    """
    if spec.history and route_of(space):
        raise InvalidInput(Problem("history", "histories are not yet learnt from where routes are chosen", "remove it"))
    found: list[Problem] = []
    for i, history in enumerate(spec.history):
        try:
            earlier = None
            if history.campaign is not None:
                if store is None:
                    continue
                earlier = load_state(store, history.campaign, earlier=False)
            held = [o for o in spec.objectives if _rows(history, o, space, earlier, files) is not None]
            if not held:
                what = f"{history.name} holds none of {listed([o.name for o in spec.objectives], 'or')}"
                fix = "say which of its metrics or columns does, under `metrics`"
                found.append(Problem(f"history[{i}]", what, fix))
        except InvalidInput as error:
            found += [Problem(f"history[{i}], {p.where}", p.what, p.fix) for p in error.problems]
    if found:
        raise InvalidInput(found)


def past(state: State, objective: Objective) -> list[Past]:
    """What the histories of a campaign hold of an objective; those that hold nothing of it are left out.

    Values that are also measurements of the campaign are its own, and left out of the history: they would teach what
    they are to be predicted by.

    Raises:
        InvalidInput: as `check_histories`.
    """
    own = {(s.candidate, _rounded(o.value)) for o in state.observations(objective.name) for s in (o.sample,)}
    found = []
    for history in state.spec.history:
        rows = _rows(history, objective, state.space, state.earlier.get(history.campaign or ""), state.files)
        if rows is not None:
            found.append(_arranged(history.name, rows, state.space, own))
    return found


def _rounded(value: float) -> str:
    return f"{value:.{SAME}g}"


def _rows(
    history: EarlierData, objective: Objective, space: Space, earlier: State | None, files: Mapping[str, bytes]
) -> list[tuple[Design, float]] | None:
    """Designs and values in the objective's unit; None where the history holds nothing of it."""
    if history.file is not None:
        column = history.metrics.get(objective.name, objective.name)
        unit = history.units.get(objective.name)
        return _table(
            files[history.file],
            history.file,
            column,
            unit,
            Metric(objective.name, objective.unit or None),
            space.components,
            space.side_columns(),
        )
    metric = history.metrics.get(objective.name, objective.name)
    known: dict[str, Objective | OutcomeConstraint] = {}
    if earlier is not None:
        known = {o.name: o for o in earlier.objectives} | {c.name: c for c in earlier.constraints if not c.boolean}
    if earlier is None or metric not in known:
        if objective.name in history.metrics:
            fix = choices(metric, list(known)) if known else "correct the name"
            raise InvalidInput(Problem("metrics", f"{history.name} measures no {metric}", fix))
        return None
    theirs = {column.name: column for column in earlier.space.side_columns()}
    if missing := [c.name for c in space.side_columns() if c.name not in theirs]:
        what = f"{history.name} has no column {listed(missing)}, without which its designs cannot be compared"
        raise InvalidInput(Problem(history.name, what, "remove it from the history"))
    if odd := [c.name for c in space.side_columns() if (c.kind, c.unit) != (theirs[c.name].kind, theirs[c.name].unit)]:
        what = f"{listed(odd)} is of another kind or unit in {history.name}"
        raise InvalidInput(Problem(history.name, what, "export it as a table, convert it, and name the file"))
    if bool(earlier.space.components) != bool(space.components):
        what = f"{history.name} and this campaign do not both have fractions of components"
        raise InvalidInput(Problem(history.name, what, "remove it from the history"))
    try:
        return [
            (earlier.composition(o.sample), convert(o.value, known[metric].unit, objective.unit))
            for o in earlier.observations(metric)
            if o.censor == 0
        ]
    except CellError as error:
        raise InvalidInput(Problem(f"{history.name}, {metric}", error.what, error.fix)) from None


@lru_cache(maxsize=16)
def _table(
    content: bytes,
    name: str,
    column: str,
    unit: str | None,
    metric: Metric,
    components: tuple[str, ...],
    columns: tuple[Column, ...],
) -> list[tuple[Design, float]] | None:
    """Designs and exact values of a table, read with the care of a table of results; read once."""
    table = read_table(content, name)
    names = {header: split_header(str(header))[0] for header in table.header}
    headers = [header for header, plain in names.items() if column in (header, plain)]
    if not headers:
        return None
    formulas = any(fold(plain) in ("formula", "composition") for plain in names.values())
    others = sorted(ELEMENTS) if formulas else [plain for plain in names.values() if plain in ELEMENTS]
    expect = Expectation(
        elements=tuple(dict.fromkeys([*components, *(others if components else [])])),
        columns=columns,
        metrics=(metric,),
    )
    units = {headers[0]: unit} if unit else {}
    checked = check_results(table, expect, mapping={headers[0]: metric.name}, units=units)
    if not checked.ok:
        raise InvalidInput(checked.problems)
    return [
        (result.composition or result.design, value.value)
        for result in checked.results
        if (value := result.values.get(metric.name)) is not None and value.qualifier == "="
    ]


def _arranged(name: str, rows: Sequence[tuple[Design, float]], space: Space, own: set[tuple[str, str]]) -> Past:
    """Rows as a design matrix over the components of both."""
    side = [column.name for column in space.side_columns()]
    fractions = dict.fromkeys(k for design, _ in rows for k in design if k not in side)
    components = tuple(dict.fromkeys([*space.components, *(fractions if space.components else ())]))
    measured = {value for _, value in own}
    X, values, strangers, repeated = [], [], 0, 0
    for design, value in rows:
        parts = {k: float(v) for k, v in design.items() if k not in side}
        total = sum(parts.values()) or 1.0
        if _rounded(value) in measured and (_identity(space, design), _rounded(value)) in own:
            repeated += 1
            continue
        try:
            others = _side(space, {k: design[k] for k in side})
            X.append([*(round(parts.get(c, 0.0) / total, DIGITS) for c in components), *others])
        except (InvalidInput, KeyError):
            strangers += 1
        else:
            values.append(value)
    width = len(components) + len(space.columns) - len(space.components)
    notes = [f"{count(strangers, 'row')} of it with other words in the columns"] if strangers else []
    notes += [f"{count(repeated, 'row')} of it that are measurements of this campaign"] if repeated else []
    told = tuple(f"{note} left out" for note in notes)
    return Past(name, components, np.array(X, dtype=np.float64).reshape(len(X), width), np.array(values), told)


def _identity(space: Space, design: Design) -> str:
    """Id of a design as a candidate of the space; empty for one with other components or words."""
    try:
        return space.design_candidate(design).id
    except InvalidInput:
        return ""


def _side(space: Space, others: Design) -> Iterable[float]:
    """The columns after the components, scaled; of a design with any components."""
    k = len(space.components)
    if len(space.columns) == k:
        return ()
    pure: dict[str, float | str] = {space.components[0]: 1.0} if k else {}
    shift, scale = space.side_scale()
    return ((space.x_of({**pure, **others})[k:] - shift) / scale).tolist()
