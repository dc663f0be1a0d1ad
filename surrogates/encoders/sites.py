"""Structures as bags of sites: features from a frozen potential, kept by content, and the choice of sites."""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterable, MutableMapping, Sequence, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Structure
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from surrogates.bags import Bags
from surrogates.encoders.potentials import Potential, SiteFeatures, require_ordered

DECIMALS = 6
"""Lattice vectors (angstrom) and fractional coordinates are told apart to this many decimals."""
CHUNK = 8
"""Structures that a worker encodes at a time; what a sudden end loses of each."""
BATCH = 1024
"""Structures looked up at a time, and held in memory."""
ALONE = 32
"""Fewer missing structures than this are encoded without worker processes, which take seconds to start."""

Cache = MutableMapping[str, Tensor]
Progress = Callable[[int, int | None, int], None]
"""Told how many structures are done, of how many (None if that is unknown), and how many were not in the cache."""
Which = Literal["all", "sublattice", "dopants", "surface", "near"]


def structure_key(structure: Structure) -> str:
    """SHA-256 of the lattice, the elements and the fractional coordinates in their order, rounded to six decimals.

    Images of a site are one; site properties, oxidation states and the like, which no potential reads, do not count.

    Raises:
        ValueError: a site is partly occupied.
    """
    require_ordered(structure)
    lattice = np.round(structure.lattice.matrix, DECIMALS) + 0.0  # -0 and 0 are one
    coordinates = np.round(structure.frac_coords, DECIMALS) % 1.0
    whole = np.round(coordinates * 10**DECIMALS).astype(np.int64) % 10**DECIMALS
    numbers = np.array(structure.atomic_numbers, dtype=np.int64)
    return hashlib.sha256(lattice.tobytes() + numbers.tobytes() + whole.tobytes()).hexdigest()


def stream_sites(
    structures: Iterable[Structure],
    potential: Potential,
    cache: Cache,
    workers: int = 2,
    progress: Progress | None = None,
) -> Generator[SiteFeatures, None, None]:
    """Features of structures, in order, a batch of 1,024 in memory at a time.

    What the cache lacks is encoded, once where structures are equal, in chunks of 8 over worker processes, and stored
    chunk by chunk; what vanishes from the cache before it is read is encoded again. An exception, KeyboardInterrupt
    included, waits for the chunks that are being encoded and stores them too. The result does not depend on the number
    of workers. Workers are started afresh, so a script that encodes must start under `if __name__ == "__main__":`.

    Args:
        structures: any number; they may be made as they are needed.
        potential: what encodes; it is sent to the workers with every chunk.
        cache: key (SHA-256 of the structure's and the potential's) -> tensor `(N + 1) x width`, float32: the features
            of the N sites, and a last row that begins with the energy.
        workers: processes; with 1, or where fewer than 32 structures of a batch are missing, none are started.
        progress: called after every chunk.

    Raises:
        ValueError: workers is below 1, or of the potential.
        BrokenProcessPool: a worker came to a sudden end.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    total = len(structures) if isinstance(structures, Sized) else None
    rest = iter(structures)
    done = new = 0

    def advance(found: int, encoded: int) -> None:
        nonlocal done, new
        done, new = done + found + encoded, new + encoded
        if progress is not None:
            progress(done, total, new)

    def store(part: dict[str, Tensor]) -> None:
        cache.update(part)
        advance(0, len(part))

    name = potential.name
    with _Crew(potential, workers) as crew:
        while batch := list(islice(rest, BATCH)):
            keys = [hashlib.sha256(f"{structure_key(s)} {name}".encode()).hexdigest() for s in batch]
            missing = {key: s for key, s in zip(keys, batch, strict=True) if key not in cache}
            advance(len(batch) - len(missing), 0)
            crew.encode(missing, store)
            known = dict(zip(keys, batch, strict=True))
            again: dict[str, Tensor] = {}
            for key in keys:
                if key not in again:
                    try:
                        yield _unpack(cache[key])
                        continue
                    except KeyError:  # its file has vanished since; what was in it is encoded again, all at once
                        gone = {other: s for other, s in known.items() if other == key or other not in cache}
                        crew.encode(gone, again.update)
                        cache.update(again)
                yield _unpack(again[key])


def encode_sites(
    structures: Sequence[Structure],
    potential: Potential,
    cache: Cache,
    workers: int = 2,
    progress: Progress | None = None,
) -> list[SiteFeatures]:
    """Features of structures, in order; everything as `stream_sites`, which holds less in memory."""
    return list(stream_sites(structures, potential, cache, workers, progress))


@dataclass(frozen=True)
class SiteChoice:
    """Which sites of a structure form its bag. All sites are seen by the potential, whichever are chosen.

    Sites are told by their properties: `sublattice` (where dopants may be), `dopant`, `surface`, `adsorbate`, each true
    or false; a structure without the property `adsorbate` has no adsorbate.

    Raises:
        ValueError: there is no such choice, or the cutoff is not above 0.
    """

    which: Which = "all"
    """`all` sites; the `sublattice`; the `dopants`; the `surface`; `near`: dopants, and what is within the cutoff of a
    dopant or an adsorbate."""
    cutoff: float = 3.5
    """Angstrom, between nearest periodic images; of `near` only."""
    adsorbates: bool = True
    """Whether the sites of adsorbates are in the bag whichever sites are chosen, or never, even with `all`."""

    def __post_init__(self) -> None:
        if self.which not in get_args(Which):
            raise ValueError(f"sites must be one of {', '.join(get_args(Which))}, not {self.which!r}")
        if not (math.isfinite(self.cutoff) and self.cutoff > 0):
            raise ValueError(f"cutoff must be a distance above 0 angstrom, not {self.cutoff}")

    def sites(self, structure: Structure) -> NDArray[np.int64]:
        """Positions of the chosen sites, ascending.

        Raises:
            ValueError: the structure lacks a property that the choice reads, or has no such site.
        """
        adsorbate = self._flags(structure, "adsorbate", needed=False)
        match self.which:
            case "all":
                chosen = np.ones(len(structure), dtype=bool)
            case "near":
                chosen = self._near(structure, self._flags(structure, "dopant") | adsorbate)
            case "dopants":
                chosen = self._flags(structure, "dopant")
            case _:
                chosen = self._flags(structure, self.which)
        chosen = chosen | adsorbate if self.adsorbates else chosen & ~adsorbate
        if not chosen.any():
            raise ValueError(f"{structure.formula} has no site of the choice {self.which!r}; consider 'sublattice'")
        return np.flatnonzero(chosen)

    def _flags(self, structure: Structure, name: str, needed: bool = True) -> NDArray[np.bool_]:
        values = [site.properties.get(name) for site in structure]
        if needed and any(value is None for value in values):
            raise ValueError(
                f"{structure.formula} has sites without the property {name!r}, true or false, which the choice "
                f"{self.which!r} reads"
            )
        return np.array([bool(value) for value in values])

    def _near(self, structure: Structure, anchors: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if not anchors.any():
            return anchors
        coordinates = structure.frac_coords
        distances = structure.lattice.get_all_distances(coordinates[anchors], coordinates)
        return np.asarray((distances <= self.cutoff).any(axis=0))


@dataclass(frozen=True, eq=False)
class SiteBag:
    """The chosen sites of one candidate."""

    features: Tensor
    """`k x d`, float32."""
    weight: float
    """Of each site: 1 over the number of decorations."""
    labels: tuple[str, ...]
    """Names of the `k` sites."""
    energy: float
    """eV/atom, the mean over the decorations."""
    part: Tensor
    """Which of the decorations each site is of, `k`, from 0 on."""

    @classmethod
    def of(cls, structures: Sequence[Structure], features: Sequence[SiteFeatures], choice: SiteChoice) -> SiteBag:
        """The union of the chosen sites of a candidate's decorations.

        Raises:
            ValueError: there is no decoration, features are of another number of sites, a site lacks the property
                `label`, or as of the choice.
        """
        if not structures:
            raise ValueError("a candidate must have at least one structure")
        parts, labels, sizes = [], [], []
        for structure, encoded in zip(structures, features, strict=True):
            if len(encoded.features) != len(structure):
                raise ValueError(
                    f"{structure.formula} has {len(structure)} sites and features of {len(encoded.features)}"
                )
            chosen = choice.sites(structure)
            parts.append(encoded.features[torch.from_numpy(chosen)])
            sizes.append(len(chosen))
            for site in chosen.tolist():
                label = structure[site].properties.get("label")
                if label is None:
                    raise ValueError(f"site {site} of {structure.formula} lacks the property 'label', its name")
                labels.append(str(label))
        energy = sum(encoded.energy for encoded in features) / len(structures)
        part = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        return cls(torch.cat(parts), 1 / len(structures), tuple(labels), energy, part)


def site_bags(
    structures: Sequence[tuple[Structure, ...]],
    features: Iterable[SiteFeatures],
    choice: SiteChoice,
    stratum: Sequence[str] | None = None,
) -> Bags:
    """Candidates as bags of sites; one of k decorations is the union of their sites, each of weight 1/k.

    Args:
        structures: the decorations of each of `n` candidates, with site properties `label` and what the choice reads.
        features: of all the structures, one after the other.
        choice: of the sites.
        stratum: of each candidate; by default all are in "".

    Raises:
        ValueError: as of SiteBag, or the structures and the features are not equally many.
    """
    rest = iter(features)
    found = [(group, list(islice(rest, len(group)))) for group in structures]
    spare = sum(1 for _ in rest)
    have = sum(len(encoded) for _, encoded in found) + spare
    if spare or have != sum(len(group) for group in structures):
        raise ValueError(f"{sum(len(group) for group in structures)} structures and features of {have}")
    return padded([SiteBag.of(group, encoded, choice) for group, encoded in found], stratum)


def padded(bags: Sequence[SiteBag], stratum: Sequence[str] | None = None, parts: int | None = None) -> Bags:
    """Bags of different numbers of sites in one; where there is no site the label is "".

    Args:
        bags: of each candidate.
        stratum: of each candidate; by default all are in "".
        parts: how many decorations a candidate has at most, where they are to be the parts of its bag, so that the mean
            of their predictions is predicted; by default the bag is their union.

    Raises:
        ValueError: there is no bag, or as of Bags.
    """
    if not bags:
        raise ValueError("there must be at least one candidate")
    counts = torch.tensor([len(bag.labels) for bag in bags])
    width = int(counts.max())
    mask = torch.arange(width) < counts.unsqueeze(1)
    found = Bags.of(
        pad_sequence([bag.features for bag in bags], batch_first=True),
        mask=mask,
        weights=mask * torch.tensor([[bag.weight] for bag in bags]),
        labels=tuple(bag.labels + ("",) * (width - len(bag.labels)) for bag in bags),
        stratum=stratum,
    )
    if parts is None:
        return found
    return replace(found, part=pad_sequence([bag.part for bag in bags], batch_first=True), parts=parts)


class _Crew:
    """Encodes structures here or, from the first batch that is worth it on, in worker processes."""

    def __init__(self, potential: Potential, workers: int) -> None:
        self.potential = potential
        self.workers = workers
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def encode(self, missing: dict[str, Structure], store: Callable[[dict[str, Tensor]], None]) -> None:
        """Encode structures by key, and store every chunk as soon as it is done."""
        keys = list(missing)
        chunks = [{key: missing[key] for key in keys[i : i + CHUNK]} for i in range(0, len(keys), CHUNK)]
        if self.pool is None and (self.workers == 1 or len(missing) < ALONE):
            for chunk in chunks:
                store(_encode(self.potential, chunk))
            return
        if self.pool is None:
            spawn: Any = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(self.workers, spawn, initializer=_begin)
        rest = iter(chunks)
        futures: set[Future[dict[str, Tensor]]] = set()
        try:
            while True:  # no more than the workers can begin at once, so that an interruption ends soon
                idle = self.workers - len(futures)
                futures |= {self.pool.submit(_encode, self.potential, chunk) for chunk in islice(rest, idle)}
                if not futures:
                    return
                for future in wait(futures, return_when=FIRST_COMPLETED).done:
                    futures.remove(future)
                    store(future.result())
        except BrokenProcessPool as error:
            raise BrokenProcessPool(
                "a worker process came to a sudden end: too little memory, or a script that encodes without starting "
                "under `if __name__ == '__main__':`; with workers=1 there are no such processes"
            ) from error
        except BaseException:
            for future in futures:
                if future.exception() is None:
                    store(future.result())
            raise


def _begin() -> None:
    """Make a worker ready; an interruption is for the parent to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _encode(potential: Potential, chunk: dict[str, Structure]) -> dict[str, Tensor]:
    return dict(zip(chunk, map(_pack, potential(list(chunk.values()))), strict=True))


def _pack(encoded: SiteFeatures) -> Tensor:
    """Features and energy in one tensor, `(N + 1) x width`."""
    last = encoded.features.new_zeros(1, encoded.features.shape[1])
    last[0, 0] = encoded.energy
    return torch.cat([encoded.features, last])


def _unpack(packed: Tensor) -> SiteFeatures:
    return SiteFeatures(packed[:-1], float(packed[-1, 0]))
