"""Doped slabs of which every candidate is one decoration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from campaign.spaces.base import Floats, Ints
from campaign.spaces.slab import designs
from campaign.spaces.slab.numbering import Decorations
from campaign.spaces.slab.space import Change, SlabSpace, row
from db.records import Design

if TYPE_CHECKING:
    from pymatgen.core import Structure


class DecorationSpace(SlabSpace):
    """Every candidate is one decoration: `Ti@M3 Zn@M7`."""

    _design = "decoration"

    @property
    def structure_count(self) -> int:
        """One structure for each candidate."""
        return self._count

    def structures(self, x: int) -> tuple[Structure, ...]:
        """The one structure of a decoration; see `StructureSpace`.

        Raises:
            ValueError: there is no such x.
        """
        sites, codes = self._ranks.unrank(x)
        return (self.host.decorated(sites.tolist(), [self.dopants[c] for c in codes]),)

    def occupied(self, X: Floats) -> Ints:
        """What is on each site of decorations `n x 1`, [n, sites]: 0 for the host's element, i for the i-th dopant.

        Raises:
            ValueError: there is no such x.
        """
        found = np.zeros((len(X), len(self.host.sites)), dtype=np.int64)
        for rows, sites, codes in self._ranks.unrank_all(X[:, 0].astype(np.int64)):
            found[rows[:, None], sites] = codes + 1
        return found

    def reversion(self, x: int) -> list[Change]:
        """Each dopant turned back into the host's element, in order of the sites.

        Raises:
            ValueError: there is no such x.
        """
        sites, codes = self._ranks.unrank(x)
        keep = ~np.eye(len(sites), dtype=bool)
        if not len(sites):
            return []
        fewer = self._least(np.array([sites[kept] for kept in keep]), np.array([codes[kept] for kept in keep]))
        names = [(self.host.site_name(int(s)), self.dopants[c]) for s, c in zip(sites, codes, strict=True)]
        return [Change(*name, self.host.element, after) for name, after in zip(names, fewer, strict=True)]

    def swaps(self, x: int) -> list[Change]:
        """Each dopant replaced by each other dopant at its site, in order of the sites.

        Raises:
            ValueError: there is no such x.
        """
        sites, codes = self._ranks.unrank(x)
        moves = [(i, new) for i in range(len(sites)) for new in range(len(self.dopants)) if new != codes[i]]
        if not moves:
            return []
        after = np.tile(codes, (len(moves), 1))
        after[np.arange(len(moves)), [i for i, _ in moves]] = [new for _, new in moves]
        names = [(self.host.site_name(int(sites[i])), self.dopants[codes[i]], self.dopants[new]) for i, new in moves]
        least = self._least(np.tile(sites, (len(moves), 1)), after)
        return [Change(*name, rank) for name, rank in zip(names, least, strict=True)]

    def placed(self, x: int) -> dict[str, str]:
        """Site -> dopant of a decoration: `{"M3": "Ti", "M7": "Zn"}`.

        Raises:
            ValueError: there is no such x.
        """
        sites, codes = self._ranks.unrank(x)
        return {self.host.site_name(int(s)): self.dopants[c] for s, c in zip(sites, codes, strict=True)}

    def neighbourhood(self, x: int, site: str) -> list[tuple[str, str]]:
        """(site, element) of the nearest sites of the sublattice in the same layer.

        Args:
            x: of a decoration.
            site: its name: `M3`.

        Raises:
            ValueError: there is no such x or site.
        """
        names = [self.host.site_name(i) for i in range(len(self.host.sites))]
        placed = self.placed(x)
        near = np.flatnonzero(self.host.adjacent[names.index(site)]).tolist()
        return [(names[i], placed.get(names[i], self.host.element)) for i in near]

    def _number(self) -> None:
        self._ranks = Decorations(len(self.host.sites), len(self.dopants), self._most)

    def _taken_from(self) -> list[tuple[int, ...]]:
        return self.spec.patterns()

    def _each(self, parts: tuple[int, ...]) -> int:
        return self._arrangements.taken(parts)

    def _members(self, parts: tuple[int, ...], codes: Ints) -> Ints:
        return np.array([self._ranks.rank(*self._draw(parts, elements)) for elements in codes])

    def _codes(self, x: int) -> Ints:
        return self._ranks.unrank(x)[1]

    def _text(self, x: int) -> str:
        sites, codes = self._ranks.unrank(x)
        return designs.decoration_text({int(s): self.dopants[c] for s, c in zip(sites, codes, strict=True)})

    def _read(self, design: Design) -> int:
        text = designs.text_of(design, self._design)
        placed = designs.read_decoration(text, len(self.host.sites), self.host.element, self.dopants, self._most)
        codes = [self.dopants.index(element) for element in placed.values()]
        return self._least(row([*placed]), row(codes))[0]

    def _least(self, sites: Ints, codes: Ints) -> list[int]:
        """The x of some decorations [b, k]: the least rank among their symmetric images."""
        ranks: list[int] = self._ranks.least(sites, codes, self.host.group)[0].tolist()
        return ranks
