"""Ions that do not fit: Shannon radii against the host's, or against the mean."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from campaign.filters.base import Facts, Filter, Finding, pymatgen_version
from campaign.filters.material import Material
from campaign.grammar import Number, Whole
from campaign.words import listed


class IonicRadiusMismatch(Filter):
    """How far ionic radii differ: a dopant's from its host's, or, without a host, a cation's from the mean."""

    rule: Literal["ionic_radius_mismatch"] = "ionic_radius_mismatch"
    """Which rule it is."""
    max: Annotated[Number, Field(gt=0)] = 0.15
    """Largest relative difference that passes; 0.15 if left out (Hume-Rothery; Goldschmidt)."""
    coordination: Literal["IV", "V", "VI", "VII", "VIII", "IX", "X", "XII"] = "VI"
    """Coordination number of the cations; VI if left out."""
    oxidation: Annotated[Whole, Field(ge=1, le=8)] = 3
    """Oxidation state; an element that has no radius for it counts with the nearest state; 3 if left out."""
    spin: Literal["high", "low"] = "high"
    """Which radius counts where there is one for high and one for low spin; high if left out."""

    @property
    def source(self) -> str:
        """Shannon's radii as pymatgen has them."""
        return f"Shannon (1976) ionic radii of {pymatgen_version()}"

    def judge(self, material: Material, x: int | None, facts: Facts) -> Finding:
        """Value: the largest relative difference."""
        pairs = [pair for pair in material.substitutions if pair[0] != pair[1]]
        elements = [e for pair in pairs for e in pair] if material.has_host else list(material.elements)
        radii = {e: shannon_radius(e, self.oxidation, self.coordination, self.spin) for e in elements}
        if unknown := [e for e, r in radii.items() if r is None]:
            where = f"for coordination {self.coordination}"
            return Finding(None, None, f"no Shannon radius of {listed(unknown)} is known {where}")
        known = {e: r for e, r in radii.items() if r is not None}
        if not known:
            return Finding(None, None, "no substitution in a host is known of it")
        if material.has_host:
            apart = {f"{dopant} for {host}": known[dopant] / known[host] - 1 for host, dopant in pairs}
        else:
            total = sum(n for _, n in material.amounts)
            mean = sum(n * known[e] for e, n in material.amounts) / total
            apart = {f"{e} against the mean": r / mean - 1 for e, r in known.items()}
        worst = max(apart, key=lambda name: (abs(apart[name]), name))
        value = abs(apart[worst])
        told = f"the largest mismatch of ionic radii is {100 * apart[worst]:+.0f} %, {worst}"
        return Finding(
            value <= self.max, round(value, 6), told + ("" if value <= self.max else f"; above {self.max:.0%}")
        )


@cache
def shannon_radius(element: str, oxidation: int, coordination: str, spin: str) -> float | None:
    """Ionic radius in angstrom of the cation with the oxidation state nearest to the one asked for; None if unknown."""
    from pymatgen.core import Element

    table = Element(element).data.get("Shannon radii") or {}
    found = {int(state): sites[coordination] for state, sites in table.items() if coordination in sites}
    states = sorted((abs(state - oxidation), state) for state in found if state > 0)
    if not states:
        return None
    spins = found[states[0][1]]
    key = f"{spin.capitalize()} Spin"
    return float(spins.get(key, next(iter(spins.values())))["ionic_radius"])
