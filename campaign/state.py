"""What is known of a campaign at one moment, derived from its ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from campaign.costs import CostModel, cost_model
from campaign.decisions import Decisions, decisions
from campaign.filters import Sieve
from campaign.labels import Label, read_labels
from campaign.moments import Moment
from campaign.noise import Noise, circumstances, corrected, noise_of
from campaign.outcomes import OutcomeConstraint
from campaign.sharing import COMPOSITION as COMPOSITION
from campaign.sharing import COMPOSITION_SD as COMPOSITION_SD
from campaign.sharing import SAMPLE_SHARED, WEIGHED, borrowed
from campaign.spaces import Space, build_space, ordered
from campaign.spec import CampaignSpec, Objective
from db.chain import canonical
from db.records import Batch, Candidate, Design, Event, Measurement, Recommendation, Sample
from db.store import Store

CAMPAIGN_STARTED = "campaign.started"
BATCH_RECOMMENDED = "batch.recommended"
RESULTS_RECORDED = "results.recorded"
STATUS_STATED = "status.stated"
MEASUREMENT_AMENDED = "measurement.amended"
MEASUREMENT_VOIDED = "measurement.voided"
PENDING_EXPIRED = "pending.expired"
SPEC_REVISED = "spec.revised"
RESULT_KINDS = (RESULTS_RECORDED, STATUS_STATED, MEASUREMENT_AMENDED, MEASUREMENT_VOIDED, SAMPLE_SHARED)


@dataclass(frozen=True)
class Observation:
    """One sample's current value of one objective: the mean over its replicates, in the objective's unit.

    What its batch, its operator or its lab is known to add is taken off (`campaign.noise`).
    """

    sample: Sample
    value: float
    variance: float | None
    """Of the value, where the lab stated the sd of every replicate, or enough was made twice to tell all the noise."""
    sd: float | None
    """Of one measurement, from two replicates on."""
    n: int
    censor: int
    """-1 if the true value is below `value`, 1 if above, 0 if it is as measured."""
    shift: float = 0.0
    """What was taken off the mean of the replicates; 0 where they stand as measured."""


@dataclass(frozen=True)
class State:
    """A campaign as its ledger tells it. Nothing here is stored; all of it follows from events and rows."""

    name: str
    spec: CampaignSpec
    revision: int
    space: Space
    head: Event
    batches: tuple[Batch, ...]
    recommendations: tuple[Recommendation, ...]
    samples: tuple[Sample, ...]
    measurements: tuple[Measurement, ...]
    statuses: Mapping[str, Mapping[str, Any]]
    """Sample id -> its latest status (`failed` or `void`) with failure mode and reason."""
    last_result: int
    """Sequence number of the last event that recorded results, more than masses; 0 before the first."""
    last_batch: int
    """Sequence number of the last event that recommended a batch; 0 before the first."""
    artifacts: Path
    """Folder for what can be computed again."""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Bytes of the files that the spec names, by name, as they were when the campaign started."""
    decisions: Decisions = field(default_factory=Decisions, repr=False)
    """Vetoes in force, and what of earlier batches was proposed anew."""
    earlier: Mapping[str, State] = field(default_factory=dict, repr=False)
    """The campaigns that this one learns from, by name, as they stand at the same moment."""
    moment: str = ""
    """When it is looked at, UTC: the present as it was read, or the time of an earlier view."""
    batch_times: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Batch id -> when it was recommended, UTC."""
    metrics_of: Mapping[int, frozenset[str]] = field(default_factory=dict, repr=False)
    """Earlier revision of the spec -> what the lab measured under it."""
    heads: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Campaign whose samples are shared with this one -> number of its last event that was seen."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives of the spec in force."""
        return tuple(self.spec.objectives)

    @property
    def constraints(self) -> tuple[OutcomeConstraint, ...]:
        """The outcome constraints of the spec in force."""
        return self.spec.outcome_constraints

    @property
    def metrics(self) -> tuple[Objective | OutcomeConstraint, ...]:
        """What the lab measures: the objectives, then the constraints that are not computed."""
        return (*self.objectives, *(c for c in self.constraints if c.source == "measured"))

    @property
    def questions(self) -> frozenset[str]:
        """Names of the metrics that are answered with yes or no."""
        return frozenset(c.name for c in self.constraints if c.boolean)

    @cached_property
    def labels(self) -> Mapping[str, tuple[Label, ...]]:
        """Computed values by metric."""
        return read_labels(self.spec, self.space, self.files)

    @cached_property
    def costs(self) -> CostModel | None:
        """What candidates cost; None where the spec does not say."""
        return cost_model(self.spec, self.space, self.files)

    def sieve(self, energies: Mapping[int, float] | None = None) -> Sieve:
        """The filters of the spec on the space; `energies` as `Sieve` takes them."""
        return Sieve(self.spec.filters, self.space, self.files, energies)

    @cached_property
    def measured(self) -> Mapping[tuple[str, str], tuple[Measurement, ...]]:
        """(sample id, metric) -> its current measurements, void samples left out."""
        found: dict[tuple[str, str], list[Measurement]] = {}
        for m in self.measurements:
            if self.status(m.sample) != "void":
                found.setdefault((m.sample, m.metric), []).append(m)
        return {key: tuple(rows) for key, rows in found.items()}

    def status(self, sample: str) -> str:
        """`failed` or `void` as last stated, else `ok`."""
        return str(self.statuses.get(sample, {}).get("status", "ok"))

    def finished(self, sample: Sample) -> bool:
        """Whether nothing more is expected of a sample: every metric measured, or failed, void, or closed as it is."""
        closed = self.status(sample.id) != "ok" or sample.id in self.decisions.closed
        return closed or all((sample.id, name) in self.measured for name in self._expected(sample))

    def _expected(self, sample: Sample) -> Sequence[str]:
        """The metrics that a sample is to be measured for: none that a later revision of the spec has added."""
        asked = self.metrics_of.get(self._revision_of.get(sample.recommendation or "", self.revision))
        return [m.name for m in self.metrics if asked is None or m.name in asked]

    @cached_property
    def _revision_of(self) -> Mapping[str, int]:
        """Recommendation id -> revision of the spec that its batch was computed from."""
        revision = {b.id: b.spec_revision for b in self.batches}
        return {r.id: revision[r.batch] for r in self.recommendations if r.batch in revision}

    @cached_property
    def sample_of(self) -> Mapping[str, Sample]:
        """Recommendation id -> the sample that was made for it."""
        return {s.recommendation: s for s in self.samples if s.recommendation}

    @cached_property
    def pending(self) -> tuple[Recommendation, ...]:
        """Recommended, not superseded, and still awaited from the lab."""
        return tuple(r for r in self.recommendations if not self._answered(r) and self._wanted(r))

    @cached_property
    def awaited(self) -> tuple[Recommendation, ...]:
        """The pending ones of which no value of any objective is known; the others are data already."""
        known = {o.sample.recommendation for objective in self.objectives for o in self.observations(objective.name)}
        return tuple(r for r in self.pending if known.isdisjoint(self.decisions.names(r.id)))

    def _wanted(self, recommendation: Recommendation) -> bool:
        """Whether it is not superseded; what was made of it nevertheless is awaited."""
        return recommendation.id not in self.decisions.superseded or recommendation.id in self.sample_of

    def _answered(self, recommendation: Recommendation) -> bool:
        """Whether nothing more is expected of it, or of an earlier one that it repeats under a new label."""
        ids = self.decisions.names(recommendation.id)
        return any(i in self.sample_of and self.finished(self.sample_of[i]) for i in ids)

    @cached_property
    def batches_spent(self) -> int:
        """Batches that were made or are to be: one of which every item was superseded unmade counts nothing."""
        return len({r.batch for r in self.recommendations if r.batch and self._wanted(r)})

    def controls(self) -> tuple[Candidate, ...]:
        """The known samples that the spec repeats in every batch."""
        spec = self.spec.batch.controls
        return tuple(self.space.design_candidate(c.design) for c in spec for _ in range(c.n))

    def tried(self, *, again: bool = False) -> Mapping[str, Design]:
        """Candidate id -> design of what is not to be proposed.

        Pending, measured, failed (unless `again`), vetoed, controls.

        A void sample says nothing of its design, which may be proposed again.
        """
        skip = {"void", "failed"} if again else {"void"}
        found = {s.candidate: s.design for s in self.samples if self.status(s.id) not in skip}
        found |= {r.candidate: r.design for r in self.pending}
        found |= {key: veto.design for key, veto in self.decisions.vetoes.items()}
        return found | {c.id: c.design for c in self.controls()}

    def composition(self, sample: Sample) -> Mapping[str, float | str]:
        """What a sample is known to be: its design, its composition as measured, else as weighed, else as planned."""
        rows = self.measured.get((sample.id, COMPOSITION), ()) or self.measured.get((sample.id, WEIGHED), ())
        if not self.space.components or not rows or rows[-1].composition is None:
            return sample.design  # a structure keeps its sites, whatever composition was found beside it
        target = {k: v for k, v in sample.design.items() if k not in self.space.components}
        return {**target, **rows[-1].composition}

    def observations(self, metric: str) -> list[Observation]:
        """The current value of a metric for every sample that has one, in order of the samples.

        Of a computed metric these are its labels alone, each as a sample of its own that nobody made.
        """
        if metric not in self._observed:
            self._observed[metric] = corrected(self.noise(metric), self._observe(metric))
        return list(self._observed[metric])

    @cached_property
    def _observed(self) -> dict[str, tuple[Observation, ...]]:
        """What `observations` found before: a status asks many times, and a campaign may be large."""
        return {}

    def noise(self, metric: str) -> Noise | None:
        """Noise, and what batches, operators and labs add to a metric; None where nothing tells."""
        if metric not in self._noises:
            self._noises[metric] = noise_of(self, metric)
        return self._noises[metric]

    @cached_property
    def _noises(self) -> dict[str, Noise | None]:
        """What `noise` found before."""
        return {}

    def _observe(self, metric: str) -> list[Observation]:
        if metric in self.labels:
            return [self._labelled(metric, label) for label in self.labels[metric]]
        found = []
        for sample in self.samples:
            rows = [m for m in self.measured.get((sample.id, metric), ()) if m.value is not None]
            if rows and self.status(sample.id) != "failed" and (seen := _observe(sample, rows)):
                found.append(seen)
        return found

    def _labelled(self, metric: str, label: Label) -> Observation:
        c, name = label.candidate, f"{metric} row {label.row}"
        sample = Sample(f"computed-{c.id}", self.name, name, c.id, c.design, c.stratum)
        return Observation(sample, label.value, None, None, 1, label.censor)

    @cached_property
    def known(self) -> Mapping[str, Mapping[str, float]]:
        """Constraint -> candidate id -> its exact value, the mean over samples, where it is measured or computed."""
        found: dict[str, dict[str, list[float]]] = {c.name: {} for c in self.constraints}
        for name, values in found.items():
            for o in self.observations(name):
                if o.censor == 0:
                    values.setdefault(o.sample.candidate, []).append(o.value)
        return {name: {key: fmean(v) for key, v in values.items()} for name, values in found.items()}

    def violated(self, candidate: str) -> tuple[str, ...]:
        """The constraints whose known value for a candidate lies outside their bounds."""
        values = [(c, self.known[c.name].get(candidate)) for c in self.constraints]
        return tuple(c.name for c, value in values if value is not None and not c.met(value))

    @cached_property
    def snapshot(self) -> str:
        """SHA-256 of what was measured: labels, designs, statuses and values, but no ids and no clock."""
        label = {s.id: s.label for s in self.samples}
        content = {
            "samples": sorted((s.label, canonical(dict(s.design)), self.status(s.id)) for s in self.samples),
            "measurements": sorted(
                canonical([label[m.sample], m.metric, m.value, m.unit, m.sd, m.qualifier, m.replicate, m.composition])
                for m in self.measurements
            ),
        }
        if told := sorted(
            canonical([label[m.sample], m.metric, m.replicate, c]) for m in self.measurements if (c := circumstances(m))
        ):
            content["circumstances"] = told
        return hashlib.sha256(canonical(content).encode()).hexdigest()


def _observe(sample: Sample, rows: Sequence[Measurement]) -> Observation | None:
    """One value for the replicates of a sample; None where bounds from both sides are all there is.

    A censored reading says less than any exact replicate beside it. Of several bounds the tightest one counts.
    """
    exact = [float(m.value) for m in rows if m.qualifier == "=" and m.value is not None]
    if not exact:
        qualifiers = {m.qualifier for m in rows}
        bounds = [float(m.value) for m in rows if m.value is not None]
        if qualifiers == {"<"}:
            return Observation(sample, min(bounds), None, None, len(bounds), -1)
        return Observation(sample, max(bounds), None, None, len(bounds), 1) if qualifiers == {">"} else None
    n = len(exact)
    stated = [m.sd for m in rows if m.qualifier == "=" and m.sd is not None]
    return Observation(
        sample=sample,
        value=fmean(exact),
        variance=sum(sd * sd for sd in stated) / n**2 if len(stated) == n else None,
        sd=stdev(exact) if n > 1 else None,
        n=n,
        censor=0,
    )


def load_state(store: Store, name: str, *, earlier: bool = True, at: Moment | None = None) -> State:
    """Read a campaign from the store.

    Args:
        store: where it is.
        name: of the campaign.
        earlier: whether to read those that it learns from, too.
        at: the moment as of which it is read; None for now.

    Raises:
        InvalidInput: there is no such campaign.
    """
    store.require(name)
    until = at.seq if at else None
    revision = store.spec(name, until=until)
    spec = CampaignSpec.model_validate(dict(revision.spec))
    sources = {file: kept.content for file, sha in revision.sources.items() if (kept := store.source(sha))}
    events = store.events(name, until=until)
    decided = decisions(events)
    space = build_space(spec.space, sources)
    shared = borrowed(store, events, spec, space, at)
    statuses: dict[str, Mapping[str, Any]] = dict(shared.statuses)
    for event in events:
        statuses.update(event.payload.get("statuses", {}))
    samples = [*store.samples(name, until=until), *shared.samples]
    rows = [*store.measurements(name, until=until), *shared.measurements]
    batches = tuple(store.batches(name, until=until))
    older = {b.spec_revision for b in batches} - {revision.revision}
    learnt = [h.campaign for h in spec.history if earlier and h.campaign]
    return State(
        name=name,
        spec=spec,
        revision=revision.revision,
        space=space,
        head=events[-1],
        batches=batches,
        recommendations=tuple(_in_order(r, spec, space) for r in store.recommendations(name, until=until)),
        samples=tuple(sorted(samples, key=lambda s: s.label)),  # however they arrived
        measurements=tuple(m for m in rows if m.id not in decided.voided),
        statuses=statuses,
        last_result=max(
            (e.seq for e in events if e.kind in RESULT_KINDS and not e.payload.get("masses_only")), default=0
        ),
        last_batch=max((e.seq for e in events if e.kind == BATCH_RECOMMENDED), default=0),
        artifacts=store.artifacts,
        files=sources,
        decisions=decided,
        earlier={n: load_state(store, n, earlier=False, at=at.other(store, n) if at else None) for n in learnt},
        moment=at.at if at else store.now(),
        batch_times={e.payload["batch"]: e.at for e in events if e.kind == BATCH_RECOMMENDED},
        metrics_of={number: _metrics(store.spec(name, number).spec) for number in older},
        heads=shared.heads,
    )


def _metrics(spec: Mapping[str, Any]) -> frozenset[str]:
    """Names of what the lab measures, of a spec as it is kept."""
    constraints = [c for c in spec.get("outcome_constraints", ()) if c.get("source", "measured") == "measured"]
    return frozenset(m["name"] for m in [*spec["objectives"], *constraints])


def _in_order(recommendation: Recommendation, spec: CampaignSpec, space: Space) -> Recommendation:
    """The same with its objectives and columns in the order of the spec; the ledger keeps keys sorted."""
    objectives = [o.name for o in spec.objectives]

    def by_objective(given: Mapping[str, Any]) -> dict[str, Any]:
        return {n: given[n] for n in objectives if n in given} | {n: v for n, v in given.items() if n not in objectives}

    rationale = dict(recommendation.rationale)
    if "objectives" in rationale:
        rationale["objectives"] = by_objective(rationale["objectives"])
    return replace(
        recommendation,
        design=ordered(recommendation.design, space),
        prediction=by_objective(recommendation.prediction),
        rationale=rationale,
    )


def batch_seed(state: State, number: int) -> int:
    """Seed of a batch, from the spec's seed, the data snapshot and the batch number, and nothing else."""
    content = f"{state.spec.seed}|{state.snapshot}|{number}"
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:4], "big")
