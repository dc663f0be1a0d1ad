"""How long the rest of some work takes, told only once its pace is known."""

from __future__ import annotations

import time
from collections.abc import Callable

SURE_AFTER = 2.0
"""Seconds of work from which a pace is measured."""


class Pace:
    """The pace of work that reports itself, from its first report of something new on.

    What was done before, found in a cache or kept from a run that was interrupted, takes no time and counts nothing;
    nor does the time until the first report, in which libraries are loaded and processes started.

    Args:
        clock: seconds, rising.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def more(self, new: int, rest: int) -> str:
        """`, about 40 s more`; empty while the pace is not known, and in the last second.

        Args:
            new: how much was newly done in all.
            rest: how much is left, at most.
        """
        now = self._clock()
        if self._first is None:
            self._first = (now, new) if new else None
            return ""
        begun, before = self._first
        if now - begun < SURE_AFTER or new == before:
            return ""
        left = (now - begun) / (new - before) * rest
        return f", about {left:,.0f} s more" if left >= 1 else ""
