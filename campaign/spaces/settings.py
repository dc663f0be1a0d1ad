"""What may be set in a process: numbers with units, in a range or a list, or words out of a few."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from campaign.grammar import Frozen, Number, Whole, fault, faults
from campaign.quantities import NUMBER_OR_QUANTITY, difference, in_unit, known_unit
from campaign.spaces.base import finite
from campaign.words import shown, suggestion
from campaign.yaml import Path
from lab_io.findings import CellError
from lab_io.words import count

NAME = r"^[^\W\d][\w-]{0,63}$"
NAME_WORDS = "a letter, then letters, digits, _ and -, at most 64"
NEAR = 2e-3
"""A typed number this close to a level, as a share of the smallest gap between levels, is that level."""
MAX_LEVELS = 10_000

Level = float | str
T = TypeVar("T")


class Setting(Frozen):
    """What one variable of a process may be: `{min: 300, max: 600, step: 50, unit: K}` or `{values: [water, air]}`."""

    unit: str = ""
    """Unit of its numbers, such as K or h; empty, the default, for plain numbers and for words."""
    values: Annotated[tuple[float | str, ...], Field(min_length=1)] | None = None
    """What it may be, one by one: numbers in `unit` (or `[30 min, 1 h]`), or words."""
    min: Annotated[Number, NUMBER_OR_QUANTITY] | None = None
    """Least number of a range, in `unit` or `300 K`."""
    max: Annotated[Number, NUMBER_OR_QUANTITY] | None = None
    """Greatest number of a range."""
    divisions: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """Number of equal steps from `min` to `max`: 6 gives seven numbers."""
    step: Annotated[Number, Field(gt=0), NUMBER_OR_QUANTITY] | None = None
    """Instead of `divisions`: the size of a step, which must divide the range."""

    @field_validator("unit")
    @classmethod
    def _unit_known(cls, unit: str) -> str:
        return known_unit(unit)

    @field_validator("values", mode="before")
    @classmethod
    def _one_kind(cls, values: Any, info: ValidationInfo) -> Any:
        if not isinstance(values, list | tuple) or "unit" not in info.data:
            return values
        unit, found, wrong = info.data["unit"], [], []
        words = not unit and any(isinstance(value, str) for value in values)
        for i, value in enumerate(values):
            try:
                found.append(_word(value) if words else _number(value, unit))
            except CellError as error:
                wrong.append(((i,), error.what, error.fix))
        wrong += [((i,), f"{shown(v)} is listed twice", "keep one of the two") for i, v in _repeated(found)]
        faults(wrong)
        return tuple(found)

    @field_validator("min", "max", "step", mode="before")
    @classmethod
    def _in_unit(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str) or "unit" not in info.data:
            return value
        try:
            return (difference if info.field_name == "step" else in_unit)(value, info.data["unit"])
        except CellError as error:
            raise fault(error.what, error.fix) from None

    @model_validator(mode="after")
    def _list_or_range(self) -> Setting:
        given = [key for key in ("min", "max", "divisions", "step") if getattr(self, key) is not None]
        wrong: list[tuple[Path, str, str]] = []
        if self.values is not None:
            wrong = [((key,), f"`{key}` goes with a range, and `values` are listed", "remove one") for key in given]
        elif self.min is None or self.max is None:
            wrong = [((), "it says neither values nor a range", "write `values: [...]`, or `min`, `max` and `step`")]
        elif self.min > self.max:
            wrong = [(("max",), f"{self.max:g} is less than min, {self.min:g}", "exchange them")]
        elif ("divisions" in given) == ("step" in given):
            wrong = [((), "a range needs one of `divisions` and `step`", "add `divisions: 10`, or remove one")]
        elif (divided := self._divided()) is None:
            end = self.min + (self.max - self.min) // (self.step or 1) * (self.step or 1)
            what = f"steps of {self.step:g} from {self.min:g} do not end at {self.max:g}"
            wrong = [(("step",), what, f"write `max: {end:g}`, or `divisions` instead of `step`")]
        elif divided > MAX_LEVELS:
            wrong = [(("step",), f"{divided:,} steps are too many", f"at most {MAX_LEVELS:,} can be")]
        faults(wrong)
        return self

    def _divided(self) -> int | None:
        """Steps of the range; None where `step` does not divide it."""
        if self.divisions is not None:
            return self.divisions if self.max != self.min else 0
        parts = (_exact(self.max) - _exact(self.min)) / _exact(self.step)
        return int(parts) if parts.denominator == 1 else None

    def variable(self, name: str) -> Variable:
        """The variable of this name: numbers rising, words as listed."""
        if self.values is None:
            low, high, n = _exact(self.min), _exact(self.max), self._divided() or 0
            numbers = [float(low + (high - low) * i / max(n, 1)) for i in range(n + 1)]
            return Variable(name, self.unit, tuple(numbers))
        levels = sorted(v for v in self.values if not isinstance(v, str))
        return Variable(name, self.unit, tuple(levels), tuple(v for v in self.values if isinstance(v, str)))


@dataclass(frozen=True)
class Variable:
    """One thing that is set: its levels, numbers rising, or its words."""

    name: str
    unit: str = ""
    levels: tuple[float, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many different settings there are."""
        return len(self.words or self.levels)

    def value(self, i: int) -> Level:
        """A setting."""
        return self.words[i] if self.words else self.levels[i]

    def read(self, value: object) -> Level:
        """A value as typed: a word, or a number in the unit; a number close to a level is that level.

        Raises:
            CellError: it is another word, no number, or of another dimension.
        """
        if self.words:
            if str(value) not in self.words:
                raise CellError(f"{shown(value)} is not a setting of {self.name}", suggestion(str(value), self.words))
            return str(value)
        number = finite(value)
        if number is None:
            number = _number(value, self.unit)
        near = min(self.levels, key=lambda level: abs(level - number))
        return near if abs(near - number) <= self._tolerance else number

    def place(self, value: Level) -> int | None:
        """Which setting a value is, as `read` gave it; None where it is none of them."""
        listed: tuple[Level, ...] = self.words or self.levels
        return listed.index(value) if value in listed else None

    def nearby(self, i: int) -> list[int]:
        """The settings one change away: any other word, or the next numbers."""
        if self.words:
            return [j for j in range(self.size) if j != i]
        return [j for j in (i - 1, i + 1) if 0 <= j < self.size]

    @property
    def _tolerance(self) -> float:
        gaps = [b - a for a, b in zip(self.levels, self.levels[1:], strict=False)]
        return NEAR * min(gaps) if gaps else 1e-9 * (1 + abs(self.levels[0]))


def name_faults(names: Iterable[str], what: str) -> list[tuple[Path, str, str]]:
    """What is wrong with names of variables, steps or parts, each (path below them, what, fix)."""
    wrong = [name for name in names if not re.match(NAME, name)]
    return [((n,), f"{shown(n)} cannot be the name of a {what}", f"write {NAME_WORDS}") for n in wrong]


def by_name(given: Mapping[str, T]) -> dict[str, T]:
    """The same in the order of the names: the ledger does not keep the order of keys, so no number may hang on it."""
    return {name: given[name] for name in sorted(given, key=lambda name: (name.casefold(), name))}


def level_text(value: Level, unit: str) -> str:
    """A setting as text that `Variable.read` takes: `1273 K`, `0.5`, `water`."""
    if isinstance(value, str):
        return value
    short = f"{value:.6g}"
    text = short if float(short) == value else repr(value)
    return f"{text} {unit}" if unit else text


def described(variable: Variable) -> str:
    """`T from 300 to 600 K (7 values)`, `solvent DMF or water`."""
    if variable.words:
        return f"{variable.name} {' or '.join(variable.words)}"
    first, last = variable.levels[0], level_text(variable.levels[-1], variable.unit)
    if variable.size == 1:
        return f"{variable.name} {last}"
    return f"{variable.name} from {first:g} to {last} ({count(variable.size, 'value')})"


def _exact(value: float | None) -> Fraction:
    return Fraction(repr(value)) if value is not None else Fraction(0)


def _number(value: object, unit: str) -> float:
    if isinstance(value, str):
        return in_unit(value, unit)
    number = None if isinstance(value, bool) else finite(value)
    if number is None:
        raise CellError(f"{shown(value)} is not a number", "write a number, or a number and a unit: 300 K")
    return number


def _word(value: object) -> str:
    if not isinstance(value, str):
        fix = "write words only; for numbers with units add `unit:`"
        raise CellError(f"{shown(value)} is no word, and others are", fix)
    word = value.strip()
    if not word or len(word) > 64 or any(sign in word for sign in "(),>=\n\t;'\"") or word != value:
        raise CellError(f"{shown(value)} cannot be a word", "write at most 64 characters without any of ( ) , > = ; '")
    return word


def _repeated(values: list[Level]) -> list[tuple[int, Level]]:
    return [(i, value) for i, value in enumerate(values) if value in values[:i]]
