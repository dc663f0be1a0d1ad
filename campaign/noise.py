"""What the noise model makes of a campaign's measurements: who measured what, where and in which batch.

A batch is the one that the table of results names, else that of the recommendation; samples of neither are one more
batch, `before`. Operator and lab are as the table of results names them. The sd of a reading is as stated by the lab;
that of a reading on a curve is a lower bound of its noise, and never taken for all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from campaign.formulas import formula
from campaign.words import listed, signed
from lab_io.words import count

if TYPE_CHECKING:
    from campaign.state import Observation, State
    from db.records import Measurement, Sample
    from surrogates.noise import Effect, NoiseModel

CIRCUMSTANCES = ("batch", "operator", "lab")
"""Conditions of a measurement that may move it, as tables of results name them."""
BEFORE = "before"
"""The batch of samples that were made by hand."""
CLEAR = 2.0
"""Its own sds from which a shift is told."""
NOT_STATED = "not stated"


@dataclass(frozen=True, eq=False)
class Noise:
    """The noise model of one metric in a campaign."""

    model: NoiseModel
    shifts: Mapping[str, float]
    """Measurement id -> what was taken off it; those that nothing was taken off are left out."""
    uneven: frozenset[str]
    """Samples whose readings do not count alike."""

    @property
    def labs(self) -> tuple[Effect, ...]:
        """Offsets of labs beside the reference."""
        return tuple(e for e in self.model.effects if e.factor == "lab")

    def as_json(self) -> dict[str, Any]:
        """Plain values in the unit of the metric."""
        m = self.model
        return {
            "components": [{"name": c.name, "sd": c.sd, "error": c.error, "freedom": c.freedom} for c in m.components],
            "effects": [
                {"factor": e.factor, "level": e.level, "shift": e.shift, "sd": e.sd, "shared": e.shared}
                for e in m.effects
            ],
            "unidentified": dict(m.unidentified),
            "reference_lab": m.reference or None,
            "floor": m.floor or None,
            "variance_known": m.variance is not None,
        }


def noise_of(state: State, metric: str) -> Noise | None:
    """The noise model of a metric; None where nothing but the values is known, so that they stand as they are."""
    if not _telling(state):
        return None
    from surrogates.noise import noise_model

    asked = next((m for m in state.metrics if m.name == metric), None)
    if asked is None or getattr(asked, "boolean", False) or metric in state.labels:
        return None
    rows = [
        (sample, m)
        for sample in state.samples
        if state.status(sample.id) != "failed"
        for m in state.measured.get((sample.id, metric), ())
        if m.qualifier == "=" and m.value is not None
    ]
    batch = _batches(state, rows)
    operator = [str(m.conditions.get("operator") or NOT_STATED) for _, m in rows]
    lab = [str(m.conditions.get("lab") or NOT_STATED) for _, m in rows]
    own = [_own_sd(m) for _, m in rows]
    moved = {(s.candidate, *levels) for (s, _), *levels in zip(rows, batch, operator, lab, strict=True)}
    designs, samples = {s.candidate for s, _ in rows}, {s.id for s, _ in rows}
    repeated = len(designs) < max(len(samples), len(moved))
    if not rows or not (repeated or len(set(lab)) > 1 or any(sd is not None for sd in own)):
        return None
    model = noise_model(
        np.array([float(m.value or 0.0) for _, m in rows]),
        [s.id for s, _ in rows],
        [s.candidate for s, _ in rows],
        {"batch": batch, "operator": operator},
        lab=lab,
        own=np.array([np.nan if sd is None else sd for sd in own]),
        stated=all(m.sd is not None and m.sd > 0 for _, m in rows),
        floor=getattr(asked, "noise_floor_value", None),
    )
    if len(model.parts) > 1:
        by_id = {s.id: s for s, _ in rows}
        model = model.joined(_coordinates(state, [by_id[i] for i in model.samples]))
    told: dict[str, set[float | None]] = {}
    for (sample, _), sd in zip(rows, own, strict=True):
        told.setdefault(sample.id, set()).add(sd)
    shifts = {m.id: float(x) for (_, m), x in zip(rows, model.shift, strict=True) if x}
    return Noise(model, shifts, frozenset(s for s, sds in told.items() if len(sds) > 1))


def _telling(state: State) -> bool:
    """Whether anything at all may tell noise from signal: designs made again, sds, labs, batches, operators."""
    made = [s.candidate for s in state.samples]
    return len(set(made)) < len(made) or any(m.sd is not None or circumstances(m) for m in state.measurements)


def _batches(state: State, rows: Iterable[tuple[Sample, Measurement]]) -> list[str]:
    """The batch of each measurement: as stated, else of the recommendation that its sample answers."""
    number = {b.id: str(b.number) for b in state.batches}
    of = {r.id: number[r.batch] for r in state.recommendations if r.batch in number}

    def known(sample: Sample) -> str:
        made = BEFORE if sample.campaign == state.name else sample.campaign
        return of.get(sample.recommendation or "", made)

    return [str(m.conditions.get("batch") or known(sample)) for sample, m in rows]


def _own_sd(m: Measurement) -> float | None:
    """The sd of a reading, as stated or as read on its curve."""
    found = m.sd if m.sd is not None else m.conditions.get("reading_sd")
    return float(found) if isinstance(found, int | float) and found > 0 else None


def _coordinates(state: State, samples: Sequence[Sample]) -> np.ndarray[Any, np.dtype[np.float64]]:
    designs = [state.space.design_candidate(state.composition(s)).design for s in samples]
    return state.space.coordinates(np.array([state.space.x_of(d) for d in designs]))


def corrected(noise: Noise | None, observations: Sequence[Observation]) -> tuple[Observation, ...]:
    """Observations with the value and variance of the noise model; those that it has nothing to say of as they are."""
    if noise is None:
        return tuple(observations)
    model = noise.model
    place = {name: i for i, name in enumerate(model.samples)}
    moved = set(model.rows[model.shift != 0].tolist())
    found = []
    for o in observations:
        i = place.get(o.sample.id)
        if o.censor or i is None:
            found.append(o)
            continue
        changed = i in moved or o.sample.id in noise.uneven
        variance = o.variance if model.variance is None else float(model.variance[i])
        value = float(model.value[i]) if changed else o.value
        found.append(replace(o, value=value, variance=variance, shift=o.value - value))
    return tuple(found)


def circumstances(m: Measurement) -> list[Any]:
    """What is known of a measurement beside its value that moves what is learnt from it; empty where nothing is."""
    told = [m.conditions.get(name) for name in (*CIRCUMSTANCES, "reading_sd")] if m.conditions else []
    return told if any(each is not None for each in told) else []


def raw(state: State, metric: str) -> dict[str, float]:
    """Sample id -> the plain mean of its exact measurements, nothing taken off."""
    return {o.sample.id: o.value + o.shift for o in state.observations(metric) if o.censor == 0}


def lab_notes(state: State) -> list[str]:
    """For each metric, a sentence on each lab beside the reference: its offset, how that is known, and what to do."""
    found = []
    for metric in state.metrics:
        noise = state.noise(metric.name)
        if noise is not None:
            found += [f"{metric.name}: {lab_sentence(state, noise.model, e, metric.unit)}" for e in noise.labs]
    return found


def shift_notes(state: State) -> list[str]:
    """For each metric, a sentence on the batches and operators that clearly shift it."""
    found = []
    for metric in state.metrics:
        noise = state.noise(metric.name)
        for e in noise.model.effects if noise else ():
            if e.factor != "lab" and abs(e.shift) > CLEAR * e.sd:
                lies = f"{e.factor} {e.level} lies {signed(e.shift, e.sd, metric.unit)} from the others"
                found.append(f"{metric.name}: {lies}, as {count(e.shared, 'repeated design')} show; it is taken off")
    return found


def lab_sentence(state: State, model: NoiseModel, e: Effect, unit: str) -> str:
    """`lab B lies +12 ± 2 mV from lab A ...`."""
    told = f"{_lab(e.level)} lies {signed(e.shift, e.sd, unit)} from {_lab(model.reference)}"
    if e.shared:
        by = f"as {count(e.shared, 'design')} measured in both tell{'s' if e.shared == 1 else ''}"
        return f"{told}, {by}; it is taken off, values are on the scale of {_lab(model.reference)}"
    guess = "no design joins them, the offset is guessed from how the values vary over designs"
    return f"{told}: {guess}, and taken off; {both_labs(state, model, e)}"


def both_labs(state: State, model: NoiseModel, e: Effect) -> str:
    """What to measure so that two labs can be compared."""
    controls = [formula(c.design, state.space) for c in state.controls()]
    there = {m.sample for m in state.measurements if str(m.conditions.get("lab") or NOT_STATED) == model.reference}
    known = [s.label for s in state.samples if s.id in there and s.id in model.samples]
    named = list(dict.fromkeys(controls or known))[:2]
    return f"measure {listed(named, 'or')} in {_lab(e.level)} too"


def _lab(name: str) -> str:
    return "the lab that is not named" if name == NOT_STATED else f"lab {name}"
