"""Settings of a process, every combination of them: temperatures, times, solvents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from campaign.grammar import faults
from campaign.spaces.base import Floats, Ints, SpaceSpec, design_id, index_chunks
from campaign.spaces.radix import digits, strides
from campaign.spaces.settings import Level, Setting, Variable, by_name, described, name_faults
from campaign.words import listed, shown, suggestion
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design
from lab_io.findings import CellError
from lab_io.schema import Column
from lab_io.words import count


class Process(SpaceSpec):
    """All combinations of the settings of a process."""

    type: Literal["process"]
    variables: Annotated[dict[str, Setting], Field(min_length=1)]
    """What is set: `{T: {min: 300, max: 600, step: 50, unit: K}, solvent: {values: [DMF, water]}}`."""

    @field_validator("variables")
    @classmethod
    def _named(cls, variables: dict[str, Setting]) -> dict[str, Setting]:
        faults(name_faults(variables, "variable"))
        return by_name(variables)

    def build(self, sources: Mapping[str, bytes]) -> ProcessSpace:
        """The space; it reads no files."""
        return ProcessSpace(self)

    def design_names(self) -> tuple[str, ...]:
        """The variables."""
        return tuple(self.variables)

    def describe(self, size: int) -> str:
        """`42 settings of T from 300 to 600 K (7 values) and solvent DMF or water`."""
        variables = [described(setting.variable(name)) for name, setting in self.variables.items()]
        return f"{count(size, 'setting')} of {listed(variables)}"


class ProcessSpace:
    """The settings of a `Process`, variables in the order of their names, the last changing fastest.

    X has the numbers first, then one column of 0 or 1 for each word of each category (`solvent=DMF`).
    """

    components: tuple[str, ...] = ()

    def __init__(self, spec: Process) -> None:
        self.spec = spec
        self._variables = tuple(setting.variable(name) for name, setting in spec.variables.items())
        self._sizes = [v.size for v in self._variables]
        self._numbers = [v for v in self._variables if not v.words]
        self._words = [v for v in self._variables if v.words]
        self.columns = (*(v.name for v in self._numbers), *(f"{v.name}={w}" for v in self._words for w in v.words))

    @property
    def count(self) -> int:
        """Exact number of settings."""
        return prod(self._sizes)

    def __len__(self) -> int:
        return self.count

    def strata(self) -> dict[str, int]:
        """One, of all settings."""
        return {"all": self.count}

    def X(self, indices: Ints) -> Floats:  # noqa: N802 - the field's word for a design matrix
        """Design vectors [n, d] of the settings at `indices` [n].

        Raises:
            InvalidInput: there are more settings than can be numbered.
        """
        chosen = dict(zip(self._variables, digits(indices, self._sizes).T, strict=True))
        numbers = [np.array(v.levels)[chosen[v]][:, None] for v in self._numbers]
        words = [np.eye(v.size)[chosen[v]] for v in self._words]
        return np.hstack([*numbers, *words])

    def stratum(self, indices: Ints) -> list[str]:
        """`all` for each."""
        return ["all"] * len(indices)

    def candidate(self, index: int) -> Candidate:
        """The setting at a position."""
        chosen = digits(np.array([index]), self._sizes)[0]
        return self._candidate({v.name: v.value(int(i)) for v, i in zip(self._variables, chosen, strict=True)})

    def chunks(self, size: int = 65_536) -> Iterator[Ints]:
        """All positions, in order, `size` at a time."""
        return index_chunks(self.count, size)

    def locate(self, design: Design) -> int | None:
        """Position of a setting, numbers typed to within 0.002 of a step; None where the space does not hold it."""
        try:
            values = self._read(design)
        except InvalidInput:
            return None
        places = [v.place(values[v.name]) for v in self._variables]
        if any(place is None for place in places):
            return None
        return sum(place * worth for place, worth in zip(places, strides(self._sizes), strict=True) if place)

    def design_candidate(self, design: Design) -> Candidate:
        """The candidate of any setting of these variables, in the space or not.

        Raises:
            InvalidInput: a variable is missing or unknown, a word is unknown, or a value is no number.
        """
        return self._candidate(self._read(design))

    def x_of(self, design: Design) -> Floats:
        """Design vector [d] of any setting of these variables.

        Raises:
            InvalidInput: as `design_candidate`.
        """
        values = self._read(design)
        one_hot = [float(values[v.name] == word) for v in self._words for word in v.words]
        return np.array([*(values[v.name] for v in self._numbers), *one_hot], dtype=np.float64)

    def neighbours(self, index: int) -> Ints:
        """Positions, ascending, of the settings one change away: a number to the next, a word to another."""
        chosen = digits(np.array([index]), self._sizes)[0].tolist()
        worths = strides(self._sizes)
        moved = [
            index + (j - i) * worth
            for v, i, worth in zip(self._variables, chosen, worths, strict=True)
            for j in v.nearby(i)
        ]
        return np.array(sorted(moved), dtype=np.int64)

    def side_scale(self) -> tuple[Floats, Floats]:
        """Least value and range of each number; 0 and 1 for the columns of words."""
        ranges = [(low, high - low or 1.0) for _, low, high in self.numeric_ranges()]
        scale = np.array(ranges + [(0.0, 1.0)] * (len(self.columns) - len(ranges))).reshape(-1, 2)
        return scale[:, 0], scale[:, 1]

    def coordinates(self, X: Floats) -> Floats:
        """Numbers over their ranges, and halves of the columns of words: another word is a distance of 1."""
        shift, scale = self.side_scale()
        return (X - shift) / scale / np.where(np.arange(len(self.columns)) < len(self._numbers), 1.0, 2.0)

    def constituents(self, x: Floats) -> tuple[str, ...]:
        """The words, as `solvent=DMF`."""
        first = len(self._numbers)
        return tuple(name for name, value in zip(self.columns[first:], x[first:], strict=True) if value > 0)

    def side_columns(self) -> tuple[Column, ...]:
        """The variables, in the order of their names."""
        return tuple(
            Column(v.name, "category", None, v.words) if v.words else Column(v.name, "number", v.unit or None)
            for v in self._variables
        )

    def numeric_ranges(self) -> tuple[tuple[str, float, float], ...]:
        """(variable, least, greatest) of each number."""
        return tuple((v.name, v.levels[0], v.levels[-1]) for v in self._numbers)

    def notes(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def fingerprint(self) -> str:
        """SHA-256 of the space as specified."""
        return hashlib.sha256(json.dumps(self.spec.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    def _candidate(self, values: Mapping[str, Level]) -> Candidate:
        return Candidate(design_id(values, (), self.side_columns()), dict(values), "all")

    def _read(self, design: Design) -> dict[str, Level]:
        found: dict[str, Level] = {}
        names = [v.name for v in self._variables]
        wrong = [
            Problem(name, f"{shown(name)} is not a variable of the space", suggestion(name, names))
            for name in design
            if name not in names
        ]
        for v in self._variables:
            if design.get(v.name) is None:
                wrong.append(_missing(v))
                continue
            try:
                found[v.name] = v.read(design[v.name])
            except CellError as error:
                wrong.append(Problem(v.name, error.what, error.fix))
        if wrong:
            raise InvalidInput(wrong)
        return found


def _missing(variable: Variable) -> Problem:
    return Problem(variable.name, "is missing from the design", f"add a value for {variable.name}")
