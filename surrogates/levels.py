"""Which batches, operators and labs measured what, and which of their effects repeated designs can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from surrogates.mixed import Array, Ints, Rows

LAB = "lab"
"""The factor whose effects are offsets beside a reference."""
MOST_LEVELS = 400
"""Levels of a factor beyond which its effects are not estimated."""


def numbered(names: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    """Names in the order of their first appearance, and the place of each in it."""
    place: dict[str, int] = {}
    rows = np.array([place.setdefault(name, len(place)) for name in names], dtype=np.int64)
    return tuple(place), rows


class Levels:
    """The levels of each measurement.

    Args:
        sample: number of the sample of each, `n`.
        design: number of the design of that sample, `n`.
    """

    def __init__(self, sample: Ints, design: Ints) -> None:
        self.sample, self.design = sample, design
        self.levels: list[tuple[str, str]] = []
        """Factor and name of each column of `Z`."""
        self.Z: Array = np.zeros((len(sample), 0))
        """1 for the measurements of a level, `n x q`; of factors whose effects can be told."""
        self.unidentified: dict[str, str] = {}
        """Factor -> why there are no columns of it."""
        self.reference = ""
        """The largest lab, where there are several."""
        self.parts: tuple[tuple[str, ...], ...] = ()
        """Sets of labs that shared designs join, that of the reference first."""
        self.part: Ints = np.zeros(int(sample.max()) + 1, dtype=np.int64)
        """Number of that set, of each sample."""
        self.repeated: Ints = np.flatnonzero(np.bincount(design)[design] > 1)
        """Measurements of designs that have several."""
        self._place: dict[str, Ints] = {}
        self._links: list[NDArray[np.bool_]] | None = None

    @property
    def factors(self) -> list[str]:
        """Those that have columns."""
        return list(dict.fromkeys(name for name, _ in self.levels))

    def of(self, factor: str) -> NDArray[np.bool_]:
        """Which columns are of a factor, `q`."""
        return np.array([name == factor for name, _ in self.levels], dtype=bool)

    def shared(self, column: int) -> int:
        """Designs that were measured in the level of a column and in another one."""
        here = self.Z[:, column] > 0
        return len(np.intersect1d(self.design[here], self.design[~here]))

    def beside_the_median(self, effect: Array) -> Array:
        """Effects `q` of each factor less their median; those of labs, and of levels that share no design, as given."""
        found = effect.copy()
        for here in self._linked():
            found[here] -= np.median(effect[here])
        return found

    def spread(self, covariance: Array) -> Array:
        """Variance of each effect beside the mean of its linked levels, from the covariance `q x q` of all."""
        contrast = np.eye(len(covariance))
        for here in self._linked():
            contrast[np.ix_(here, here)] -= 1 / here.sum()
        return np.maximum(np.einsum("ij,jk,ik->i", contrast, covariance, contrast), 0.0)

    def _linked(self) -> list[NDArray[np.bool_]]:
        """For each factor but labs, its columns that share designs."""
        if self._links is None:
            linked = np.array([self.shared(i) > 0 for i in range(len(self.levels))], dtype=bool)
            self._links = [self.of(factor) & linked for factor in self.factors if factor != LAB]
        return self._links

    def add_labs(self, lab: Sequence[str] | None) -> None:
        """An offset for each lab that shares designs, beside the largest lab that it is joined with."""
        if lab is None or len(numbered(lab)[0]) < 2:
            return
        names, place = numbered(lab)
        self._place[LAB] = place
        size = [len(np.unique(self.sample[place == k])) for k in range(len(names))]
        ranked = sorted(range(len(names)), key=lambda k: (-size[k], names[k]))
        self.reference = names[ranked[0]]
        head = _joined(self.design, place, len(names))
        sets = [[k for k in ranked if head[k] == first] for first in dict.fromkeys(head[k] for k in ranked)]
        self.parts = tuple(tuple(names[k] for k in some) for some in sets)
        number = np.empty(len(names), dtype=np.int64)
        for i, some in enumerate(sets):
            number[some] = i
            self._add(LAB, names, place, some[1:])
        self.part[self.sample[::-1]] = number[place[::-1]]

    def add_factor(self, name: str, levels: Sequence[str]) -> None:
        """The effects of a factor, where some design was measured in two of its levels."""
        names, place = numbered(levels)
        before, self._place[name] = dict(self._place), place
        if len(names) < 2:
            return
        if same := [other for other, p in before.items() if _alike(place, p)]:
            self.unidentified[name] = f"it changes only where the {same[0]} does"
        elif len(names) > MOST_LEVELS:
            self.unidentified[name] = f"it has more than {MOST_LEVELS} levels"
        elif len(np.unique(self.design * len(names) + place)) == len(np.unique(self.design)):
            self.unidentified[name] = f"no design was measured in two of the {len(names)}"
        else:
            self._add(name, names, place, list(range(len(names))))

    def _add(self, factor: str, names: Sequence[str], place: Ints, which: Sequence[int]) -> None:
        self._links = None
        self.levels += [(factor, names[k]) for k in which]
        self.Z = np.column_stack([self.Z, *(place == k for k in which)]).astype(float)

    def means(self, order: Ints, y: Array, own: Array) -> tuple[Rows, Ints]:
        """Means of the measurements of one sample under the same circumstances, and the samples that they are of.

        Means of designs that have only one say nothing, and are left out; the scatter about them stays.

        Args:
            order: the measurements to take.
            y: values, `n`.
            own: known variance of each, `n`.
        """
        keys = [self.design, self.sample, *self._place.values(), np.unique(own, return_inverse=True)[1].reshape(-1)]
        cells, first, cell, size = np.unique(
            np.stack([key[order] for key in keys], axis=1),
            axis=0,
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        cell = cell.reshape(-1)
        mean, known = np.bincount(cell, y[order]) / size, own[order][first]
        squares = np.bincount(cell, np.square(y[order] - mean[cell]))
        kinds, kind = np.unique(known, return_inverse=True)
        freedom, rest = (np.bincount(kind, x).astype(float) for x in (size - 1.0, squares))
        kept = np.flatnonzero(np.bincount(cells[:, 0])[cells[:, 0]] > 1) if len(cells) else first
        design, sample = cells[kept, 0], cells[kept, 1]
        starts = np.flatnonzero(np.diff(sample, prepend=-1) | np.diff(design, prepend=-1))
        groups = np.flatnonzero(np.diff(design[starts], prepend=-1))
        Z = self.Z[order][first][kept]
        rows = Rows(mean[kept], known[kept], size[kept].astype(float), Z, starts, groups, (kinds, freedom, rest))
        return rows, sample[starts]

    def freedom(self, rows: Rows) -> tuple[int, int]:
        """Degrees of freedom within samples, and within designs beside all effects."""
        kept, every = self.repeated, np.ones(self.Z.shape[1], dtype=bool)
        of_sample, of_design = (rows.rank(every, within=within) for within in ("sample", "group"))
        readings = len(kept) - len(np.unique(self.sample[kept])) - of_sample
        return readings, len(kept) - len(np.unique(self.design[kept])) - of_design

    def first(self, most: int) -> Ints:
        """Measurements of the designs that were repeated most, whole designs up to so many rows, one in any case."""
        kept = self.repeated
        if len(kept) <= most:
            return kept
        size = np.bincount(self.design[kept])
        ranked = np.argsort(-size, kind="stable")
        some = ranked[: max(int((np.cumsum(size[ranked]) <= most).sum()), 1)]
        return kept[np.isin(self.design[kept], some)]


def _alike(place: Ints, other: Ints) -> bool:
    """Whether two factors part the measurements in the same way."""
    pairs = len(np.unique(place * (int(other.max()) + 1) + other))
    return pairs == len(np.unique(place)) == len(np.unique(other))


def _joined(design: Ints, place: Ints, levels: int) -> list[int]:
    """For each level the least one of those that shared designs join it with."""
    head = list(range(levels))
    first: dict[int, int] = {}
    pairs = np.unique(design * levels + place)
    for d, k in zip((pairs // levels).tolist(), (pairs % levels).tolist(), strict=True):
        a, b = head[k], head[first.setdefault(d, k)]
        head = [min(a, b) if h == max(a, b) else h for h in head]
    return head
