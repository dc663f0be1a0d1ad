"""Formulas of what stands in a bottle, with their water: `Co(NO3)2·6H2O`, `TiOSO4`, `Ni(OAc)2*4H2O`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from lab_io.compositions import MAX_FORMULA
from lab_io.findings import CellError
from lab_io.words import lookalike, normalise, script, shown

_SUBSCRIPT = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_DOT = re.compile("[·•∙⋅×*]")
_TAIL = r"(?P<n>\d+(?:\.\d+)?|[xny]|\?)?H2O"
_HYDRATE = re.compile(rf"(?P<salt>.+?)(?:·|\.(?=[^.]*$)|(?<=[)\da-wyz])x(?=\d)){_TAIL}")
"""Salt and water with a sign between them: any of the raised dots, a point, or an x before a number."""
_HALF = re.compile(rf"(?P<salt>.+?)\.(?=\d+\.\d+H2O$){_TAIL}")
"""A point as the sign before a broken number: `CaSO4.0.5H2O`."""
_RUN_ON = re.compile(r".*[)\d](\d*|[xny])H2O")
"""Water without a sign before it: `Co(NO3)26H2O` would be read as 26 nitrates."""
_ABBREVIATED = {"OAc": "C2H3O2", "acac": "C5H7O2", "OiPr": "OC3H7", "OEt": "OC2H5", "OMe": "OCH3", "OBu": "OC4H9"}


@dataclass(frozen=True, slots=True)
class Formula:
    """One formula unit."""

    text: str
    """As written, with `·` before the water."""
    salt: str
    """Without the water, abbreviations such as OAc kept."""
    water: float
    """Molecules of it."""
    molar_mass: float
    """g/mol, water included."""
    atoms: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Element -> atoms, water included."""


@lru_cache(maxsize=4096)
def parse_hydrate(text: str) -> Formula:
    """A formula with its water, molar masses by pymatgen.

    Args:
        text: `Fe(NO3)3·9H2O`, also with `*`, `.`, `•` or `x` before the water, subscripts, blanks, and OAc, acac, OiPr,
            OEt, OMe and OBu for the usual ligands.

    Raises:
        CellError: it is no formula, does not say how much water it holds, or where the water begins.
    """
    plain = re.sub(r"\s+", "", _DOT.sub("·", normalise(text).translate(_SUBSCRIPT)))
    if latin := lookalike(plain):
        raise CellError(f"{shown(text)} is written with {script(plain)} letters", f"type {latin} again")
    found = _HALF.fullmatch(plain) or _HYDRATE.fullmatch(plain)
    salt, water = (found["salt"], found["n"] or "1") if found else (plain, "0")
    if water in ("x", "n", "y", "?"):
        fix = "determine it, by thermogravimetry or Karl Fischer titration, and write the number"
        raise CellError(f"{shown(text)} does not say how many molecules of water it holds", fix)
    if not found and _RUN_ON.fullmatch(plain):
        what = f"{shown(text)} does not say where the water begins"
        raise CellError(what, "write it like Co(NO3)2·6H2O")
    spelt = salt
    for short, long in _ABBREVIATED.items():
        spelt = re.sub(rf"{short}(?![a-z])", long, spelt)
    if not re.fullmatch(r"[A-Za-z0-9.()\[\]]+", spelt) or len(plain) > MAX_FORMULA:
        raise CellError(f"{shown(text)} is not a formula", "write it like Co(NO3)2·6H2O, without a name")
    from pymatgen.core import Composition, Element

    try:
        atoms = {str(e): float(n) for e, n in Composition(spelt).items()}
    except (ValueError, KeyError, OverflowError, RecursionError) as error:
        what = f"{shown(text)} is not a formula: {shown(error)}"
        raise CellError(what, "write it like Co(NO3)2·6H2O") from None
    if strange := [e for e in atoms if not Element.is_valid_symbol(e)]:
        raise CellError(f"{shown(text)} has {strange[0]}, which is no element", "write it like Co(NO3)2·6H2O")
    n = float(water)
    for element, each in (("H", 2.0), ("O", 1.0)) if n else ():
        atoms[element] = atoms.get(element, 0.0) + each * n
    mass = sum(count * float(Element(e).atomic_mass) for e, count in atoms.items())
    if not mass > 0:
        raise CellError(f"{shown(text)} has no atoms", "write it like Co(NO3)2·6H2O")
    told = f"{salt}·{'' if n == 1 else f'{n:g}'}H2O" if n else salt
    return Formula(told, salt, n, mass, atoms)


_NOT_METALS = ("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "I")


def metal_of(formula: Formula) -> str | None:
    """The one metal of a formula, or None when it has none or several; sodium, potassium and the like come second."""
    metals = [e for e in formula.atoms if e not in _NOT_METALS]
    beside = [e for e in metals if e not in ("Li", "Na", "K", "Rb", "Cs")]
    found = beside if len(metals) > 1 else metals
    return found[0] if len(found) == 1 else None
