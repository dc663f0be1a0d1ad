"""Products of spaces: a composition and a route, a table and a process, every pair of them and none of them listed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from campaign.grammar import Choice, faults
from campaign.spaces.base import Floats, Ints, Space, SpaceSpec, design_id, index_chunks
from campaign.spaces.grid import CompositionGrid
from campaign.spaces.process import Process
from campaign.spaces.radix import digits, strides
from campaign.spaces.route.space import SequenceSpace
from campaign.spaces.route.spec import ProcessSequence
from campaign.spaces.settings import name_faults
from campaign.spaces.table import CandidateTable
from campaign.words import listed, shown, suggestion
from campaign.yaml import Path
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design
from lab_io.schema import Column
from lab_io.words import count


class GridPart(CompositionGrid):
    """A `composition_grid` as a part of a product, with all keys of one, and a name."""

    name: str
    """What it is called."""


class TablePart(CandidateTable):
    """A `candidate_table` as a part of a product, with all keys of one, and a name."""

    name: str
    """What it is called; its columns that are no fractions are named after it: `ink.solvent`."""


class ProcessPart(Process):
    """A `process` as a part of a product, with all keys of one, and a name."""

    name: str
    """What it is called; its variables are named after it: `heat.T`."""


class SequencePart(ProcessSequence):
    """A `process_sequence` as a part of a product, with all keys of one, and a name."""

    name: str
    """What it is called, and the column that holds the route."""

    @property
    def column(self) -> str:
        """The name of the part."""
        return self.name


AnyPart = Annotated[GridPart | TablePart | ProcessPart | SequencePart, Field(discriminator="type"), Choice()]


class Product(SpaceSpec):
    """Every combination of the candidates of several spaces, at most one of them with fractions, at most one of routes.

    Columns of a part are named after it (`heat.T`), but for fractions, which are called after their elements, and a
    route, which is called as its part.
    """

    type: Literal["product"]
    parts: Annotated[tuple[AnyPart, ...], Field(min_length=1)]
    """The spaces, each with a `name`: composition_grid, candidate_table, process and process_sequence."""

    @field_validator("parts")
    @classmethod
    def _together(cls, parts: tuple[AnyPart, ...]) -> tuple[AnyPart, ...]:
        names = [part.name for part in parts]
        found: list[tuple[Path, str, str]] = []
        for i, part in enumerate(parts):
            found += [((i, "name"), what, fix) for _, what, fix in name_faults([part.name], "part")]
            if part.name in names[:i]:
                found.append(((i, "name"), f"{part.name} is the name of two parts", "choose another name"))
        for kind, what in ((GridPart, "fractions"), (SequencePart, "a route")):
            several = [i for i, part in enumerate(parts) if isinstance(part, kind)]
            found += [((i,), f"{parts[several[0]].name} has {what} already", _ONE[what]) for i in several[1:]]
        elements = {e for part in parts if isinstance(part, GridPart) for e in part.elements}
        found += [
            ((i, "name"), f"{part.name} is also an element of the product", "choose another name")
            for i, part in enumerate(parts)
            if part.name in elements
        ]
        faults(found)
        return parts

    def build(self, sources: Mapping[str, bytes]) -> ProductSpace:
        """The space.

        Raises:
            InvalidInput: a part is empty or its table cannot be used, or two parts have fractions.
        """
        return ProductSpace(self, [part.build(sources) for part in self.parts])

    def files(self) -> tuple[str, ...]:
        """Those of the parts."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.files()))

    def design_names(self) -> tuple[str, ...]:
        """The names of all parts' columns."""
        return tuple(_outer(part, name) for part in self.parts for name in part.design_names())

    def describe(self, size: int) -> str:
        """`12,000 combinations of alloy (…) and route (…)`, each part in words and with its own number."""
        parts = [f"{p.name} ({p.describe(p.build({}).count) if not p.files() else p.files()[0]})" for p in self.parts]
        return f"{count(size, 'combination')} of {listed(parts)}"


_ONE = {
    "fractions": "fractions sum to 1 over one part: join the two, or list one of them as a `process`",
    "a route": "write one process_sequence with the steps of both, in the order that rules give them",
}


def _outer(part: AnyPart, name: str) -> str:
    """What a column of a part is called in the product."""
    if isinstance(part, GridPart | SequencePart):
        return name
    if isinstance(part, TablePart) and getattr(part.columns.get(name), "type", "") == "fraction":
        return name
    return f"{part.name}.{name}"


@dataclass(frozen=True)
class _Part:
    """A part with its place in the product."""

    name: str
    space: Space
    prefix: str
    """Before the names of its columns that are no fractions; empty for a route."""
    at: Ints
    """Its columns in X."""
    variables: Mapping[str, str]
    """Name of a variable in the product -> its name in the part."""

    def outer(self, name: str) -> str:
        return name if name in self.space.components else f"{self.prefix}{name}"

    def own(self, design: Design) -> dict[str, float | str]:
        """The part of a design that is of this part, in its own names."""
        return {self.variables[name]: value for name, value in design.items() if name in self.variables}

    def outward(self, design: Design) -> dict[str, float | str]:
        return {self.outer(name): value for name, value in design.items()}

    def problems(self, error: InvalidInput) -> list[Problem]:
        """The same problems, in the names of the product."""
        names = {own: outer for outer, own in self.variables.items()}
        return [replace(p, where=names.get(p.where, p.where)) for p in error.problems]


class ProductSpace:
    """The combinations of several spaces, numbered with the last part changing fastest; nothing is materialised.

    X has the fractions of the one part that has some, then the other columns, part by part. Strata are those of the
    part with fractions, else of the first.

    Args:
        spec: what the parts are.
        spaces: of the parts.

    Raises:
        InvalidInput: two parts have fractions.
    """

    def __init__(self, spec: Product, spaces: Sequence[Space]) -> None:
        self.spec = spec
        composed = [i for i, space in enumerate(spaces) if space.components]
        if len(composed) > 1:
            what = f"{spec.parts[composed[0]].name} has fractions already"
            raise InvalidInput(Problem(f"space.parts[{composed[1]}]", what, _ONE["fractions"]))
        self._leading = composed[0] if composed else 0
        self.components = spaces[self._leading].components
        self.columns = self.components
        parts = []
        for part, space in zip(spec.parts, spaces, strict=True):
            k, start = len(space.components), len(self.columns)
            prefix = "" if isinstance(space, SequenceSpace) else f"{part.name}."
            self.columns += tuple(f"{prefix}{name}" for name in space.columns[k:])
            at = np.concatenate([np.arange(k), np.arange(start, len(self.columns))])
            own = {f"{prefix}{c.name}": c.name for c in space.side_columns()} | {e: e for e in space.components}
            parts.append(_Part(part.name, space, prefix, at, own))
        self._parts = tuple(parts)
        self._sizes = [space.count for space in spaces]

    @cached_property
    def count(self) -> int:
        """Exact number of combinations."""
        return prod(self._sizes)

    def __len__(self) -> int:
        return self.count

    @property
    def route(self) -> tuple[SequenceSpace, int] | None:
        """The part of routes and the column of X where its code begins; None where there is none."""
        found = [(p.space, int(p.at[0])) for p in self._parts if isinstance(p.space, SequenceSpace)]
        return found[0] if found else None

    def strata(self) -> dict[str, int]:
        """Number of combinations by stratum of the part with fractions, else of the first."""
        rest = self.count // self._sizes[self._leading]
        return {name: n * rest for name, n in self._parts[self._leading].space.strata().items()}

    def X(self, indices: Ints) -> Floats:  # noqa: N802 - the field's word for a design matrix
        """Design vectors [n, d] of the combinations at `indices` [n].

        Raises:
            InvalidInput: there are more combinations than can be numbered.
        """
        found = np.empty((len(indices), len(self.columns)))
        for part, chosen in zip(self._parts, digits(indices, self._sizes).T, strict=True):
            found[:, part.at] = part.space.X(chosen)
        return found

    def stratum(self, indices: Ints) -> list[str]:
        """Stratum of each combination."""
        return self._parts[self._leading].space.stratum(digits(indices, self._sizes)[:, self._leading])

    def candidate(self, index: int) -> Candidate:
        """The combination at a position."""
        chosen = digits(np.array([index]), self._sizes)[0].tolist()
        return self._joined([p.space.candidate(i) for p, i in zip(self._parts, chosen, strict=True)])

    def chunks(self, size: int = 65_536) -> Iterator[Ints]:
        """All positions, in order, `size` at a time."""
        return index_chunks(self.count, size)

    def locate(self, design: Design) -> int | None:
        """Position of a design, found part by part; None where a part does not hold its share."""
        if any(not any(name in p.variables for p in self._parts) for name in design):
            return None
        places = [p.space.locate(p.own(design)) for p in self._parts]
        if any(place is None for place in places):
            return None
        return sum(place * worth for place, worth in zip(places, strides(self._sizes), strict=True) if place)

    def design_candidate(self, design: Design) -> Candidate:
        """The candidate of any design in the product's columns, in the space or not.

        Raises:
            InvalidInput: a column is unknown, or a part cannot read its share; all problems at once.
        """
        found, problems = [], self._strangers(design)
        for part in self._parts:
            try:
                found.append(part.space.design_candidate(part.own(design)))
            except InvalidInput as error:
                problems += part.problems(error)
        if problems:
            raise InvalidInput(problems)
        return self._joined(found)

    def x_of(self, design: Design) -> Floats:
        """Design vector [d] of any design in the product's columns.

        Raises:
            InvalidInput: as `design_candidate`.
        """
        x, problems = np.empty(len(self.columns)), self._strangers(design)
        for part in self._parts:
            try:
                x[part.at] = part.space.x_of(part.own(design))
            except InvalidInput as error:
                problems += part.problems(error)
        if problems:
            raise InvalidInput(problems)
        return x

    def neighbours(self, index: int) -> Ints:
        """Positions, ascending, of the combinations of which one part is a neighbour and the others are the same."""
        chosen = digits(np.array([index]), self._sizes)[0].tolist()
        moved = [
            index + (part.space.neighbours(i) - i) * worth
            for part, i, worth in zip(self._parts, chosen, strides(self._sizes), strict=True)
        ]
        return np.sort(np.concatenate(moved))

    def side_scale(self) -> tuple[Floats, Floats]:
        """(shift, scale) of the columns after the fractions."""
        scales = [part.space.side_scale() for part in self._parts]
        return np.concatenate([shift for shift, _ in scales]), np.concatenate([scale for _, scale in scales])

    def coordinates(self, X: Floats) -> Floats:
        """The coordinates of all parts: distances add up."""
        return np.hstack([part.space.coordinates(X[:, part.at]) for part in self._parts])

    def constituents(self, x: Floats) -> tuple[str, ...]:
        """Those of all parts."""
        return tuple(part.outer(name) for part in self._parts for name in part.space.constituents(x[part.at]))

    def side_columns(self) -> tuple[Column, ...]:
        """Those of all parts, in their order."""
        return tuple(replace(c, name=part.outer(c.name)) for part in self._parts for c in part.space.side_columns())

    def numeric_ranges(self) -> tuple[tuple[str, float, float], ...]:
        """(column, least, greatest) of each number column after the fractions."""
        return tuple(
            (part.outer(name), low, high) for part in self._parts for name, low, high in part.space.numeric_ranges()
        )

    def notes(self) -> tuple[str, ...]:
        """Those of all parts."""
        return tuple(note for part in self._parts for note in part.space.notes())

    def fingerprint(self) -> str:
        """SHA-256 of the fingerprints of all parts with their names."""
        text = json.dumps([(part.name, part.space.fingerprint()) for part in self._parts])
        return hashlib.sha256(text.encode()).hexdigest()

    def _joined(self, candidates: Sequence[Candidate]) -> Candidate:
        design: dict[str, float | str] = {}
        for part, candidate in zip(self._parts, candidates, strict=True):
            design |= part.outward(candidate.design)
        identity = design_id(design, self.components, self.side_columns())
        return Candidate(identity, design, candidates[self._leading].stratum)

    def _strangers(self, design: Design) -> list[Problem]:
        known = [name for part in self._parts for name in part.variables]
        return [
            Problem(name, f"{shown(name)} is not a column of the space", suggestion(name, known))
            for name, value in design.items()
            if name not in known and value != 0
        ]


def route_of(space: Space) -> tuple[SequenceSpace, int] | None:
    """The routes of a space and the column of X where their code begins; None for a space without."""
    if isinstance(space, SequenceSpace):
        return space, 0
    return space.route if isinstance(space, ProductSpace) else None
