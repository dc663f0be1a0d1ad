"""Compositions on a grid: fractions of chosen elements in whole steps of 1/divisions."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from campaign.constraints import Constraint, ConstraintError, HalfSpace, parse
from campaign.grammar import Frozen, Number, Whole, faults
from campaign.spaces.base import (
    ELEMENTS,
    SNAP,
    Floats,
    Ints,
    SpaceSpec,
    candidate_id,
    fractions_of,
    index_chunks,
)
from campaign.spaces.lattice import Lattice, Region, Rule, TooLargeError
from campaign.spaces.limits import Limit, smallest_conflict
from campaign.words import listed, shown, suggestion
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design
from lab_io.schema import Column
from lab_io.words import count


class Bound(Frozen):
    """Limits on the fraction of one element."""

    min: Annotated[Number, Field(ge=0, le=1)] | None = None
    """Least fraction, from 0 to 1; above 0 the element is always present."""
    max: Annotated[Number, Field(ge=0, le=1)] | None = None
    """Greatest fraction, from 0 to 1."""


class CompositionGrid(SpaceSpec):
    """All compositions of some elements whose fractions are whole multiples of 1/divisions."""

    type: Literal["composition_grid"]
    elements: Annotated[tuple[str, ...], Field(min_length=1)]
    """Symbols of the elements, in the order to show them: `[Ni, Fe, Co]`."""
    divisions: Annotated[Whole, Field(ge=1, le=1000)]
    """Number of equal steps from 0 to 1: 10 gives fractions of 0, 0.1, 0.2 ... 1."""
    min_elements: Annotated[Whole, Field(ge=1)] = 1
    """Least number of elements in one composition; 1 if left out."""
    max_elements: Annotated[Whole, Field(ge=1)] | None = None
    """Greatest number of elements in one composition; all of them if left out."""
    bounds: dict[str, Bound] = Field(default_factory=dict)
    """Limits by element: `{Ce: {max: 0.6}}`."""
    constraints: tuple[str, ...] = ()
    """Linear conditions that all hold, with `or` inside one of them: `["La + Ce <= 0.7", "Ni >= 0.1 or Co >= 0.1"]`."""

    @field_validator("elements")
    @classmethod
    def _are_elements(cls, elements: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [(i, e) for i, e in enumerate(elements) if e not in ELEMENTS]
        twice = [(i, e) for i, e in enumerate(elements) if e in elements[:i]]
        symbols = sorted(ELEMENTS)
        faults(
            [((i,), f"{shown(e)} is not the symbol of an element", suggestion(e, symbols)) for i, e in unknown]
            + [((i,), f"{e} is listed twice", "keep one of the two") for i, e in twice]
        )
        return elements

    @field_validator("bounds")
    @classmethod
    def _bound_elements(cls, bounds: dict[str, Bound], info: ValidationInfo) -> dict[str, Bound]:
        if elements := info.data.get("elements"):
            unknown = [name for name in bounds if name not in elements]
            faults(((n,), f"{shown(n)} is not an element of this space", suggestion(n, elements)) for n in unknown)
        return bounds

    @field_validator("constraints")
    @classmethod
    def _readable(cls, constraints: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        found = []
        for i, text in enumerate(constraints if info.data.get("elements") else ()):
            try:
                parse(text, info.data["elements"])
            except ConstraintError as error:
                found.append(((i,), f"{error.what}, at column {error.column} of {shown(text)}", error.fix))
        faults(found)
        return constraints

    def build(self, sources: Mapping[str, bytes]) -> GridSpace:
        """The space; it reads no files.

        Raises:
            InvalidInput: no composition satisfies all limits, or they are too many to count.
        """
        return GridSpace(self)

    def design_names(self) -> tuple[str, ...]:
        """The elements."""
        return self.elements

    def describe(self, size: int) -> str:
        """`2,121 compositions of Ni, Fe and Co in steps of 1/10, with at most 4 elements, and La + Ce <= 0.7`."""
        limits = [f"({limit.words})" if " or " in limit.words else limit.words for limit in self.limits()]
        text = f"{count(size, 'composition')} of {listed(self.elements)} in steps of 1/{self.divisions}"
        return f"{text}, with {listed(limits)}" if limits else text

    def limits(self) -> list[Limit]:
        """All that narrows the grid, one by one, in the user's words."""
        limits = []
        if self.min_elements > 1:
            limits.append(
                Limit("min_elements", f"at least {count(self.min_elements, 'element')}", fewest=self.min_elements)
            )
        if self.max_elements is not None:
            limits.append(
                Limit("max_elements", f"at most {count(self.max_elements, 'element')}", most=self.max_elements)
            )
        for name, bound in self.bounds.items():
            if bound.min is not None:
                limits.append(Limit(f"bounds.{name}.min", f"{name} >= {bound.min:g}", lower=(name, bound.min)))
            if bound.max is not None:
                limits.append(Limit(f"bounds.{name}.max", f"{name} <= {bound.max:g}", upper=(name, bound.max)))
        for i, text in enumerate(self.constraints):
            limits.append(Limit(f"constraints[{i}]", text, constraint=parse(text, self.elements)))
        return limits

    def region(self, limits: Sequence[Limit]) -> Region:
        """The grid points that satisfy `limits`, in whole steps."""
        d = self.divisions
        lower, upper = dict.fromkeys(self.elements, 0), dict.fromkeys(self.elements, d)
        for limit in limits:
            if limit.lower:
                lower[limit.lower[0]] = math.ceil(Fraction(str(limit.lower[1])) * d)
            if limit.upper:
                upper[limit.upper[0]] = math.floor(Fraction(str(limit.upper[1])) * d)
        return Region(
            total=d,
            lower=list(lower.values()),
            upper=list(upper.values()),
            fewest=max((limit.fewest for limit in limits if limit.fewest), default=1),
            most=min((limit.most for limit in limits if limit.most), default=len(self.elements)),
            rules=[self._rule(limit.constraint) for limit in limits if limit.constraint],
        )

    def _rule(self, constraint: Constraint) -> Rule:
        return tuple(tuple(self._inequality(half) for half in half_spaces) for half_spaces in constraint.alternatives)

    def _inequality(self, half: HalfSpace) -> tuple[tuple[int, ...], int]:
        """Sum c x <= b as whole numbers: with x = n / divisions and m the common denominator, sum (m c) n <= m b d."""
        m = math.lcm(*(c.denominator for c in half.coefficients.values()), (half.bound * self.divisions).denominator)
        coefficients = tuple(int(half.coefficients.get(e, Fraction(0)) * m) for e in self.elements)
        return coefficients, int(half.bound * self.divisions * m) - half.strict


class GridSpace:
    """The compositions of a `CompositionGrid`, counted and numbered without being listed. X holds the fractions.

    Raises:
        InvalidInput: no composition satisfies all limits (the smallest set that leaves nothing is named), or the
            limits combine in too many ways to count.
    """

    def __init__(self, spec: CompositionGrid) -> None:
        self.spec = spec
        self.columns = self.components = tuple(spec.elements)
        limits = spec.limits()
        try:
            self._lattice = Lattice(spec.region(limits))
        except TooLargeError as error:
            fix = "use fewer divisions, or fewer constraints with rounder numbers"
            raise InvalidInput(Problem("space", str(error), fix)) from error
        if not self._lattice.count:
            raise InvalidInput(_nothing_left(spec, limits))

    @property
    def count(self) -> int:
        """Exact number of compositions."""
        return self._lattice.count

    def __len__(self) -> int:
        return self.count

    def strata(self) -> dict[str, int]:
        """Number of compositions by number of elements: `{"1 element": 6, "2 elements": 135}`."""
        return {count(size, "element"): n for size, n in self._lattice.by_present.items()}

    def X(self, indices: Ints) -> Floats:  # noqa: N802 - the field's word for a design matrix
        """Fractions [n, d] of the compositions at `indices` [n].

        Raises:
            InvalidInput: the space has more compositions than can be numbered.
        """
        return self._points(indices) / self.spec.divisions

    def stratum(self, indices: Ints) -> list[str]:
        """`3 elements` for each index."""
        names = [count(n, "element") for n in range(len(self.columns) + 1)]
        return [names[n] for n in (self._points(indices) > 0).sum(axis=1)]

    def candidate(self, index: int) -> Candidate:
        """The composition at a position."""
        return self._candidate(self._points(np.array([index]))[0])

    def chunks(self, size: int = 65_536) -> Iterator[Ints]:
        """All positions, in order, `size` at a time."""
        return index_chunks(self.count, size)

    def locate(self, design: Design) -> int | None:
        """Position of a composition typed to within 0.0005 of the grid; None when it is not in the space."""
        try:
            point = self._snap(fractions_of(design, self.columns))
        except InvalidInput:
            return None
        index = -1 if point is None else int(self._rank(point[None])[0])
        return None if index < 0 else index

    def design_candidate(self, design: Design) -> Candidate:
        """The candidate of any composition of these elements; one within 0.0005 of the grid is the grid's.

        Raises:
            InvalidInput: an element is unknown, or the fractions do not sum to 1 within 0.02.
        """
        fractions = fractions_of(design, self.columns)
        point = self._snap(fractions)
        if point is not None:
            return self._candidate(point)
        present = {name: round(x, 6) for name, x in fractions.items() if round(x, 6)}
        return Candidate(candidate_id(fractions), present, count(len(present), "element"))

    def x_of(self, design: Design) -> Floats:
        """Fractions [d] of any composition of these elements, normalised.

        Raises:
            InvalidInput: an element is unknown, or the fractions do not sum to 1 within 0.02.
        """
        fractions = fractions_of(design, self.columns)
        point = self._snap(fractions)
        return np.array([fractions.get(e, 0.0) for e in self.columns]) if point is None else point / self.spec.divisions

    def neighbours(self, index: int) -> Ints:
        """Positions, ascending, of the compositions one step away: 1/divisions of one element became another."""
        k = len(self.columns)
        point = self._points(np.array([index]))[0]
        moves = np.eye(k, dtype=np.int64)[:, None] - np.eye(k, dtype=np.int64)[None]
        ranks = self._rank(point + moves[~np.eye(k, dtype=bool)])
        return np.unique(ranks[ranks >= 0])

    def side_scale(self) -> tuple[Floats, Floats]:
        """Empty: every column is a fraction."""
        return np.empty(0), np.empty(0)

    def coordinates(self, X: Floats) -> Floats:
        """Halves of the fractions: what one design has more the other has less."""
        return X / 2

    def constituents(self, x: Floats) -> tuple[str, ...]:
        """The elements present."""
        return tuple(name for name, fraction in zip(self.columns, x, strict=True) if fraction > 0)

    def side_columns(self) -> tuple[Column, ...]:
        """None: a grid has fractions only."""
        return ()

    def numeric_ranges(self) -> tuple[tuple[str, float, float], ...]:
        """Empty: every column is a fraction."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def fingerprint(self) -> str:
        """SHA-256 of the space as specified."""
        return hashlib.sha256(json.dumps(self.spec.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    def _points(self, indices: Ints) -> Ints:
        try:
            return self._lattice.unrank(indices)
        except TooLargeError as error:
            fix = "use fewer divisions or elements, or set max_elements"
            raise InvalidInput(Problem("space", f"{self.count:,} compositions are too many to screen", fix)) from error

    def _rank(self, points: Ints) -> Ints:
        self._points(np.empty(0, dtype=np.int64))
        return self._lattice.rank(points)

    def _snap(self, fractions: Mapping[str, float]) -> Ints | None:
        """The grid point of fractions, or None when they are off the grid."""
        steps = np.array([fractions.get(e, 0.0) for e in self.columns]) * self.spec.divisions
        if not (np.abs(steps) <= 2 * self.spec.divisions).all():
            return None
        point = np.rint(steps).astype(np.int64)
        near = (np.abs(steps - point) <= SNAP * self.spec.divisions + 1e-9).all()
        return point if near and point.sum() == self.spec.divisions and (point >= 0).all() else None

    def _candidate(self, point: Ints) -> Candidate:
        fractions = {e: int(n) / self.spec.divisions for e, n in zip(self.columns, point, strict=True) if n}
        return Candidate(candidate_id(fractions), fractions, count(len(fractions), "element"))


def _nothing_left(spec: CompositionGrid, limits: Sequence[Limit]) -> Problem:
    """Names a smallest set of limits that no composition satisfies."""

    def empty(some: Sequence[Limit]) -> bool:
        try:
            return not Lattice(spec.region(some)).count
        except TooLargeError:  # too many ways to count are not none
            return False

    core = smallest_conflict(limits, empty)
    together = "these together: " if len(core) > 1 else ""
    written = listed([f"{limit.key} ({limit.words})" for limit in core])
    what = f"no composition of {count(len(spec.elements), 'element')} in steps of 1/{spec.divisions} satisfies "
    return Problem("space", what + together + written, "loosen or remove one of them, or change divisions")
