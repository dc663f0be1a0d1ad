"""Arrangements: which sites take the first, the second, ... element of a composition, up to symmetry.

The arrangements of a pattern (how many atoms of each element, in the order of the elements' codes) serve every
composition of that pattern: least arrangements stay least decorations, for codes keep the order of the kinds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np

from campaign.spaces.base import Ints
from campaign.spaces.slab.numbering import Decorations, binomials, set_unrank
from campaign.spaces.slab.symmetry import Orbits, labelled

LISTED = 200_000
"""A pattern with more labelled arrangements is drawn from at random instead of listed."""


class CannotDrawError(ValueError):
    """A pattern has too many arrangements to list, and too many of them are wanted to draw them."""


class Arrangements:
    """The arrangements on the sites of a host.

    Args:
        group: permutations of the sites, [g, n].
        wanted: how many arrangements of each composition; None for all.
        salt: what the draws depend on beside the composition: the fingerprint of the host.
    """

    def __init__(self, group: Ints, wanted: int | None, salt: str) -> None:
        self._group, self._wanted, self._salt = group, wanted, salt
        self._orbits = Orbits(group)
        self._sets: dict[int, Ints] = {}
        self._lists: dict[tuple[int, ...], tuple[Ints, Ints]] = {}

    @property
    def sites(self) -> int:
        """Number of sites."""
        return self._group.shape[1]

    def unique(self, parts: Sequence[int]) -> int:
        """Exact number of arrangements of a pattern that differ."""
        return self._orbits.unique(parts)

    def taken(self, parts: Sequence[int]) -> int:
        """How many of them a composition takes."""
        return self.unique(parts) if self._wanted is None else min(self._wanted, self.unique(parts))

    def check(self, parts: Sequence[int]) -> None:
        """Make sure that `take` can do this pattern.

        Raises:
            CannotDrawError: it has more than 200,000 labelled arrangements, and more than an eighth of the different
                ones are wanted.
        """
        most = self.unique(parts) // 8
        if labelled(self.sites, parts) > LISTED and self.taken(parts) > most:
            what = f"{labelled(self.sites, parts):,} arrangements of {sum(parts)} dopants are too many to list"
            raise CannotDrawError(f"{what}; at most {most:,} of each composition can be drawn")

    def take(self, parts: tuple[int, ...], composition: str) -> tuple[Ints, Ints]:
        """The arrangements that a composition takes, always the same, in order of rank.

        Args:
            parts: atoms of each kind; the kinds are numbered in the order of the elements' codes.
            composition: its name, which the draw starts from.

        Returns:
            Ascending sites [q, k], and the kinds [q, k] on them.
        """
        digest = hashlib.sha256(f"{self._salt}|{composition}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        q = self.taken(parts)
        if labelled(self.sites, parts) > LISTED:
            return self._random(parts, q, rng)
        sites, kinds = self._listed(parts)
        if q == len(sites):
            return sites, kinds
        chosen = np.sort(rng.choice(len(sites), q, replace=False, shuffle=False))
        return sites[chosen], kinds[chosen]

    def _listed(self, parts: tuple[int, ...]) -> tuple[Ints, Ints]:
        """All least arrangements of a pattern, by rank."""
        if parts not in self._lists:
            k = sum(parts)
            sets = self._least_sets(k)  # the arrangements on others are never least
            words = sorted(set(permutations(_kinds(parts))))
            sites = np.repeat(sets, len(words), axis=0)
            kinds = np.array(words * len(sets), dtype=np.int64).reshape(sites.shape)
            ranks = Decorations(self.sites, max(len(parts), 1), k)
            own = ranks.rank(sites, kinds)
            least = ranks.least(sites, kinds, self._group)[0] == own
            self._lists[parts] = sites[least], kinds[least]
        return self._lists[parts]

    def _least_sets(self, k: int) -> Ints:
        """The site sets [s, k] that are least among their images."""
        if k not in self._sets:
            sets = set_unrank(np.arange(math.comb(self.sites, k)), k, binomials(self.sites, k))
            bare = np.zeros_like(sets)
            alone = Decorations(self.sites, 1, k)
            self._sets[k] = sets[alone.least(sets, bare, self._group)[0] == alone.rank(sets, bare)]
        return self._sets[k]

    def _random(self, parts: tuple[int, ...], q: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Different least arrangements, q of them, from random sites."""
        k = sum(parts)
        ranks = Decorations(self.sites, len(parts), k)
        kinds = np.tile(np.array(_kinds(parts), dtype=np.int64), (2 * q, 1))
        found: dict[int, tuple[Ints, Ints]] = {}
        while len(found) < q:
            sites = rng.permuted(np.tile(np.arange(self.sites), (2 * q, 1)), axis=1)[:, :k]
            for rank, *arrangement in zip(*ranks.least(sites, kinds, self._group), strict=True):
                if len(found) < q:
                    found.setdefault(int(rank), (arrangement[0], arrangement[1]))
        order = sorted(found)
        return np.array([found[r][0] for r in order]), np.array([found[r][1] for r in order])


def _kinds(parts: Sequence[int]) -> tuple[int, ...]:
    """(2, 1) -> (0, 0, 1)."""
    return tuple(kind for kind, part in enumerate(parts) for _ in range(part))
