"""What a campaign expects of a table of results, and what a check makes of it; plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from db.errors import Problem
from db.records import Design
from lab_io.findings import Finding, Status
from lab_io.words import answer

State = Literal["ok", "failed", "void", "pending"]
ANSWERS = "yes/no"
"""In place of a unit, for what is yes or no."""
_TAKEN = (Status.ACCEPTED, Status.FIXED)
_DONE = (*_TAKEN, Status.SKIPPED, Status.PENDING)


@dataclass(frozen=True, slots=True)
class Column:
    """A design column that is no fraction: a temperature, a substrate."""

    name: str
    kind: Literal["number", "category"]
    unit: str | None = None
    """Unit of a number; None for a bare number."""
    allowed: tuple[str, ...] = ()
    """Values of a category; empty when any text will do."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured quantity."""

    name: str
    unit: str | None = None
    """Unit in the spec, to which values are converted; None for a bare number."""
    boolean: bool = False
    """Whether it is yes or no, read as 1 and 0; it has no unit then."""

    current_density: float | None = None
    """mA/cm^2 at which it is taken, as far as the spec says."""

    @property
    def heading_unit(self) -> str | None:
        """What stands in brackets behind its name: the unit, or `yes/no`."""
        return ANSWERS if self.boolean else self.unit


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a campaign knows before it reads a table."""

    elements: tuple[str, ...] = ()
    """Composition columns of the space, as fractions that add up to 1: elements, or named components."""
    columns: tuple[Column, ...] = ()
    """Other design columns."""
    metrics: tuple[Metric, ...] = ()
    labels: Mapping[str, Design] = field(default_factory=dict)
    """Known sample labels, of recommendations and of samples -> their target."""
    pending: frozenset[str] = frozenset()
    """Those of them that are recommended and not yet reported."""
    recorded: Mapping[tuple[str, str, str | None], tuple[float | None, str]] = field(default_factory=dict)
    """(label, metric, replicate) on record -> value in the spec's unit, and qualifier."""
    recorded_sd: Mapping[tuple[str, str, str | None], float] = field(default_factory=dict)
    """The same key -> standard deviation on record, where one is."""
    compositions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Label -> measured fractions on record."""
    closed: Mapping[str, str] = field(default_factory=dict)
    """Label -> `failed` or `void`, for samples recorded as such."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of one metric."""

    value: float
    """In the spec's unit."""
    sd: float | None
    """Standard deviation stated by the lab, in the spec's unit."""
    qualifier: str
    """`=`, `<` or `>`."""
    cell: str
    """Where it stands: `D4`."""
    text: str
    """As it stands there."""
    unit: str | None
    """The unit it was given in."""
    converted: bool = False
    """Whether that is another one than the spec's."""
    boolean: bool = False
    """Whether the value is an answer: 1 for yes, 0 for no."""

    @property
    def told(self) -> str:
        """The value as it is recorded: `<5`, or `yes`."""
        if self.boolean:
            return answer(self.value)
        return f"{'' if self.qualifier == '=' else self.qualifier}{self.value:.6g}"


@dataclass(frozen=True, slots=True)
class Mass:
    """What was really taken of one precursor for one sample."""

    element: str
    precursor: str
    """Its formula, water included."""
    assay: float
    """Mass of the formula in what was weighed; 1 for a solution."""
    lot: str
    mass: float | None = None
    """In mg."""
    volume: float | None = None
    """Of a solution, in µL."""
    concentration: float | None = None
    """Of the solution, in mol/L."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What was weighed for a sample, and what that makes."""

    composition: Mapping[str, float]
    """Fractions of the elements that were weighed, which add up to 1."""
    masses: tuple[Mass, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What one row says of one sample."""

    label: str | None
    """None for a row that gives a composition only, of no known sample."""
    design: Design
    """The target, zero fractions left out: that of the known label, else as stated, normalised to 1."""
    composition: Mapping[str, float] | None
    """Measured fractions, normalised to 1."""
    values: Mapping[str, Value]
    """By metric; without those that are on record already."""
    status: State
    failure_mode: str | None = None
    replicate: str | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)
    """operator, batch, instrument and the like, what a mapping keeps, and `fixes`: what was changed by consent."""
    first_row: int = 0
    """The first row of the table that is about the same sample."""
    weighed: Weighed | None = None
    """From a weighing sheet."""
    composition_sd: Mapping[str, float] = field(default_factory=dict)
    """Standard deviations of measured fractions, as far as they are stated."""


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """One row and what becomes of it."""

    number: int
    """As the spreadsheet counts."""
    status: Status
    problems: tuple[Problem, ...] = ()
    """Of this row alone; what concerns a whole column is said once, in `Check.table`."""
    result: Result | None = None
    """For accepted and fixed rows, and for pending ones, which bring nothing."""
    notes: tuple[str, ...] = ()
    """What was changed by consent, or why the row is skipped."""


@dataclass(frozen=True, slots=True)
class Check:
    """Every row of a table, and everything that is wrong, at once."""

    rows: tuple[CheckedRow, ...]
    table: tuple[Finding, ...] = ()
    """What concerns a column or the whole table."""
    notices: tuple[Problem, ...] = ()
    """Worth knowing, in nobody's way: columns that are not read."""
    still_pending: tuple[str, ...] = ()
    """Recommended samples for which the table brings no outcome."""

    @property
    def ok(self) -> bool:
        """Whether nothing asks or is refused, so that all of it may be recorded."""
        return not self.problems and all(r.status in _DONE for r in self.rows)

    @property
    def blank(self) -> bool:
        """Whether nothing at all was measured: no row has a value, a measured composition or an outcome."""
        return all(r.status is Status.PENDING for r in self.rows)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems: of the table first, then row by row."""
        return tuple(f.problem for f in self.table) + tuple(p for row in self.rows for p in row.problems)

    @property
    def results(self) -> tuple[Result, ...]:
        """Of all accepted and fixed rows, in the order of the table."""
        return tuple(row.result for row in self.rows if row.result is not None and row.status in _TAKEN)

    def summary(self) -> dict[str, int]:
        """Rows by status: `{"accepted": 17, "fixed": 1, "skipped": 0, "pending": 0, "question": 1, "rejected": 1}`."""
        return {str(status): sum(r.status is status for r in self.rows) for status in Status}
