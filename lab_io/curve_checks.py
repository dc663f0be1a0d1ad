"""What makes a reading doubtful: each check as a flag with words, numbers and what to do. Nothing is corrected."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from db.errors import Problem
from lab_io.curves.curve import Curve
from lab_io.findings import CellError
from lab_io.numbers import parse_number
from lab_io.polarisation import Polarisation, Reading, Setup, amperes
from lab_io.sweeps import relative_noise, smoothed
from lab_io.units import convert

BANDS = {10.0: (0.150, 0.700), 100.0: (0.180, 0.900)}
"""V; usual overpotentials of oxygen evolution at 10 and 100 mA/cm^2."""
SLOPES = (0.020, 0.200)
"""V per decade; usual Tafel slopes."""
EXCESS = 0.010
"""V by which eta100 - eta10 may exceed the slope before it says something."""
FAST = 10.0
"""mV/s; sweeps above it are far from a steady state."""
SPARSE = 0.45
"""Decades from a current density; a reading that needs points from farther away is a guess."""
_SURE = 3.0
"""Standard deviations."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One doubt about a curve."""

    code: str
    """`residual_ir`, `redox_wave`, `not_reached`, ... for programs."""
    problem: Problem
    blocks: bool = False
    """Whether nothing can be recorded before it is answered."""


def shown_density(j: float, setup: Setup) -> str:
    """`10 mA/cm^2`, or `100 A/g` for a basis of mass."""
    return f"{j:.4g} A/g" if setup.basis == "mass" else f"{j * 1e3:.4g} mA/cm^2"


def consistency(
    low: float, high: float, slope: float, decades: float = 1.0, sd: float = 0.0
) -> tuple[str, str, str] | None:
    """Whether two overpotentials and a Tafel slope can belong to one curve.

    Args:
        low: overpotential at the lower current density, in V.
        high: overpotential at the higher one, in V.
        slope: in V per decade.
        decades: log10 of the ratio of the two current densities.
        sd: of the difference, in V.

    Returns:
        Code, what and fix; None where they agree.
    """
    rise, expected = high - low, slope * decades
    said = f"{high * 1e3:.1f} - {low * 1e3:.1f} = {rise * 1e3:.1f} mV, and the slope gives {expected * 1e3:.1f} mV"
    if rise <= 0:
        return "swapped", f"the overpotential falls with the current: {said}", "check whether columns are swapped"
    if rise > expected + max(EXCESS, _SURE * sd):
        fix = "measure Rs and compensate it, or state the compensation; with tables, check for swapped columns"
        return "residual_ir", f"the overpotentials are farther apart than the Tafel slope: {said}", fix
    if rise < expected - max(EXCESS, _SURE * sd):
        fix = "check Rs and the compensation (too much was taken away?); with tables, check for swapped columns"
        return "overcompensated", f"the overpotentials are closer together than the Tafel slope: {said}", fix
    return None


def flags(curve: Curve, found: Polarisation) -> list[Flag]:
    """Everything that is doubtful about a curve and what was read on it, the gravest first."""
    checks = (_reached, _plausible, _resistance, _waves, _course, _points, _steadiness, _file)
    raised = [
        Flag(code, Problem(curve.name, what, fix), blocks)
        for check in checks
        for code, what, fix, blocks in check(curve, found)
    ]
    return sorted(raised, key=lambda flag: not flag.blocks)


_Raised = Iterator[tuple[str, str, str, bool]]


def _held(found: Polarisation) -> Mapping[float, Reading]:
    return {j: reading for j, reading in sorted(found.readings.items()) if reading is not None}


def _reached(curve: Curve, found: Polarisation) -> _Raised:
    for j, reading in found.readings.items():
        if reading is not None:
            continue
        wanted, top = shown_density(j, found.setup), shown_density(found.highest, found.setup)
        if found.highest >= j:
            what = f"the curve begins above {wanted} and does not cross it"
            fix = "begin the sweep at a lower potential; check area and unit of the current"
        else:
            what = (
                f"the curve does not reach {wanted}: its highest current density is {top}, and nothing is extrapolated"
            )
            fix = "sweep farther, or answer not_reached: censor (record it as larger than at the end) or skip"
        yield "not_reached", what, fix, True


def _plausible(curve: Curve, found: Polarisation) -> _Raised:
    setup = found.setup
    x, i = amperes(curve, setup)
    half = len(x) // 2
    order = np.argsort(x)
    if np.median(i[order[-max(half // 5, 3) :]]) < 0:
        words = ("negative", "positive") if setup.positive else ("positive", "negative")
        what = f"currents are negative where the reaction runs, with currents of oxidation taken as {words[1]}"
        yield "sign", what, f"state anodic: {words[0]} if the instrument counts them so, or check the reaction", True
    for j, reading in _held(found).items():
        mv = f"{reading.eta * 1e3:.1f} mV at {shown_density(j, setup)}"
        if reading.eta < 0:
            fix = "check the reference electrode, its offset, the pH and the sign of potentials"
            yield "negative", f"the overpotential is negative: {mv}", fix, True
            continue
        band = BANDS.get(round(j * 1e3, 6)) if setup.basis != "mass" and not setup.cathodic else None
        if band and not band[0] <= reading.eta <= band[1]:
            usual = f"{band[0] * 1e3:.0f} to {band[1] * 1e3:.0f} mV"
            fix = "check the reference electrode, the pH, the area and the unit of the current"
            yield "unusual", f"an overpotential of {mv} is outside the usual {usual}", fix, False
    if found.slope and not SLOPES[0] <= found.slope.value <= SLOPES[1]:
        usual = f"{SLOPES[0] * 1e3:.0f} to {SLOPES[1] * 1e3:.0f} mV/dec"
        what = f"a Tafel slope of {found.slope.value * 1e3:.1f} mV/dec is outside the usual {usual}"
        yield "unusual", what, "look at the plot, and state the window of the fit if it is wrong", False


def _resistance(curve: Curve, found: Polarisation) -> _Raised:
    """What resistance is left in the curve."""
    setup, held = found.setup, _held(found)
    if setup.rs is None:
        what = "Rs is not stated, so that nothing is known of the ohmic drop that is left"
        yield "rs_unknown", what, "measure Rs (impedance at high frequency) and state it", False
    top = held[max(held)] if held else None
    if top and top.residual is not None and top.residual >= 0.005:
        what = (
            f"{(1 - setup.compensation) * 100:.0f} % of Rs is left uncompensated:"
            f" {top.residual * 1e3:.1f} mV at {shown_density(top.j, setup)}"
        )
        yield "residual_ir", what, "compare only with curves compensated alike, or state a higher compensation", False
    if found.bent and found.slope:
        left, i = found.bent, found.highest * found.norm
        size = left.resistance * i
        if abs(size) >= 0.005 and abs(left.resistance) > _SURE * left.se:
            sign, code = ("stayed", "residual_ir") if size > 0 else ("was taken away too much", "overcompensated")
            what = (
                f"above the Tafel window the curve bends as if {abs(left.resistance):.2g} ohm {sign}:"
                f" {abs(size) * 1e3:.0f} mV at {shown_density(found.highest, setup)};"
                f" the slope without it is {left.slope * 1e3:.1f} mV/dec"
            )
            yield code, what, "measure Rs again; bubbles and transport at high currents look alike", False
    if len(held) > 1 and found.slope:
        a, b = held[min(held)], held[max(held)]
        decades = math.log10(b.j / a.j)
        sd = math.hypot(a.parts["noise"], b.parts["noise"], b.parts["Rs"], found.slope.sd * decades)
        said = consistency(a.eta, b.eta, found.slope.value, decades, sd)
        if said:
            yield (*said, False)


def _waves(curve: Curve, found: Polarisation) -> _Raised:
    if found.wave is None:
        return
    setup, wave = found.setup, found.wave
    sign = -1.0 if setup.cathodic else 1.0
    at, j = sign * wave.peak + setup.shift(), wave.current / found.norm
    low = min((r.j for r in _held(found).values()), default=math.inf)
    near = f", {j / low * 100:.0f} % of {shown_density(low, setup)}" if j > 0.1 * low else ""
    what = f"a wave before the onset, at {at:.3f} V vs RHE with {shown_density(j, setup)}{near}"
    fix = "a current of the catalyst itself (Ni2+/3+, Co3+/4+) adds to readings near it: "
    fix += "read the sweep back, or measure point by point" if not setup.reverse else "measure point by point"
    yield "redox_wave", what, fix, False


def _course(curve: Curve, found: Polarisation) -> _Raised:
    """Where the current falls although the potential rises."""
    s = smoothed(found.sweep.i)
    start = found.wave.end if found.wave else -math.inf
    noise = relative_noise(found.sweep.i)
    top = np.maximum.accumulate(np.where(found.sweep.x >= start, s, -np.inf))
    rough = np.where(np.isfinite(noise), noise, 0.0)
    fallen = (top > 0.02 * s.max()) & (top - s > np.maximum(0.05, 4 * rough) * top)
    if fallen.any():
        k = int(np.flatnonzero(fallen)[0])
        at = (-1.0 if found.setup.cathodic else 1.0) * found.sweep.x[k] + found.setup.shift()
        lost = f"{(1 - s[k] / top[k]) * 100:.0f} %"
        what = f"the current falls by {lost} where it should rise, at {at:.3f} V vs RHE before compensation"
        fix = "bubbles, a detached film or a changed range: look at the plot, measure again"
        yield "not_monotonic", what, fix, False


def _points(curve: Curve, found: Polarisation) -> _Raised:
    for j, reading in _held(found).items():
        if reading.sd is None or reading.decades > SPARSE:
            how = (
                "between two" if reading.sd is None else f"through {reading.points} over {reading.decades:.1f} decades"
            )
            what = f"too few points around {shown_density(j, found.setup)}: read {how}"
            yield "few_points", what, "record at least one point per 2 mV", False
    if found.slope is None:
        what = "no Tafel slope: nowhere are there five points and half a decade of current above the noise"
        yield "no_slope", what, "record more points, from below the onset on", False
        return
    if found.slope.decades < 0.99:
        what = f"the Tafel window spans only {found.slope.decades:.1f} decades of current"
        yield "narrow_window", what, "sweep from a lower to a higher current", False
    if found.slope.sd > 0.002:
        what = f"the Tafel slope is uncertain by {found.slope.sd * 1e3:.1f} mV/dec: noisy, or nowhere straight"
        yield "uncertain_slope", what, "look at the plot; more points and a slower sweep help", False


def _steadiness(curve: Curve, found: Polarisation) -> _Raised:
    for j, reading in _held(found).items():
        back = found.back.get(j)
        if back is None:
            continue
        apart = back.eta - reading.eta
        if abs(apart) > max(0.005, _SURE * math.hypot(back.parts["noise"], reading.parts["noise"])):
            names = ("reverse", "forward") if found.setup.reverse else ("forward", "reverse")
            where = shown_density(j, found.setup)
            what = f"the {names[0]} and the {names[1]} sweep are {abs(apart) * 1e3:.1f} mV apart at {where}"
            yield "hysteresis", what, "the electrode charges or changes: sweep more slowly, or hold the current", False
    if found.swept[1] > 1 and not curve.cycles:
        what = f"the file holds {found.swept[1]} sweeps in this direction; number {found.swept[0]} was read"
        yield "several_sweeps", what, "state the cycle if another one is wanted", False


def _file(curve: Curve, found: Polarisation) -> _Raised:
    if len(curve.cycles) > 1:
        what = f"the file holds {len(curve.cycles)} cycles; number {curve.cycle} was read"
        yield "several_cycles", what, "state the cycle if another one is wanted", False
    if curve.left_out:
        n, line = len(curve.left_out), curve.left_out[0]
        what = f"{n} points were left out that the instrument marks as overloaded, from line {line}"
        yield "overload", what, "measure in a wider range of current", False
    rate = _sweep_rate(curve)
    if rate and rate > FAST:
        what = f"the sweep runs at {rate:g} mV/s: charging adds to the current, and a Tafel slope wants a steady state"
        yield "fast_sweep", what, f"sweep at {FAST:g} mV/s or less, or measure point by point", False
    said = _stated_area(curve.settings.get("area", ""))
    area = found.setup.area
    if said and area and found.setup.basis == "geometric" and abs(said / area.value - 1) > 0.01:
        what = f"the file says an area of {said:g} cm^2, and {area.value:g} cm^2 was stated"
        yield "area", what, "check which one is right; the stated one was used", False


def _sweep_rate(curve: Curve) -> float | None:
    """mV/s, as the header of the file says it."""
    try:
        said = parse_number(curve.settings.get("scan rate", ""), decimal=".")
        return convert(said.value, said.unit or "mV/s", "mV/s") if said else None
    except CellError:
        return None


def _stated_area(text: str) -> float | None:
    """The area in the header of a file in cm^2; None for the 0.001 and 1 that instruments write where nobody did."""
    number = text.replace(",", ".").split()[:1]
    try:
        value = float(number[0]) if number else 0.0
    except ValueError:
        return None
    return value if value > 0.001 and value != 1.0 else None
