"""Sweeps of a curve, their noise, and the potential at a current: numbers in, numbers out.

Here a sweep always runs uphill: potentials rise and so does the current, whatever the reaction and the direction in
which it was measured (`Sweep.x` and `Sweep.i` are mirrored for that). Windows are chosen along the potential, which
the instrument controls, and never along the noisy current.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST = 5
"""Points that a local fit needs: three coefficients and an idea of the noise."""
_DECADES = (0.12, 0.2, 0.3)
"""Half widths of the window of a reading, in decades of current; the next one is for noisier curves."""
_GOOD = 0.3e-3
"""V; a reading this certain needs no wider window."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One run from low to high driving force."""

    x: Floats
    """V, rising: the potential as measured, mirrored for a cathodic reaction."""
    i: Floats
    """A, positive where the reaction runs."""
    forward: bool
    """Whether it was measured towards higher driving force."""

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a sweep reaches a current."""

    x: float
    """V, as `Sweep.x`."""
    se: float | None
    """V, standard error from the scatter of the points; None for a straight line between two points."""
    slope: float
    """V per decade of current, there and uncorrected."""
    points: int
    """In the window of the fit."""
    decades: float
    """How far the window reaches from the current."""


def sweeps(x: Floats, i: Floats) -> list[Sweep]:
    """The sweeps of a curve in the order in which they were measured; scraps at the turning points are left out.

    Args:
        x: [n] potential in V, mirrored so that the reaction runs at high values.
        i: [n] current in A, positive where the reaction runs.
    """
    least = max(0.02 * float(np.ptp(x)), 0.005)
    turns = _turns(x, least)
    runs = [(a, b) for a, b in pairwise(turns) if b - a + 1 >= LEAST]
    longest = max((abs(x[b] - x[a]) for a, b in runs), default=0.0)
    found = []
    for a, b in runs:
        if abs(x[b] - x[a]) >= max(0.4 * longest, least):
            part = slice(a, b + 1)
            order = np.argsort(x[part], kind="stable")
            found.append(Sweep(x[part][order], i[part][order], bool(x[b] > x[a])))
    return found


def _turns(x: Floats, least: float) -> list[int]:
    """Positions of the ends and of the turning points, with turns smaller than `least` taken for noise."""
    turns, extreme, up = [0], 0, 0
    for k in range(1, len(x)):
        step = x[k] - x[extreme]
        if up == 0:
            up = 1 if step >= least else -1 if step <= -least else 0
            extreme = k if up else extreme
        elif step * up >= 0:
            extreme = k
        elif -step * up >= least:
            turns.append(extreme)
            extreme, up = k, -up
    return [*turns, extreme if extreme != turns[-1] else len(x) - 1]


def smoothed(i: Floats) -> Floats:
    """Running median over five points; over three or one where there are few."""
    width = 5 if len(i) >= 40 else 3 if len(i) >= 15 else 1
    padded = np.pad(i, width // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)


def relative_noise(i: Floats) -> Floats:
    """[n] sd of ln i at each point, from second differences nearby; infinite where the current is not positive.

    On a Tafel line ln i is straight, so that second differences hold nothing but noise.
    """
    if len(i) < LEAST:
        return np.zeros(len(i))
    positive = i > 0
    u = np.log(np.where(positive, i, 1.0))
    second = np.abs(u[:-2] - 2 * u[1:-1] + u[2:]) / math.sqrt(6)
    second[~(positive[:-2] & positive[1:-1] & positive[2:])] = np.inf
    width = min(15, len(second) - (len(second) + 1) % 2)
    padded = np.pad(second, width // 2, mode="edge")
    local = 1.4826 * np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)
    return np.where(positive, np.pad(local, 1, mode="edge"), np.inf)


def crossing(sweep: Sweep, current: float) -> Crossing | None:
    """Where a sweep reaches a current for the last time on its way up; None where it never does.

    x = a + b ln(i / current) + r (i / current - 1), a Tafel line that a resistance bends, is fitted over a window
    around the crossing, which is moved to its own solution a until it stays. Nothing is extrapolated.

    Args:
        sweep: rising.
        current: in A, above zero.
    """
    s = smoothed(sweep.i)
    below = np.flatnonzero(s < current)
    if not len(below) or below[-1] + 1 >= len(s):
        return None
    k = int(below[-1])
    x0 = float(np.interp(current, s[k : k + 2], sweep.x[k : k + 2]))
    slope = _slope_near(sweep, k)
    best: Crossing | None = None
    for half in _DECADES:
        found = _settled(sweep, current, x0, half, slope)
        best = found or best
        if found and found.points >= 9 and found.se is not None and found.se < _GOOD:
            break
    return best or Crossing(x0, None, slope, 2, 0.0)


def _slope_near(sweep: Sweep, k: int) -> float:
    """V per decade around a point, never flatter than 2 decades per V."""
    part = slice(max(k - 6, 0), k + 8)
    x, i = sweep.x[part], sweep.i[part]
    good = i > 0
    if good.sum() < 3 or np.ptp(x[good]) == 0:
        return 0.1
    return float(1 / max(np.polyfit(x[good], np.log10(i[good]), 1)[0], 2.0))


def _settled(sweep: Sweep, current: float, x0: float, half: float, slope: float) -> Crossing | None:
    low, high = float(sweep.x[0]), float(sweep.x[-1])
    found = None
    for _ in range(4):
        reach = half * slope
        near = np.flatnonzero((np.abs(sweep.x - x0) <= reach) & (sweep.i > 0))
        if len(near) < LEAST:
            usable = np.flatnonzero(sweep.i > 0)
            near = usable[np.argsort(np.abs(sweep.x[usable] - x0), kind="stable")[:LEAST]]
        found = _local(sweep.x[near] - x0, np.log(sweep.i[near] / current))
        if found is None or not low <= x0 + found.x <= high or abs(found.x) > max(2 * reach, np.ptp(sweep.x[near])):
            return None
        moved, x0, slope = found.x, x0 + found.x, found.slope
        if abs(moved) < 1e-5:
            break
    return None if found is None else replace(found, x=x0)


def _local(x: Floats, u: Floats) -> Crossing | None:
    """Where x = a + b u + r (e^u - 1) crosses u = 0, with its standard error."""
    if len(x) < LEAST or np.ptp(x) == 0:
        return None
    A = np.column_stack([np.ones_like(u), u, np.expm1(u)])
    c, _, rank, _ = np.linalg.lstsq(A, x, rcond=None)
    slope = float(c[1] + c[2]) * math.log(10)
    if rank < 3 or slope <= 0:
        return None
    variance = float(np.sum((x - A @ c) ** 2)) / (len(x) - 3)
    se = math.sqrt(max(variance * float(np.linalg.pinv(A.T @ A)[0, 0]), 0.0))
    return Crossing(float(c[0]), se, slope, len(x), float(np.abs(u).max()) / math.log(10))
