"""Which metrics of a campaign a polarisation curve gives, and at which current density."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from campaign.curve_list import Entry
from campaign.curve_spec import measured
from campaign.outcomes import OutcomeConstraint
from campaign.quantities import split
from campaign.spec import Objective
from campaign.state import State
from campaign.words import listed, shown
from db.errors import Problem
from lab_io.findings import CellError
from lab_io.units import same_dimension
from lab_io.words import choices, fold

_OVERPOTENTIAL = re.compile(r"over.?potential|(?<![a-z])eta(?![a-z])|η", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """One metric that a curve is to give."""

    metric: str
    unit: str
    j: float | None
    """Current density in A/cm^2 or A/g at which an overpotential is read; None for a Tafel slope."""


def targets(state: State, entry: Entry) -> tuple[list[Target], list[Problem]]:
    """What a curve is to give to a campaign, and what stands against it."""
    found, wrong = list[Target](), list[Problem]()
    for metric in state.metrics:
        if metric.unit and same_dimension(metric.unit, "V/dec"):
            found.append(Target(metric.name, metric.unit, None))
        elif metric.unit and same_dimension(metric.unit, "V") and _meant(metric, entry):
            try:
                found.append(Target(metric.name, metric.unit, _density(metric, entry)))
            except CellError as error:
                wrong.append(Problem(f"{entry.file}, {metric.name}", error.what, error.fix))
    known = [m.name for m in state.metrics]
    for name in entry.at:
        if name not in known:
            wrong.append(
                Problem(f"{entry.file}, at", f"{shown(name)} is no metric of the campaign", choices(name, known))
            )
        elif name not in [t.metric for t in found] and not wrong:
            what = f"{name} is no overpotential: its unit is {shown(state_unit(state, name))}"
            wrong.append(Problem(f"{entry.file}, at", what, "leave it out"))
    if not found and not wrong:
        what = f"a polarisation curve gives none of what the campaign measures: {listed(known)}"
        fix = "an objective in mV named overpotential with `at: {j: 10 mA/cm^2}`, or a Tafel slope in mV/dec, would be"
        wrong.append(Problem(entry.file, what, fix))
    for metric in state.metrics:
        if metric.name in [t.metric for t in found]:
            wrong += _against(metric, entry)
    return found, wrong


def state_unit(state: State, name: str) -> str:
    """The unit of a metric."""
    return next(m.unit for m in state.metrics if m.name == name)


def _meant(metric: Objective | OutcomeConstraint, entry: Entry) -> bool:
    return bool(_OVERPOTENTIAL.search(metric.name)) or "j" in metric.at or metric.name in entry.at


def _density(metric: Objective | OutcomeConstraint, entry: Entry) -> float:
    """The current density of an overpotential, from the spec or else from the parameters.

    Raises:
        CellError: neither says it, or the two differ.
    """
    given, stated = entry.at.get(metric.name), metric.at.get("j")
    if stated is None and given is None:
        what = "the spec does not say at which current density"
        raise CellError(what, f'state it: at {metric.name}="10 mA/cm^2" (`--at` on the command line)')
    if stated is None:
        return entry.density(given)
    j = entry.density(stated)
    if given is not None and abs(entry.density(given) / j - 1) > 1e-9:
        raise CellError(f"the spec says {stated}, and {given} was stated", "leave it out: the spec decides")
    return j


def _against(metric: Objective | OutcomeConstraint, entry: Entry) -> Iterator[Problem]:
    """Conditions of the spec that the parameters contradict."""
    said: dict[str, Any] = {fold(key): value for key, value in metric.at.items()}
    where = f"{entry.file}, {metric.name}"
    basis = said.get("area", said.get("basis"))
    if isinstance(basis, str) and split(basis) is None and fold(basis) != fold(entry.basis):
        what = f"the spec wants the {basis} area, and the curve is divided by {entry.basis}"
        yield Problem(where, what, f"state basis: {basis} with that area, if it is known")
    for names, unit, given, tolerance in (
        (("ph",), "", entry.ph, 0.3),
        (("t", "temperature"), "degC", entry.temperature, 2.0),
    ):
        wanted = next((said[name] for name in names if name in said), None)
        if wanted is None or given is None or isinstance(wanted, bool):
            continue
        try:
            one, other = (measured(value, unit).value for value in (wanted, given))
        except CellError:
            continue  # a word, or a time under the name t
        if abs(one - other) > tolerance:
            what = f"the spec wants {names[-1]} {wanted}, and {given} was stated for the curve"
            yield Problem(where, what, "check which is right: values at other conditions are another metric")
