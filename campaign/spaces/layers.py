"""Layers, faces and names of the atoms of a structure, for all structure spaces alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from campaign.spaces.base import Ints

if TYPE_CHECKING:
    from pymatgen.core import Structure

GAP = 1.0
"""Å: a greater step in height begins another layer."""
VACUUM = 5.0
"""Å: with a greater empty height along c, a structure is a slab and has surfaces."""


def layers_of(structure: Structure, counted: NDArray[np.bool_]) -> tuple[Ints, float]:
    """The layer of each atom, 0 on top, and the empty height.

    Args:
        structure: periodic; its layers lie across c.
        counted: [n], the atoms that make the layers; every other atom belongs to the nearest of them in height.

    Returns:
        Layers [n], and the greatest empty height along the normal, in Å.
    """
    a, b, _ = structure.lattice.matrix
    period = structure.volume / np.linalg.norm(np.cross(a, b))
    fractions = structure.frac_coords[:, 2] % 1.0
    ordered = np.sort(fractions)
    gaps = np.append(ordered[1:], ordered[0] + 1) - ordered
    floor = ordered[(int(gaps.argmax()) + 1) % len(ordered)]
    height = ((fractions - floor + 1e-6) % 1.0) * period  # the slab in one piece, whatever face of the cell it crosses
    if not counted.any():
        return np.zeros(len(height), dtype=np.int64), float(gaps.max() * period)
    levels = np.sort(height[counted])[::-1]
    number = np.concatenate([[0], np.cumsum(-np.diff(levels) > GAP)])
    means = np.array([levels[number == layer].mean() for layer in range(number[-1] + 1)])
    return np.abs(height[:, None] - means).argmin(axis=1), float(gaps.max() * period)


def surfaces(layers: Ints, vacuum: float, adsorbate: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The atoms [n] at a surface: the outermost layers of a slab, or with an adsorbate the top one only."""
    outer = layers == 0 if adsorbate.any() else (layers == 0) | (layers == layers.max())
    return outer & ~adsorbate & (vacuum > VACUUM)


def running_names(symbols: Sequence[str]) -> list[str]:
    """`O1`, `O2`, `H1`: each atom's element and its number among these."""
    seen: Counter[str] = Counter()
    names = []
    for symbol in symbols:
        seen[symbol] += 1
        names.append(f"{symbol}{seen[symbol]}")
    return names
