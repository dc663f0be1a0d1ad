"""Doped slabs of which every candidate is a composition, an ensemble of decorations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from campaign.spaces.base import Ints
from campaign.spaces.slab import designs
from campaign.spaces.slab.numbering import Compositions
from campaign.spaces.slab.space import Change, SlabSpace, row
from campaign.spaces.slab.spec import splits
from db.records import Design

if TYPE_CHECKING:
    from pymatgen.core import Structure


class CompositionSpace(SlabSpace):
    """Every candidate is a composition, `Ti2 Zn1`, and stands for an ensemble of its decorations."""

    _design = "dopants"

    @property
    def structure_count(self) -> int:
        """The decorations of all ensembles."""
        return sum(self._arrangements.taken(b.parts) * math.comb(len(self.dopants), len(b.parts)) for b in self._blocks)

    @property
    def largest_ensemble(self) -> int:
        """Most decorations of a composition, or of what a change of one dopant makes of it."""
        return max(self._arrangements.taken(parts) for parts in self._taken_from())

    def structures(self, x: int) -> tuple[Structure, ...]:
        """The decorations whose ensemble is the candidate; see `StructureSpace`.

        Raises:
            ValueError: there is no such x.
        """
        kinds, parts = np.unique(self._codes(x), return_counts=True)
        drawn = zip(*self._draw(tuple(parts.tolist()), kinds), strict=True)
        return tuple(self.host.decorated(sites.tolist(), [self.dopants[c] for c in codes]) for sites, codes in drawn)

    def reversion(self, x: int) -> list[Change]:
        """One atom of each dopant turned back into the host's element.

        Raises:
            ValueError: there is no such x.
        """
        codes = self._codes(x).tolist()
        return [self._change(codes, old, []) for old in dict.fromkeys(codes)]

    def swaps(self, x: int) -> list[Change]:
        """One atom of each dopant replaced by each other dopant.

        Raises:
            ValueError: there is no such x.
        """
        codes = self._codes(x).tolist()
        others = range(len(self.dopants))
        return [self._change(codes, old, [new]) for old in dict.fromkeys(codes) for new in others if new != old]

    def _change(self, codes: Sequence[int], old: int, new: Sequence[int]) -> Change:
        after = list(codes)
        after.remove(old)
        x = int(self._ranks.rank(row(sorted([*after, *new])))[0])
        return Change(None, self.dopants[old], self.dopants[new[0]] if new else self.host.element, x)

    def _number(self) -> None:
        self._ranks = Compositions(len(self.dopants), self._most)

    def _taken_from(self) -> list[tuple[int, ...]]:
        """Of every pattern, for what a change leads to has an ensemble too."""
        return [parts for k in range(self._most + 1) for parts in splits(k)]

    def _each(self, parts: tuple[int, ...]) -> int:
        return 1

    def _members(self, parts: tuple[int, ...], codes: Ints) -> Ints:
        return self._ranks.rank(np.repeat(codes, np.array(parts, dtype=np.int64), axis=1))[:, None]

    def _codes(self, x: int) -> Ints:
        return self._ranks.unrank(x)

    def _text(self, x: int) -> str:
        return designs.composition_text([self.dopants[c] for c in self._codes(x)])

    def _read(self, design: Design) -> int:
        text = designs.text_of(design, self._design)
        atoms = designs.read_composition(text, self.host.element, self.dopants, self._most)
        return int(self._ranks.rank(row([self.dopants.index(element) for element in atoms]))[0])
