"""Waves before the onset: a current of the catalyst's own oxidation, such as Ni2+/3+, that rises and dies away.

On a Tafel line d(log i)/dE only falls, as resistance and transport set in; after a constant background it only rises.
Where it falls to less than half and rises again, something else than the reaction ran before it. Potentials are taken
as measured: a resistive drop taken away would bring the noise of the current into them, and changes no order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lab_io.sweeps import Floats, Sweep, relative_noise

STEP = 0.008
"""V over which points are averaged; waves are ten times as wide."""
_SURE = 4.0
"""Standard errors between the slopes that are told apart."""
_HIGHEST = 0.3
"""Of the highest current of the sweep: a dip above it is no wave before the onset, but bubbles or the like."""
_RISE = 0.15
"""Decades of current by which a wave stands out of what was before it."""


@dataclass(frozen=True, slots=True)
class Wave:
    """A wave before the onset."""

    peak: float
    """`Sweep.x` of its middle, in V."""
    current: float
    """Current there, in A."""
    end: float
    """`Sweep.x` behind it, in V, from where the reaction dominates."""


def wave(sweep: Sweep) -> Wave | None:
    """The last wave before the onset of a sweep; None where there is none."""
    x, u, se = _averaged(sweep)
    if len(x) < 5:
        return None
    width = np.diff(x)
    rise = np.diff(u) / width
    error = np.hypot(se[1:], se[:-1]) / width
    sure_high, sure_low = rise - _SURE * error, rise + _SURE * error
    before = np.maximum.accumulate(sure_high)  # steepest stretch so far, at least
    after = np.maximum.accumulate(sure_high[::-1])[::-1]
    lowest = np.minimum.accumulate(u)
    falls = sure_low[1:-1] < 0.5 * np.minimum(before[:-2], after[2:])
    early = u[1:-2] < u.max() + math.log10(_HIGHEST)
    dips = np.flatnonzero(falls & early & (u[1:-2] - lowest[1:-2] > _RISE))
    if not len(dips):
        return None
    last = first = int(dips[-1]) + 1
    while first - 2 in dips:
        first -= 1
    bottom = first + int(np.argmin(rise[first : last + 1]))
    top = max(int(np.searchsorted(u, u.max() + math.log10(_HIGHEST))), bottom + 2)
    steep = bottom + 1 + int(np.argmax(sure_high[bottom + 1 : top]))
    return Wave(float(x[first]), float(10 ** u[first]), float(x[steep]))


def _averaged(sweep: Sweep) -> tuple[Floats, Floats, Floats]:
    """Potential, log10 of current and its standard error over steps of potential, where current is above noise."""
    noise = relative_noise(sweep.i)
    step = np.floor((sweep.x - sweep.x[0]) / STEP).astype(int)
    rows: list[tuple[float, float, float]] = []
    ends = [0, *(np.flatnonzero(np.diff(step)) + 1), len(step)]
    for begin, end in pairwise(ends):
        part, n = slice(begin, end), end - begin
        mean = float(sweep.i[part].mean())
        near = noise[part][np.isfinite(noise[part])]
        relative = float(np.median(near)) / math.sqrt(n) if len(near) else np.inf
        if mean <= 0 or len(near) < 0.5 * n or relative > 0.1:
            rows.clear()  # what lies below the noise, and all before it
        else:
            rows.append((float(sweep.x[part].mean()), math.log10(mean), max(relative, 0.002) / math.log(10)))
    table = np.array(rows).reshape(-1, 3)
    rising = np.concatenate([[True], np.diff(table[:, 0]) > 1e-4]) if len(table) else np.empty(0, bool)
    return table[rising, 0], table[rising, 1], table[rising, 2]
