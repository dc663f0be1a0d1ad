"""What a user writes for a space of routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from campaign.grammar import Frozen, Whole, faults
from campaign.spaces.base import SpaceSpec
from campaign.spaces.route.rules import RuleError, parse
from campaign.spaces.route.text import Step
from campaign.spaces.settings import Setting, by_name, name_faults
from campaign.words import listed, shown
from campaign.yaml import Path
from lab_io.words import count

if TYPE_CHECKING:
    from campaign.spaces.route.space import SequenceSpace

MAX_STEPS = 32


class Steps(Frozen):
    """How many steps a route has."""

    min: Annotated[Whole, Field(ge=1, le=MAX_STEPS)] = 1
    """Least number of steps; 1 if left out."""
    max: Annotated[Whole, Field(ge=1, le=MAX_STEPS)]
    """Greatest number of steps."""

    @model_validator(mode="after")
    def _in_order(self) -> Steps:
        if self.min > self.max:
            faults([(("max",), f"{self.max} is less than min, {self.min}", "exchange them")])
        return self


class ProcessSequence(SpaceSpec):
    """All routes: steps with parameters, one after another, under rules of order.

    In tables a route is one column of text, `melt(T=1700 K) > anneal(T=973 K, t=4 h) > quench(medium=water)`, and that
    column is called `route`.
    """

    type: Literal["process_sequence"]
    vocabulary: Annotated[dict[str, dict[str, Setting]], Field(min_length=1)]
    """The steps that a route may have, each with its parameters: `{anneal: {T: {values: [973, 1073], unit: K}}}`."""
    length: Steps
    """How many steps a route has: `{min: 2, max: 6}`."""
    rules: tuple[str, ...] = ()
    """What all routes obey: `starts_with melt`, `ends_with quench`, `max 2 roll`, `min 1 anneal`, and of two steps, for
    each anneal: `anneal immediately_before quench` (a quench follows at once), `anneal immediately_after quench`,
    `anneal requires_before melt` (a melt has come earlier), `anneal requires_after quench` (one comes later), `anneal
    never_before melt` (none comes later), `anneal never_immediately_before anneal` (none follows at once)."""

    @field_validator("vocabulary", mode="before")
    @classmethod
    def _without_parameters(cls, vocabulary: Any) -> Any:
        if not isinstance(vocabulary, Mapping):
            return vocabulary
        return {name: {} if parameters is None else parameters for name, parameters in vocabulary.items()}

    @field_validator("vocabulary")
    @classmethod
    def _named(cls, vocabulary: dict[str, dict[str, Setting]]) -> dict[str, dict[str, Setting]]:
        found = name_faults(vocabulary, "step")
        for step, parameters in vocabulary.items():
            found += [((step, *path), what, fix) for path, what, fix in name_faults(parameters, "parameter")]
        faults(found)
        return by_name({step: by_name(parameters) for step, parameters in vocabulary.items()})

    @field_validator("rules")
    @classmethod
    def _readable(cls, rules: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        found: list[tuple[Path, str, str]] = []
        steps = list(info.data.get("vocabulary", ()))
        for i, text in enumerate(rules if steps else ()):
            try:
                parse(text, steps)
            except RuleError as error:
                found.append(((i,), f"{error.what}, at column {error.column} of {shown(text)}", error.fix))
        faults(found)
        return rules

    @property
    def column(self) -> str:
        """The column of a design that holds the route."""
        return "route"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The vocabulary."""
        return tuple(
            Step(name, tuple(setting.variable(parameter) for parameter, setting in parameters.items()))
            for name, parameters in self.vocabulary.items()
        )

    def build(self, sources: Mapping[str, bytes]) -> SequenceSpace:
        """The space; it reads no files.

        Raises:
            InvalidInput: no route obeys all rules, or they are too many to count.
        """
        from campaign.spaces.route.space import SequenceSpace

        return SequenceSpace(self)

    def design_names(self) -> tuple[str, ...]:
        """The route."""
        return (self.column,)

    def describe(self, size: int) -> str:
        """`1,204 routes of 2 to 6 steps out of melt, anneal and quench, with starts_with melt`."""
        few, most = self.length.min, self.length.max
        steps = count(most, "step") if few == most else f"{few} to {most} steps"
        text = f"{count(size, 'route')} of {steps} out of {listed(list(self.vocabulary))}"
        return f"{text}, with {listed(self.rules)}" if self.rules else text
