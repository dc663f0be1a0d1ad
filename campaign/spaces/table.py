"""Candidates listed in a table: fractions of components, numbers with units, and categories, in any mixture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from campaign.files import stays_inside
from campaign.grammar import Choice, Frozen, fault
from campaign.quantities import known_unit
from campaign.spaces.base import (
    SNAP,
    Floats,
    Ints,
    SpaceSpec,
    candidate_id,
    finite,
    fractions_of,
    index_chunks,
)
from campaign.spaces.columns import read_columns
from campaign.words import shown, suggestion
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design
from lab_io.schema import Column
from lab_io.words import count


class FractionColumn(Frozen):
    """The fraction of a component; the fractions of a row sum to 1."""

    type: Literal["fraction"] = "fraction"


class NumberColumn(Frozen):
    """A number."""

    type: Literal["number"] = "number"
    unit: str = ""
    """Unit to have the numbers in, such as degC; if left out, that in the header of the column, or none."""

    @field_validator("unit")
    @classmethod
    def _unit_known(cls, unit: str) -> str:
        return known_unit(unit)


class CategoryColumn(Frozen):
    """A word out of a few, such as a solvent."""

    type: Literal["category"] = "category"


AnyColumn = Annotated[FractionColumn | NumberColumn | CategoryColumn, Field(discriminator="type"), Choice()]


class CandidateTable(SpaceSpec):
    """The candidates are the rows of a CSV or XLSX table."""

    type: Literal["candidate_table"]
    file: str
    """The table, in the folder of the spec or below: `candidates.csv`."""
    columns: dict[str, AnyColumn] = Field(default_factory=dict)
    """The columns that make up a design: `{Ni: fraction, T: {type: number, unit: degC}, solvent: category}`.

    Others are then ignored. If left out, every column is used: those named after elements with values from 0 to 1 are
    fractions, those that hold only numbers are numbers, the rest are categories.
    """
    id: str | None = None
    """A column of names, which is not part of the design; none if left out."""
    group: str | None = None
    """A column whose words divide the candidates into strata; else the number of components does, or nothing."""

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        if not stays_inside(file):
            raise fault(f"{shown(file)} is not a file in the folder of the spec", "copy it there and write its name")
        if not file.lower().endswith((".csv", ".tsv", ".txt", ".xlsx")):
            raise fault(f"{shown(file)} is not a table", "save it as .csv or .xlsx")
        return file

    def build(self, sources: Mapping[str, bytes]) -> TableSpace:
        """The space, from `sources[file]`.

        Raises:
            InvalidInput: the table cannot be used; all problems, with cell addresses.
        """
        return TableSpace(self, sources[self.file])

    def files(self) -> tuple[str, ...]:
        """The table."""
        return (self.file,)

    def design_names(self) -> tuple[str, ...]:
        """The columns that are named in the spec."""
        return tuple(self.columns)

    def describe(self, size: int) -> str:
        """`24 candidates of candidates.csv`."""
        return f"{count(size, 'candidate')} of {self.file}"


class TableSpace:
    """The rows of a candidate table, in the order of the file.

    X has the fractions first, then the numbers, then one column of 0 or 1 for each word of each category
    (`solvent=DMF`).

    Args:
        spec: what the columns mean.
        content: the bytes of the table.

    Raises:
        InvalidInput: the table cannot be used; all problems, with cell addresses.
    """

    def __init__(self, spec: CandidateTable, content: bytes) -> None:
        self.spec = spec
        self._sha256 = hashlib.sha256(content).hexdigest()
        kinds = {name: column.type for name, column in spec.columns.items()}
        units = {name: column.unit for name, column in spec.columns.items() if isinstance(column, NumberColumn)}
        self._data = read_columns(content, spec.file, kinds, units, name_column=spec.id, group_column=spec.group)
        data = self._data
        self._words = {name: sorted(set(words)) for name, words in data.categories.items()}
        self.components = tuple(data.fractions)
        self.columns = (
            *data.fractions,
            *data.numbers,
            *(f"{name}={word}" for name, words in self._words.items() for word in words),
        )
        self._codes = {name: np.searchsorted(words, data.categories[name]) for name, words in self._words.items()}
        one_hot = [np.eye(len(words))[self._codes[name]] for name, words in self._words.items()]
        measured = [column[:, None] for column in (*data.fractions.values(), *data.numbers.values())]
        self._x = np.hstack([*measured, *one_hot])
        self._check_unique()

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self._x)

    def __len__(self) -> int:
        return self.count

    def strata(self) -> dict[str, int]:
        """Number of candidates by stratum: by group, else by number of components, else `{"all": n}`."""
        names = self.stratum(np.arange(self.count))
        order = names if self._data.groups is None else sorted(names)
        if self.components and self._data.groups is None:
            order = [names[i] for i in np.argsort((self._x[:, : len(self.components)] > 0).sum(axis=1), kind="stable")]
        return {name: names.count(name) for name in dict.fromkeys(order)}

    def X(self, indices: Ints) -> Floats:  # noqa: N802 - the field's word for a design matrix
        """Design vectors [n, d] of the rows at `indices` [n]."""
        return self._x[indices]

    def stratum(self, indices: Ints) -> list[str]:
        """Stratum of each row."""
        if self._data.groups is not None:
            return [self._data.groups[i] for i in indices]
        if not self.components:
            return ["all"] * len(indices)
        present = (self._x[indices, : len(self.components)] > 0).sum(axis=1)
        return [count(int(n), self._data.component_noun) for n in present]

    def candidate(self, index: int) -> Candidate:
        """The row at a position."""
        fractions = {name: float(x[index]) for name, x in self._data.fractions.items() if x[index]}
        others = {name: float(x[index]) for name, x in self._data.numbers.items()}
        words = {name: column[index] for name, column in self._data.categories.items()}
        return self._candidate(fractions, {**others, **words}, self.stratum(np.array([index]))[0])

    def chunks(self, size: int = 65_536) -> Iterator[Ints]:
        """All positions, in order, `size` at a time."""
        return index_chunks(self.count, size)

    def locate(self, design: Design) -> int | None:
        """Position of the row nearest to a design: fractions to within 0.0005, the rest equal; None if none is."""
        try:
            gaps = np.abs(self._x - self.x_of(design))
        except InvalidInput:
            return None
        k = len(self.components)
        same = (gaps[:, :k] <= SNAP).all(axis=1) & (gaps[:, k:] <= 1e-9 * (1 + np.abs(self._x[:, k:]))).all(axis=1)
        rows = np.flatnonzero(same)
        return int(rows[gaps[rows].sum(axis=1).argmin()]) if len(rows) else None

    def design_candidate(self, design: Design) -> Candidate:
        """The candidate of any design in the table's columns; one within 0.0005 of a row is that row's.

        Raises:
            InvalidInput: a column is missing or unknown, a word is not in the table, or fractions do not sum to 1.
        """
        index = self.locate(design)
        if index is not None:
            return self.candidate(index)
        fractions, others = self._split(design)
        present = {name: round(x, 6) for name, x in fractions.items() if round(x, 6)}
        if self._data.groups is not None:
            stratum = "not in the table"
        else:
            stratum = count(len(present), self._data.component_noun) if self.components else "all"
        return self._candidate(present, others, stratum)

    def x_of(self, design: Design) -> Floats:
        """Design vector [d] of any design in the table's columns, fractions normalised.

        Raises:
            InvalidInput: as `design_candidate`.
        """
        fractions, others = self._split(design)
        x = [fractions.get(name, 0.0) for name in self.components]
        x += [float(others[name]) for name in self._data.numbers]
        for name, words in self._words.items():
            x += [float(word == others[name]) for word in words]
        return np.array(x)

    def neighbours(self, index: int) -> Ints:
        """Positions, ascending, of the rows that exchange some of one component for another, or change one column."""
        k = len(self.components)
        numbers = slice(k, k + len(self._data.numbers))
        apart = np.abs(self._x - self._x[index]) > 1e-9
        moved = apart[:, :k].sum(axis=1)
        changed = apart[:, numbers].sum(axis=1) + sum((codes != codes[index]) for codes in self._codes.values())
        return np.flatnonzero(((moved == 2) & (changed == 0)) | ((moved == 0) & (changed == 1)))

    def side_scale(self) -> tuple[Floats, Floats]:
        """Least value and range of each number column; 0 and 1 for the columns of words."""
        ranges = [(low, high - low or 1.0) for _, low, high in self.numeric_ranges()]
        ranges += [(0.0, 1.0)] * (len(self.columns) - len(self.components) - len(ranges))
        scale = np.array(ranges).reshape(-1, 2)
        return scale[:, 0], scale[:, 1]

    def coordinates(self, X: Floats) -> Floats:
        """Halves of the fractions and of the columns of words, numbers over their ranges; another word is 1 away."""
        k = len(self.components)
        shift, scale = self.side_scale()
        word = np.arange(len(shift)) >= len(self._data.numbers)
        return np.hstack([X[:, :k] / 2, (X[:, k:] - shift) / scale / np.where(word, 2.0, 1.0)])

    def constituents(self, x: Floats) -> tuple[str, ...]:
        """The components present and the words, as `solvent=DMF`."""
        numbers = {name for name, _, _ in self.numeric_ranges()}
        return tuple(name for name, value in zip(self.columns, x, strict=True) if value > 0 and name not in numbers)

    def side_columns(self) -> tuple[Column, ...]:
        """The number columns, then the columns of words."""
        numbers = [Column(name, "number", unit or None) for name, unit in self._data.units.items()]
        words = [Column(name, "category", None, tuple(words)) for name, words in self._words.items()]
        return (*numbers, *words)

    def numeric_ranges(self) -> tuple[tuple[str, float, float], ...]:
        """(column, least, greatest) of each number column."""
        return tuple((name, float(x.min()), float(x.max())) for name, x in self._data.numbers.items())

    def notes(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def fingerprint(self) -> str:
        """SHA-256 of the specification and the bytes of the table."""
        text = json.dumps(self.spec.model_dump(mode="json"), sort_keys=True) + self._sha256
        return hashlib.sha256(text.encode()).hexdigest()

    def _candidate(self, fractions: Mapping[str, float], others: Mapping[str, float | str], stratum: str) -> Candidate:
        units = self._data.units
        named = {f"{name} [{units[name]}]" if units.get(name) else name: value for name, value in others.items()}
        return Candidate(candidate_id(fractions, named), {**fractions, **others}, stratum)

    def _split(self, design: Design) -> tuple[dict[str, float], dict[str, float | str]]:
        """Normalised fractions above zero, and the other columns, of a design."""
        data, wrong = self._data, []
        others: dict[str, float | str] = {}
        for name in (*data.numbers, *data.categories):
            value = design.get(name)
            if value is None:
                wrong.append(Problem(name, "is missing from the design", f"add a value for {name}"))
            elif name in data.categories:
                others[name] = str(value)
                if str(value) not in self._words[name]:
                    fix = suggestion(str(value), self._words[name])
                    wrong.append(Problem(name, f"{shown(value)} is not in the table", fix))
            elif (number := finite(value)) is None:
                wrong.append(Problem(name, f"{shown(value)} is not a number", "write a number"))
            else:
                others[name] = number
        rest = {name: value for name, value in design.items() if name not in others}
        unknown = [name for name in rest if name not in self.components] if not self.components else []
        wrong += [Problem(n, f"{shown(n)} is not a column of the space", suggestion(n, [*others])) for n in unknown]
        if wrong:
            raise InvalidInput(wrong)
        return fractions_of(rest, self.components) if self.components else {}, others

    def _check_unique(self) -> None:
        first: dict[str, int] = {}
        wrong = []
        for row in range(self.count):
            earlier = first.setdefault(self.candidate(row).id, row)
            if earlier != row:
                what = f"the same candidate as in {self._data.places[earlier]}"
                wrong.append(Problem(self._data.places[row], what, "remove one of the two rows"))
        if wrong:
            raise InvalidInput(wrong)
