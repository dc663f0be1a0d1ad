"""Decorations and compositions as people write them: `Ti@M3 Zn@M7` and `Ti2 Zn1`, and `undoped`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from campaign.words import shown, suggestion
from db.errors import InvalidInput, Problem
from db.records import Design

UNDOPED = "undoped"
"""The host as it is."""

_PLACED = re.compile(r"([A-Za-z]{1,2})\s*@\s*[Mm]?(\d{1,4})")
_COUNTED = re.compile(r"([A-Z][a-z]?)\s*(\d{0,3})")
_BETWEEN = re.compile(r"[\s,;+]*")


def decoration_text(placed: Mapping[int, str]) -> str:
    """`Ti@M3 Zn@M7`, in order of the sites, for {2: "Ti", 6: "Zn"}."""
    return " ".join(f"{element}@M{site + 1}" for site, element in sorted(placed.items())) or UNDOPED


def composition_text(dopants: Sequence[str]) -> str:
    """`Ti2 Zn1`, in alphabetical order."""
    return " ".join(f"{element}{n}" for element, n in sorted(Counter(dopants).items())) or UNDOPED


def read_decoration(text: str, sites: int, host: str, dopants: Sequence[str], most: int) -> dict[int, str]:
    """Which dopant sits on which site; in any order, with any blanks or commas. The host's element is no dopant.

    Args:
        text: as typed.
        sites: number of sites.
        host: element of the sublattice.
        dopants: elements that may be placed.
        most: greatest number of dopants.

    Raises:
        InvalidInput: it is no decoration of this host; all problems at once.
    """
    placed: dict[int, str] = {}
    wrong = []
    example = "write elements and sites, such as Ti@M3 Zn@M7"
    for match in _tokens(text, _PLACED, "decoration", example):
        element, number = match[1].capitalize(), int(match[2])
        if problem := _no_dopant(element, dopants, host, "decoration"):
            wrong.append(problem)
        if not 1 <= number <= sites:
            wrong.append(Problem("decoration", f"there is no site M{number}", f"the sites are M1 to M{sites}"))
        if number - 1 in placed:
            wrong.append(Problem("decoration", f"the site M{number} is taken twice", "name every site once"))
        placed[number - 1] = element
    found = {site: element for site, element in placed.items() if element != host}
    _check(wrong, len(found), most, "decoration")
    return found


def read_composition(text: str, host: str, dopants: Sequence[str], most: int) -> list[str]:
    """The dopant atoms of a composition, sorted: `Zn Ti2` -> [Ti, Ti, Zn]. The host's element is left out.

    Raises:
        InvalidInput: it is no composition of these dopants; all problems at once.
    """
    found: list[str] = []
    wrong = []
    example = "write elements and numbers of atoms, such as Ti2 Zn1"
    for match in _tokens(text, _COUNTED, "dopants", example):
        if problem := _no_dopant(match[1], dopants, host, "dopants"):
            wrong.append(problem)
        elif match[1] != host:
            found += [match[1]] * int(match[2] or 1)
    _check(wrong, len(found), most, "dopants")
    return sorted(found)


def text_of(design: Design, column: str) -> str:
    """The one value of a design.

    Raises:
        InvalidInput: it is missing, or there are other columns.
    """
    wrong = [
        Problem(name, f"{shown(name)} is not a column of the space", suggestion(name, [column]))
        for name in design
        if name != column
    ]
    if not str(design.get(column, "")).strip():
        wrong.append(Problem(column, "is missing from the design", f"add {column}, or write {UNDOPED}"))
    if wrong:
        raise InvalidInput(wrong)
    return str(design[column]).strip()


def _tokens(text: str, pattern: re.Pattern[str], where: str, fix: str) -> list[re.Match[str]]:
    """The parts of a text, which is these and what may stand between them; none for `undoped`."""
    found: list[re.Match[str]] = []
    at = 0
    while text.casefold() != UNDOPED and at < len(text):
        match = pattern.match(text, at)
        if match is None:
            raise InvalidInput(Problem(where, f"{shown(text[at:])} cannot be read", fix))
        found.append(match)
        at = _BETWEEN.match(text, match.end()).end()  # type: ignore[union-attr]  # it matches nothing too
    return found


def _no_dopant(element: str, dopants: Sequence[str], host: str, where: str) -> Problem | None:
    if element in dopants or element == host:
        return None
    return Problem(where, f"{shown(element)} is not a dopant of this space", suggestion(element, dopants))


def _check(wrong: list[Problem], number: int, most: int, where: str) -> None:
    if not wrong and number > most:
        wrong.append(Problem(where, f"{number} dopants are more than the {most} of this space", "take some away"))
    if wrong:
        raise InvalidInput(wrong)
