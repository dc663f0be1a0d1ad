"""Polarisation curves whose answers are known: a Tafel line, a resistance, a background, waves, bubbles, and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lab_io.electrodes import ELECTRODES
from lab_io.polarisation import Exact, Setup

DENSITIES = (0.01, 0.1)
"""A/cm^2, at which overpotentials are read."""
KINDS = {
    "clean": 60,
    "partly compensated": 30,
    "Rs too small": 20,
    "wave": 30,
    "too short": 20,
    "few points": 10,
    "bubbles": 15,
    "hysteresis": 15,
}
"""Kind -> how many of 200."""
EXPECTED = {
    "partly compensated": {"residual_ir"},
    "Rs too small": {"residual_ir"},
    "wave": {"redox_wave"},
    "too short": {"not_reached"},
    "few points": {"few_points", "no_slope", "narrow_window", "uncertain_slope"},
    "bubbles": {"not_monotonic"},
    "hysteresis": {"hysteresis"},
}
"""Kind -> warnings of which one at least should come."""
ALARMS = {
    "residual_ir", "overcompensated", "redox_wave", "not_monotonic", "swapped", "hysteresis", "not_reached", "negative",
    "sign", "unusual", "few_points", "no_slope",
}  # fmt: skip
"""Warnings that a clean curve should not raise."""
LIMIT = 1.0
"""mV and mV/dec: the bar."""


@dataclass
class Case:
    """A curve, how to read it, and what should be read."""

    kind: str
    E: np.ndarray
    i: np.ndarray
    setup: Setup
    eta: dict[float, float | None]
    """V by current density; None where the curve does not reach it."""
    slope: float
    """V per decade."""
    possible: dict[str, bool]
    """Whether the noise allows the bar: for `10`, `100` and `slope`, from the truth alone."""
    say: dict[str, Any] = field(default_factory=dict)


def case(kind: str, rng: np.random.Generator) -> Case:
    """One curve of a kind, with everything else drawn at random."""
    b, eta10 = rng.uniform(0.03, 0.12), rng.uniform(0.2, 0.4)
    area, rs, temperature = rng.choice([0.0707, 0.196, 1.0]), rng.uniform(1, 10), rng.choice([20.0, 25.0, 30.0])
    rs = float(min(rs, 1.0 / area))  # no cell with more than 100 mV of drop at 100 mA/cm^2
    noise, step = rng.choice([0.001, 0.003, 0.01, 0.03]), rng.choice([0.0005, 0.001, 0.002, 0.005])
    background = rng.choice([0.0, 0.02e-3, 0.05e-3])
    electrode = ELECTRODES[rng.integers(len(ELECTRODES))]
    offset = Exact(electrode.offset + rng.normal(0, 0.01))
    ph = None if electrode.name == "RHE" else Exact(float(rng.choice([0.3, 7.0, 13.0, 13.9])))
    share = {"partly compensated": float(rng.choice([0.5, 0.7, 0.85]))}.get(kind, 1.0)
    part = rng.uniform(0.5, 0.75)
    if kind == "Rs too small":
        rs = max(rs, 0.01 / (0.1 * (1 - part) * float(area)))  # 10 mV are missed at 100 mA/cm^2 at least
    stated = rs * (part if kind == "Rs too small" else 1.0)
    setup = Setup(offset, ph, temperature, rs=Exact(stated), compensation=share, area=Exact(float(area)), positive=True)
    top = {"too short": rng.uniform(0.03, 0.08)}.get(kind, rng.uniform(0.12, 0.2))
    if kind == "few points":
        step = (b * 3 + 0.1) / rng.uniform(6, 10)
    if kind == "partly compensated":
        share_drop = (1 - share) * rs * area * 0.1
        rs *= max(1.0, 0.008 / share_drop)  # what is left is to be worth a warning: 8 mV at 100 mA/cm^2 at least
        setup = Setup(offset, ph, temperature, rs=Exact(rs), compensation=share, area=Exact(float(area)))
    wave_height = float(rng.choice([0.3e-3, 1e-3, 3e-3]))
    wave_at = min(eta10 - 1.8 * b, eta10 - 0.08 - b * math.log10(0.01 / wave_height))

    eta = np.arange(-0.05 if kind == "wave" else eta10 - 3.2 * b, eta10 + b * math.log10(top / 0.01), 1e-4)
    eta = np.arange(min(wave_at - 0.15, eta[0]), eta[-1], 1e-4) if kind == "wave" else eta
    j = 0.01 * 10 ** ((eta - eta10) / b) + background
    if kind == "wave":
        j = j + wave_height * np.exp(-(((eta - wave_at) / 0.03) ** 2))
    raw = eta + setup.equilibrium - setup.shift() + j * area * rs
    if kind == "bubbles":
        centre, depth = raw[np.searchsorted(j, 0.6 * top)], rng.uniform(0.25, 0.4)
        lost = np.exp(-(((raw - centre) / (0.04 * np.ptp(raw))) ** 2))
        while _fall(seen := j * (1 - depth * lost)) < max(0.1, 5 * noise):  # it must be seen to fall
            depth += 0.02
    else:
        seen = j
    E = np.arange(raw[0], raw[-1], step)
    clean = np.interp(E, raw, seen) * area
    if kind == "hysteresis":
        lag = rng.uniform(0.010, 0.020)
        back = np.interp(E[::-1], raw - lag, j) * area
        E, clean = np.concatenate([E, E[::-1]]), np.concatenate([clean, back])
    i = clean * (1 + noise * rng.standard_normal(len(E))) + 2e-7 * rng.standard_normal(len(E))
    noisy = E + 5e-5 * rng.standard_normal(len(E))
    # what should be read is on the very curve without its noise, compensated as stated
    free = (
        raw - setup.software * stated * seen * area if kind != "partly compensated" else raw - share * rs * seen * area
    )
    read: dict[float, float | None] = {}
    for density in DENSITIES:
        below = np.flatnonzero(seen < density)
        reaches = len(below) and below[-1] + 1 < len(seen) and clean.max() >= density * area  # nothing is extrapolated
        at = (
            float(np.interp(density, seen[below[-1] : below[-1] + 2], free[below[-1] : below[-1] + 2]))
            if reaches
            else None
        )
        read[density] = None if at is None else at + setup.shift() - setup.equilibrium
    possible = _possible(eta, seen, b, setup, noise, step, area, kind)
    said = {"noise": float(noise), "step": float(step), "b": b, "rs": rs, "area": float(area), "background": background}
    return Case(kind, noisy, i, setup, read, b, possible, said)


def _fall(j: np.ndarray) -> float:
    """The greatest fall of a current that should rise, as a share of what it was."""
    top = np.maximum.accumulate(j)
    return float(np.max((top - j) / top))


def _possible(
    eta: np.ndarray, j: np.ndarray, b: float, setup: Setup, noise: float, step: float, area: float, kind: str
) -> dict[str, bool]:
    """Where the bar is within reach, from the truth: what the best window of a decade or a third of one could do.

    An overpotential: three standard errors of the middle of a local fit (1.5 sd / sqrt n, over 0.3 decades either way)
    are within the bar. A slope: a decade exists on which a straight line through the curve without noise is off by 0.3
    mV/dec at most, and three standard errors of its slope are within what is left of the bar.
    """
    resistance = setup.rs.value * area if setup.rs else 0.0
    ok = {}
    for name, density in zip(("10", "100"), DENSITIES, strict=True):
        slope = b + math.log(10) * density * resistance  # V per decade as measured
        points = min(0.6, 0.3 + max(math.log10(j.max() / density), 0)) * slope / step
        sd = math.hypot(5e-5, noise * slope / math.log(10))
        ok[name] = points >= 5 and 3 * 1.5 * sd / math.sqrt(points) <= LIMIT / 1e3 and kind != "few points"
    ok["slope"] = False
    if kind in ("Rs too small", "few points"):
        return ok  # bent, or too little to tell
    u = np.log10(np.maximum(j, 1e-12))
    for low in np.arange(-4.0, math.log10(j.max()) - 1, 0.1):
        part = (u >= low) & (u <= low + 1)
        if part.sum() < 50:
            continue
        line = np.polyfit(u[part], eta[part], 1)[0]
        middle = 10 ** (low + 0.5)
        per_decade = (b + math.log(10) * middle * resistance) / step
        sd = math.hypot(5e-5, (noise + 2e-7 / (middle * area)) * (b / math.log(10) + middle * resistance))
        if abs(line - b) <= 0.3e-3 and 3 * sd / (0.289 * math.sqrt(max(per_decade, 1e-9))) <= 0.7e-3:
            ok["slope"] = True
    return ok
