"""A host: a slab, the sublattice of it that takes dopants, and what each atom is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from campaign.spaces.base import Floats, Ints
from campaign.spaces.layers import layers_of, running_names, surfaces
from campaign.spaces.slab.symmetry import site_permutations
from campaign.words import listed
from db.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from pymatgen.core import Structure

MAX_ATOMS = 500
"""Atoms of a slab."""
MAX_SITES = 200
"""Sites of a sublattice."""
FIRST_SHELL = 1.2
"""Sites of a layer closer than this many times the least distance are neighbours."""


@dataclass(frozen=True, eq=False)
class Host:
    """A slab and its sublattice. Sites are called M1, M2, ... from the top layer down, then along b, then along a."""

    structure: Structure
    element: str
    """Of the sublattice, before doping."""
    sites: tuple[int, ...]
    """Index in the structure of M1, M2, ..."""
    names: tuple[str, ...]
    """Of every atom: `M3` on the sublattice, else `O12`."""
    layers: Ints
    """Of every atom, 0 = top."""
    surface: NDArray[np.bool_]
    adsorbate: NDArray[np.bool_]
    fingerprint: str
    """Of all that the host is made from."""

    @cached_property
    def group(self) -> Ints:
        """Permutations [g, n] of the sites under the symmetry of the slab with all its atoms."""
        return site_permutations(self.structure, self.sites)

    @cached_property
    def adjacent(self) -> NDArray[np.bool_]:
        """Which sites are nearest neighbours in their layer, [n, n], through the periodic boundary too."""
        sites, layers = list(self.sites), self.layers[list(self.sites)]
        distance: Floats = np.array(self.structure.lattice.get_all_distances(*[self.structure.frac_coords[sites]] * 2))
        pairs = (layers[:, None] == layers[None]) & ~np.eye(len(sites), dtype=bool)
        return pairs & (distance < FIRST_SHELL * distance[pairs].min(initial=np.inf))

    @property
    def all_adjacent(self) -> bool:
        """Whether there is no way to place two dopants of a layer apart."""
        layers = self.layers[list(self.sites)]
        pairs = (layers[:, None] == layers[None]) & ~np.eye(len(layers), dtype=bool)
        return bool(pairs.any()) and bool(self.adjacent[pairs].all())

    def site_name(self, site: int) -> str:
        """`M3` for the site at position 2."""
        return f"M{site + 1}"

    def is_surface(self, name: str) -> bool:
        """Whether a site of the sublattice, by its name, belongs to the surface."""
        return bool(self.surface[self.sites[int(name[1:]) - 1]])

    def decorated(self, sites: Sequence[int], dopants: Sequence[str]) -> Structure:
        """The host with dopants on some sites, and for every atom its label, layer and what it is.

        Args:
            sites: positions (0 for M1) in the sublattice.
            dopants: symbol of the element on each.

        Returns:
            A structure in the order of the host, with the site properties `label` (`Ti@M3`, `Co@M4`, `O12`),
            `dopant`, `sublattice`, `surface`, `adsorbate` (bool) and `layer` (int, 0 = top).
        """
        from pymatgen.core import Structure

        placed = {self.sites[site]: symbol for site, symbol in zip(sites, dopants, strict=True)}
        symbols = [placed.get(i, site.specie.symbol) for i, site in enumerate(self.structure)]
        on = set(self.sites)
        labels = [
            f"{symbol}@{name}" if i in on else name
            for i, (symbol, name) in enumerate(zip(symbols, self.names, strict=True))
        ]
        properties = {
            "label": labels,
            "dopant": [i in placed for i in range(len(symbols))],
            "sublattice": [i in on for i in range(len(symbols))],
            "surface": self.surface.tolist(),
            "adsorbate": self.adsorbate.tolist(),
            "layer": self.layers.tolist(),
        }
        return Structure(self.structure.lattice, symbols, self.structure.frac_coords, site_properties=properties)


def check_size(atoms: int) -> None:
    """Refuse slabs that are too large.

    Raises:
        InvalidInput: there are more than 500 atoms.
    """
    if atoms > MAX_ATOMS:
        what = f"the slab has {atoms:,} atoms, at most {MAX_ATOMS} can be"
        raise InvalidInput(Problem("space.host", what, "use a smaller or thinner cell"))


def host_of(structure: Structure, adsorbed: int, element: str, layers_from_top: int | None, fingerprint: str) -> Host:
    """Find the sublattice of a slab and name its atoms.

    Args:
        structure: the slab.
        adsorbed: how many of its last atoms are an adsorbate.
        element: of the sublattice.
        layers_from_top: how many layers of it; None for all.
        fingerprint: of what the slab and its sublattice are made from.

    Raises:
        InvalidInput: the slab has no such element or layer, or is too large.
    """
    n = len(structure)
    check_size(n)
    symbols = np.array([site.specie.symbol for site in structure])
    adsorbate = np.arange(n) >= n - adsorbed
    counted = (symbols == element) & ~adsorbate
    if not counted.any():
        held = listed(list(dict.fromkeys(symbols[~adsorbate].tolist())))
        what = f"the host has no {element}: it is made of {held}"
        raise InvalidInput(Problem("space.sites.element", what, "name the element that dopants replace"))
    layers, vacuum = layers_of(structure, counted)
    deepest = int(layers[counted].max()) + 1
    if layers_from_top is not None and layers_from_top > deepest:
        what = f"the host has {deepest} of the {layers_from_top} layers of {element}"
        raise InvalidInput(Problem("space.sites.layers_from_top", what, f"write at most {deepest}, or leave it out"))
    chosen = np.flatnonzero(counted & (layers < (layers_from_top or deepest)))
    if len(chosen) > MAX_SITES:
        what = f"{len(chosen):,} sites of {element} are too many, at most {MAX_SITES} can be doped"
        raise InvalidInput(Problem("space.sites", what, "use a smaller cell, or layers_from_top"))
    places = np.round((structure.frac_coords[chosen] + 1e-4) % 1.0, 3)
    sites = chosen[np.lexsort((places[:, 0], places[:, 1], layers[chosen]))].tolist()
    names = running_names(symbols.tolist())
    for number, atom in enumerate(sites, start=1):
        names[atom] = f"M{number}"
    return Host(
        structure=structure,
        element=element,
        sites=tuple(sites),
        names=tuple(names),
        layers=layers,
        surface=surfaces(layers, vacuum, adsorbate),
        adsorbate=adsorbate,
        fingerprint=fingerprint,
    )
