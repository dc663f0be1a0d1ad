"""Polarisation curves for a campaign: what is read on them, for which metrics, and what stands against recording it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from campaign.curve_list import Entry, Handed
from campaign.curve_spec import Parameters
from campaign.curve_targets import Target, targets
from campaign.decisions import candidate_of
from campaign.state import State
from campaign.words import suggestion
from db.chain import canonical
from db.errors import InvalidInput, Problem
from db.records import Measurement, Source
from lab_io.curve_checks import Flag, flags, shown_density
from lab_io.curves import Curve, as_text, read_curve
from lab_io.electrodes import electrode, oxygen
from lab_io.findings import CellError
from lab_io.polarisation import Polarisation, polarisation
from lab_io.sweeps import smoothed
from lab_io.units import convert, convert_sd


@dataclass(frozen=True)
class Derived:
    """A value that a curve gives for a metric."""

    target: Target
    value: float
    """In the unit of the metric."""
    sd: float | None
    """Of the reading, in that unit: what repeats of the sample differ by is more."""
    qualifier: str
    """`=`, or `>` for an overpotential that the curve does not reach."""
    where: str
    """On the curve: `at 0.6231 V`."""


@dataclass(frozen=True)
class CheckedCurve:
    """One curve, what was read on it, and what stands against recording it."""

    entry: Entry
    sources: tuple[Source, ...]
    """The file, and for a binary one the text that it was converted to; the last one is what was read."""
    curve: Curve | None
    read: Polarisation | None
    values: tuple[Derived, ...]
    flags: tuple[Flag, ...]
    problems: tuple[Problem, ...]
    """Nothing is recorded while there is one."""
    before: bool = False
    """Whether this very curve, read in this very way, is on record."""

    @property
    def identity(self) -> str:
        """Of the bytes, the sample and the reading."""
        e = self.entry
        how = canonical([self.sources[0].sha256, e.sample, e.replicate, e.parameters()])
        return hashlib.sha256(how.encode()).hexdigest()


def read(content: bytes, name: str, parameters: Parameters, wanted: Sequence[Target]) -> tuple[Curve, Polarisation]:
    """A curve and what is read on it.

    Raises:
        InvalidInput: the file is no curve, or lacks what the parameters need; all problems at once.
    """
    curve, setup = read_curve(content, name, parameters.picks()), parameters.setup()
    wrong = []
    if setup.area is None and (not curve.per or (setup.software > 0 and setup.rs is not None)):
        said = curve.settings.get("area", "")
        fix = "state area: 0.196 cm^2" + (f" (the file says {said})" if said else "")
        why = "to divide the current by" if not curve.per else "from which the ohmic drop follows"
        wrong.append(Problem(name, f"the area {why} is missing", fix))
    if curve.per and (curve.per == "mass") is not (setup.basis == "mass"):
        what = f"the file holds a current per {curve.per}, and the basis is {setup.basis}"
        wrong.append(Problem(name, what, "state the basis of the file, or export the current itself"))
    if wrong:
        raise InvalidInput(wrong)
    try:
        return curve, polarisation(curve, setup, sorted({t.j for t in wanted if t.j is not None}))
    except CellError as error:
        raise InvalidInput(error.at(name).problem) from None


def derive(found: Polarisation, wanted: Sequence[Target], not_reached: str) -> list[Derived]:
    """The values of metrics, in their units; a metric that cannot be read is left out."""
    made = []
    for target in wanted:
        if target.j is None:
            if found.slope:
                low, high = (shown_density(i / found.norm, found.setup) for i in (found.slope.low, found.slope.high))
                value, sd = convert(found.slope.value, "V/dec", target.unit), found.slope.sd
                made.append(Derived(target, value, convert_sd(sd, "V/dec", target.unit), "=", f"from {low} to {high}"))
            continue
        reading = found.readings[target.j]
        if reading is not None:
            value, spread = convert(reading.eta, "V", target.unit), reading.sd
            shown = None if spread is None else convert_sd(spread, "V", target.unit)
            made.append(Derived(target, value, shown, "=", f"at {reading.measured:.4f} V"))
        elif not_reached == "censor" and found.highest < target.j:
            s = smoothed(found.sweep.i)
            top = int(np.argmax(s))
            eta = float(found.eta(found.sweep.x[top], s[top]))
            end = f"end of the curve, {shown_density(found.highest, found.setup)}"
            made.append(Derived(target, convert(eta, "V", target.unit), None, ">", end))
    return made


def check_curves(state: State, handed: Sequence[Handed], recorded: Collection[str]) -> list[CheckedCurve]:
    """Read every curve and say what it would bring; nothing is written, and what is wrong is in the result.

    Args:
        state: of the campaign.
        handed: the curves.
        recorded: identities of the curves on record.
    """
    taken: dict[tuple[str, str | None], str] = {}
    checked = []
    for one in handed:
        found = _check(state, one, recorded)
        key = (one.entry.sample, one.entry.replicate)
        if key in taken:
            what = f"{one.entry.sample} has a curve in {taken[key]} already"
            clash = Problem(one.name, what, "give one of them another `replicate`, or take it out")
            found = replace(found, problems=(*found.problems, clash))
        taken.setdefault(key, one.name)
        checked.append(found)
    return checked


def _check(state: State, one: Handed, recorded: Collection[str]) -> CheckedCurve:
    entry, name = one.entry, one.name
    file = Source(hashlib.sha256(one.content).hexdigest(), name, one.content)
    wanted, wrong = targets(state, entry)
    wrong += _sample_problems(state, entry)
    try:
        text = as_text(one.content, name)
        converted = Source(hashlib.sha256(text).hexdigest(), f"{name}.txt", text)
        sources = (file,) if text is one.content else (file, converted)
        curve, found = read(text, name, entry, wanted)
    except InvalidInput as error:
        return CheckedCurve(entry, (file,), None, None, (), (), (*wrong, *error.problems))
    doubts = [*_circumstances(entry, curve), *flags(curve, found)]
    kept = [f for f in doubts if not (f.code == "not_reached" and entry.not_reached != "refuse")]
    values = derive(found, wanted, entry.not_reached)
    if not values and not wrong and not any(f.blocks for f in kept):
        wrong.append(Problem(name, "nothing that the campaign measures can be read on the curve", "look at its plot"))
    checked = CheckedCurve(entry, sources, curve, found, tuple(values), tuple(doubts), ())
    if checked.identity in recorded:
        return CheckedCurve(entry, sources, curve, found, tuple(values), tuple(doubts), (), before=True)
    wrong += [f.problem for f in kept if f.blocks]
    wrong += _conflicts(state, entry, values)
    return CheckedCurve(entry, sources, curve, found, tuple(values), tuple(doubts), tuple(wrong))


def _circumstances(entry: Entry, curve: Curve) -> list[Flag]:
    """Doubts about the parameters themselves."""
    said, known = [], electrode(entry.reference)
    if entry.offset_source == "nominal" and entry.offset is None and known and known.span[0] < known.span[1]:
        low, high = known.span
        what = f"the potential of {known.name} is nominal, {known.offset:g} V vs SHE; {low:g} to {high:g} V are in use"
        fix = f"calibrate it against RHE: the choice moves every overpotential by up to {(high - low) * 1e3:.0f} mV"
        said.append(Flag("nominal_reference", Problem(curve.name, what, fix)))
    setup = entry.setup()
    nominal = entry.offset is None and known is not None and known.name not in ("RHE", "SHE")
    if nominal and abs(setup.temperature - 25) > 5:
        there = f"{setup.temperature:g} °C"
        what = f"the nominal potential of {entry.reference} holds at 25 °C, and the curve was measured at {there}"
        fix = "calibrate the electrode at that temperature, and state its offset"
        said.append(Flag("reference_temperature", Problem(curve.name, what, fix)))
    apart = oxygen(setup.temperature) - setup.equilibrium
    if not setup.cathodic and entry.equilibrium is None and abs(apart) > 0.002:
        there = f"{setup.equilibrium + apart:.3f} V"
        what = f"overpotentials count from 1.229 V, which holds at 25 °C; at {setup.temperature:g} °C it is {there}"
        fix = f"state equilibrium: {there} if they are to be counted from there"
        said.append(Flag("temperature", Problem(curve.name, what, fix)))
    if curve.against and curve.against.casefold() not in ("ref", "ref."):
        named = electrode(curve.against)
        if named and known and named.name != known.name:
            what = f"the heading {curve.headings[0]!r} says {curve.against}, and {entry.reference} was stated"
            fix = "state the reference of the heading, or rename the column with columns: ..."
            said.append(Flag("reference", Problem(curve.name, what, fix), blocks=True))
    return said


def _sample_problems(state: State, entry: Entry) -> list[Problem]:
    known = {r.label for r in state.recommendations} | {s.label for s in state.samples}
    wrong, fix = list[Problem](), "hand in the curve under another sample_id, or leave it out"
    status = next((state.status(s.id) for s in state.samples if s.label == entry.sample), "ok")
    if status != "ok":
        wrong.append(Problem(entry.file, f"{entry.sample} is recorded as {status}", fix))
    if entry.design is None:
        if entry.sample not in known:
            fix = f"{suggestion(entry.sample, sorted(known))}; or say what it is with design: Ni0.5 Fe0.5"
            wrong.append(Problem(entry.file, f"there is no sample {entry.sample!r} in the campaign", fix))
        return wrong
    try:
        stated = candidate_of(state, entry.design)
        if entry.sample in known and candidate_of(state, entry.sample).id != stated.id:
            wrong.append(Problem(entry.file, f"{entry.sample} is not {entry.design}: it is known as another", fix))
    except InvalidInput as error:
        wrong += [Problem(f"{entry.file}, design", p.what, p.fix) for p in error.problems]
    return wrong


def _conflicts(state: State, entry: Entry, values: Sequence[Derived]) -> list[Problem]:
    """Values on record that these would stand beside."""
    wrong = []
    for derived in values:
        old = standing(state, entry, derived.target.metric)
        if old and entry.correct is None:
            on_record = " and ".join(f"{m.value:.6g} {m.unit}" for m in old)
            what = f"{entry.sample} has {derived.target.metric} = {on_record} on record"
            fix = "name a repeated measurement with `replicate`; or say with `correct` why this takes its place"
            wrong.append(Problem(entry.file, what, fix))
        elif entry.correct is not None and len(old) != 1:
            what = f"there are {len(old)} values of {derived.target.metric} of {entry.sample} on record to correct"
            wrong.append(Problem(entry.file, what, "leave `correct` out, or name the replicate to correct"))
    return wrong


def standing(state: State, entry: Entry, metric: str) -> list[Measurement]:
    """The current values of a metric of an entry's sample and replicate."""
    ids = {s.id for s in state.samples if s.label == entry.sample}
    return [m for m in state.measurements if m.sample in ids and m.metric == metric and m.replicate == entry.replicate]


def summary(found: Polarisation) -> dict[str, Any]:
    """What was read on a curve, as plain values in mV and V."""
    setup, slope = found.setup, found.slope
    return {
        "sweep": "reverse" if setup.reverse else "forward",
        "number": found.swept[0],
        "overpotentials": [
            {
                "j": shown_density(j, setup),
                "eta_mV": r.eta * 1e3,
                "sd_mV": None if r.sd is None else r.sd * 1e3,
                "parts_mV": {part: value * 1e3 for part, value in r.parts.items()},
                "E_measured_V": r.measured,
                "E_RHE_V": r.potential,
                "iR_mV": r.drop * 1e3,
                "iR_left_mV": None if r.residual is None else r.residual * 1e3,
                "points": r.points,
            }
            for j, r in found.readings.items()
            if r is not None
        ],
        "tafel": slope
        and {
            "slope_mV_dec": slope.value * 1e3,
            "sd_mV_dec": slope.sd * 1e3,
            "window": [shown_density(i / found.norm, setup) for i in (slope.low, slope.high)],
            "window_searched": slope.chosen,
            "r2": slope.r2,
            "points": slope.points,
            "free_of_ohm": found.slope_resistance,
        },
        "left": found.bent
        and {"ohm": found.bent.resistance, "se_ohm": found.bent.se, "slope_mV_dec": found.bent.slope * 1e3},
        "highest": shown_density(found.highest, setup),
    }
