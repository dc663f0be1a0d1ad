"""Record what came back from the lab: check a table, tie each row to its sample, write all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from campaign.files import read_file
from campaign.state import COMPOSITION, RESULT_KINDS, RESULTS_RECORDED, STATUS_STATED, State
from campaign.words import suggestion
from db.chain import canonical
from db.errors import InvalidInput, Problem
from db.records import Candidate, Event, Measurement, Sample, Source
from db.rows import Record
from db.store import Store
from lab_io.results import check_results
from lab_io.schema import Check, Expectation, Metric, Result
from lab_io.tables import MAX_BYTES, read_table


def read(file: str | Path | bytes, name: str | None) -> tuple[bytes, str]:
    """The bytes of a table of results and what to call it.

    Raises:
        InvalidInput: the file cannot be read or is too large.
    """
    if isinstance(file, bytes):
        return file, name or "results.csv"
    return read_file(Path(file), str(file), MAX_BYTES), name or Path(file).name


def expectation(state: State) -> Expectation:
    """What the door to the lab must know of a campaign to check a table of results."""
    label = {s.id: s.label for s in state.samples}
    designs = {r.label: r.design for r in state.recommendations} | {s.label: s.design for s in state.samples}
    return Expectation(
        elements=state.space.components,
        columns=state.space.side_columns(),
        metrics=tuple(Metric(o.name, o.unit or None) for o in state.objectives),
        labels=designs,
        pending=frozenset(r.label for r in state.pending),
        recorded={
            (label[m.sample], m.metric, m.replicate): (m.value, m.qualifier)
            for m in state.measurements
            if m.metric != COMPOSITION
        },
        compositions={label[m.sample]: m.composition for m in state.measurements if m.composition is not None},
        closed={s.label: state.status(s.id) for s in state.samples if state.status(s.id) != "ok"},
    )


def check(
    state: State,
    content: bytes,
    name: str,
    *,
    mapping: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    sheet: str | None = None,
) -> Check:
    """Check a table of results row by row; nothing is written.

    Raises:
        InvalidInput: the file cannot be read as a table.
    """
    return check_results(read_table(content, name, sheet=sheet), expectation(state), mapping=mapping, units=units)


def recorded_before(store: Store, campaign: str, content: bytes) -> bool:
    """Whether these very bytes were recorded in a campaign."""
    sha256 = hashlib.sha256(content).hexdigest()
    return any(event.payload.get("source") == sha256 for event in store.events(campaign, kinds=[RESULTS_RECORDED]))


def record(store: Store, state: State, checked: Check, content: bytes, name: str, *, by: str) -> Event | None:
    """Write a checked table to the ledger: samples, measurements, statuses and the file itself, in one transaction.

    Returns:
        The event; None if these bytes were recorded before, or say nothing new.

    Raises:
        InvalidInput: a row is rejected or needs an answer; nothing is written.
        Conflict: results were recorded by somebody else since `state` was read.
    """
    if recorded_before(store, state.name, content):
        return None
    sha256 = hashlib.sha256(content).hexdigest()
    if not checked.ok:
        raise InvalidInput(checked.problems)
    samples: dict[str, Sample] = {}
    candidates: dict[str, Candidate] = {}
    measurements: list[Measurement] = []
    statuses: dict[str, Any] = {}
    for row in checked.rows:
        result = row.result
        if result is None or not (result.values or result.composition or result.status in ("failed", "void")):
            continue
        candidate = state.space.design_candidate(result.design)
        label = result.label or f"{sha256[:6]}-{row.number}"
        sample = samples.get(label) or _sample(state, label, candidate, {s.recommendation for s in samples.values()})
        if sample not in state.samples:
            samples[label], candidates[candidate.id] = sample, candidate
        measurements += _measurements(state, sample, result, sha256)
        if result.status in ("failed", "void"):
            statuses[sample.id] = {"status": result.status, "mode": result.failure_mode}
    if not measurements and not statuses:
        return None
    return store.append(
        state.name,
        RESULTS_RECORDED,
        {"source": sha256, "name": name, "statuses": statuses},
        rows=[Source(sha256, name, content), *candidates.values(), *samples.values(), *measurements],
        by=by,
        after=state.head.seq,
        unless=set(RESULT_KINDS),
    )


def _sample(state: State, label: str, candidate: Candidate, answered: Collection[str | None] = ()) -> Sample:
    """The sample of this label: as known, or a new one for the recommendation of this label or of this very design."""
    for known in state.samples:
        if known.label == label:
            return known
    answers = next((r for r in state.recommendations if r.label == label), None)
    if answers is None:
        waiting = [r for r in state.pending if r.id not in state.sample_of and r.id not in answered]
        answers = next((r for r in waiting if r.candidate == candidate.id), None)
    return Sample(
        id=_id("s", state.name, label),
        campaign=state.name,
        label=label,
        candidate=candidate.id,
        design=candidate.design,
        stratum=candidate.stratum,
        recommendation=answers.id if answers else None,
    )


def _measurements(state: State, sample: Sample, result: Result, sha256: str) -> list[Measurement]:
    units = {o.name: o.unit for o in state.objectives}
    made = [
        Measurement(
            id=_id("m", sample.id, metric, result.replicate, v.value, v.qualifier, sha256, v.cell),
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
                id=_id("m", sample.id, COMPOSITION, dict(result.composition), sha256),
                campaign=state.name,
                sample=sample.id,
                metric=COMPOSITION,
                value=None,
                unit=None,
                composition=dict(result.composition),
                conditions=dict(result.conditions),
                source=sha256,
            )
        )
    return made


def _id(prefix: str, *content: Any) -> str:
    """An id that follows from the content, so that a repeated command collides with itself."""
    return f"{prefix}-{hashlib.sha256(canonical(list(content)).encode()).hexdigest()[:24]}"


def state_status(store: Store, state: State, label: str, status: Mapping[str, Any], by: str) -> Event:
    """Record that a sample failed or is void; a recommendation that was never made becomes a sample by it.

    Raises:
        InvalidInput: there is no such sample or recommendation.
    """
    known = {r.label: r.design for r in state.recommendations} | {s.label: s.design for s in state.samples}
    if label not in known:
        fix = suggestion(label, list(known)) if known else "recommend or ingest first"
        raise InvalidInput(Problem(f"campaign {state.name}", f"there is no sample {label!r}", fix))
    candidate = state.space.design_candidate(known[label])
    sample = _sample(state, label, candidate)
    rows: list[Record] = [] if sample in state.samples else [candidate, sample]
    return store.append(state.name, STATUS_STATED, {"statuses": {sample.id: dict(status)}}, rows=rows, by=by)
