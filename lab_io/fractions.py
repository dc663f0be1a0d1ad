"""The fraction columns of a row: percent, weight percent, a missing balance, sums that are off."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import Problem
from lab_io.columns import Heading, Kind
from lab_io.compositions import SUM_TOLERANCE, normalised
from lab_io.findings import CellError, Status
from lab_io.fixes import offered
from lab_io.numbers import Number
from lab_io.units import convert, convert_sd, same_dimension
from lab_io.words import shown

if TYPE_CHECKING:
    from lab_io.rows import Draft, Reader

FAR, NEAR = 0.03, 0.015
"""A measured composition is doubted when some fraction is further than the first from the target, and another reading
of the same numbers is nearer than the second everywhere."""


@dataclass(frozen=True)
class Told:
    """One fraction as it was told."""

    element: str
    number: Number
    unit: str | None
    sd: Number | None
    """Of its own column or cell."""
    draft: Draft
    heading: Heading
    """Where it stands."""


def read_fractions(reader: Reader, draft: Draft, headings: Mapping[str, Heading]) -> dict[str, float] | None:
    """Fractions in the order of the spec, zeros left out; None when all cells are empty or any is wrong, and noted."""
    told, wrong = _told_in(reader, draft, headings, {})
    found = None if wrong else _settled(reader, draft, told)
    return found and found[0]


def read_measured(reader: Reader, draft: Draft) -> None:
    """The measured composition that a row states in columns of its own, with standard deviations, compared with the
    target.
    """
    told, wrong = _told_in(reader, draft, reader.layout.of(Kind.MEASURED), reader.layout.of(Kind.MEASURED_SD))
    if not wrong:
        _compose(reader, draft, told)


def gather_compositions(reader: Reader, drafts: list[Draft]) -> None:
    """Put the measured fractions of a tidy table together, those of a sample and replicate in its first such row."""
    groups: dict[tuple[str, str | None], list[Told]] = {}
    for draft in drafts:
        if draft.part is not None:
            groups.setdefault((draft.key, draft.replicate), []).append(draft.part)
    for parts in groups.values():
        first, once = parts[0].draft, dict[str, Told]()
        for part in parts:
            if once.setdefault(part.element, part) is not part:
                what = f"{part.element} was measured in row {once[part.element].draft.row.number} already"
                fix = "remove one of the two, or number them in a column replicate"
                reader.note(part.draft, part.heading, CellError(what, fix, Status.QUESTION))
        for part in parts[1:]:
            first.conditions = {**part.draft.conditions, **first.conditions}
            first.as_stated = first.as_stated or part.draft.as_stated
        if all(part.draft.verdict is Status.ACCEPTED for part in parts):
            _compose(reader, first, list(once.values()))
            for part in parts[1:]:
                if part.draft.verdict is Status.ACCEPTED:
                    part.draft.left_out = f"read with row {first.row.number}, as one measured composition"


def _compose(reader: Reader, draft: Draft, told: list[Told]) -> None:
    found = _settled(reader, draft, told)
    if found is not None:
        draft.composition, draft.composition_sd = found
        draft.composition_unit = next((one.unit for one in told if one.unit), None)
        check_measured(reader, draft, told[0].heading)


def _told_in(
    reader: Reader, draft: Draft, headings: Mapping[str, Heading], spreads: Mapping[str, Heading]
) -> tuple[list[Told], bool]:
    """The fractions of a row, and whether one of them cannot be read, which is noted."""
    before = draft.findings + draft.marks
    told = []
    for element, heading in headings.items():
        number = reader.number(draft, heading)
        sd = reader.number(draft, spreads[element]) if element in spreads else None
        if number is not None:
            told.append(Told(element, number, _unit(number, heading), sd, draft, heading))
    return told, draft.findings + draft.marks != before


def _settled(reader: Reader, draft: Draft, told: list[Told]) -> tuple[dict[str, float], dict[str, float]] | None:
    """Fractions in the order of the spec, and the standard deviations that are stated; None where something is wrong.

    Dividing by the sum, and turning weights into atoms, keeps the relative standard deviation of each.
    """
    if not told:
        return None
    given: dict[str, float] = {}
    weights = {one.element for one in told if one.unit and _by_weight(one.unit)}
    wrong = False
    for one in told:
        try:
            if one.number.qualifier != "=":
                raise CellError("a fraction cannot be a limit", "write the fraction, or 0")
            if weights and one.element not in weights and one.number.value:
                raise CellError("some fractions are by weight and some are not", "give all of them in one unit")
            given[one.element] = _plain(one.number.value, one.unit, one.element in weights, convert)
        except CellError as error:
            reader.note(one.draft, one.heading, error)
            wrong = True
    if wrong:
        return None
    heading = told[0].heading
    if not any(one.unit for one in told) and 95 <= sum(given.values()) <= 105:
        header, first = shown(reader.table.header[heading.index]), told[0].element
        what = f"the fractions add up to 100: percent, but {header} does not say so"
        fix = f"write the unit in each header, {first} (at.%), or answer --unit '{first}=at.%' for each of them"
        if heading.kind is Kind.VALUE:
            fix = "write the unit of each of them, at.% or wt%, in a column unit"
        reader.ask(draft, heading.index, what, fix)
        return None
    try:
        whole = _whole(reader, draft, given, [one.element for one in told])
        if weights:
            what = "the fractions are by weight: they become fractions of atoms"
            notice = Problem(reader.table.where(reader.table.header_row, heading.index), what, "nothing, if that is so")
            reader.layout.notices += [notice] * (notice not in reader.layout.notices)
            whole = atoms_of(whole)
        spread = {one.element: sd for one in told if (sd := _spread(one, one.element in weights)) is not None}
    except CellError as error:
        reader.note(draft, heading, error)
        return None
    scale = {e: whole.get(e, 0.0) / x if x else 1.0 for e, x in given.items()}
    ordered = [e for e in reader.expect.elements if e in whole]
    return {e: whole[e] for e in ordered}, {e: sd * scale[e] for e, sd in spread.items()}


def _plain(value: float, unit: str | None, by_weight: bool, to: Callable[[float, str, str], float]) -> float:
    """A number as a fraction of 1, of atoms or by weight."""
    return to(value, unit or "", "wt%") / 100 if by_weight else to(value, unit or "", "")


def _spread(one: Told, by_weight: bool) -> float | None:
    """The standard deviation of a fraction, in parts of 1.

    Raises:
        CellError: it is given twice, below 0, or no number of that kind.
    """
    beside, own = one.sd, one.number.sd
    if beside is None:
        return None if own is None else _plain(own, one.unit, by_weight, convert_sd)
    sd = _plain(beside.value, beside.unit or one.unit, by_weight, convert_sd)
    if sd < 0 or beside.qualifier != "=":
        raise CellError("a standard deviation is a number from 0 on", "correct it, or leave the cell empty")
    if own is not None and not math.isclose(sd, _plain(own, one.unit, by_weight, convert_sd), rel_tol=1e-3):
        raise CellError("another standard deviation stands behind ±", "give it once")
    return sd


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


def _whole(reader: Reader, draft: Draft, fractions: dict[str, float], named: Sequence[str]) -> dict[str, float]:
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
    unmeasured = [e for e in spare if e not in named] or spare
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


def check_measured(reader: Reader, draft: Draft, heading: Heading) -> None:
    """Compare a measured composition with the target, as it stands, by weight, and with two columns exchanged.

    What another reading explains and the stated one does not is asked, unless the row says that it is right.
    """
    if draft.as_stated:
        return
    measured, target = draft.composition, {e: draft.design.get(e, 0.0) for e in reader.expect.elements}
    if not measured or not any(target.values()) or not all(isinstance(x, float) for x in target.values()):
        return
    goal = {e: float(x) for e, x in target.items()}
    if _distance(measured, goal) <= FAR:
        return
    try:
        by_weight = atoms_of(measured)
    except CellError:
        by_weight = measured
    if _distance(by_weight, goal) <= NEAR and not draft.composition_unit:
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
