"""What narrows a grid, one limit at a time, and which of them contradict one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, islice

from campaign.constraints import Constraint

MAX_CHECKS = 500
"""Sets of limits to try when looking for one that is smaller than the first found."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing that narrows a grid; one of the last five says what."""

    key: str
    """Where it is written, below `space`: `bounds.Ce.max`."""
    words: str
    """`Ce <= 0.6`."""
    fewest: int | None = None
    """Least number of elements."""
    most: int | None = None
    """Greatest number of elements."""
    lower: tuple[str, float] | None = None
    """Least fraction of an element."""
    upper: tuple[str, float] | None = None
    """Greatest fraction of an element."""
    constraint: Constraint | None = None


def smallest_conflict(limits: Sequence[Limit], empty: Callable[[Sequence[Limit]], bool]) -> Sequence[Limit]:
    """A smallest set of limits that leaves nothing.

    First each limit that the conflict does not need is left out, one after the other, which gives a set that cannot be
    reduced. Another, smaller set may exist all the same: the smaller sets are tried in order of size, up to
    `MAX_CHECKS` of them.

    Args:
        limits: all of them; together they leave nothing.
        empty: whether some of them leave nothing.
    """
    core = list(limits)
    for limit in limits:
        fewer = [other for other in core if other is not limit]
        if empty(fewer):
            core = fewer
    smaller = chain.from_iterable(combinations(limits, size) for size in range(1, len(core)))
    return next(filter(empty, islice(smaller, MAX_CHECKS)), core)
