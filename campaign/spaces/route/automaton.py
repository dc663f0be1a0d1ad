"""Counting and numbering routes under rules, without ever listing them.

Reading a route from its start, all that its rules need to know of what was read is one small state each; together they
are the states of one automaton. The number of ways to go on from a state with r more steps is the sum over the next
step of its settings times the ways from there with r - 1 (dynamic programming), and the running sums of these numbers
turn a position into a route (unrank) and a route into its position (rank), many at a time. Routes are ordered by their
number of steps, then step by step by the number of the step and of its setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from campaign.spaces.base import Ints
from campaign.spaces.radix import check_numbered
from campaign.spaces.route.rules import Rule

MAX_STATES = 50_000


class TooManyStatesError(ValueError):
    """The rules combine in too many ways to count."""


class Routes:
    """All routes of some steps that satisfy every rule.

    Args:
        settings: number of settings of each step, `s`.
        rules: that hold.
        fewest: least number of steps, at least 1.
        most: greatest number of steps.

    Raises:
        TooManyStatesError: the rules combine in more than 50,000 ways.
    """

    def __init__(self, settings: Sequence[int], rules: Sequence[Rule], fewest: int, most: int) -> None:
        self.settings = np.array(settings, dtype=np.int64)
        self.fewest, self.most = fewest, most
        self._next, accepts = _walk(len(settings), rules)
        self._ways = self._count(accepts)

    @cached_property
    def by_length(self) -> dict[int, int]:
        """Number of steps -> exact number of routes."""
        return {n: int(self._ways[n][0]) for n in range(self.fewest, self.most + 1) if self._ways[n][0]}

    @cached_property
    def count(self) -> int:
        """Exact number of routes."""
        return sum(self.by_length.values())

    def unrank(self, indices: Ints) -> tuple[Ints, Ints]:
        """Positions [n] in 0..count-1 -> steps and settings, each [n, most], -1 where the route has ended.

        Raises:
            InvalidInput: there are more routes than can be numbered.
        """
        steps = np.full((len(indices), self.most), -1, dtype=np.int64)
        settings = steps.copy()
        for length, first in self._starts.items():
            rows = np.flatnonzero((indices >= first) & (indices < first + self.by_length[length]))
            state, offset = np.zeros(len(rows), dtype=np.int64), indices[rows] - first
            for place in range(length):
                below = self._below[length - place - 1]
                step = (offset[:, None] >= below[state, 1:]).sum(axis=1)
                offset = offset - below[state, step]
                state = self._next[state, step]
                ways = self._small[length - place - 1][state]
                steps[rows, place], settings[rows, place] = step, offset // ways
                offset = offset % ways
        return steps, settings

    def rank(self, steps: Ints, settings: Ints) -> Ints:
        """Steps and settings, each [n, most], -1 behind the end -> positions [n], -1 for what is no such route.

        Raises:
            InvalidInput: as `unrank`.
        """
        index = np.full(len(steps), -1, dtype=np.int64)
        lengths = (steps >= 0).sum(axis=1)
        for length, first in self._starts.items():
            rows = np.flatnonzero(lengths == length)
            state, offset = np.zeros(len(rows), dtype=np.int64), np.full(len(rows), first, dtype=np.int64)
            good = np.ones(len(rows), dtype=bool)
            for place in range(length):
                step, setting = steps[rows, place], settings[rows, place]
                good &= (step >= 0) & (setting >= 0) & (setting < self.settings[step])
                offset = offset + self._below[length - place - 1][state, step]
                state = self._next[state, step]
                good &= state >= 0
                ways = self._small[length - place - 1][state]
                good &= ways > 0
                offset = offset + setting * ways
            index[rows] = np.where(good, offset, -1)
        return index

    def sample(self, n: int, rng: np.random.Generator) -> Ints:
        """Positions [n] of routes drawn evenly, with replacement.

        Raises:
            InvalidInput: as `unrank`.
        """
        check_numbered(self.count)
        return rng.integers(self.count, size=n)

    def _count(self, accepts: NDArray[np.bool_]) -> list[NDArray[Any]]:
        """Ways to end in 0, 1, .. `most` more steps from each state, as whole numbers of Python."""
        ways: list[NDArray[Any]] = [np.array([int(a) for a in accepts], dtype=object)]
        for _ in range(self.most):
            ways.append(self._onward(ways[-1]).sum(axis=1))
        return ways

    def _onward(self, ways: NDArray[Any]) -> NDArray[Any]:
        """Ways on from each state by each next step, [states, s], where `ways` are those after it."""
        after = np.where(self._next >= 0, ways[self._next], 0)
        return after * self.settings.astype(object)

    @cached_property
    def _starts(self) -> dict[int, int]:
        """Number of steps -> position of the first such route."""
        check_numbered(self.count)
        sizes = list(self.by_length.values())
        return {n: sum(sizes[:i]) for i, n in enumerate(self.by_length)}

    @cached_property
    def _small(self) -> list[Ints]:
        """The ways that are needed, in 64 bits; larger ones belong to lengths that no route of the count has."""
        limit = self.count
        return [np.array([min(w, limit) for w in ways], dtype=np.int64) for ways in self._ways[: self.most]]

    @cached_property
    def _below(self) -> list[Ints]:
        """With r more steps to come, the ways by all earlier next steps, [states, s + 1]."""
        limit = self.count
        found = []
        for ways in self._ways[: self.most]:
            onward = np.cumsum(self._onward(ways), axis=1)
            sums = np.hstack([np.zeros((len(onward), 1), dtype=object), onward])
            found.append(np.minimum(sums, limit).astype(np.int64))
        return found


def _walk(steps: int, rules: Sequence[Rule]) -> tuple[Ints, NDArray[np.bool_]]:
    """The automaton of all rules together: next state [states, steps], -1 for none, and where a route may end."""
    number = {(0,) * len(rules): 0}
    following: list[list[int]] = []
    queue = list(number)
    for state in queue:  # grows while it is read
        row = []
        for step in range(steps):
            after = [rule.after(part, step) for rule, part in zip(rules, state, strict=True)]
            if any(part is None for part in after):
                row.append(-1)
                continue
            key = tuple(part for part in after if part is not None)
            if key not in number:
                number[key] = len(number)
                queue.append(key)
            row.append(number[key])
        following.append(row)
        if len(number) > MAX_STATES:
            raise TooManyStatesError(f"the rules combine in more than {MAX_STATES:,} ways")
    accepts = [all(rule.holds(part) for rule, part in zip(rules, state, strict=True)) for state in number]
    return np.array(following, dtype=np.int64).reshape(-1, steps), np.array(accepts)
