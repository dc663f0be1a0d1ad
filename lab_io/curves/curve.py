"""A curve as numbers: which columns hold potential and current, in which units, and every cell that is no number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from db.errors import InvalidInput, Problem
from lab_io.curves.headings import CURRENTS, CYCLES, POTENTIALS, Heading, heading
from lab_io.curves.listing import Listing
from lab_io.findings import CellError
from lab_io.units import convert, same_dimension
from lab_io.words import choices, count, shown

Floats = npt.NDArray[np.float64]
Per = Literal["", "area", "mass"]

MAX_SHOWN = 20
"""So many bad cells are listed one by one."""
MIN_POINTS = 5
MOST = (20.0, 1e6)
"""V, and A, A/cm^2 or A/g; what lies beyond has another unit."""
LARGEST = 1e30
_FIGURES = re.compile(r"[0-9eE+.\n-]*")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_KINDS: tuple[tuple[str, Per], ...] = (("A", ""), ("A/cm^2", "area"), ("A/g", "mass"))


@dataclass(frozen=True, slots=True)
class Picks:
    """What the user says of the columns of a file."""

    columns: tuple[str, ...] = ()
    """Headings to take instead of the file's, in order; `-` for a column that is not to be read."""
    potential: str | None = None
    """The heading of the potential, where several could be meant."""
    current: str | None = None
    """The heading of the current, likewise."""
    cycle: int | None = None
    """The number of the cycle to read; None for the last one that is whole."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A polarisation curve in the order in which it was measured; nothing is converted but units."""

    name: str
    """What the file is called."""
    format: str
    potential: Floats
    """V against the reference electrode."""
    current: Floats
    """A, or A/cm^2 or A/g where the file holds a density."""
    per: Per
    """What the current is divided by in the file: nothing, an area or a mass."""
    lines: npt.NDArray[np.int64]
    """Line of each point."""
    headings: tuple[str, str]
    """Of the two columns that were read."""
    against: str = ""
    """The reference that the heading of the potential names."""
    cycle: int | None = None
    """Which was read, where the file counts cycles."""
    cycles: tuple[int, ...] = ()
    """Those of the file."""
    left_out: tuple[int, ...] = ()
    """Lines of points that the instrument marked as overloaded."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the header says."""

    def __len__(self) -> int:
        return len(self.potential)


def curve(listing: Listing, name: str, picks: Picks) -> Curve:
    """The curve of a listing.

    Args:
        listing: what a reader has found.
        name: of the file, for messages.
        picks: what the user says of its columns.

    Raises:
        InvalidInput: columns or units are missing or could be several, or cells are no numbers; all problems at once.
    """
    written = picks.columns or listing.headings
    if len(written) != len(listing.headings):
        what = f"{count(len(written), 'column')} named, and the file has {len(listing.headings)}"
        raise InvalidInput(Problem(name, what, "name each column in order; write - for one that is not to be read"))
    headings = [heading(text) for text in written]
    problems: list[Problem] = []
    chosen = [
        _choose(headings, known, picked, word, name, problems)
        for known, picked, word in ((POTENTIALS, picks.potential, "potential"), (CURRENTS, picks.current, "current"))
    ]
    if problems or chosen[0] is None or chosen[1] is None:
        raise InvalidInput(problems)
    at, of = chosen[0], chosen[1]
    factors = (_factor(headings[at], "V", name, problems), _current(headings[of], name, problems))
    counter = next((i for i, h in enumerate(headings) if h.name in CYCLES), None)
    wanted = [at, of, *([counter] if counter is not None and not listing.cycles else [])]
    columns = _numbers(listing, headings, wanted, name, problems)
    if problems or factors[0] is None or factors[1] is None:
        raise InvalidInput(problems)
    counted = np.array(listing.cycles) if listing.cycles else columns[2] if len(columns) > 2 else None
    keep, cycle, cycles = _cycle(counted, len(listing.rows), picks.cycle, name)
    if keep.sum() < MIN_POINTS:
        what = f"the curve has {count(int(keep.sum()), 'point')}"
        raise InvalidInput(Problem(name, what, f"a curve needs at least {MIN_POINTS}: export it again"))
    factor, per = factors[1]
    values = (columns[0][keep] * factors[0], columns[1][keep] * factor)
    for column, value, most in zip((at, of), values, MOST, strict=True):
        if (worst := float(np.abs(value).max())) > most:
            where = f"{name}, column {shown(headings[column].text)}"
            problems.append(Problem(where, f"values up to {worst:.3g} are impossible", "check the unit in the heading"))
    if problems:
        raise InvalidInput(problems)
    return Curve(
        name=name,
        format=listing.format,
        potential=values[0],
        current=values[1],
        per=per,
        lines=np.array([number for number, _ in listing.rows])[keep],
        headings=(headings[at].text, headings[of].text),
        against=headings[at].against,
        cycle=cycle,
        cycles=cycles,
        left_out=listing.left_out,
        settings=listing.settings,
    )


def _choose(
    headings: Sequence[Heading], known: Sequence[str], picked: str | None, word: str, name: str, problems: list[Problem]
) -> int | None:
    """Position of the column that holds the potential or the current; None with a problem where that is not certain."""
    texts = [h.text for h in headings]
    if picked is not None:
        if picked in texts:
            return texts.index(picked)
        problems.append(Problem(name, f"there is no column {shown(picked)}", choices(picked, texts)))
        return None
    for candidate in known:
        found = [i for i, h in enumerate(headings) if h.name == candidate]
        if len(found) == 1:
            return found[0]
        if found:
            same = " and ".join(shown(texts[i]) for i in found[:4])
            fix = f"say which one with {word}: {texts[found[0]]}"
            problems.append(Problem(name, f"the {word} could be {same}", fix))
            return None
    example = "E/V" if word == "potential" else "I/mA"
    fix = f"name it with {word}: ...; where the file has no column names, give them in order with columns: E/V, I/mA"
    what = f"no column is known as the {word} (such as {example}); the columns are {', '.join(map(shown, texts[:12]))}"
    problems.append(Problem(name, what, fix))
    return None


def _factor(column: Heading, unit: str, name: str, problems: list[Problem]) -> float | None:
    where = f"{name}, column {shown(column.text)}"
    try:
        if column.unit:
            return convert(1.0, column.unit, unit)
        fix = f"write it in the heading, such as {column.text}/{unit}, or give all headings with columns: ..."
        problems.append(Problem(where, "the unit is missing", fix))
    except CellError as error:
        problems.append(Problem(where, error.what, error.fix))
    return None


def _current(column: Heading, name: str, problems: list[Problem]) -> tuple[float, Per] | None:
    """The factor to A, A/cm^2 or A/g, and which of them it is."""
    for unit, per in _KINDS:
        try:
            if column.unit and same_dimension(column.unit, unit):
                return convert(1.0, column.unit, unit), per
        except CellError:
            break
    factor = _factor(column, "A", name, problems)
    return None if factor is None else (factor, "")


def _numbers(
    listing: Listing, headings: Sequence[Heading], wanted: Sequence[int], name: str, problems: list[Problem]
) -> list[Floats]:
    """The wanted columns; every cell that is no finite number is a problem."""
    comma = listing.decimal_comma and _decimal_comma(listing, wanted, name, problems)
    if (quick := _quickly(listing, wanted, comma)) is not None:
        return quick
    bad: list[Problem] = []
    found: list[list[float]] = [[] for _ in wanted]
    for number, cells in listing.rows:
        if len(cells) <= max(wanted):
            what = f"the line has {count(len(cells), 'cell')} where the header has {len(headings)}"
            bad.append(Problem(f"{name}, line {number}", what, "the file may be cut off: export it again"))
            continue
        for values, column in zip(found, wanted, strict=True):
            text = cells[column].strip('"')
            plain = text.replace(",", ".") if comma else text
            if _NUMBER.fullmatch(plain) and abs(value := float(plain)) < LARGEST:
                values.append(value)
                continue
            where = f"{name}, line {number}, column {shown(headings[column].text)}"
            bad.append(Problem(where, f"{shown(text)} is not a finite number", "correct the cell, or remove the line"))
    problems += bad[:MAX_SHOWN]
    if len(bad) > MAX_SHOWN:
        problems.append(Problem(name, f"{count(len(bad) - MAX_SHOWN, 'more cell')} like these", "export it again"))
    return [] if bad else [np.array(values) for values in found]


def _quickly(listing: Listing, wanted: Sequence[int], comma: bool) -> list[Floats] | None:
    """The columns of a file without a fault; None where there is one to be named."""
    if min((len(cells) for _, cells in listing.rows), default=0) <= max(wanted):
        return None
    found = []
    for column in wanted:
        text = "\n".join(cells[column] for _, cells in listing.rows)
        text = text.replace(",", ".") if comma else text
        if not _FIGURES.fullmatch(text):
            return None
        try:
            values = np.array(text.split("\n"), dtype=np.float64)
        except ValueError:
            return None
        if not (np.abs(values) < LARGEST).all():
            return None
        found.append(values)
    return found


def _decimal_comma(listing: Listing, wanted: Sequence[int], name: str, problems: list[Problem]) -> bool:
    """Whether the decimal sign of the file is a comma."""
    first: dict[str, tuple[int, str]] = {}
    for number, cells in listing.rows:
        for column in wanted:
            for sign in ",." if column < len(cells) else "":
                if sign in cells[column]:
                    first.setdefault(sign, (number, cells[column]))
    if len(first) == 2:
        (one, a), (other, b) = first[","], first["."]
        what = f"mixed decimal signs: {shown(a)} on line {one} and {shown(b)} on line {other}"
        problems.append(Problem(name, what, "use one decimal sign in the whole file, and nothing between thousands"))
        first.pop(",")
    return "," in first


def _cycle(
    counted: Any, n: int, wanted: int | None, name: str
) -> tuple[npt.NDArray[np.bool_], int | None, tuple[int, ...]]:
    """Which points belong to the wanted cycle, its number, and the numbers there are."""
    if counted is None:
        return np.ones(n, bool), None, ()
    numbers = np.asarray(counted).round().astype(int)
    found, sizes = np.unique(numbers, return_counts=True)
    cycles = tuple(int(c) for c in found)
    whole = found[sizes >= sizes.max() / 2]  # instruments begin a cycle that they do not finish
    cycle = int(whole[-1]) if wanted is None else wanted
    if cycle not in cycles:
        fix = f"use one of {', '.join(map(str, cycles[:20]))}, or leave it out for the last"
        raise InvalidInput(Problem(name, f"there is no cycle {cycle}", fix))
    return numbers == cycle, cycle, cycles
