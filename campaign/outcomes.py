"""Outcome constraints in a spec: properties that must lie within bounds, and questions to answer yes or no.

Either is measured in the lab or computed beforehand.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from campaign import yaml
from campaign.files import stays_inside
from campaign.grammar import Flag, Frozen, Number, fault, faults
from campaign.quantities import NUMBER_OR_QUANTITY, Condition, in_unit, known_unit
from campaign.words import listed, shown
from lab_io.findings import CellError
from lab_io.schema import Metric
from lab_io.words import answer

MetricName = Annotated[str, Field(pattern=r"^[^\W\d_][\w-]{0,63}$")]


class OutcomeConstraint(Frozen):
    """A property that need not be good, only good enough: stability, cost, a second phase."""

    name: MetricName
    """Its name: a letter, then letters, digits, _ and -, at most 64; the column of result tables or its own name."""
    type: Literal["number", "boolean"] = "number"
    """`number`, the default, or `boolean`: what is yes or no for each sample, such as `single_phase`."""
    wanted: Flag | None = None
    """For `boolean`: which answer is good enough; `true` if left out, `false` for what must not be, such as
    `delaminated`."""
    unit: str = ""
    """Unit of its values, such as eV/atom; empty, the default, for a plain number."""
    min: Annotated[Number, NUMBER_OR_QUANTITY] | None = None
    """Least value that is good enough, a number in `unit` or `0.05 eV`; no such limit if left out."""
    max: Annotated[Number, NUMBER_OR_QUANTITY] | None = None
    """Greatest value that is good enough, likewise."""
    source: Literal["measured", "computed"] = "measured"
    """`measured`, the default: a column of result tables. `computed`: from the file under `labels: computed`."""
    min_probability: Annotated[Number, Field(ge=0, lt=1)] = 0.5
    """Candidates that are less likely to be good enough come after all others; 0.5 if left out, 0 for none."""
    learned: Flag = True
    """Whether it weighs on the choice, by what is learned of it; true if left out, false to ask for it and tell it."""
    at: dict[str, Condition] = Field(default_factory=dict)
    """Conditions of the measurement: `{t: 120 h}`."""

    @field_validator("unit")
    @classmethod
    def _unit_known(cls, unit: str) -> str:
        return known_unit(unit)

    @field_validator("min", "max", mode="before")
    @classmethod
    def _in_unit(cls, value: Any, info: ValidationInfo) -> Any:
        """A quantity as a number in the unit."""
        if not isinstance(value, str) or "unit" not in info.data:
            return value
        try:
            return in_unit(value, info.data["unit"])
        except CellError as error:
            raise fault(error.what, error.fix) from None

    @model_validator(mode="after")
    def _some_bound(self) -> OutcomeConstraint:
        if self.boolean:
            given = [key for key in ("unit", "min", "max") if getattr(self, key) not in (None, "")]
            faults(((key,), f"`{key}` goes with a number, and {self.name} is yes or no", "remove it") for key in given)
            return self
        if self.wanted is not None:
            faults([(("wanted",), f"{self.name} is a number", "remove it, or write `type: boolean`")])
        if self.min is None and self.max is None:
            faults([((), f"{self.name} has neither `min` nor `max`", "add one of them, or both")])
        if self.min is not None and self.max is not None and self.min >= self.max:
            what = f"min {self.min:g} is not below max {self.max:g}"
            faults([(("min",), what, "exchange them, or remove one")])
        return self

    @property
    def boolean(self) -> bool:
        """Whether its values are 1 for yes and 0 for no."""
        return self.type == "boolean"

    @property
    def answer(self) -> str:
        """The answer that is good enough: `yes` or `no`."""
        return answer(self.wanted is not False)

    def met(self, value: float) -> bool:
        """Whether a value, in the unit, lies within.

        The mean of answers that contradict each other is that of most; as many of both meet nothing.
        """
        if self.boolean:
            return value < 0.5 if self.wanted is False else value > 0.5
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def limits(self) -> str:
        """`at least 0.1 and at most 0.3 eV`; of a boolean, its answer."""
        if self.boolean:
            return self.answer
        ends = (("at least", self.min), ("at most", self.max))
        text = listed([f"{word} {end:g}" for word, end in ends if end is not None])
        return f"{text} {self.unit}" if self.unit else text


def metric_of(wanted: OutcomeConstraint) -> Metric:
    """A constraint as a column of a table of results."""
    return Metric(wanted.name, wanted.unit or None, boolean=wanted.boolean)


class ComputedLabels(Frozen):
    """Values computed beforehand for some designs."""

    file: str
    """A CSV or XLSX table with the design columns of the space, in its folder or below: `labels.csv`."""
    columns: Annotated[dict[MetricName, str], Field(min_length=1)]
    """Which column holds which constraint: `{formation_energy: ef}`; a unit in the header is converted."""

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        if not stays_inside(file):
            raise fault(f"{shown(file)} is not a file in the folder of the spec", "copy it there and write its name")
        return file


class Labels(Frozen):
    """Where values come from that no lab measures."""

    computed: ComputedLabels | None = None
    """The table of computed values; none if left out."""


def label_faults(
    constraints: tuple[OutcomeConstraint, ...], objectives: tuple[str, ...], labels: Labels
) -> list[tuple[yaml.Path, str, str]]:
    """(path, what, fix) of each metric that has no source, or two."""
    columns = labels.computed.columns if labels.computed else {}
    source = {c.name: c.source for c in constraints} | dict.fromkeys(objectives, "measured")
    found: list[tuple[yaml.Path, str, str]] = []
    for i, c in enumerate(constraints):
        if c.source == "computed" and c.name not in columns:
            written = f"labels: {{computed: {{file: labels.csv, columns: {{{c.name}: COLUMN}}}}}}"
            fix = f"add `{written}`, or write `source: measured`"
            found.append((("outcome_constraints", i, "source"), f"no column has the computed {c.name}", fix))
    for name in columns:
        where: yaml.Path = ("labels", "computed", "columns", name)
        if name not in source:
            found.append((where, f"{shown(name)} is no outcome constraint", "add it there, or remove the column"))
        elif source[name] == "measured":
            what = f"{name} is measured; computed values of it would be another task and are never mixed in"
            found.append((where, what, f"give the computed one a name of its own, such as {name}_computed"))
    return found
