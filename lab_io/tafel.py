"""The Tafel slope of a sweep: the straightest stretch of potential against log10 of current, found and stated.

Every stretch of a decade or more (of half a decade where there is no more) is fitted by a straight line; the one whose
slope is surest is taken: smallest se(b)^2 + d^2 + se(d)^2, with d half the difference between the slopes of its two
halves, whose own se is 2 se(b). So noise, a background current at the low end and a resistance at the high end all
count against a stretch. What is left of them shows in a second fit, which allows for both; how far its slope is from
the straight line's is part of the stated uncertainty. A choice without a hand in it, as Corva et al., ACS Catal. 12,
13805 (2022), ask for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lab_io.sweeps import Sweep, relative_noise

Floats = npt.NDArray[np.float64]

BIN = 0.04
"""Decades of current over which points are averaged before their logarithm is taken."""
WIDE, NARROW = 1.0, 0.5
"""Decades that a window spans at least, and where there is nothing better."""
FEWEST = 5
"""Averaged points that a window holds at least."""
_NOISIEST = 0.15
"""sd of ln i beyond which points are background."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A Tafel slope and where it was read."""

    value: float
    """V per decade."""
    sd: float
    """V per decade: scatter, half the difference between the two halves, and how far `Bent.slope` is away."""
    low: float
    """Lowest current of the window, in A."""
    high: float
    """Highest current of the window, in A."""
    r2: float
    points: int
    """Averaged points in the fit."""
    chosen: bool
    """Whether the window was searched for, or else stated by the user."""

    @property
    def decades(self) -> float:
        """Width of the window."""
        return float(np.log10(self.high / self.low))


@dataclass(frozen=True, slots=True)
class Bent:
    """A fit that allows for a resistance and a background."""

    resistance: float
    """ohm that the curve still holds; negative where too much was taken away."""
    se: float
    slope: float
    """V per decade, free of both."""


def averaged(sweep: Sweep, resistance: float, start: float = -np.inf) -> tuple[Floats, Floats]:
    """Potential in V and log10 of the current in A, averaged over neighbours, where the current is above its noise.

    Args:
        sweep: rising.
        resistance: in ohm, whose drop is taken from the potential.
        start: lowest `x` in V; what lies before it, such as a redox wave, is left out.
    """
    noise = relative_noise(sweep.i)
    good = (noise < _NOISIEST) & (sweep.i > 0) & (sweep.x >= start)
    holes = np.flatnonzero(~good)
    first = _last_hole(good, holes)
    x, i = sweep.x[first:], sweep.i[first:]
    keep = i > 0
    x, i = x[keep], i[keep]
    if len(x) < FEWEST:
        return np.empty(0), np.empty(0)
    rise = abs(float(np.log10(i[-1] / i[0]))) / max(len(i) - 1, 1)
    k = int(np.clip(BIN / max(rise, 1e-9), 1, max(len(i) // FEWEST, 1)))
    n = len(i) // k
    mean_i = i[len(i) - n * k :].reshape(n, k).mean(axis=1)
    mean_x = x[len(x) - n * k :].reshape(n, k).mean(axis=1)
    return mean_x - resistance * mean_i, np.log10(mean_i)


def _last_hole(good: npt.NDArray[np.bool_], holes: npt.NDArray[np.intp]) -> int:
    """Where the last long stretch of usable points begins: single bad points inside it are forgiven."""
    if not len(holes):
        return 0
    share = np.cumsum(~good[::-1])[::-1] / np.arange(len(good), 0, -1)
    fine = np.flatnonzero((share < 0.02) & good)
    return int(fine[0]) if len(fine) else len(good)


def tafel(E: Floats, u: Floats, window: tuple[float, float] | None = None) -> Slope | None:
    """The Tafel slope of averaged points; None where no window is wide enough.

    Args:
        E: [n] potential in V.
        u: [n] log10 of the current in A, rising but for noise.
        window: lowest and highest current in A, as stated by the user; None to search for it.
    """
    n = len(u)
    if window is not None:
        inside = np.flatnonzero((u >= np.log10(window[0])) & (u <= np.log10(window[1])))
        a, b = (inside[:1], inside[-1:] + 1) if len(inside) >= FEWEST else (np.empty(0, int), np.empty(0, int))
    else:
        a, b = (m.ravel() for m in np.meshgrid(np.arange(n), np.arange(1, n + 1), indexing="ij"))
        wide = b - a >= FEWEST
        a, b = a[wide], b[wide]
        span = u[b - 1] - u[a]
        enough = span >= (WIDE if np.any(span >= WIDE) else NARROW)
        a, b = a[enough], b[enough]
    if not len(a):
        return None
    b_all, rest, spread = _lines(E, u, a, b)
    middle = (a + b) // 2
    b_low, b_high = _lines(E, u, a, middle + (b - a) % 2)[0], _lines(E, u, middle, b)[0]
    se2 = rest / np.maximum(b - a - 2, 1) / spread
    sd2 = 5 * se2 + ((b_high - b_low) / 2) ** 2
    best = int(np.argmin(np.where(b_all > 0, sd2, np.inf)))
    if not b_all[best] > 0:
        return None
    part = slice(int(a[best]), int(b[best]))
    total = float(np.sum((E[part] - E[part].mean()) ** 2))
    r2 = 1 - float(rest[best]) / total if total > 0 else 0.0
    low, high = float(10 ** u[part].min()), float(10 ** u[part].max())
    sd = float(np.sqrt(sd2[best]))
    return Slope(float(b_all[best]), sd, low, high, r2, part.stop - part.start, window is None)


def _lines(E: Floats, u: Floats, a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    """Slope, residual sum of squares and spread of u for the straight lines through points a to b - 1."""
    y, v = E - E.mean(), u - u.mean()
    sums = [np.concatenate([[0.0], np.cumsum(s)])[np.stack([a, b])] for s in (v, y, v * v, v * y, y * y)]
    sv, sy, svv, svy, syy = (s[1] - s[0] for s in sums)
    n = b - a
    spread = np.maximum(svv - sv * sv / n, 1e-12)
    cross = svy - sv * sy / n
    rest = np.maximum(syy - sy * sy / n - cross**2 / spread, 0.0)
    return cross / spread, rest, spread


def bent(E: Floats, u: Floats, low: float) -> Bent | None:
    """E = a + b log10 i + R i + c / i from the low end of the Tafel window upwards; c / i is a small background.

    Args:
        E: [n] potential in V, as corrected.
        u: [n] log10 of the current in A.
        low: current in A where the fit begins.

    Returns:
        None where fewer than ten points or half a decade are above `low`.
    """
    part = u >= np.log10(low) - 1e-9
    if part.sum() < 10 or np.ptp(u[part]) < NARROW:
        return None
    i = 10 ** u[part]
    A = np.column_stack([np.ones_like(i), u[part], i / i.max(), i.min() / i])
    c = np.linalg.lstsq(A, E[part], rcond=None)[0]
    variance = float(np.sum((E[part] - A @ c) ** 2)) / (len(i) - 4)
    se = float(np.sqrt(max(variance * float(np.linalg.pinv(A.T @ A)[2, 2]), 0.0)))
    return Bent(float(c[2] / i.max()), se / float(i.max()), float(c[1]))
