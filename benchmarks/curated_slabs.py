"""Slabs with one adsorbate: those of the per-site study, whose active sites are known, and those to learn from.

Rules, set before any result was seen:

- Curated: slab i of 12 is metal i mod 8 with adsorbate i mod 3, three on (111), three on (100) and so on: every metal
  at least once, every adsorbate twice on either facet, and first the six of the first study. CO stands on top, carbon
  down; H and O lie in hollows, on (111) those of fcc. Experimental lattice constants, nothing strained or rattled.
- To learn from: the other 36 combinations of metal, adsorbate and facet, on every site that ASE names, half of them
  pure and half with 1 to 3 of the nine top atoms swapped for another of the metals; strained along both lateral axes
  by up to 3 %, the adsorbate up to 0.15 Å lower or 0.3 Å higher, every atom moved with an sd of 0.05 Å.
- Height: the least at which no bond to a top atom is shorter than 1.1 (H), 0.9 (CO) or 1.0 (O) times the sum of
  covalent radii (Cordero et al., Dalton Trans. 2008, 2832), which gives Pt-H 1.84, Pt-C 1.91, Pt-O 2.02 Å; but at
  least 0.5 Å.
- Active sites: the atoms of the adsorbate, and top atoms within 1.3 times the sum of covalent radii of one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

METALS = ("Pt", "Cu", "Ni", "Pd", "Ag", "Au", "Rh", "Ir")
ADSORBATES = ("H", "CO", "O")
FACETS = {"fcc111": ("ontop", "bridge", "fcc", "hcp"), "fcc100": ("ontop", "bridge", "hollow")}
CURATED = 12
LAYERS, TOP = 3, 9
METAL = LAYERS * TOP
"""Metal atoms of a slab."""
VACUUM = 20.0
BOND = {"H": 1.1, "CO": 0.9, "O": 1.0}
WITHIN, LOWEST = 1.3, 0.5
STRAIN, LOWER, HIGHER, RATTLE, SWAPS = 0.03, 0.15, 0.30, 0.05, 3
MOLECULES = {"H": ("HH", 0.741), "CO": ("CO", 1.128), "O": ("OO", 1.208)}
"""What an adsorbate comes from, and its bond length in Å; half a molecule of H2 and O2."""


@dataclass(frozen=True, eq=False)
class Slab:
    """A slab of 27 metal atoms, layer by layer from the bottom, and after them the adsorbate."""

    structure: Any
    metal: str
    adsorbate: str
    facet: str
    site: str

    @property
    def system(self) -> str:
        """Metal, facet and adsorbate."""
        return f"{self.metal}({self.facet[3:]})-{self.adsorbate}"

    @property
    def elements(self) -> list[str]:
        """Element of every atom."""
        return [site.specie.symbol for site in self.structure]

    @property
    def truth(self) -> list[bool]:
        """Whether each atom is an active site."""
        radius = radii(self.elements)
        reach = WITHIN * (radius[:METAL, None] + radius[None, METAL:])
        near = (self.structure.distance_matrix[:METAL, METAL:] <= reach).any(1)
        near[: METAL - TOP] = False
        return [*near.tolist(), *[True] * (len(radius) - METAL)]

    @property
    def bare(self) -> Any:
        """The same metal without the adsorbate."""
        return type(self.structure).from_sites(list(self.structure)[:METAL])


def radii(elements: Sequence[str]) -> NDArray[np.float64]:
    """Covalent radii in Å."""
    from ase.data import atomic_numbers, covalent_radii

    return np.array([covalent_radii[atomic_numbers[element]] for element in elements])


def curated() -> list[Slab]:
    """The 12 slabs whose active sites are asked for."""
    names = list(FACETS)
    found = []
    for i in range(CURATED):
        adsorbate, facet = ADSORBATES[i % 3], names[i // 3 % 2]
        site = "ontop" if adsorbate == "CO" else "fcc" if facet == "fcc111" else "hollow"
        found.append(slab(METALS[i % 8], adsorbate, facet, site))
    return found


def training(each: int, every: int, seed: int) -> list[Slab]:
    """Slabs of the systems that are not among the curated, `each` of every site; of those every so many-th."""
    from surrogates.splits import generator

    tested = {found.system for found in curated()}
    found = []
    for metal, adsorbate, facet in product(METALS, ADSORBATES, FACETS):
        if f"{metal}({facet[3:]})-{adsorbate}" in tested:
            continue
        for site, copy in product(FACETS[facet], range(each)):
            rng = generator("curated slabs", seed, metal, adsorbate, facet, site, copy)
            found.append((metal, adsorbate, facet, site, rng, copy % 2 == 1))
    return [slab(*rest, rng, alloyed) for *rest, rng, alloyed in found[::every]]


def slab(
    metal: str, adsorbate: str, facet: str, site: str, rng: torch.Generator | None = None, alloyed: bool = False
) -> Slab:
    """One slab, as it comes or varied at random."""
    from pymatgen.core import Structure

    from campaign.spaces.slab.builders import fcc

    built, _ = fcc(facet, metal, (3, 3, LAYERS), VACUUM, (adsorbate, site))
    elements = [place.specie.symbol for place in built]
    lattice, places, raised = built.lattice.matrix.copy(), built.frac_coords, 0.0
    if rng is not None:
        lattice[:, :2] *= 1 + STRAIN * (2 * torch.rand(2, generator=rng).numpy() - 1)
        raised = float(torch.rand(1, generator=rng)) * (LOWER + HIGHER) - LOWER
    if rng is not None and alloyed:
        others = [other for other in METALS if other != metal]
        partner = others[int(torch.randint(len(others), (1,), generator=rng))]
        swapped = int(torch.randint(1, SWAPS + 1, (1,), generator=rng))
        for i in (METAL - TOP + torch.randperm(TOP, generator=rng)[:swapped]).tolist():
            elements[i] = partner
    plain = Structure(lattice, elements, places)
    positions = plain.cart_coords
    positions[METAL:, 2] += height(plain, BOND[adsorbate]) + raised - (positions[METAL, 2] - positions[METAL - 1, 2])
    if rng is not None:
        positions += RATTLE * torch.randn(positions.shape, generator=rng, dtype=torch.float64).numpy()
    labels = [f"{element}{i + 1}" for i, element in enumerate(elements)]
    made = Structure(lattice, elements, positions, coords_are_cartesian=True, site_properties={"label": labels})
    return Slab(made, metal, adsorbate, facet, site)


def swaps(asked: Slab) -> list[tuple[slice, Any]]:
    """A curated slab with one thing swapped, and which atoms that is: every metal atom, and the adsorbate as a whole.

    A metal atom becomes either of two metals, those two and four places on in `METALS`, which are never left out with
    its own; the adsorbate becomes either of the others, at its own height.
    """
    from pymatgen.core import Structure

    plain, place = asked.structure, METALS.index(asked.metal)
    partners = [METALS[(place + step) % len(METALS)] for step in (2, 4)]
    found: list[tuple[slice, Any]] = []
    for i, partner in product(range(METAL), partners):
        elements = [*asked.elements[:i], partner, *asked.elements[i + 1 :]]
        changed = Structure(plain.lattice, elements, plain.frac_coords, site_properties=plain.site_properties)
        found.append((slice(i, i + 1), changed))
    others = [other for other in ADSORBATES if other != asked.adsorbate]
    rest = slice(METAL, len(plain))
    return found + [(rest, slab(asked.metal, other, asked.facet, asked.site).structure) for other in others]


def height(structure: Any, bond: float) -> float:
    """Least height over the top layer at which the first atom of the adsorbate has no bond that is too short."""
    radius = radii([site.specie.symbol for site in structure])
    gap = structure.cart_coords[METAL, 2] - structure.cart_coords[METAL - 1, 2]
    away = structure.distance_matrix[METAL - TOP : METAL, METAL] ** 2 - gap**2
    length = bond * (radius[METAL - TOP : METAL] + radius[METAL])
    return max(LOWEST, float(np.sqrt(np.clip(length**2 - away, 0, None)).max()))


def molecules() -> list[Any]:
    """What the adsorbates come from, in the order of `ADSORBATES`, each alone in a box."""
    from pymatgen.core import Lattice, Structure

    box = Lattice.cubic(12.0)
    return [
        Structure(box, list(atoms), [[0, 0, 0], [0, 0, length]], coords_are_cartesian=True)
        for atoms, length in MOLECULES.values()
    ]


def adsorption_energies(slabs: Sequence[Slab], whole: Sequence[Any], bare: Sequence[Any], gas: Sequence[Any]) -> Any:
    """E(slab + X) - E(slab) - E(X) in eV, `n`, from what the potential says of each, per atom."""
    shed = {
        adsorbate: said.energy * 2 * (1.0 if adsorbate == "CO" else 0.5)
        for adsorbate, said in zip(ADSORBATES, gas, strict=True)
    }
    return torch.tensor(
        [
            with_it.energy * len(s.structure) - without.energy * METAL - shed[s.adsorbate]
            for s, with_it, without in zip(slabs, whole, bare, strict=True)
        ],
        dtype=torch.float64,
    )
