"""Where the names beside a view go, so that the line from each to its site runs over no other named site."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np

from campaign.spaces.base import Floats

CLEAR = 1.2
"""In radii: a line nearer to the centre of a disc runs over it, as a reader sees it."""
HIDDEN = 1e3
"""What a line over another disc weighs, in the unit of the lengths, when names are assigned."""


def led(centres: Floats, radii: Floats, group: list[int], layouts: Iterable[Floats]) -> Floats:
    """The place of the name of each disc of `group`, `g x 2`.

    Of the layouts that is taken whose lines run over the fewest discs and one another, then the shortest; a line of the
    shortest assignment crosses no other line.

    Args:
        centres: of all named discs, `n x 2`.
        radii: of all named discs, `n`.
        group: the discs that are named here.
        layouts: places of the names, `g x 2` each, in any order.
    """
    from scipy.optimize import linear_sum_assignment

    found: list[tuple[tuple[int, float], Floats]] = []
    for places in layouts:
        length = np.linalg.norm(centres[group][:, None] - places[None], axis=-1)
        over = np.array([[_over(centres, radii, i, place) for place in places] for i in group])
        for weight in (HIDDEN, 0.0):
            _, order = linear_sum_assignment(length + weight * over)
            rows = np.arange(len(group))
            lines = [(centres[i], places[j]) for i, j in zip(group, order, strict=True)]
            bad = int(over[rows, order].sum()) + sum(crossed(*a, *b) for a, b in combinations(lines, 2))
            found.append(((bad, float(length[rows, order].sum())), places[order]))
    return min(found, key=lambda each: each[0])[1]


def _over(centres: Floats, radii: Floats, i: int, place: Floats) -> int:
    """Over how many other discs the line from disc `i` to a place runs."""
    along = place - centres[i]
    share = np.clip((centres - centres[i]) @ along / (along @ along), 0.0, 1.0)
    away = np.linalg.norm(centres - centres[i] - share[:, None] * along, axis=1)
    return int((away < CLEAR * radii).sum() - 1)  # its own


def crossed(a: Floats, b: Floats, c: Floats, d: Floats) -> bool:
    """Whether the line from a to b and that from c to d meet."""

    def side(p: Floats, q: Floats, r: Floats) -> float:
        return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
