"""Reference electrodes, and potentials against the reversible hydrogen electrode (RHE).

E_RHE = E + E_ref(SHE) + (ln 10 R T / F) pH; the constants are exact since the SI of 2019 (CODATA 2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lab_io.words import fold

GAS_CONSTANT = 8.314462618
"""J/(mol K), CODATA 2018."""
FARADAY = 96485.33212
"""C/mol, CODATA 2018."""
KELVIN = 273.15
OXYGEN = 1.229
"""V against RHE at 25 °C: O2 + 4 H+ + 4 e- = 2 H2O (Bratsch, J. Phys. Chem. Ref. Data 18, 1 (1989))."""
OXYGEN_PER_KELVIN = -0.846e-3
"""V/K, how it moves with temperature (same source)."""


@dataclass(frozen=True, slots=True)
class Electrode:
    """A reference electrode by name, with its nominal potential."""

    name: str
    offset: float
    """V against SHE at 25 °C; 0 for RHE, which needs no pH."""
    span: tuple[float, float]
    """V; the least and the greatest value in use for it."""
    source: str
    names: tuple[str, ...] = ()
    """Other ways to write it."""


_BARD = "Bard and Faulkner, Electrochemical Methods, 2nd ed. (2001), inside cover"
_TABLE = "tables of reference electrodes after Bard and Faulkner (2001), Sawyer (1995) and Meites (1963)"
ELECTRODES = (
    Electrode("RHE", 0.0, (0.0, 0.0), "by definition", ("reversible hydrogen",)),
    Electrode("SHE", 0.0, (0.0, 0.0), "by definition", ("NHE", "standard hydrogen")),
    Electrode(
        "Hg/HgO 1 M NaOH",
        0.098,
        (0.098, 0.140),
        f"{_BARD}; 0.1077 by J. Power Sources 161, 1217 (2006), 0.118 and 0.140 are also in use",
        ("Hg/HgO 1 M KOH",),
    ),
    Electrode("Hg/HgO 0.1 M NaOH", 0.165, (0.163, 0.165), f"{_TABLE}; 0.1634 by J. Power Sources 161, 1217 (2006)"),
    Electrode("Ag/AgCl sat. KCl", 0.197, (0.197, 0.199), _BARD, ("Ag/AgCl saturated KCl", "Ag/AgCl (sat. KCl)")),
    Electrode("Ag/AgCl 3.5 M KCl", 0.205, (0.205, 0.208), _TABLE),
    Electrode("Ag/AgCl 3 M KCl", 0.210, (0.207, 0.210), _TABLE, ("Ag/AgCl (3 M KCl)",)),
    Electrode("SCE", 0.241, (0.241, 0.244), f"{_BARD}; 0.244 with the liquid junction", ("Hg/Hg2Cl2 sat. KCl",)),
    Electrode("Hg/Hg2SO4 sat. K2SO4", 0.64, (0.64, 0.658), _BARD, ("MSE",)),
)


def electrode(name: str) -> Electrode | None:
    """The electrode of this name, in any case and with any blanks; None where none is known."""
    wanted = _squeezed(name)
    return next((e for e in ELECTRODES if wanted in {_squeezed(n) for n in (e.name, *e.names)}), None)


def named() -> Iterable[str]:
    """The names of all electrodes."""
    return [e.name for e in ELECTRODES]


def per_ph(temperature: float) -> float:
    """V per unit of pH at a temperature in °C: 0.05916 at 25, 0.05817 at 20, 0.06015 at 30."""
    return math.log(10) * GAS_CONSTANT * (temperature + KELVIN) / FARADAY


def oxygen(temperature: float) -> float:
    """Equilibrium potential of oxygen evolution against RHE in V, at a temperature in °C (linear around 25)."""
    return OXYGEN + OXYGEN_PER_KELVIN * (temperature - 25.0)


def _squeezed(name: str) -> str:
    return fold(name).replace(" ", "").replace("saturated", "sat").replace("sat.", "sat").replace("mol/l", "m")
