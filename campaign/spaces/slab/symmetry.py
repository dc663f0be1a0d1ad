"""The group of a host's sites, and how many decorations it leaves different, counted without listing them."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from campaign.spaces.base import Ints
from db.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from pymatgen.core import Structure

TOLERANCE = 0.01
"""Å: atoms this close to the image of another are that image."""


@contextmanager
def quiet_spglib() -> Iterator[None]:
    """Without spglib's notice, at every call, that its errors will be raised otherwise one day."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        yield


def site_permutations(structure: Structure, sites: Sequence[int]) -> Ints:
    """What the symmetry operations of a structure do to some of its sites.

    All atoms count, hydrogen too, and the operations are those of the periodic cell as it is (spglib: Togo, Shinohara,
    Tanaka, Sci. Technol. Adv. Mater. Methods 4, 2384822 (2024)). Operations that take one of the sites elsewhere, such
    as a top layer to the bottom, are no permutations and left out.

    Args:
        structure: the host.
        sites: indices [n] of the atoms of the sublattice.

    Returns:
        Different permutations [g, n], identity first: an operation takes what is on site i to site `p[i]`.

    Raises:
        InvalidInput: spglib finds no symmetry, not even the identity.
    """
    import spglib

    lattice = np.array(structure.lattice.matrix)
    cell = (lattice, structure.frac_coords, list(structure.atomic_numbers))
    with quiet_spglib():
        operations = spglib.get_symmetry(cell, symprec=TOLERANCE)
    if operations is None:
        fix = "check that no two atoms are at the same place"
        raise InvalidInput(Problem("space.host", "the symmetry of the slab cannot be found", fix))
    fractions = structure.frac_coords[list(sites)]
    identity = np.arange(len(sites))
    found = [identity]
    for rotation, translation in zip(operations["rotations"], operations["translations"], strict=True):
        apart = (fractions @ rotation.T + translation)[:, None] - fractions[None]
        distance = np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=-1)
        image = distance.argmin(axis=1)
        near = distance[identity, image].max() < 5 * TOLERANCE
        if near and (np.sort(image) == identity).all():
            found.append(image)
    return np.unique(np.array(found, dtype=np.int64), axis=0)


def labelled(sites: int, parts: Sequence[int]) -> int:
    """Ways to put parts[i] atoms of kind i on some sites: n! / (parts[0]! parts[1]! ... (n - k)!)."""
    rest, ways = sites, 1
    for part in parts:
        ways *= math.comb(rest, part)
        rest -= part
    return ways


class Orbits:
    """Numbers of different decorations under a group of permutations [g, n].

    Burnside's lemma: the mean over the group of the decorations that a permutation leaves as they are, which are those
    with one element on each of its cycles (Polya, Acta Math. 68, 145 (1937)).
    """

    def __init__(self, group: Ints) -> None:
        self._types = Counter(_cycles(p) for p in group.tolist())
        self._order = len(group)
        self._known: dict[tuple[int, ...], int] = {}

    def unique(self, parts: Sequence[int]) -> int:
        """Different ways to put parts[i] atoms of kind i on the sites."""
        pattern = tuple(sorted(parts, reverse=True))
        if pattern not in self._known:
            fixed = sum(n * _fixed(lengths, pattern) for lengths, n in self._types.items())
            self._known[pattern] = fixed // self._order
        return self._known[pattern]


def _cycles(permutation: Sequence[int]) -> tuple[int, ...]:
    """Lengths of the cycles, ascending."""
    seen: set[int] = set()
    lengths = []
    for start in permutation:
        at, length = start, 0
        while at not in seen:
            seen.add(at)
            at, length = permutation[at], length + 1
        if length:
            lengths.append(length)
    return tuple(sorted(lengths))


def _fixed(lengths: Sequence[int], parts: tuple[int, ...]) -> int:
    """Ways to give whole cycles to the kinds so that kind i has parts[i] sites; the other cycles stay bare."""
    ways = Counter({parts: 1})
    for length in lengths:
        after = Counter(ways)
        for left, n in ways.items():
            for i, part in enumerate(left):
                if part >= length:
                    after[(*left[:i], part - length, *left[i + 1 :])] += n
        ways = after
    return ways[(0,) * len(parts)]
