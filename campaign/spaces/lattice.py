"""Counting, numbering and finding the integer points of a bounded simplex, without ever listing them.

A composition on a grid is a point n[k] of whole numbers with a fixed sum. Reading the components from left to right,
all that matters of what was read is a small state: what is left to give out, how many components are present, and the
partial sum of every inequality that is not yet decided. Points with the same state have the same completions, so the
states form a layered graph with few nodes, and each point is one path through it. Counting the paths below each node
gives the exact number of points; the running sums of those counts turn a position into a point (unrank) and a point
into its position (rank), in lexicographic order, many at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

MAX_EDGES = 2_000_000
"""Steps of the graph in one layer: beyond it the inequalities have too many different partial sums."""
MAX_COEFFICIENT = 1 << 40
MAX_INDEXED = 1 << 40
_DECIDED = 1 << 60
"""A partial sum so far from its bound that no completion changes the answer."""

Inequality = tuple[tuple[int, ...], int]
"""(coefficients[k], bound): sum of coefficient * n <= bound."""
Rule = tuple[tuple[Inequality, ...], ...]
"""Alternatives: the rule holds when every inequality of any one alternative holds."""


class TooLargeError(ValueError):
    """The region is beyond what can be counted or numbered here."""


@dataclass(frozen=True, slots=True)
class Region:
    """The points n[k] of whole numbers that are wanted."""

    total: int
    """What n sums to."""
    lower: Sequence[int]
    upper: Sequence[int]
    fewest: int
    """Smallest number of components that are not zero."""
    most: int
    rules: Sequence[Rule] = field(default=())


@dataclass(frozen=True, slots=True)
class _Layer:
    """The steps from the states before a component to those after it, sorted by (state, n)."""

    key: Ints
    """state * (total + 1) + n, ascending."""
    n: Ints
    child: Ints
    start: Ints
    """Running count of points over the whole layer, so that one search finds state and step at once."""
    base: Ints
    """`start` at the first step of each state."""


class Lattice:
    """The points of a region, in lexicographic order.

    Raises:
        TooLargeError: the inequalities have too large numbers or too many different partial sums.
    """

    def __init__(self, region: Region) -> None:
        self.region = region
        self.k = len(region.lower)
        atoms = [atom for rule in region.rules for alternative in rule for atom in alternative]
        self._coefficients = np.array([a[0] for a in atoms], dtype=object).reshape(len(atoms), self.k)
        if any(abs(int(c)) * region.total * self.k > MAX_COEFFICIENT for c in self._coefficients.ravel()):
            raise TooLargeError("a constraint has numbers with too many digits")
        self._coefficients = self._coefficients.astype(np.int64)
        limit = 2 * MAX_COEFFICIENT
        self._bounds = np.array([max(-limit, min(limit, a[1])) for a in atoms], dtype=np.int64)
        self._steps, self._present = self._walk()
        self._ways = self._count()

    @cached_property
    def count(self) -> int:
        """Exact number of points."""
        return int(self._ways[0].sum())

    @cached_property
    def by_present(self) -> dict[int, int]:
        """Number of components that are not zero -> number of points."""
        paths: NDArray[Any] = np.ones(1, dtype=self._ways[0].dtype)
        for (parent, _, child), below in zip(self._steps, self._ways[1:], strict=True):
            paths, above = np.zeros(len(below), dtype=paths.dtype), paths
            np.add.at(paths, child, above[parent])
        sizes = np.unique(self._present)
        return {int(s): int(paths[self._present == s].sum()) for s in sizes}

    def unrank(self, indices: Ints) -> Ints:
        """Positions -> points: indices is [n] in 0..count-1, the result [n, k]."""
        points = np.empty((len(indices), self.k), dtype=np.int64)
        state = np.zeros(len(indices), dtype=np.int64)
        offset = indices
        for i, layer in enumerate(self._layers):
            position = layer.base[state] + offset
            step = np.searchsorted(layer.start, position, side="right") - 1
            points[:, i], state, offset = layer.n[step], layer.child[step], position - layer.start[step]
        return points

    def rank(self, points: Ints) -> Ints:
        """Points -> positions: points is [n, k], the result [n], -1 for a point outside the region."""
        inside = ((points >= 0) & (points <= self.region.total)).all(axis=1) & (self.count > 0)
        index = np.zeros(len(points), dtype=np.int64)
        state = np.zeros(len(points), dtype=np.int64)
        for i, layer in enumerate(self._layers if self.count else ()):
            key = state * (self.region.total + 1) + points[:, i]
            step = np.minimum(np.searchsorted(layer.key, key), len(layer.key) - 1)
            inside &= layer.key[step] == key
            index += layer.start[step] - layer.base[state]
            state = layer.child[step]
        return np.where(inside, index, -1)

    def _walk(self) -> tuple[list[tuple[Ints, Ints, Ints]], Ints]:
        """Steps (parent, n, child) of each layer, and the number of components present in each last state."""
        r, total = self.region, self.region.total
        lower, upper = np.array(r.lower, dtype=np.int64), np.array(r.upper, dtype=np.int64)
        left, present = np.array([total]), np.array([0])
        sums = np.zeros((1, len(self._bounds)), dtype=np.int64)
        least, greatest = self._reachable(lower, upper)
        n = np.arange(total + 1)
        steps = []
        for i in range(self.k):
            if len(left) * len(n) > MAX_EDGES:
                raise TooLargeError("the constraints and divisions combine in too many ways to count")
            after = left[:, None] - n
            rest_lower, rest_upper = int(lower[i + 1 :].sum()), int(upper[i + 1 :].sum())
            now = present[:, None] + (n > 0)
            open_ = np.minimum((upper[i + 1 :] > 0).sum(), np.maximum(after, 0))
            fits = (n >= lower[i]) & (n <= upper[i]) & (after >= rest_lower) & (after <= rest_upper)
            fits &= (now <= r.most) & (now + open_ >= r.fewest)
            parent, given = np.nonzero(np.broadcast_to(fits, after.shape))
            left, present = after[parent, given], now[parent, given]
            sums = sums[parent] + given[:, None] * self._coefficients[:, i]
            alive, sums = self._decide(sums, least[i + 1][left], greatest[i + 1][left])
            states = np.column_stack([left, present, sums])[alive]
            states, child = np.unique(states, axis=0, return_inverse=True)
            left, present, sums = states[:, 0], states[:, 1], states[:, 2:]
            steps.append((parent[alive], given[alive], child.reshape(-1)))
        return steps, present

    def _reachable(self, lower: Ints, upper: Ints) -> tuple[list[Ints], list[Ints]]:
        """Per layer, arrays [total + 1, atoms]: least and greatest sum that the components from there on can add."""
        left = np.arange(self.region.total + 1)
        least, greatest = [], []
        for i in range(self.k + 1):
            low, high = lower[i:], np.maximum(upper[i:] - lower[i:], 0)
            spare = np.maximum(left - low.sum(), 0)
            ends = []
            for sign in (1, -1):
                columns = []
                for row in self._coefficients[:, i:]:
                    order = np.argsort(sign * row, kind="stable")  # cheapest components are filled first
                    filled = np.clip(spare[:, None] - (np.cumsum(high[order]) - high[order]), 0, high[order])
                    columns.append((low * row).sum() + filled @ row[order])
                ends.append(np.column_stack(columns) if columns else np.zeros((len(left), 0), dtype=np.int64))
            least.append(ends[0])
            greatest.append(ends[1])
        return least, greatest

    def _decide(self, sums: Ints, least: Ints, greatest: Ints) -> tuple[NDArray[np.bool_], Ints]:
        """Which rows [n] can still satisfy every rule, and sums [n, atoms] with decided ones made equal."""
        true = sums + greatest <= self._bounds
        false = sums + least > self._bounds
        alive = np.ones(len(sums), dtype=bool)
        first = 0
        for rule in self.region.rules:
            begin, failed, satisfied = first, np.ones(len(sums), dtype=bool), np.zeros(len(sums), dtype=bool)
            for alternative in rule:
                part = slice(first, first + len(alternative))
                first = part.stop
                lost = false[:, part].any(axis=1)
                false[lost, part] = True
                true[lost, part] = False
                failed &= lost
                satisfied |= true[:, part].all(axis=1)
            alive &= ~failed
            true[satisfied, begin:first] = True
        return alive, np.where(true, -_DECIDED, np.where(false, _DECIDED, sums))

    def _count(self) -> list[NDArray[Any]]:
        """Per layer, points below each state; whole numbers of Python where 64 bits could be too few."""
        small = comb(self.region.total + self.k - 1, self.k - 1) < 1 << 62
        dtype = np.int64 if small else object
        ways: list[NDArray[Any]] = [np.ones(len(self._present), dtype=dtype)]
        sizes = [1] + [int(child.max(initial=-1)) + 1 for _, _, child in self._steps]
        for (parent, _, child), size in zip(reversed(self._steps), reversed(sizes[:-1]), strict=True):
            above: NDArray[Any] = np.zeros(size, dtype=dtype)
            np.add.at(above, parent, ways[0][child])
            ways.insert(0, above)
        return ways

    @cached_property
    def _layers(self) -> list[_Layer]:
        if self.count > MAX_INDEXED:
            raise TooLargeError(f"{self.count:,} points are too many to number")
        layers = []
        for (parent, n, child), above, below in zip(self._steps, self._ways, self._ways[1:], strict=False):
            live = below[child] > 0
            parent, n, child = parent[live], n[live], child[live]
            ends = np.cumsum(below[child].astype(np.int64))
            base = np.cumsum(above.astype(np.int64)) - above.astype(np.int64)
            layers.append(
                _Layer(parent * (self.region.total + 1) + n, n, child, ends - below[child].astype(np.int64), base)
            )
        return layers
