"""What a space is to the rest of a campaign, and the identity of a design."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from campaign.grammar import Frozen
from campaign.words import listed, shown, suggestion
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design
from lab_io.schema import Column

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SNAP = 5e-4
"""A typed fraction this close to a grid value is that grid value: 0.333 means a third."""
SUM_TOLERANCE = 0.02
"""Fractions whose sum is this close to 1 are taken as rounded and are normalised."""

_SYMBOLS = """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo
    Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl
    Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
ELEMENTS = frozenset(_SYMBOLS.split())
"""Symbols of the chemical elements."""


class Space(Protocol):
    """All candidates of a campaign, numbered 0..count-1 in an order that never changes; nothing is materialised.

    X is the design matrix: one row a candidate, one column a design variable, the fractions first.
    """

    columns: tuple[str, ...]
    """Names of the d columns of X."""
    components: tuple[str, ...]
    """The leading columns that are fractions and sum to 1; may be empty."""

    @property
    def count(self) -> int:
        """Exact number of candidates."""

    def __len__(self) -> int: ...

    def strata(self) -> dict[str, int]:
        """Stratum -> exact number of candidates, in the order to show them."""

    def X(self, indices: Ints) -> Floats:  # noqa: N802 - the field's word for a design matrix
        """Design vectors: indices is [n], the result [n, d] in float64."""

    def stratum(self, indices: Ints) -> list[str]:
        """Stratum of each candidate."""

    def candidate(self, index: int) -> Candidate:
        """The candidate at a position."""

    def chunks(self, size: int = 65_536) -> Iterator[Ints]:
        """All positions, in order, `size` at a time."""

    def locate(self, design: Design) -> int | None:
        """Position of a design, values taken as typed (0.3 or "0.3"); None where the space does not hold it."""

    def design_candidate(self, design: Design) -> Candidate:
        """The candidate of any design in this space's columns, whether the space holds it or not.

        Raises:
            InvalidInput: a column is unknown or missing, or the fractions do not sum to 1 within 0.02.
        """

    def x_of(self, design: Design) -> Floats:
        """Design vector [d] of any design in this space's columns, fractions normalised.

        Raises:
            InvalidInput: as `design_candidate`.
        """

    def neighbours(self, index: int) -> Ints:
        """Positions, ascending, of the candidates one substitution away."""

    def side_scale(self) -> tuple[Floats, Floats]:
        """(shift, scale) of the columns after the components, each [d - components]: (x - shift) / scale."""

    def coordinates(self, X: Floats) -> Floats:
        """Coordinates [n, p] of designs [n, d]; the distance of two designs is the sum of their absolute differences.

        It is the share of the material that differs, plus the difference in every other column over its range.
        """

    def constituents(self, x: Floats) -> tuple[str, ...]:
        """What a design [d] is made of and another may lack: its components, its words."""

    def side_columns(self) -> tuple[Column, ...]:
        """The design variables that are no fractions: name, kind, unit and, for a category, its words."""

    def numeric_ranges(self) -> tuple[tuple[str, float, float], ...]:
        """(column, least, greatest) of each number column after the components."""

    def notes(self) -> tuple[str, ...]:
        """What to know before a campaign starts on this space, in words; warnings begin with `warning: `."""

    def fingerprint(self) -> str:
        """SHA-256 of all that the space is made from."""


def variables(space: Space) -> tuple[str, ...]:
    """Names of the design variables: the components, then the other columns; what a table of results has."""
    return (*space.components, *(column.name for column in space.side_columns()))


def units(space: Space) -> dict[str, str]:
    """Number column -> its unit; plain numbers are left out."""
    return {column.name: column.unit for column in space.side_columns() if column.unit}


def ordered(design: Design, space: Space) -> dict[str, float | str]:
    """The same design in the order of the spec, whatever the order in which it was typed or stored."""
    names = variables(space)
    return {n: design[n] for n in names if n in design} | {n: v for n, v in design.items() if n not in names}


class SpaceSpec(Frozen, ABC):
    """What a user writes under `space:`. A new kind of space is one file with one of these and its Space."""

    @abstractmethod
    def build(self, sources: Mapping[str, bytes]) -> Space:
        """The space. `sources` holds the bytes of each of `files()`.

        Raises:
            InvalidInput: the space is empty or a source cannot be read.
        """

    def files(self) -> tuple[str, ...]:
        """Names of the files that the space is read from, relative to the spec."""
        return ()

    @abstractmethod
    def design_names(self) -> tuple[str, ...]:
        """Names of the design variables, as far as they are known without reading the files."""

    @abstractmethod
    def describe(self, size: int) -> str:
        """The space in words: `2,121 compositions of Ni and Fe in steps of 1/10`."""


def candidate_id(fractions: Mapping[str, float], others: Mapping[str, float | str] | None = None) -> str:
    """Identity of a design: a hash of its content, the same in every campaign.

    Args:
        fractions: component -> fraction; only those above zero count, in millionths.
        others: further variables, named with their unit (`T [degC]`) so that 80 degC and 80 K differ.
    """
    present = {name: parts for name, x in fractions.items() if (parts := millionths(x))}
    content = {"fractions": present, "others": dict(others or {})}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def design_id(design: Design, components: Sequence[str], columns: Sequence[Column]) -> str:
    """Identity of a whole design, its numbers named with the unit of their column."""
    others = {f"{c.name} [{c.unit}]" if c.unit else c.name: design[c.name] for c in columns}
    return candidate_id({name: float(design.get(name, 0.0)) for name in components}, others)


def finite(value: object) -> float | None:
    """A number, or text that is one, as a float; None when it is neither or not finite."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def fractions_of(design: Design, components: Sequence[str]) -> dict[str, float]:
    """The fractions above zero of a design, normalised.

    Raises:
        InvalidInput: a component is unknown, a value is not a number, or they do not sum to 1 within 0.02.
    """
    fractions: dict[str, float] = {}
    wrong = []
    for name, value in design.items():
        number = finite(value)
        if number is None or number < 0:
            wrong.append(Problem(name, f"{shown(value)} is not a fraction", "write a number from 0 to 1"))
        elif number and name not in components:
            fix = suggestion(name, components)
            wrong.append(Problem(name, f"{shown(name)} is not a component of this space", fix))
        elif number:
            fractions[name] = number
    total = math.fsum(fractions.values())
    if not wrong and abs(total - 1) > SUM_TOLERANCE:
        wrong.append(Problem(listed(list(design)), f"the fractions sum to {total:.4g}, not to 1", sum_fix(total)))
    if wrong:
        raise InvalidInput(wrong)
    return {name: fractions[name] / total for name in components if name in fractions}


def sum_fix(total: float) -> str:
    """What to do about fractions that sum to `total`."""
    return "divide by 100, these look like percent" if abs(total - 100) <= 2 else "check each fraction of the row"


def millionths(fraction: float) -> int:
    """A fraction in whole millionths, halves up."""
    return math.floor(fraction * 1e6 + 0.5)


def index_chunks(count: int, size: int) -> Iterator[Ints]:
    """0..count-1 in consecutive arrays of at most `size`."""
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count), dtype=np.int64)
