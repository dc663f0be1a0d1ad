"""Overpotentials and the Tafel slope of a polarisation curve, with their uncertainties: numbers in, numbers out.

    E_RHE = E + E_ref(SHE) + (ln 10 R T / F) pH        E_iR = E_RHE - f I Rs        eta = E_iR(j) - E_eq

The current at which a reading is taken is known exactly (I = j A), so that only the potential is interpolated on the
curve as measured, and the resistive drop at that current is taken from it afterwards, without its noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from lab_io.curves.curve import Curve
from lab_io.electrodes import per_ph
from lab_io.findings import CellError
from lab_io.sweeps import Floats, Sweep, crossing, smoothed, sweeps
from lab_io.tafel import Bent, Slope, averaged, bent, tafel
from lab_io.waves import Wave, wave
from lab_io.words import count

Basis = Literal["geometric", "ECSA", "mass"]
PER = {"geometric": "A/cm^2", "ECSA": "A/cm^2", "mass": "A/g"}
"""Unit of the current density of each basis."""


@dataclass(frozen=True, slots=True)
class Exact:
    """A number and its standard deviation."""

    value: float
    sd: float = 0.0


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that turns a measured curve into overpotentials."""

    offset: Exact
    """V; the reference electrode against SHE, or against RHE where `ph` is None."""
    ph: Exact | None
    """Of the electrolyte; None where the offset is against RHE."""
    temperature: float = 25.0
    """°C."""
    equilibrium: float = 1.229
    """V against RHE; 1.229 for oxygen evolution at 25 °C, 0 for hydrogen evolution."""
    cathodic: bool = False
    """Whether the reaction runs at low potentials, as hydrogen evolution does."""
    positive: bool = True
    """Whether the file counts currents of oxidation as positive."""
    rs: Exact | None = None
    """ohm; the series resistance."""
    compensation: float = 0.0
    """The share of `rs` that overpotentials are to be free of."""
    by_instrument: float = 0.0
    """The share of `rs` that the potentials of the file are already free of."""
    area: Exact | None = None
    """cm^2, or g with basis `mass`; None for a file that holds a density."""
    basis: Basis = "geometric"
    reverse: bool = False
    """Whether to read the sweep back, on which waves of the catalyst itself do not add to the current."""
    cycle: int | None = None
    """Which forward or reverse sweep to read, from 1, in a file that does not count its cycles; None for the last."""
    window: tuple[float, float] | None = None
    """Current densities between which the Tafel slope is to be read, in `PER`; None to search."""

    @property
    def software(self) -> float:
        """The share of `rs` that is still to be taken away."""
        return self.compensation - self.by_instrument

    def shift(self) -> float:
        """V to add to a measured potential to have it against RHE."""
        return self.offset.value + (per_ph(self.temperature) * self.ph.value if self.ph else 0.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """The overpotential at one current density."""

    j: float
    """In `PER` of the basis."""
    eta: float
    """V."""
    sd: float | None
    """V; None where too few points show no scatter."""
    parts: Mapping[str, float]
    """What `sd` is made of, in V: noise, offset, pH, Rs, area."""
    measured: float
    """V, on the curve as it stands in the file."""
    potential: float
    """V against RHE, free of iR."""
    drop: float
    """V taken away as iR."""
    residual: float | None
    """V of iR that is left by the stated compensation; None where Rs is not known."""
    points: int
    """Used for the interpolation."""
    decades: float
    """How far they reach from the current density."""


@dataclass(frozen=True, slots=True)
class Polarisation:
    """What was read on a curve."""

    setup: Setup
    norm: float
    """cm^2 or g by which currents are divided."""
    sweep: Sweep
    """That was read."""
    other: Sweep | None
    """The last sweep in the other direction."""
    swept: tuple[int, int]
    """Which sweep of its direction was read, from 1, and how many there are."""
    readings: Mapping[float, Reading | None]
    """By current density; None where the curve does not reach it."""
    back: Mapping[float, Reading | None]
    """The same on the other sweep; empty where there is none."""
    slope: Slope | None
    """In V per decade of current in A."""
    slope_resistance: float
    """ohm whose drop was taken away for the slope: all of Rs that the instrument has left, where Rs is known."""
    bent: Bent | None
    """What the curve from the Tafel window upwards still holds of a resistance."""
    wave: Wave | None
    """A wave before the onset."""
    highest: float
    """Highest current density reached."""
    tafel_points: tuple[Floats, Floats] = field(repr=False)
    """Overpotential in V, free of `slope_resistance`, and log10 of current density of the averaged points."""

    def eta(self, x: Floats | float, i: Floats | float, share: float | None = None) -> Floats:
        """Overpotential in V from `Sweep` values: potential in V and current in A, free of a share of Rs."""
        s = self.setup
        sign = -1.0 if s.cathodic else 1.0
        taken = (s.software if share is None else share) * (s.rs.value if s.rs else 0.0)
        return np.asarray(x - taken * np.asarray(i) + sign * (s.shift() - s.equilibrium))


def norm(curve: Curve, setup: Setup) -> float:
    """What currents in A are divided by: cm^2 or g; 1 for a density whose area is not stated."""
    return setup.area.value if setup.area else 1.0


def amperes(curve: Curve, setup: Setup) -> tuple[Floats, Floats]:
    """Potential in V and current in A of a curve, mirrored so that the reaction runs uphill."""
    sign = -1.0 if setup.cathodic else 1.0
    i = curve.current * (norm(curve, setup) if curve.per else 1.0) * (1.0 if setup.positive else -1.0)
    return sign * curve.potential, sign * i


def polarisation(curve: Curve, setup: Setup, densities: Sequence[float]) -> Polarisation:
    """Read overpotentials and the Tafel slope on a curve.

    Args:
        curve: as measured.
        setup: how to convert it.
        densities: current densities in `PER` of the basis, above zero.

    Raises:
        CellError: there is no sweep in the wanted direction, or not that many.
    """
    runs = sweeps(*amperes(curve, setup))
    mine = [r for r in runs if r.forward is not setup.reverse]
    wanted = None if curve.cycles else setup.cycle
    if not mine or (wanted or 1) > len(mine):
        what = f"the curve has {count(len(mine), 'sweep')} {'back' if setup.reverse else 'forward'}"
        raise CellError(what, "read the other direction, or another cycle; see whether the potential column is right")
    at = (wanted or len(mine)) - 1
    sweep, others = mine[at], [r for r in runs if r.forward is setup.reverse]
    other = others[min(at, len(others) - 1)] if others else None
    area = norm(curve, setup)
    full = (1 - setup.by_instrument) * setup.rs.value if setup.rs else 0.0
    found = wave(sweep)
    points = averaged(sweep, full, found.end if found else -np.inf)
    window = None if setup.window is None else (setup.window[0] * area, setup.window[1] * area)
    slope = tafel(*points, window)
    second = bent(*points, slope.low) if slope else None
    if slope and second:
        slope = replace(slope, sd=math.hypot(slope.sd, second.slope - slope.value))
    sign = -1.0 if setup.cathodic else 1.0
    return Polarisation(
        setup=setup,
        norm=area,
        sweep=sweep,
        other=other,
        swept=(at + 1, len(mine)),
        readings={j: _reading(sweep, curve, setup, j) for j in densities},
        back={j: _reading(other, curve, setup, j) for j in densities} if other else {},
        slope=slope,
        slope_resistance=full,
        bent=second,
        wave=found,
        highest=float(smoothed(sweep.i).max()) / area,
        tafel_points=(points[0] + sign * (setup.shift() - setup.equilibrium), points[1] - math.log10(area)),
    )


def _reading(sweep: Sweep, curve: Curve, setup: Setup, j: float) -> Reading | None:
    """The overpotential where a sweep reaches a current density for the last time; None where it does not."""
    area = norm(curve, setup)
    i = j * area
    found = crossing(sweep, i)
    if found is None:
        return None
    sign = -1.0 if setup.cathodic else 1.0
    rs = setup.rs or Exact(0.0)
    drop = setup.software * rs.value * i
    moves = 0.0 if curve.per else found.slope / math.log(10)  # of the reading, when the area grows e-fold
    parts = {
        "noise": found.se or 0.0,
        "offset": setup.offset.sd,
        "pH": per_ph(setup.temperature) * setup.ph.sd if setup.ph else 0.0,
        "Rs": abs(setup.software) * rs.sd * i,
        "area": abs(moves - drop) * setup.area.sd / setup.area.value if setup.area else 0.0,
    }
    measured = sign * found.x
    potential = measured - sign * drop + setup.shift()
    return Reading(
        j=j,
        eta=sign * (potential - setup.equilibrium),
        sd=None if found.se is None else math.sqrt(sum(part * part for part in parts.values())),
        parts=parts,
        measured=measured,
        potential=potential,
        drop=drop,
        residual=(1 - setup.compensation) * rs.value * i if setup.rs else None,
        points=found.points,
        decades=found.decades,
    )
