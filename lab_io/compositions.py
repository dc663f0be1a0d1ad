"""Compositions: fractions that must add up, and formulas read by pymatgen."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from lab_io.findings import CellError, Status
from lab_io.fixes import offered
from lab_io.words import choices, lookalike, normalise, script, shown

SUM_TOLERANCE = 0.02
"""How far fractions may be from adding up to 1, for rounding."""
MAX_FORMULA = 200


def normalised(fractions: Mapping[str, float], *, loose: bool = False, hint: str = "") -> dict[str, float]:
    """Fractions that add up to exactly 1, zeros left out.

    Args:
        fractions: as they stand.
        loose: whether any positive sum will do.
        hint: what to do about another sum, where more is known.

    Raises:
        CellError: a question when the sum is further than 0.02 from 1; a negative fraction is refused.
    """
    for name, fraction in fractions.items():
        if fraction < 0:
            raise CellError(f"the fraction of {name} is {fraction:g}", "fractions are from 0 to 1")
    total = sum(fractions.values())
    if abs(total - 1) > SUM_TOLERANCE and not (loose and total > 0):
        fix = "correct the fractions; if the sample has another element, such as the host, add its column"
        raise CellError(f"the fractions add up to {total:.4g} instead of 1", hint or fix, Status.QUESTION)
    return {name: fraction / total for name, fraction in fractions.items() if fraction}


def parse_formula(
    text: str, elements: Sequence[str], ignored: Collection[str] = (), *, loose: bool = False
) -> dict[str, float]:
    """Fractions of a formula such as `Ni0.5Fe0.5`, `Ni50Fe50`, `Co1 Cu1 Fe1`, `Ni-0.5-Fe-0.5` or `Ni3Fe`.

    Amounts near 1 or near 100 in all must add up to it within 2 %; others are taken as ratios, as are those of a
    formula of which elements are ignored.

    Args:
        text: the formula, decimal points or commas.
        elements: the elements of the space; any other is refused.
        ignored: elements to pass over, such as the oxygen of oxides.
        loose: whether amounts near 1 or 100 need not add up to it.

    Raises:
        CellError: it is not a formula, or has elements that the space has not.
    """
    plain = re.sub(r"\s+", "", normalise(text).translate(_SUBSCRIPT)).replace(",", ".")
    if len(plain) <= MAX_FORMULA and _AMOUNTS.fullmatch(plain):
        plain = _SEPARATED.sub("", plain)
    if latin := lookalike(plain):
        raise CellError(f"{shown(text)} is written with {script(plain)} letters", f"type {latin} again")
    if not re.fullmatch(r"[A-Za-z0-9.()\[\]]+", plain) or len(plain) > MAX_FORMULA:
        raise CellError(f"{shown(text)} is not a formula", "write it like Ni0.5Fe0.5")
    from pymatgen.core import Composition

    try:
        amounts = {str(e): float(n) for e, n in Composition(plain).items()}
    except (ValueError, KeyError, OverflowError, RecursionError) as error:
        what = f"{shown(text)} is not a formula: {shown(error)}"
        raise CellError(what, "write it like Ni0.5Fe0.5") from None
    passed = [amounts.pop(e) for e in ignored if e not in elements and e in amounts]
    for element in amounts:
        if element not in elements:
            shouted = next((e for e in elements if e.upper() in plain and e not in plain), None)
            meant = f"did you mean {shouted}?" if shouted else choices(element, elements)
            passing = f"; to pass over it, {offered(f'ignore={element}')}" if element in _LIGHT else ""
            fix = f"{meant} (write only what the space mixes{passing})"
            raise CellError(f"{shown(text)} has {element}, which the space has not", fix)
    total = sum(amounts.values())
    if not total > 0:
        raise CellError(f"{shown(text)} has no amounts", "write it like Ni0.5Fe0.5")
    whole = all(n.is_integer() for n in amounts.values())
    for full in (1, 100):
        near, exact = abs(total / full - 1) < 0.3, abs(total / full - 1) <= SUM_TOLERANCE
        if near and not exact and not (whole and full == 1) and not passed and not loose:
            fix = f"correct the amounts, write them as ratios of whole numbers, or {offered('renormalise')}"
            raise CellError(
                f"the amounts of {shown(text)} add up to {total:.4g} instead of {full}", fix, Status.QUESTION
            )
    return {element: n / total for element, n in amounts.items() if n}


_SEPARATED = re.compile(r"(?<=[A-Za-z])[-_](?=[A-Z0-9])|(?<=[0-9.])[-_](?=[A-Z])")
_LIGHT = ("H", "N", "O", "F", "P", "S", "Cl")
"""Elements of anions and water, which a space of metals does not name."""
_AMOUNTS = re.compile(r"([A-Z][a-z]?[-_]?[0-9.]+[-_]?)+")
"""Elements each with an amount, with signs between them: `Ni-0.5-Fe-0.5`, `Ni50_Fe50`; not the system `Ni-Fe`."""
_SUBSCRIPT = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
