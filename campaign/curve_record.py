"""Polarisation curves in the ledger: recorded all or none, and computed again from what is stored.

What is stored of a curve: its bytes under their hash, every parameter as stated, what was read with its doubts, and the
overpotentials and slopes as measurements like any others. So each value can be computed again from the ledger alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from campaign.curve_list import Handed
from campaign.curve_spec import Parameters
from campaign.curve_targets import Target
from campaign.curves import CheckedCurve, Derived, check_curves, derive, read, standing, summary
from campaign.decisions import candidate_of
from campaign.record import new_id, new_sample
from campaign.state import BATCH_RECOMMENDED, RESULT_KINDS, RESULTS_RECORDED, SPEC_REVISED, State, load_state
from campaign.writing import retried
from db.chain import canonical
from db.errors import InvalidInput, Problem
from db.records import Candidate, Measurement, Sample
from db.rows import Record
from db.store import Store
from lab_io.curve_checks import shown_density

SAME = 1e-9
"""Relative difference up to which a value that is computed again is the same."""


def curves_on_record(store: Store, name: str) -> list[dict[str, Any]]:
    """What the ledger holds of every curve of a campaign, in the order of recording."""
    return [c for e in store.events(name, kinds=[RESULTS_RECORDED]) for c in e.payload.get("curves", ())]


def checked_curves(store: Store, name: str, handed: Sequence[Handed]) -> list[CheckedCurve]:
    """Curves as `check_curves` finds them, against a campaign as it is now; nothing is written."""
    with store.reading():
        return check_curves(load_state(store, name), handed, {c["identity"] for c in curves_on_record(store, name)})


def record_curves(store: Store, name: str, handed: Sequence[Handed], *, by: str) -> list[CheckedCurve]:
    """Record all curves or none, in one transaction; those that are on record already change nothing.

    Raises:
        InvalidInput: one of them cannot be recorded; all problems at once.
        Overtaken: others kept recording at the same moment.
    """

    def attempt() -> list[CheckedCurve]:
        with store.reading():
            state = load_state(store, name)
            checked = check_curves(state, handed, {c["identity"] for c in curves_on_record(store, name)})
        if wrong := [p for c in checked for p in c.problems]:
            raise InvalidInput(wrong)
        if fresh := [c for c in checked if not c.before]:
            _write(store, state, fresh, by)
        return checked

    return retried(attempt)


def _write(store: Store, state: State, checked: Sequence[CheckedCurve], by: str) -> None:
    sources, samples, candidates = dict[str, Record](), dict[str, Sample](), dict[str, Candidate]()
    measurements, told = list[Measurement](), list[dict[str, Any]]()
    for one in checked:
        label = one.entry.sample
        candidate = candidate_of(state, label if one.entry.design is None else one.entry.design)
        sample = samples.get(label) or new_sample(state, label, candidate, {s.recommendation for s in samples.values()})
        if sample not in state.samples:
            samples[label], candidates[candidate.id] = sample, candidate
        made = [_measurement(state, sample, one, derived) for derived in one.values]
        measurements += made
        sources |= {s.sha256: s for s in one.sources}
        told.append(
            {
                "identity": one.identity,
                "sample": label,
                "name": one.entry.file,
                "source": one.sources[0].sha256,
                "read_from": one.sources[-1].sha256,
                "format": one.curve.format if one.curve else None,
                "settings": dict(one.curve.settings) if one.curve else {},
                "parameters": one.entry.parameters(),
                "targets": [[d.target.metric, d.target.unit, d.target.j] for d in one.values],
                "measurements": [m.id for m in made],
                "read": summary(one.read) if one.read else None,
                "flags": [{"code": f.code, "what": f.problem.what} for f in one.flags],
                "code_version": importlib.metadata.version("siteloop"),
            }
        )
    identities = sorted(str(t["identity"]) for t in told)
    names = ", ".join(one.entry.file for one in checked)
    store.append(
        state.name,
        RESULTS_RECORDED,
        {
            "reading": hashlib.sha256(canonical(identities).encode()).hexdigest(),
            "source": told[0]["source"],
            "name": names,
            "statuses": {},
            "curves": told,
        },
        rows=[*sources.values(), *candidates.values(), *samples.values(), *measurements],
        by=by,
        after=state.head.seq,
        unless={BATCH_RECOMMENDED, SPEC_REVISED, *RESULT_KINDS},
    )


def _measurement(state: State, sample: Sample, one: CheckedCurve, derived: Derived) -> Measurement:
    e, target = one.entry, derived.target
    reading = one.read.readings.get(target.j) if one.read and target.j is not None else None
    conditions: dict[str, Any] = {
        "curve": one.identity,
        "reference": e.reference,
        "offset_source": e.offset_source,
        "pH": e.ph,
        "temperature": e.temperature,
        "compensation": e.compensation,
        "Rs": e.rs,
        "area": e.area,
        "basis": e.basis,
        "sweep": e.sweep,
        "flags": sorted({f.code for f in one.flags}),
        "reading_sd": derived.sd,
    }
    if target.j is not None and one.read:
        conditions["j"] = shown_density(target.j, one.read.setup)
    if reading is not None:
        conditions["reading_sd_mV"] = {part: value * 1e3 for part, value in reading.parts.items()}
    old = standing(state, e, target.metric) if e.correct is not None else []
    return Measurement(
        id=new_id("m", sample.id, target.metric, e.replicate, one.identity),
        campaign=state.name,
        sample=sample.id,
        metric=target.metric,
        value=derived.value,
        unit=target.unit,
        qualifier=derived.qualifier,
        replicate=e.replicate,
        conditions={key: value for key, value in conditions.items() if value is not None},
        source=one.sources[0].sha256,
        cell=derived.where,
        supersedes=old[0].id if old else None,
        reason=e.correct,
    )


@dataclass(frozen=True)
class Again:
    """A value of a curve that was computed again from the ledger."""

    sample: str
    metric: str
    unit: str
    stored: float
    again: float | None
    """None where it cannot be read any more."""

    @property
    def same(self) -> bool:
        """Whether it is the one on record."""
        return self.again is not None and math.isclose(self.stored, self.again, rel_tol=SAME, abs_tol=1e-12)


def recomputed(store: Store, name: str) -> list[Again]:
    """Every value that came from a curve, computed again from the stored bytes and parameters alone.

    Raises:
        InvalidInput: there is no such campaign, or a file of a curve is missing from the database.
    """
    store.require(name)
    rows = {m.id: m for m in store.measurements(name, current=False)}
    found, lost = list[Again](), list[Problem]()
    for told in curves_on_record(store, name):
        kept = store.source(told["read_from"])
        if kept is None:
            what = f"the file of {told['sample']} is not in the database"
            lost.append(Problem(told["name"], what, "restore the database from a backup"))
            continue
        parameters = Parameters.model_validate(told["parameters"])
        wanted = [Target(*target) for target in told["targets"]]
        _, curve = read(kept.content, told["name"], parameters, wanted)
        again = {d.target.metric: d.value for d in derive(curve, wanted, parameters.not_reached)}
        for key in told["measurements"]:
            m = rows[key]
            found.append(Again(told["sample"], m.metric, m.unit or "", float(m.value or 0.0), again.get(m.metric)))
    if lost:
        raise InvalidInput(lost)
    return found
