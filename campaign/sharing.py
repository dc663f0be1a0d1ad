"""Samples of another campaign that count here too, by reference: one row in the ledger, corrected in one place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from campaign.decisions import decisions
from campaign.moments import Moment
from campaign.outcomes import OutcomeConstraint
from campaign.spaces import Space
from campaign.spec import CampaignSpec, Objective
from campaign.words import suggestion
from db.errors import InvalidInput, Problem
from db.records import Event, Measurement, Sample
from db.store import Store
from lab_io.findings import CellError
from lab_io.units import convert, convert_sd

SAMPLE_SHARED = "sample.shared"

COMPOSITION = "composition"
"""The metric under which a sample's measured composition is recorded."""
WEIGHED = "weighed"
"""The metric under which the composition that a sample was weighed out to is recorded, with its masses."""
COMPOSITION_SD = "composition_sd"
"""Condition of a measured composition: the standard deviations of its fractions, as far as they are stated."""


@dataclass(frozen=True)
class Borrowed:
    """What a campaign sees of the samples that it shares with others."""

    samples: tuple[Sample, ...] = ()
    """With their designs in this campaign's space; `campaign` is the one they belong to."""
    measurements: tuple[Measurement, ...] = ()
    """Current ones of metrics that both campaigns have, in the units of this one."""
    statuses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Sample id -> its status where it belongs."""
    heads: Mapping[str, int] = field(default_factory=dict)
    """Campaign -> number of its last event that was seen."""


def references(events: Iterable[Event]) -> dict[str, Mapping[str, Any]]:
    """Sample id -> the campaign that it belongs to, its label there, and whose recommendation it answers here."""
    found: dict[str, Mapping[str, Any]] = {}
    for event in events:
        found.update(event.payload.get("shared", {}))
    return found


def borrowed(
    store: Store, events: Sequence[Event], spec: CampaignSpec, space: Space, at: Moment | None = None
) -> Borrowed:
    """The samples that the events of a campaign share with it, as they stand.

    Args:
        store: where the campaigns are.
        events: of the campaign that borrows.
        spec: of it.
        space: of it.
        at: the moment as of which others are read; None for now.

    Raises:
        InvalidInput: a design has no place in the space any more.
    """
    found = Borrowed()
    wanted = references(events)
    for name in dict.fromkeys(said["campaign"] for said in wanted.values()):
        seq = at.other(store, name).seq if at else store.head(name).seq
        theirs = store.events(name, until=seq)
        voided = decisions(theirs).voided
        factors = dict(_common(spec, CampaignSpec.model_validate(dict(store.spec(name, until=seq).spec))))
        samples = [s for s in store.samples(name, until=seq) if s.id in wanted]
        ids = {s.id for s in samples}
        rows = [m for m in store.measurements(name, until=seq) if m.sample in ids and m.id not in voided]
        stated: dict[str, Any] = {}
        for event in theirs:
            stated |= {s: said for s, said in event.payload.get("statuses", {}).items() if s in ids}
        found = Borrowed(
            (*found.samples, *(_here(s, wanted[s.id], space) for s in samples)),
            (*found.measurements, *(_converted(m, *factors[m.metric]) for m in rows if m.metric in factors)),
            {**found.statuses, **stated},
            {**found.heads, name: seq},
        )
    return found


def _here(sample: Sample, said: Mapping[str, Any], space: Space) -> Sample:
    candidate = space.design_candidate(sample.design)
    return replace(
        sample,
        label=f"{sample.campaign}:{sample.label}",
        candidate=candidate.id,
        design=candidate.design,
        stratum=candidate.stratum,
        recommendation=said["answers"],
    )


def _common(here: CampaignSpec, there: CampaignSpec) -> Iterator[tuple[str, tuple[str, str]]]:
    """Metrics that both measure under the same conditions, each with the unit there and here."""
    theirs: list[Objective | OutcomeConstraint] = [*there.objectives, *_measured(there)]
    ours: list[Objective | OutcomeConstraint] = [*here.objectives, *_measured(here)]
    known = {m.name: m for m in theirs}
    for metric in ours:
        other = known.get(metric.name)
        if other is None or other.at != metric.at:
            continue
        try:
            convert(1.0, other.unit, metric.unit)
        except CellError:
            continue
        yield metric.name, (other.unit, metric.unit)
    yield COMPOSITION, ("", "")
    yield WEIGHED, ("", "")


def _measured(spec: CampaignSpec) -> list[OutcomeConstraint]:
    return [c for c in spec.outcome_constraints if c.source == "measured"]


def _converted(m: Measurement, there: str, here: str) -> Measurement:
    if m.value is None or there == here:
        return m
    sd = None if m.sd is None else convert_sd(m.sd, there, here)
    return replace(m, value=convert(m.value, there, here), sd=sd, unit=here)


def reference(store: Store, other: str, label: str, spec: CampaignSpec, space: Space) -> Sample:
    """The sample that is to be shared, checked.

    Raises:
        InvalidInput: there is no such sample, its design has no place in the space, or nothing both campaigns measure.
    """
    known = {s.label: s for s in store.samples(other)}
    if label not in known:
        fix = suggestion(label, list(known)) if known else "it has no samples"
        raise InvalidInput(Problem(f"campaign {other}", f"there is no sample {label!r}", fix))
    both = dict(_common(spec, CampaignSpec.model_validate(dict(store.spec(other).spec))))
    if both.keys() <= {COMPOSITION, WEIGHED}:
        what = f"{other} measures none of {', '.join(o.name for o in spec.objectives)} under the same conditions"
        raise InvalidInput(Problem(f"sample {label}", what, "share samples of a campaign that does"))
    try:
        space.design_candidate(known[label].design)
    except InvalidInput as error:
        raise InvalidInput([Problem(f"{label}, {p.where}", p.what, p.fix) for p in error.problems]) from None
    return known[label]
