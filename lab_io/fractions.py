"""The fraction columns of a row: percent, weight percent, a missing balance, sums that are off."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from db.errors import Problem
from lab_io.columns import Heading, Kind
from lab_io.compositions import SUM_TOLERANCE, normalised
from lab_io.findings import CellError, Status
from lab_io.fixes import offered
from lab_io.numbers import Number
from lab_io.units import convert, same_dimension
from lab_io.words import shown

if TYPE_CHECKING:
    from lab_io.rows import Draft, Reader

FAR, NEAR = 0.03, 0.015
"""A measured composition is doubted when some fraction is further than the first from the target, and another reading
of the same numbers is nearer than the second everywhere."""


def read_fractions(reader: Reader, draft: Draft, headings: Mapping[str, Heading]) -> dict[str, float] | None:
    """Fractions in the order of the spec, zeros left out; None when all cells are empty or any is wrong, and noted."""
    before = draft.findings + draft.marks
    numbers = {e: n for e, h in headings.items() if (n := reader.number(draft, h)) is not None}
    fractions: dict[str, float] = {}
    units = {e: _unit(number, headings[e]) for e, number in numbers.items()}
    weights = {e for e, unit in units.items() if unit and _by_weight(unit)}
    for element, number in numbers.items():
        unit = units[element]
        try:
            if number.qualifier != "=":
                raise CellError("a fraction cannot be a limit", "write the fraction, or 0")
            if weights and element not in weights and number.value:
                raise CellError("some fractions are by weight and some are not", "give all of them in one unit")
            fractions[element] = convert(number.value, unit or "", "wt%" if element in weights else "")
            if element in weights:
                fractions[element] /= 100
        except CellError as error:
            reader.note(draft, headings[element], error)
    if not numbers or draft.findings + draft.marks != before:
        return None
    first = next(iter(numbers))
    heading = headings[first]
    if not any(units.values()) and 95 <= sum(fractions.values()) <= 105:
        header = shown(reader.table.header[heading.index])
        what = f"the fractions add up to 100: percent, but {header} does not say so"
        fix = f"write the unit in each header, {first} (at.%), or answer --unit '{first}=at.%' for each of them"
        reader.ask(draft, heading.index, what, fix)
        return None
    try:
        whole = _whole(reader, draft, fractions, headings)
        if weights:
            what = "the fractions are by weight: they become fractions of atoms"
            notice = Problem(reader.table.where(reader.table.header_row, heading.index), what, "nothing, if that is so")
            reader.layout.notices += [notice] * (notice not in reader.layout.notices)
            whole = atoms_of(whole)
        return {element: whole[element] for element in reader.expect.elements if element in whole}
    except CellError as error:
        reader.note(draft, heading, error)
        return None


def _unit(number: Number, heading: Heading) -> str | None:
    """The unit of a fraction: that of its cell, but a bare % leaves it to the header to say of what."""
    if number.unit == "%" and heading.unit and _by_weight(heading.unit):
        return heading.unit
    return number.unit or heading.unit


def _by_weight(unit: str) -> bool:
    try:
        return same_dimension(unit, "wt%")
    except CellError:
        return False


def _whole(
    reader: Reader, draft: Draft, fractions: dict[str, float], headings: Mapping[str, Heading]
) -> dict[str, float]:
    """Fractions that add up to 1, by consent with a balance element or divided by their sum."""
    total = sum(fractions.values())
    if abs(total - 1) <= SUM_TOLERANCE or any(f < 0 for f in fractions.values()):
        return normalised(fractions)
    spare = [e for e in reader.expect.elements if not fractions.get(e)]
    balance = reader.fixes.value("balance")
    if balance in spare and total < 1:
        draft.fixes.append(f"balance={balance}: {_told(fractions)} and the rest {balance}")
        return normalised({**fractions, balance: 1 - total})
    if "renormalise" in reader.fixes:
        scaled = normalised(fractions, loose=True)
        draft.fixes.append(f"renormalise: {_told(fractions)} add up to {total:.4g}")
        return scaled
    unmeasured = [e for e in spare if e not in headings] or spare
    if total < 1 and unmeasured:
        host = unmeasured[0]
        fix = f"correct them; if the rest is {host}, {offered(f'balance={host}')}; else {offered('renormalise')}"
    else:
        fix = f"correct them, or {offered('renormalise')}"
    return normalised(fractions, hint=fix)


def _told(fractions: Mapping[str, float]) -> str:
    return " ".join(f"{e} {x:.4g}" for e, x in fractions.items())


def atoms_of(weights: Mapping[str, float]) -> dict[str, float]:
    """Fractions of atoms from fractions by weight, by the atomic masses of pymatgen.

    Raises:
        CellError: one of them is no element.
    """
    moles = {e: w / _mass(e) for e, w in weights.items()}
    total = sum(moles.values())
    return {e: n / total for e, n in moles.items()}


def weights_of(atoms: Mapping[str, float]) -> dict[str, float]:
    """Fractions by weight from fractions of atoms.

    Raises:
        CellError: one of them is no element.
    """
    grams = {e: x * _mass(e) for e, x in atoms.items()}
    total = sum(grams.values())
    return {e: g / total for e, g in grams.items()}


def _mass(element: str) -> float:
    from pymatgen.core import Element

    if not (re.fullmatch("[A-Z][a-z]?", element) and Element.is_valid_symbol(element)):
        raise CellError(f"{shown(element)} has no atomic mass, so that weight percent says nothing of it", "use at.%")
    return float(Element(element).atomic_mass)


def check_measured(reader: Reader, draft: Draft) -> None:
    """Compare a measured composition with the target, as it stands, by weight, and with two columns exchanged.

    What another reading explains and the stated one does not is asked.
    """
    measured, target = draft.composition, {e: draft.design.get(e, 0.0) for e in reader.expect.elements}
    if not measured or not any(target.values()) or not all(isinstance(x, float) for x in target.values()):
        return
    goal = {e: float(x) for e, x in target.items()}
    if _distance(measured, goal) <= FAR:
        return
    heading = next(iter(reader.layout.of(Kind.MEASURED).values()))
    try:
        by_weight = atoms_of(measured)
    except CellError:
        by_weight = measured
    if _distance(by_weight, goal) <= NEAR and not heading.unit:
        if "wt%" in reader.fixes:
            draft.fixes.append(f"wt%: {_told(measured)} are by weight")
            draft.composition = by_weight
            return
        what = f"{_told(measured)} is far from the target {_told(_present(goal))}, and near it if it is by weight"
        fix = f"write the unit in the headers, wt% or at.%; if they are weight percent, {offered('wt%')}"
        reader.note(draft, heading, CellError(what, fix, Status.QUESTION))
        return
    names = list(_present({**goal, **measured}))
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            swapped = {**measured, one: measured.get(other, 0.0), other: measured.get(one, 0.0)}
            if _distance(swapped, goal) <= NEAR:
                what = (
                    f"{_told(measured)} is far from the target {_told(_present(goal))}, and near it with {one} and "
                    f"{other} exchanged"
                )
                fix = f"check the headers of the columns; if it is right, {offered('as-stated')}"
                if "as-stated" not in reader.fixes:
                    reader.note(draft, heading, CellError(what, fix, Status.QUESTION))
                return


def _present(fractions: Mapping[str, float]) -> dict[str, float]:
    return {e: x for e, x in fractions.items() if x}


def _distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return max(abs(one.get(e, 0.0) - other.get(e, 0.0)) for e in {*one, *other})
