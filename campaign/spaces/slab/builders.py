"""Slabs to dope: beta-CoOOH and fcc metals by recipe, or cut from a crystal. Each gives a structure with vacuum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from campaign.spaces.slab.symmetry import quiet_spglib

if TYPE_CHECKING:
    from pymatgen.core import Structure

A, C = 2.851, 13.150
"""Å: heterogenite-3R, R-3m in hexagonal axes (Delaplane, Ibers, Ferraro, Rush, J. Chem. Phys. 50, 1920 (1969))."""
Z_O = 0.4050
"""Oxygen on 6c, (0, 0, z); cobalt on 3a, (0, 0, 0); hydrogen on 3b, (0, 0, 1/2), midway between two layers."""
O_H = 0.98
"""Å: length of the O-H bond of a terminating hydroxyl, along the normal."""
C_O = 1.15
"""Å: length of adsorbed CO, carbon down."""
LOWEST = 0.5
"""Å: least height of an adsorbate above the plane of the top atoms."""


def coooh(lateral: tuple[int, int], layers: int, vacuum: float) -> Structure:
    """A stoichiometric (001) slab of beta-CoOOH: n CoO2 layers, and as many H as Co.

    The cut goes through a layer of hydrogen, and each face keeps half of it, as hydroxyls: every second row of oxygen
    along the first lateral direction that has an even number of rows, the even rows on top and the odd ones at the
    bottom. This keeps every inversion through a cobalt ion, so there is no dipole, and of the ways to alternate it
    keeps the most symmetry (a 4 x 3 cell of one layer has 12 operations with its hydrogen and 24 without).

    Args:
        lateral: cells along a and b; one of the two is even.
        layers: CoO2 layers.
        vacuum: empty height, in Å.
    """
    from pymatgen.core import Lattice, Structure

    nx, ny = lateral
    spacing, up = C / 3, (Z_O - 1 / 3) * C
    height = spacing * (layers - 1) + 2 * (up + O_H) + vacuum
    along = 0 if nx % 2 == 0 else 1
    atoms: list[tuple[str, float, float, float]] = []
    for layer in range(layers):
        z = spacing * layer
        for i, j in np.ndindex(nx, ny):
            x, y = i + layer * 2 / 3, j + layer / 3  # the R centring stacks the layers
            atoms.append(("Co", x, y, z))
            atoms.append(("O", x + 1 / 3, y + 2 / 3, z + up))
            atoms.append(("O", x + 2 / 3, y + 1 / 3, z - up))
            even = (i, j)[along] % 2 == 0
            if layer < layers - 1:
                atoms.append(("H", x + 1 / 3, y + 2 / 3, z + spacing / 2))
            elif even:
                atoms.append(("H", x + 1 / 3, y + 2 / 3, z + up + O_H))
            if layer == 0 and not even:
                atoms.append(("H", x + 2 / 3, y + 1 / 3, z - up - O_H))
    atoms.sort(key=lambda atom: "CoOH".index(atom[0]))
    lattice = Lattice([[A * nx, 0, 0], [-A * ny / 2, A * ny * 3**0.5 / 2, 0], [0, 0, height]])
    bottom = vacuum / 2 + up + O_H
    fractions = [[x / nx, y / ny, (z + bottom) / height] for _, x, y, z in atoms]
    return Structure(lattice, [symbol for symbol, *_ in atoms], fractions, to_unit_cell=True)


def fcc_metals() -> list[str]:
    """The elements that are face-centred cubic."""
    from ase.data import chemical_symbols, reference_states

    states = zip(chemical_symbols, reference_states, strict=False)
    return [symbol for symbol, state in states if state and state["symmetry"] == "fcc"]


def fcc(
    facet: str, metal: str, size: Sequence[int], vacuum: float, adsorbate: tuple[str, str] | None
) -> tuple[Structure, int]:
    """A slab of an fcc metal, bare or with one adsorbate on top.

    The lattice constant is that of `ase.data` (experimental). An adsorbate sits as high as its bond to the nearest
    metal atoms asks, the sum of covalent radii (Cordero et al., Dalton Trans. 2008, 2832), and at least 0.5 Å.

    Args:
        facet: `fcc111` or `fcc100`.
        metal: an fcc element.
        size: cells along a and b, and layers.
        vacuum: empty height, in Å.
        adsorbate: `H`, `CO` or `O`, and the name of its site in ASE.

    Returns:
        The slab, and how many of its last atoms are the adsorbate.
    """
    from ase import Atoms, build
    from ase.data import atomic_numbers, covalent_radii

    slab = getattr(build, facet)(metal, size=tuple(size), vacuum=1.0, periodic=True)
    added = 0
    if adsorbate is not None:
        species, site = adsorbate
        edge = np.linalg.norm(slab.cell[0]) / size[0]  # between nearest neighbours
        reach = {"ontop": 0.0, "bridge": 1 / 2, "fcc": 3**-0.5, "hcp": 3**-0.5, "hollow": 2**-0.5}[site] * edge
        bond = covalent_radii[atomic_numbers[metal]] + covalent_radii[atomic_numbers[species[0]]]
        molecule = Atoms(species, [(0, 0, C_O * i) for i in range(len(species))])
        build.add_adsorbate(slab, molecule, max(LOWEST, max(bond**2 - reach**2, 0.0) ** 0.5), site)
        added = len(molecule)
    slab.center(vacuum=vacuum / 2, axis=2)
    return _from_ase(slab), added


def cut(crystal: Structure, miller: Sequence[int], thickness: float, vacuum: float) -> Structure:
    """A slab cut from a crystal, its normal along z; of several terminations that which pymatgen lists first.

    Args:
        crystal: with three-dimensional periodicity.
        miller: indices of the plane.
        thickness: least height of the slab, in Å.
        vacuum: empty height, in Å, at least.
    """
    from pymatgen.core import Structure
    from pymatgen.core.surface import SlabGenerator

    with quiet_spglib():
        generator = SlabGenerator(crystal, tuple(miller), thickness, vacuum, center_slab=True)
        slab = generator.get_slabs()[0].get_orthogonal_c_slab()
    return Structure(slab.lattice, slab.species, slab.frac_coords, to_unit_cell=True)


def _from_ase(atoms: Any) -> Structure:
    from pymatgen.core import Lattice, Structure

    symbols, positions = atoms.get_chemical_symbols(), atoms.get_positions()
    return Structure(Lattice(atoms.cell.array), symbols, positions, coords_are_cartesian=True, to_unit_cell=True)
