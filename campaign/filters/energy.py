"""A rough formation energy from the energies that an encoder's potential gives along with its features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from campaign.filters.base import Facts, Filter, Finding
from campaign.filters.material import Material
from campaign.grammar import Number


class FormationEnergyProxy(Filter):
    """How far a structure's energy per atom lies above what its composition alone explains; structure spaces only."""

    rule: Literal["formation_energy_proxy"] = "formation_energy_proxy"
    """Which rule it is."""
    max: Number
    """Largest value that passes, in eV/atom: `0.02`."""

    @property
    def source(self) -> str:
        """The encoder's potential."""
        return "energies of the encoder's potential, unrelaxed, against a linear baseline in the composition"

    def judge(self, material: Material, x: int | None, facts: Facts) -> Finding:
        """Value: the proxy in eV/atom."""
        value = None if x is None else facts.proxies.get(x)
        if value is None:
            return Finding(None, None, "no energy of this candidate was computed")
        told = f"{value:+.3g} eV/atom against its composition's baseline"
        return Finding(
            value <= self.max, round(value, 6), told + ("" if value <= self.max else f", above {self.max:g}")
        )


def proxies(energies: Mapping[int, float], compositions: Mapping[int, Material]) -> dict[int, float]:
    """Energy per atom minus a baseline linear in the element fractions, fitted to all candidates given, in eV/atom.

    The baseline stands for the chemical potentials of the elements, by least squares of smallest norm; what is left is
    the part of the energy that depends on the arrangement and on mixing. It ranks; it is no formation enthalpy.

    Args:
        energies: X of a structure candidate -> energy per atom, eV; the mean over its structures where there are
            several.
        compositions: X -> material, for each key of `energies`.
    """
    if not energies:
        return {}
    keys = list(energies)
    elements = sorted({e for x in keys for e in compositions[x].elements})
    amounts = np.array([[dict(compositions[x].amounts).get(e, 0.0) for e in elements] for x in keys])
    fractions = amounts / amounts.sum(axis=1, keepdims=True)
    energy = np.array([energies[x] for x in keys])
    baseline, *_ = np.linalg.lstsq(fractions, energy, rcond=None)
    return dict(zip(keys, (energy - fractions @ baseline).tolist(), strict=True))
