"""Record what came back from the lab: check a table, tie each row to its sample, write all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from campaign.curve_hint import refuse_curve, refuse_plain_curve
from campaign.decisions import VETO_STATED
from campaign.designs import refuse_strangers
from campaign.files import read_file
from campaign.mapping import SavedMapping, combined
from campaign.outcomes import metric_of
from campaign.quantities import in_unit
from campaign.sharing import WEIGHED
from campaign.state import (
    BATCH_RECOMMENDED,
    COMPOSITION,
    COMPOSITION_SD,
    RESULT_KINDS,
    RESULTS_RECORDED,
    SPEC_REVISED,
    STATUS_STATED,
    State,
    load_state,
)
from campaign.weighed import kept, masses_alone, with_masses
from campaign.words import suggestion
from campaign.writing import retried
from db.chain import canonical
from db.errors import InvalidInput, Problem
from db.records import Candidate, Event, Measurement, Sample, Source
from db.rows import Record
from db.store import Store
from lab_io.filtering import Wanted
from lab_io.findings import CellError, Finding, Status
from lab_io.fixes import NO_FIXES, Fixes
from lab_io.results import check_results
from lab_io.schema import Check, Expectation, Metric, Result
from lab_io.tables import MAX_BYTES, RawTable, read_table
from lab_io.units import split_header
from lab_io.words import fold


def expectation(state: State) -> Expectation:
    """What the door to the lab must know of a campaign to check a table of results."""
    label = {s.id: s.label for s in state.samples}
    designs = {r.label: r.design for r in state.recommendations} | {s.label: s.design for s in state.samples}
    results = [m for m in state.measurements if m.metric not in (COMPOSITION, WEIGHED)]

    def key(m: Measurement) -> tuple[str, str, str | None]:
        return label[m.sample], m.metric, m.replicate

    return Expectation(
        elements=state.space.components,
        columns=state.space.side_columns(),
        metrics=(
            *(Metric(o.name, o.unit or None, current_density=_current_density(o.at)) for o in state.objectives),
            *(metric_of(c) for c in state.constraints if c.source == "measured"),
        ),
        labels=designs,
        pending=frozenset(r.label for r in state.pending),
        recorded={key(m): (m.value, m.qualifier) for m in results},
        recorded_sd={key(m): m.sd for m in results if m.sd is not None},
        compositions={label[m.sample]: m.composition or {} for m in state.measurements if m.metric == COMPOSITION},
        closed={s.label: state.status(s.id) for s in state.samples if state.status(s.id) != "ok"},
    )


def _current_density(conditions: Mapping[str, Any]) -> float | None:
    """The current density at which a metric is taken, in mA/cm^2; None where the spec does not say."""
    try:
        return in_unit(stated, "mA/cm^2") if isinstance(stated := conditions.get("j"), str) else None
    except CellError:
        return None


@dataclass(frozen=True)
class Reading:
    """A table as it was handed in: its bytes, and how they are to be read."""

    content: bytes
    name: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Column of the file -> our name for it."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Column of the file -> its unit, where the file does not say."""
    sheet: str | None = None
    fixes: Fixes = NO_FIXES
    """What its owner consents to."""
    where: Mapping[str, Wanted] = field(default_factory=dict)
    """Column of the file -> what its cells must be for a row to be read."""
    saved: SavedMapping | None = None
    """The mapping that it is read with."""
    path: str | None = None
    """Where the file lies, as it was typed; None for bytes."""

    @property
    def sha256(self) -> str:
        """Of the bytes."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def identity(self) -> str:
        """Of bytes and reading: the same file read another way brings something else."""
        how: list[Any] = [self.sha256, dict(self.mapping), dict(self.units), self.sheet]
        if self.fixes.accepted or self.saved:
            how += [self.fixes.accepted, self.saved.source.sha256 if self.saved else None]
        return hashlib.sha256(canonical(how).encode()).hexdigest()


def read(
    file: str | Path | bytes | Reading,
    *,
    name: str | None = None,
    mapping: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    sheet: str | None = None,
    fixes: Sequence[str] = (),
    saved: SavedMapping | None = None,
) -> Reading:
    """A table of results as it is handed in.

    Args:
        file: path, or bytes.
        name: what to call it in messages.
        mapping: column of the file -> our name for it.
        units: column of the file -> its unit.
        sheet: of a workbook.
        fixes: names of the fixes that are accepted: `V->mV`, `balance=Co`.
        saved: a mapping to read it with; the other arguments win over it.

    Raises:
        InvalidInput: the file cannot be read or is too large, or a fix is unknown.
    """
    if isinstance(file, Reading):
        return file
    columns, given, page, accepted, where = combined(saved, mapping or {}, units or {}, sheet, fixes)
    content = file if isinstance(file, bytes) else read_file(Path(file), str(file), MAX_BYTES)
    called = name or ("results.csv" if isinstance(file, bytes) else Path(file).name)
    path = None if isinstance(file, bytes) else str(file)
    return Reading(content, called, columns, given, page, accepted, where, saved, path)


def as_table(reading: Reading) -> RawTable:
    """The table as it stands in its file.

    Raises:
        InvalidInput: the file cannot be read as a table.
    """
    top, rows = (reading.fixes.whole(name) for name in ("header-row", "header-rows"))
    return read_table(reading.content, reading.name, sheet=reading.sheet, header_row=top, header_rows=rows or 1)


def check(state: State, reading: Reading) -> Check:
    """Check a table of results row by row; nothing is written.

    Raises:
        InvalidInput: the file cannot be read as a table, or is a raw curve.
    """
    refuse_curve(state, reading.content, reading.path or reading.name)
    table = as_table(reading)
    if (weighed := masses_alone(state, table, reading)) is not None:
        return weighed
    checked = check_results(
        table,
        expectation(state),
        mapping=reading.mapping,
        units=reading.units,
        fixes=reading.fixes,
        where=reading.where,
    )
    if any(f.status is Status.REJECTED for f in checked.table) and not checked.results:
        refuse_plain_curve(state, reading.content, reading.path or reading.name)
    checked = refuse_strangers(checked, state.space, reading.name)
    checked = replace(checked, table=(*checked.table, *_computed_columns(state, table, reading)))
    return with_masses(state, table, reading, checked)


def _computed_columns(state: State, table: RawTable, reading: Reading) -> Iterator[Finding]:
    """A refusal of each column of measured values for a metric that is computed: the two are never mixed."""
    computed = {fold(c.name): c.name for c in state.constraints if c.source == "computed"}
    for column, header in enumerate(table.header):
        name = computed.get(fold(split_header(header)[0]))
        if name and fold(reading.mapping.get(header, "")) != "ignore":
            what = f"{name} is computed in this campaign, from {_labels_file(state)}; measured values are another task"
            fix = f"map the column to ignore, or start a campaign with `source: measured` for {name}"
            yield Finding(Status.REJECTED, Problem(table.where(table.header_row, column), what, fix))


def _labels_file(state: State) -> str:
    computed = state.spec.labels.computed
    return computed.file if computed else "its labels"


def recorded_before(store: Store, campaign: str, reading: Reading) -> bool:
    """Whether these very bytes were recorded in a campaign, read in this very way."""
    return any(e.payload.get("reading") == reading.identity for e in store.events(campaign, kinds=[RESULTS_RECORDED]))


def ingest(store: Store, name: str, reading: Reading, *, by: str) -> Check:
    """Check a table and record all of it or nothing; the same reading twice is a no-op.

    Raises:
        InvalidInput: a row is rejected or needs an answer, or the file cannot be read.
        Overtaken: others kept recording at the same moment.
    """

    def attempt() -> Check:
        with store.reading():
            state = load_state(store, name)
        checked = check(state, reading)
        record(store, state, reading, checked, by=by)
        return checked

    return retried(attempt)


def record(store: Store, state: State, reading: Reading, checked: Check, *, by: str) -> Event | None:
    """Write a checked table to the ledger: samples, measurements, statuses and the file itself, in one transaction.

    Returns:
        The event; None if these bytes were recorded before, or say nothing new.

    Raises:
        InvalidInput: a row is rejected or needs an answer; nothing is written.
        Overtaken: something was recommended or recorded since `state` was read.
    """
    if recorded_before(store, state.name, reading):
        return None
    sha256 = reading.sha256
    if not checked.ok:
        raise InvalidInput(checked.problems)
    samples: dict[str, Sample] = {}
    candidates: dict[str, Candidate] = {}
    measurements: list[Measurement] = []
    statuses: dict[str, Any] = {}
    for row in checked.rows:
        result = row.result
        brings = result is not None and (result.values or result.composition or result.weighed)
        if result is None or not (brings or result.status in ("failed", "void")):
            continue
        candidate = state.space.design_candidate(result.design)
        label = result.label or _own_label(state, reading, result.first_row or row.number)
        sample = samples.get(label) or new_sample(state, label, candidate, {s.recommendation for s in samples.values()})
        if sample not in state.samples:
            samples[label], candidates[candidate.id] = sample, candidate
        measurements += _measurements(state, sample, result, sha256)
        if result.status in ("failed", "void"):
            statuses[sample.id] = {"status": result.status, "mode": result.failure_mode}
    if not measurements and not statuses:
        return None
    sources = {sha256: Source(sha256, reading.name, reading.content)}
    how: dict[str, Any] = {"fixes": list(reading.fixes.accepted)} if reading.fixes.accepted else {}
    if reading.saved is not None:
        how["mapping"] = {"name": reading.saved.name, "sha256": reading.saved.source.sha256}
        sources[reading.saved.source.sha256] = reading.saved.source
    if not statuses and all(m.metric == WEIGHED for m in measurements):
        how["masses_only"] = True  # the batch is being made, and no outcome asks for a new one
    return store.append(
        state.name,
        RESULTS_RECORDED,
        {"reading": reading.identity, "source": sha256, "name": reading.name, "statuses": statuses, **how},
        rows=[*sources.values(), *candidates.values(), *samples.values(), *measurements],
        by=by,
        after=state.head.seq,
        unless={BATCH_RECOMMENDED, SPEC_REVISED, *RESULT_KINDS},
    )


def _own_label(state: State, reading: Reading, row: int) -> str:
    """A label that no sample has, for a row without one; another sheet of the file has a row of that number."""
    known = {s.label for s in state.samples}
    labels = (f"{key}-{row}" for key in (reading.sha256[:6], reading.identity[:6], reading.identity))
    return next(label for label in labels if label not in known)


def new_sample(state: State, label: str, candidate: Candidate, answered: Collection[str | None] = ()) -> Sample:
    """The sample of this label: as known, or a new one for the recommendation of this label or of this very design."""
    for known in state.samples:
        if known.label == label:
            return known
    answers = next((r for r in state.recommendations if r.label == label), None)
    if answers is None:
        waiting = [r for r in state.pending if r.id not in state.sample_of and r.id not in answered]
        answers = next((r for r in waiting if r.candidate == candidate.id), None)
    return Sample(
        id=new_id("s", state.name, label),
        campaign=state.name,
        label=label,
        candidate=candidate.id,
        design=candidate.design,
        stratum=candidate.stratum,
        recommendation=answers.id if answers else None,
    )


def _measurements(state: State, sample: Sample, result: Result, sha256: str) -> list[Measurement]:
    units = {m.name: m.unit for m in state.metrics}
    made = [
        Measurement(
            id=new_id("m", sample.id, metric, result.replicate, v.value, v.qualifier, sha256, v.cell),
            campaign=state.name,
            sample=sample.id,
            metric=metric,
            value=v.value,
            unit=units[metric],
            sd=v.sd,
            qualifier=v.qualifier,
            replicate=result.replicate,
            conditions=dict(result.conditions),
            source=sha256,
            cell=v.cell,
        )
        for metric, v in result.values.items()
    ]
    if result.composition is not None:
        made.append(
            Measurement(
                id=new_id("m", sample.id, COMPOSITION, dict(result.composition), sha256),
                campaign=state.name,
                sample=sample.id,
                metric=COMPOSITION,
                value=None,
                unit=None,
                composition=dict(result.composition),
                conditions={**result.conditions, **_spreads(result)},
                source=sha256,
            )
        )
    if result.weighed is not None:
        made.append(
            Measurement(
                id=new_id("m", sample.id, WEIGHED, kept(result.weighed), sha256),
                campaign=state.name,
                sample=sample.id,
                metric=WEIGHED,
                value=None,
                unit=None,
                composition=dict(result.weighed.composition),
                conditions={**result.conditions, **kept(result.weighed)},
                source=sha256,
            )
        )
    return made


def _spreads(result: Result) -> dict[str, Any]:
    """Standard deviations of measured fractions, as they stand beside a measured composition."""
    return {COMPOSITION_SD: dict(result.composition_sd)} if result.composition_sd else {}


def new_id(prefix: str, *content: Any) -> str:
    """An id that follows from the content, so that a repeated command collides with itself."""
    return f"{prefix}-{hashlib.sha256(canonical(list(content)).encode()).hexdigest()[:24]}"


def state_status(store: Store, state: State, label: str, status: Mapping[str, Any], by: str) -> Event:
    """Record that a sample failed or is void; a recommendation that was never made becomes a sample by it.

    Raises:
        InvalidInput: there is no such sample or recommendation, or it is void already.
    """
    known = {r.label: r.design for r in state.recommendations} | {s.label: s.design for s in state.samples}
    if label not in known:
        fix = suggestion(label, list(known)) if known else "recommend or ingest first"
        raise InvalidInput(Problem(f"campaign {state.name}", f"there is no sample {label!r}", fix))
    candidate = state.space.design_candidate(known[label])
    sample = new_sample(state, label, candidate)
    if status["status"] == "void" == state.status(sample.id):
        raise InvalidInput(Problem(f"sample {label}", "it is void already", "there is nothing left to do"))
    rows: list[Record] = [] if sample in state.samples else [candidate, sample]
    return store.append(state.name, STATUS_STATED, {"statuses": {sample.id: dict(status)}}, rows=rows, by=by)


def state_veto(
    store: Store, name: str, designs: Sequence[str], payload: Callable[[State], dict[str, Any]], by: str
) -> Event:
    """Record what is decided about designs, from the campaign as it is when it is written.

    Args:
        store: where the campaign is.
        name: of the campaign.
        designs: what the decision names.
        payload: what the event holds, given the campaign.
        by: who decides.

    Raises:
        InvalidInput: no design is given, or `payload` refuses.
        Overtaken: others kept recording at the same moment.
    """
    if not designs:
        fix = "name labels (b1-03) or designs (Ni0.5 Fe0.5)"
        raise InvalidInput(Problem(f"campaign {name}", "no design is named", fix))

    def attempt() -> Event:
        with store.reading():
            state = load_state(store, name)
        return store.append(
            name,
            VETO_STATED,
            payload(state),
            by=by,
            after=state.head.seq,
            unless={BATCH_RECOMMENDED, VETO_STATED, *RESULT_KINDS},
        )

    return retried(attempt)
