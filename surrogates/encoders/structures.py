"""Candidates that are structures, as an encoder: X is the candidate's number, its sites are encoded when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain, islice, tee

from pymatgen.core import Structure
from torch import Tensor

from surrogates.bags import Bags
from surrogates.encoders.pool import contents, known_designs, whole_numbers
from surrogates.encoders.potentials import Potential
from surrogates.encoders.shelf import BagShelf
from surrogates.encoders.sites import Progress, SiteBag, SiteChoice, padded, stream_sites

SHELVED = 1024
"""Most bags that are shelved at a time; what a sudden end costs is to make that many again of kept features."""


@dataclass(frozen=True, eq=False)
class SiteEncoder:
    """Numbers of candidates as bags of their sites.

    What was encoded once stays in memory, only the chosen sites: 100 MB for 17,500 candidates of 24 sites.
    """

    structures: Callable[[int], tuple[Structure, ...]]
    """The decorations of a candidate, with the site properties that the choice reads."""
    potential: Potential
    """What encodes a site."""
    choice: SiteChoice = field(default_factory=SiteChoice)
    """The sites that form a bag."""
    cache: MutableMapping[str, Tensor] = field(default_factory=dict)
    """Where features of all sites are kept, as of `stream_sites`."""
    workers: int = 2
    """Processes that encode."""
    parts: int | None = None
    """How many decorations a candidate has at most, where the mean of their predictions is to be predicted; None where
    they are seen as one, the union of their sites."""
    outline: Callable[[Sequence[int]], tuple[Tensor, ...]] | None = None
    """The outlines of candidates, tables `n x m`; see `Bags`. By default they have none."""
    shelf: BagShelf | None = None
    """Where bags are kept that were made before, here or by another process; by default they are not."""
    _bags: dict[int, SiteBag] = field(default_factory=dict, init=False, repr=False)
    _known: dict[bytes, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.shelf is not None:
            self._take(self.shelf.load())

    def __call__(self, X: Tensor, stratum: Sequence[str] | None = None) -> Bags:
        """The bags of candidates `... x 1`, leading dimensions flattened; all are in stratum "" unless said.

        Raises:
            ValueError: X has more than one column, or holds what is no whole number; or as of `stream_sites`, SiteBag.
            UnsupportedError: X asks for gradients.
        """
        self.encode(X)
        numbers = whole_numbers(X)
        found = padded([self._bags[x] for x in numbers], stratum, self.parts)
        return found if self.outline is None else replace(found, outline=self.outline(numbers))

    def encode(self, X: Tensor, progress: Progress | None = None) -> None:
        """Encode candidates `... x 1` that were not yet, so that nobody waits for them later.

        Args:
            X: their numbers.
            progress: told how many structures are done, of how many if all candidates have as many as the first, and
                how many of them were not in the cache.

        Raises:
            ValueError: as of a call.
            UnsupportedError: X asks for gradients.
        """
        missing = [x for x in dict.fromkeys(whole_numbers(X)) if x not in self._bags]
        if not missing:
            return
        made: dict[int, SiteBag] = {}
        for x, bag in self._encoded(missing, progress and self._of_all(missing, progress)):
            made[x] = bag
            if len(made) == SHELVED:
                self._keep(made)
                made = {}
        self._keep(made)

    def _keep(self, made: Mapping[int, SiteBag]) -> None:
        if self.shelf is not None:
            self.shelf.add(made)
        self._take(made)

    def _take(self, made: Mapping[int, SiteBag]) -> None:
        numbers = sorted(made)
        for start in range(0, len(numbers), SHELVED):
            some = numbers[start : start + SHELVED]
            for key, x in zip(contents(padded([made[x] for x in some], parts=self.parts)), some, strict=True):
                self._known[key] = min(x, self._known.get(key, x))
        self._bags.update(made)

    def _of_all(self, numbers: Sequence[int], progress: Progress) -> Progress:
        total = len(numbers) * len(self.structures(numbers[0]))
        return lambda done, _, new: progress(done, max(done, total), new)

    @property
    def energies(self) -> dict[int, float]:
        """Energy of each candidate encoded so far, eV/atom, the mean over its decorations."""
        return {x: bag.energy for x, bag in self._bags.items()}

    def designs(self, bags: Bags) -> Tensor:
        """The candidate of each bag, `n x 1`, float64, known by its tensors; the least number where two are equal.

        Raises:
            ValueError: a bag was not encoded here.
        """
        return known_designs(self._known, bags)

    def _encoded(self, numbers: Sequence[int], progress: Progress | None) -> Iterator[tuple[int, SiteBag]]:
        ahead, groups = tee(self.structures(x) for x in numbers)
        flat = chain.from_iterable(ahead)
        with closing(stream_sites(flat, self.potential, self.cache, self.workers, progress)) as features:
            for x, group in zip(numbers, groups, strict=True):
                yield x, SiteBag.of(group, list(islice(features, len(group))), self.choice)
