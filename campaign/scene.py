"""What a picture of a structure shows: its atoms, the effect of each site, its bonds, and the cell.

Lengths are in angstrom. The frame has the cell's first vector along x and the surface normal along z, upwards.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from campaign.spaces.base import Floats
from campaign.words import listed, shown, signed

Effect = tuple[float, float, bool]
"""Signed change and its sd, in the user's unit, and whether the change may be shown."""

PROPERTIES = ("label", "dopant", "sublattice", "surface", "adsorbate", "layer")
NAMED = 8
"""So many sites are named beside a picture: every dopant, then the strongest effects."""
DISC = 0.55
"""Radius of a disc in covalent radii (Cordero et al. 2008): small enough to see what lies below."""
BONDED = 1.15
"""Two atoms this close, in sums of covalent radii, are bonded."""
NEIGHBOURS = 1.2
"""Periodic images this close to an atom of the cell, in sums of covalent radii, are its neighbours."""
_NON_METALS = frozenset(["H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "I"])


class Look(StrEnum):
    """How a site is drawn, in the words of the legend."""

    PLAIN = "no effect computed"
    EFFECT = "effect beyond its own sd"
    UNCLEAR = "effect within its own sd: may be none"
    WITHHELD = "effect withheld: its check did not pass"


@dataclass(frozen=True)
class Atom:
    """An atom of the cell or a periodic image of one."""

    label: str
    element: str
    position: Floats
    """[3], angstrom."""
    covalent: float
    """Covalent radius, angstrom."""
    look: Look
    change: float
    """Signed change of the prediction in the user's unit; 0 where none may be shown."""
    effect: str
    """The change in words, `+28 ± 9 mV`; empty where there is none."""
    dopant: bool
    sublattice: bool
    surface: bool
    adsorbate: bool
    layer: int
    image: bool = False

    @property
    def radius(self) -> float:
        """Radius of the drawn disc, angstrom."""
        return DISC * self.covalent

    @property
    def marked(self) -> bool:
        """Whether a reader looks for it: a dopant, or a site with an effect."""
        return self.dopant or self.look is not Look.PLAIN

    @property
    def words(self) -> str:
        """What the atom is: `Ti, dopant, top layer`."""
        place = "adsorbate" if self.adsorbate else "top layer" if self.layer == 0 else f"layer {self.layer + 1}"
        return ", ".join(
            [self.element, *["dopant"] * self.dopant, place, *["at the surface"] * (self.surface and self.layer > 0)]
        )


@dataclass(frozen=True)
class Scene:
    """Everything that a picture draws."""

    atoms: tuple[Atom, ...]
    images: tuple[Atom, ...]
    """Periodic images that are neighbours of an atom of the cell."""
    cell: Floats
    """[3, 3], the lattice vectors as rows, angstrom."""
    bonds: tuple[tuple[Atom, Atom], ...]

    @property
    def limit(self) -> float:
        """The largest change drawn in colour, in the user's unit; 0 where none is."""
        return max((abs(a.change) for a in self.atoms if a.look is Look.EFFECT), default=0.0)

    @property
    def named(self) -> tuple[Atom, ...]:
        """The atoms named beside the picture: every dopant, then the strongest effects, `NAMED` in all."""
        dopants = [a for a in self.atoms if a.dopant]
        rest = sorted((a for a in self.atoms if a.effect and not a.dopant), key=lambda a: (-abs(a.change), a.label))
        return tuple(dopants + rest[: max(0, NAMED - len(dopants))])

    @property
    def unnamed(self) -> int:
        """How many effects are drawn without a name."""
        return sum(bool(a.effect) for a in self.atoms) - sum(bool(a.effect) for a in self.named)

    @property
    def box(self) -> Floats:
        """The cell from just below to just above its atoms, as one line along all its edges, [16, 3]."""
        low = min(a.position[2] - a.radius for a in self.atoms) - 0.3
        high = max(a.position[2] + a.radius for a in self.atoms) + 0.3
        round_trip = [0, 1, 2, 3, 0, 4, 5, 1, 5, 6, 2, 6, 7, 3, 7, 4]
        plane = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ self.cell[:2])[:, :2]
        return np.vstack([np.insert(plane, 2, z, axis=1) for z in (low, high)])[round_trip]


def scene(structure: Any, effects: Mapping[str, Effect], *, unit: str) -> Scene:
    """The scene of a slab.

    Args:
        structure: A pymatgen Structure, periodic along its first two vectors, with the site properties `label`
            (unique), `dopant`, `sublattice`, `surface`, `adsorbate` (bool) and `layer` (int, 0 = top).
        effects: Signed effect of a site on the prediction, by label.
        unit: Unit of the effects; may be empty.

    Raises:
        ValueError: If the structure is empty, a site is disordered, a property is missing, labels repeat, an effect
            names no site, or a shown effect is not finite or has a negative sd.
    """
    properties = _properties(structure)
    _check_effects(effects, [p["label"] for p in properties])
    frame = _frame(np.asarray(structure.lattice.matrix, dtype=float))
    cell = np.asarray(structure.lattice.matrix) @ frame.T
    positions = _wrapped(np.asarray(structure.frac_coords, dtype=float)) @ cell
    atoms = tuple(
        _atom(site.specie.symbol, position, values, effects.get(values["label"]), unit)
        for site, position, values in zip(structure, positions, properties, strict=True)
    )
    images = tuple(_images(atoms, cell))
    pairs = itertools.chain(itertools.combinations(atoms, 2), itertools.product(atoms, images))
    bonds = tuple((a, b) for a, b in pairs if {a.element, b.element} & _NON_METALS and _close(a, b, BONDED))
    return Scene(atoms, images, cell, bonds)


def _properties(structure: Any) -> list[dict[str, Any]]:
    if not len(structure):
        raise ValueError("The structure has no sites, so there is nothing to draw.")
    found = []
    for i, site in enumerate(structure):
        missing = [name for name in PROPERTIES if site.properties.get(name) is None]
        if missing:
            raise ValueError(
                f"Site {i} of the structure lacks {listed(missing)}. A picture needs the site properties "
                f"{listed(PROPERTIES)} on every site; add them with structure.add_site_property(name, values)."
            )
        if not site.is_ordered:
            raise ValueError(
                f"Site {i} ({site.species_string}) is disordered; a picture needs one element on each site."
            )
        found.append({name: site.properties[name] for name in PROPERTIES})
    labels = [p["label"] for p in found]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise ValueError(f"Labels name one site each, but {shown(repeated[0])} names {labels.count(repeated[0])}.")
    return found


def _check_effects(effects: Mapping[str, Effect], labels: list[str]) -> None:
    for label, (change, sd, show) in effects.items():
        if label not in labels:
            raise ValueError(f"The effect of {shown(label)} belongs to no site; the labels begin {listed(labels[:4])}.")
        if show and not (math.isfinite(change) and math.isfinite(sd) and sd >= 0):
            raise ValueError(
                f"The effect of {shown(label)} is {change} ± {sd}; expected finite numbers and an sd >= 0."
            )


def _frame(lattice: Floats) -> Floats:
    """Rotation whose rows are the axes x, y and z of the picture."""
    x = lattice[0] / np.linalg.norm(lattice[0])
    normal = np.cross(lattice[0], lattice[1])
    z = normal * np.sign(normal @ lattice[2]) / np.linalg.norm(normal)
    return np.array([x, np.cross(z, x), z])


def _wrapped(fractions: Floats) -> Floats:
    """Fractional coordinates with a and b inside the cell, and c cut at its widest gap so that a slab stays whole."""
    plane = (fractions[:, :2] + 1e-3) % 1.0 - 1e-3  # an atom on the edge stays there whatever its rounding
    c = fractions[:, 2] % 1.0
    order = np.sort(c)
    gaps = np.diff(order, append=order[0] + 1.0)
    start = order[(int(gaps.argmax()) + 1) % len(order)]
    return np.column_stack([plane, (c - start + 1e-9) % 1.0])


def _atom(element: str, position: Floats, values: dict[str, Any], effect: Effect | None, unit: str) -> Atom:
    from ase.data import atomic_numbers, covalent_radii

    look, change, words = Look.PLAIN, 0.0, ""
    if effect is not None:
        value, sd, show = effect
        if not show:
            look, words = Look.WITHHELD, "withheld"
        else:
            look = Look.EFFECT if abs(value) > sd else Look.UNCLEAR
            change, words = float(value), signed(value, sd, unit or None)
    flags = {name: bool(values[name]) for name in ("dopant", "sublattice", "surface", "adsorbate")}
    covalent = float(covalent_radii[atomic_numbers[element]])
    label, layer = str(values["label"]), int(values["layer"])
    return Atom(label, element, position, covalent, look, change, words, layer=layer, **flags)


def _close(a: Atom, b: Atom, factor: float) -> bool:
    return bool(np.linalg.norm(a.position - b.position) < factor * (a.covalent + b.covalent))


def _images(atoms: tuple[Atom, ...], cell: Floats) -> Iterator[Atom]:
    for shift in itertools.product((-1, 0, 1), repeat=2):
        if shift != (0, 0):
            for atom in atoms:
                image = replace(atom, position=atom.position + np.array(shift) @ cell[:2], image=True)
                if any(_close(image, other, NEIGHBOURS) for other in atoms):
                    yield image
