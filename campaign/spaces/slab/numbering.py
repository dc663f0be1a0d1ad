"""Exact ranks of decorations and of compositions, and the least decoration among symmetric ones.

A decoration of n sites is k sites in ascending order and the code (0..D-1) of the dopant on each. Decorations are
ranked by number of dopants, then by site set, then by elements, so that a rank never depends on how many dopants a
space allows. Site sets are ranked in the combinatorial number system: sum over i of C(s_i, i + 1) for
s_0 < s_1 < ... (Knuth, The Art of Computer Programming 4A, 7.2.1.3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate

import numpy as np

from campaign.spaces.base import Ints

EXACT = 2**53
"""Whole numbers up to here are exact in float64, the type of X."""
IMAGES = 1 << 21
"""Entries of the images of decorations that are held at once."""


class TooManyError(ValueError):
    """There are more ranks than float64 tells apart."""


def binomials(n: int, k: int) -> Ints:
    """C(i, j) for i <= n and j <= k, [n + 1, k + 1]."""
    return np.array([[math.comb(i, j) for j in range(k + 1)] for i in range(n + 1)], dtype=np.int64)


def set_rank(sets: Ints, choose: Ints) -> Ints:
    """Rank [...] of ascending sets [..., k] among all sets of their size."""
    return choose[sets, np.arange(1, sets.shape[-1] + 1)].sum(axis=-1)


def set_unrank(ranks: Ints, k: int, choose: Ints) -> Ints:
    """The ascending sets [b, k] at some ranks [b]."""
    left = np.array(ranks, dtype=np.int64)
    sets = np.empty((len(left), k), dtype=np.int64)
    for i in range(k, 0, -1):
        sets[:, i - 1] = np.searchsorted(choose[:, i], left, side="right") - 1
        left -= choose[sets[:, i - 1], i]
    return sets


class _Numbers:
    """Numbers of things by size k = 0..most, one size after the other."""

    def __init__(self, sizes: list[int]) -> None:
        self.starts = [0, *accumulate(sizes)]
        if self.starts[-1] > EXACT:
            raise TooManyError(f"{self.starts[-1]:,} are more than can be numbered exactly")

    def _size(self, rank: int) -> int:
        if not 0 <= rank < self.starts[-1]:
            raise ValueError(f"{rank} is no rank: they go from 0 to {self.starts[-1] - 1:,}")
        return int(np.searchsorted(self.starts, rank, side="right")) - 1


class Decorations(_Numbers):
    """Ranks of the decorations of some sites with 0..most dopants.

    Args:
        sites: n.
        elements: D.
        most: greatest number of dopants, at most n.

    Raises:
        TooManyError: there are more than 2^53.
    """

    def __init__(self, sites: int, elements: int, most: int) -> None:
        super().__init__([math.comb(sites, k) * elements**k for k in range(most + 1)])
        self._elements = elements
        self._choose = binomials(sites, most)

    def rank(self, sites: Ints, codes: Ints) -> Ints:
        """Rank [...] of decorations: ascending sites [..., k] and their codes [..., k]."""
        k = sites.shape[-1]
        digits = self._elements ** np.arange(k - 1, -1, -1, dtype=np.int64)
        return self.starts[k] + set_rank(sites, self._choose) * self._elements**k + (codes * digits).sum(axis=-1)

    def unrank(self, rank: int) -> tuple[Ints, Ints]:
        """Sites [k] and codes [k] of the decoration at a rank.

        Raises:
            ValueError: there is no such rank.
        """
        k = self._size(rank)
        of_set, digits = divmod(rank - self.starts[k], self._elements**k)
        codes = [digits // self._elements**i % self._elements for i in range(k - 1, -1, -1)]
        return set_unrank(np.array([of_set]), k, self._choose)[0], np.array(codes, dtype=np.int64)

    def unrank_all(self, ranks: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
        """By number of dopants: rows of `ranks` [b], and sites [b, k] and codes [b, k] of their decorations.

        Raises:
            ValueError: there is no such rank.
        """
        sizes = np.array([self._size(rank) for rank in ranks.tolist()], dtype=np.int64)
        for k in np.unique(sizes).tolist():
            rows = np.flatnonzero(sizes == k)
            sets, digits = np.divmod(ranks[rows] - self.starts[k], self._elements**k)
            powers = self._elements ** np.arange(k - 1, -1, -1, dtype=np.int64)
            yield rows, set_unrank(sets, k, self._choose), digits[:, None] // powers % self._elements

    def least(self, sites: Ints, codes: Ints, group: Ints) -> tuple[Ints, Ints, Ints]:
        """Of each decoration's images under a group, that of least rank.

        Args:
            sites: [b, k], in any order.
            codes: [b, k], of the dopant on each.
            group: permutations of the sites, [g, n].

        Returns:
            Ranks [b], sites [b, k] and codes [b, k].
        """
        b, k = sites.shape
        if not k:
            return np.zeros(b, dtype=np.int64), sites, codes
        found = []
        step = max(1, IMAGES // (len(group) * k))
        for start in range(0, b, step):
            images = group[:, sites[start : start + step]]
            order = np.argsort(images, axis=-1)
            images = np.take_along_axis(images, order, axis=-1)
            carried = np.take_along_axis(np.broadcast_to(codes[start : start + step], images.shape), order, axis=-1)
            ranks = self.rank(images, carried)
            best = ranks.argmin(axis=0), np.arange(ranks.shape[1])
            found.append((ranks[best], images[best], carried[best]))
        return (
            np.concatenate([ranks for ranks, _, _ in found]) if found else np.empty(0, dtype=np.int64),
            np.concatenate([least for _, least, _ in found]) if found else sites,
            np.concatenate([least for _, _, least in found]) if found else codes,
        )


class Compositions(_Numbers):
    """Ranks of the compositions (multisets of dopants) of 0..most atoms out of D elements.

    Args:
        elements: D.
        most: greatest number of atoms.

    Raises:
        TooManyError: there are more than 2^53.
    """

    def __init__(self, elements: int, most: int) -> None:
        super().__init__([math.comb(elements + k - 1, k) for k in range(most + 1)])
        self._choose = binomials(elements + most, most)

    def rank(self, codes: Ints) -> Ints:
        """Rank [...] of ascending codes [..., k]."""
        k = codes.shape[-1]
        return self.starts[k] + set_rank(codes + np.arange(k), self._choose)

    def unrank(self, rank: int) -> Ints:
        """The ascending codes [k] at a rank.

        Raises:
            ValueError: there is no such rank.
        """
        k = self._size(rank)
        return set_unrank(np.array([rank - self.starts[k]]), k, self._choose)[0] - np.arange(k)
