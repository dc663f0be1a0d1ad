"""The candidates of a doped slab: counted exactly, numbered without being listed, found under symmetry.

A candidate's x names what it is, not where it stands in the space: the rank of its decoration (or composition) among
all with 0 to `count.max` dopants, so that what leaves the space, such as a dopant turned back, has an x too.
Candidates are ordered by number of dopants, pattern, elements, and rank.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from campaign.spaces.base import Floats, Ints, index_chunks
from campaign.spaces.slab import designs
from campaign.spaces.slab.arrangements import Arrangements, CannotDrawError
from campaign.spaces.slab.hosts import Host
from campaign.spaces.slab.numbering import (
    TooManyError,
    binomials,
    set_rank,
    set_unrank,
)
from campaign.spaces.slab.spec import DopedSlab
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design
from lab_io.schema import Column
from lab_io.words import count

if TYPE_CHECKING:
    from pymatgen.core import Structure


class Change(NamedTuple):
    """One dopant atom replaced."""

    site: str | None
    """Name of its site, `M3`; None for a composition, which has no sites."""
    old: str
    """The dopant."""
    new: str
    """What takes its place: another dopant, or the host's element."""
    x: int
    """What comes of it; it may lie outside the space."""


@dataclass(frozen=True, slots=True)
class _Block:
    """The compositions of one pattern, which have equally many candidates each."""

    parts: tuple[int, ...]
    each: int
    start: int
    """Index of the first candidate."""


class SlabSpace(ABC):
    """What spaces of decorations and of compositions share.

    Args:
        spec: what stands under `space:`.
        host: the slab.

    Raises:
        InvalidInput: there are more dopants than sites, no candidates, or too many.
    """

    columns: tuple[str, ...] = ("structure",)
    components: tuple[str, ...] = ()
    _design: str
    """The one design variable."""

    def __init__(self, spec: DopedSlab, host: Host) -> None:
        self.spec, self.host = spec, host
        self.dopants = tuple(sorted(spec.dopants))
        self._most = spec.count.max
        if self._most > len(host.sites):
            what = f"{self._most} dopants do not fit on {count(len(host.sites), 'site')} of {host.element}"
            raise InvalidInput(Problem("space.count.max", what, f"write at most {len(host.sites)}, or a larger cell"))
        self._choose = binomials(len(self.dopants) + self._most, self._most)
        self._arrangements = Arrangements(host.group, spec.per_composition, host.fingerprint)
        try:
            self._number()
            for parts in self._taken_from():
                self._arrangements.check(parts)
        except TooManyError as error:
            raise InvalidInput(Problem("space", str(error), "use fewer dopants, a smaller count or cell")) from None
        except CannotDrawError as error:
            raise InvalidInput(Problem("space.per_composition", str(error), "write that, or less")) from None
        blocks, start = [], 0
        for parts in spec.patterns():
            if each := self._each(parts):
                blocks.append(_Block(parts, each, start))
                start += each * math.comb(len(self.dopants), len(parts))
        self._blocks = blocks
        self._starts = np.array([block.start for block in blocks])
        self._count = start
        self._check_count()

    @property
    def count(self) -> int:
        """Exact number of candidates."""
        return self._count

    def __len__(self) -> int:
        return self._count

    @property
    @abstractmethod
    def structure_count(self) -> int:
        """Number of structures of all candidates."""

    @property
    def unique_decorations(self) -> int:
        """Decorations of all compositions of the space that symmetry leaves different, taken or not."""
        return sum(
            self._arrangements.unique(block.parts) * math.comb(len(self.dopants), len(block.parts))
            for block in self._blocks
        )

    def strata(self) -> dict[str, int]:
        """Number of candidates by number of dopant atoms: `{"2 dopants": 270, "3 dopants": 1965}`."""
        found: Counter[str] = Counter()
        for block in self._blocks:
            found[_stratum(sum(block.parts))] += block.each * math.comb(len(self.dopants), len(block.parts))
        return dict(found)

    def X(self, indices: Ints) -> Floats:  # noqa: N802 - the field's word for a design matrix
        """The x of each candidate at `indices` [n], [n, 1]."""
        x = np.empty(len(indices))
        at = self._block_of(indices)
        for b in np.unique(at).tolist():
            block, here = self._blocks[b], at == b
            numbers, within = np.divmod(indices[here] - block.start, block.each)
            different, which = np.unique(numbers, return_inverse=True)
            codes = set_unrank(different, len(block.parts), self._choose)
            x[here] = self._members(block.parts, codes)[which, within]
        return x[:, None]

    def stratum(self, indices: Ints) -> list[str]:
        """`2 dopants` for each index."""
        names = [_stratum(sum(block.parts)) for block in self._blocks]
        return [names[b] for b in self._block_of(indices)]

    def candidate(self, index: int) -> Candidate:
        """The candidate at a position."""
        return self.candidate_of(int(self.X(np.array([index]))[0, 0]))

    def candidate_of(self, x: int) -> Candidate:
        """The candidate of an x, whether the space holds it or not.

        Raises:
            ValueError: there is no such x.
        """
        text = self._text(x)
        content = f"{self.host.fingerprint}|{self._design}|{text}"
        identity = hashlib.sha256(content.encode()).hexdigest()[:20]
        return Candidate(identity, {self._design: text}, _stratum(len(self._codes(x))))

    def chunks(self, size: int = 65_536) -> Iterator[Ints]:
        """All positions, in order, `size` at a time."""
        return index_chunks(self._count, size)

    def locate(self, design: Design) -> int | None:
        """Position of a design or of a symmetric equivalent; None when the space does not hold it."""
        try:
            return self.find(self._read(design))
        except InvalidInput:
            return None

    def find(self, x: int) -> int | None:
        """Position of the candidate of an x; None when the space does not hold it."""
        codes = self._codes(x)
        kinds, parts = np.unique(codes, return_counts=True)
        for block in self._blocks:
            if block.parts == tuple(parts.tolist()):
                members = self._members(block.parts, kinds[None])[0]
                at = int(np.searchsorted(members, x))
                if at < len(members) and members[at] == x:
                    return block.start + int(set_rank(kinds, self._choose)) * block.each + at
        return None

    def allows(self, x: int) -> bool:
        """Whether count, distinct_elements and repeats allow what x names, even where its decoration is not taken.

        Raises:
            ValueError: there is no such x.
        """
        return self.spec.allows(np.unique(self._codes(x), return_counts=True)[1].tolist())

    def design_candidate(self, design: Design) -> Candidate:
        """The candidate of any design with at most `count.max` dopants, whether the space holds it or not.

        Raises:
            InvalidInput: the column is missing, or its text is no decoration (or composition) of this host.
        """
        return self.candidate_of(self._read(design))

    def x_of(self, design: Design) -> Floats:
        """The x of any design with at most `count.max` dopants, [1].

        Raises:
            InvalidInput: as `design_candidate`.
        """
        return np.array([float(self._read(design))])

    def neighbours(self, index: int) -> Ints:
        """Positions, ascending, of the candidates with another element in place of one dopant atom."""
        changes = self.swaps(int(self.X(np.array([index]))[0, 0]))
        found = {at for change in changes if (at := self.find(change.x)) is not None}
        return np.array(sorted(found), dtype=np.int64)

    def side_scale(self) -> tuple[Floats, Floats]:
        """0 and 1: x is a name, and nothing is measured along it."""
        return np.zeros(1), np.ones(1)

    def coordinates(self, X: Floats) -> Floats:
        """Halves of the shares of the sites that each element has, the host's first; arrangement is left out."""
        codes = [self._codes(int(x)) for x in X[:, 0]]
        shares = np.array([np.bincount(c, minlength=len(self.dopants)) for c in codes]).reshape(
            len(X), len(self.dopants)
        )
        sites = len(self.host.sites)
        return np.hstack([sites - shares.sum(axis=1, keepdims=True), shares]) / (2 * sites)

    @property
    def elements(self) -> tuple[str, ...]:
        """The host's element and the dopants, as in `coordinates`."""
        return (self.host.element, *self.dopants)

    def constituents(self, x: Floats) -> tuple[str, ...]:
        """The dopants present."""
        return tuple(dict.fromkeys(self.dopants[c] for c in sorted(self._codes(int(x[0])))))

    def side_columns(self) -> tuple[Column, ...]:
        """One column of text, `decoration` or `dopants`."""
        return (Column(self._design, "category"),)

    def numeric_ranges(self) -> tuple[tuple[str, float, float], ...]:
        """Empty: x is a name."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """The size of the sublattice and its group, and a warning where arrangement means nothing."""
        sites, group = self.host.group.shape[1], len(self.host.group)
        operations = count(group, "symmetry operation")
        unique = f"{self.unique_decorations:,} of the decorations differ by symmetry"
        notes = [f"{sites} {self.host.element} sites under {operations}: {unique}"]
        if self.host.all_adjacent:
            what = "in this cell every site of a layer is next to every other, so arrangement says no more than"
            notes.append(f"warning: {what} composition; use a larger lateral cell, such as 4 x 3")
        return tuple(notes)

    def fingerprint(self) -> str:
        """SHA-256 of the specification and the host."""
        text = json.dumps(self.spec.model_dump(mode="json"), sort_keys=True) + self.host.fingerprint
        return hashlib.sha256(text.encode()).hexdigest()

    def formula(self, x: int) -> str:
        """All atoms of a candidate: `Co10 Ti1 Zn1 O24 H12`."""
        return " ".join(f"{element}{n}" for element, n in self._amounts(x).items())

    def substitutions(self, x: int) -> tuple[tuple[str, str], ...]:
        """(host's element, dopant) for each dopant of a candidate, once: `(("Co", "Ti"), ("Co", "Zn"))`."""
        return tuple((self.host.element, dopant) for dopant in self.constituents(np.array([x])))

    @abstractmethod
    def structures(self, x: int) -> tuple[Structure, ...]:
        """The structure of a candidate, or the ensemble that it is; see `StructureSpace`.

        Raises:
            ValueError: there is no such x.
        """

    @abstractmethod
    def reversion(self, x: int) -> list[Change]:
        """Each dopant atom turned back into the host's element.

        Raises:
            ValueError: there is no such x.
        """

    @abstractmethod
    def swaps(self, x: int) -> list[Change]:
        """Each dopant atom replaced by each other dopant.

        Raises:
            ValueError: there is no such x.
        """

    @abstractmethod
    def _number(self) -> None:
        """Prepare the ranks."""

    @abstractmethod
    def _taken_from(self) -> list[tuple[int, ...]]:
        """Patterns of which decorations may be taken."""

    @abstractmethod
    def _each(self, parts: tuple[int, ...]) -> int:
        """Candidates of one composition of a pattern."""

    @abstractmethod
    def _members(self, parts: tuple[int, ...], codes: Ints) -> Ints:
        """The x of each candidate of some compositions, ascending: codes of their elements [c, r] -> [c, each]."""

    @abstractmethod
    def _codes(self, x: int) -> Ints:
        """Codes of the dopant atoms of a candidate."""

    @abstractmethod
    def _text(self, x: int) -> str:
        """The design of a candidate."""

    @abstractmethod
    def _read(self, design: Design) -> int:
        """The x of a design."""

    def _draw(self, parts: tuple[int, ...], codes: Ints) -> tuple[Ints, Ints]:
        """Sites [q, k] and codes [q, k] of the decorations that the composition of some elements takes."""
        elements = [self.dopants[c] for c, part in zip(codes, parts, strict=True) for _ in range(part)]
        sites, kinds = self._arrangements.take(parts, designs.composition_text(elements))
        return sites, codes[kinds]

    def _block_of(self, indices: Ints) -> Ints:
        return np.searchsorted(self._starts, indices, side="right") - 1

    def _amounts(self, x: int) -> dict[str, int]:
        """Element -> atoms: what is left of the sublattice's element, the dopants, and the rest of the host."""
        codes = self._codes(x)
        host = Counter(site.specie.symbol for site in self.host.structure)
        amounts = {self.host.element: host.pop(self.host.element) - len(codes)}
        for element, n in [*sorted(Counter(self.dopants[c] for c in codes).items()), *host.items()]:
            amounts[element] = amounts.get(element, 0) + n
        return {element: n for element, n in amounts.items() if n}

    def _check_count(self) -> None:
        if not self._count:
            what = "no number of dopants and of different elements satisfies count, distinct_elements and repeats"
            raise InvalidInput(Problem("space.count", what, "loosen one of them"))
        if self.structure_count > self.spec.max_candidates:
            what = f"{self.structure_count:,} structures are more than max_candidates, {self.spec.max_candidates:,}"
            raise InvalidInput(Problem("space.max_candidates", what, "write a smaller per_composition, or allow more"))


def row(values: Sequence[int]) -> Ints:
    """Whole numbers as one row, [1, k]."""
    return np.array(values, dtype=np.int64).reshape(1, -1)


def _stratum(dopants: int) -> str:
    """`2 dopants`."""
    return count(dopants, "dopant")
