"""Rules about the order of steps, as people write them, and the small automaton that each of them is.

rule = "starts_with" step | "ends_with" step | "max" number step | "min" number step | step relation step

anneal immediately_before quench        every anneal is followed by a quench at once
anneal immediately_after quench         every anneal follows a quench at once
cold_roll requires_before homogenize    every cold_roll has a homogenize somewhere before it
cold_roll requires_after anneal         every cold_roll has an anneal somewhere after it
quench never_before anneal              nowhere after a quench is an anneal
anneal never_immediately_before anneal  no anneal is followed by another at once
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from campaign.words import suggestion

ENDS = ("starts_with", "ends_with")
COUNTS = ("max", "min")
RELATIONS = (
    "immediately_before",
    "immediately_after",
    "requires_before",
    "requires_after",
    "never_before",
    "never_immediately_before",
)
MAX_LENGTH = 200
MAX_COUNT = 1000


class RuleError(ValueError):
    """A rule that cannot be read.

    Args:
        column: where reading stopped, from 1.
        what: what was found and what was expected there.
        fix: what to write instead.
    """

    def __init__(self, column: int, what: str, fix: str) -> None:
        self.column, self.what, self.fix = column, what, fix
        super().__init__(f"{what} at column {column}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as an automaton over step numbers whose states are small whole numbers; 0 is the first."""

    kind: str
    step: int
    other: int = -1
    """The second step of a relation."""
    number: int = 0
    """The bound of a count."""

    def after(self, state: int, step: int) -> int | None:
        """The state after one more step; None where the rule is broken for good."""
        mine, others = step == self.step, step == self.other
        match self.kind:
            case "starts_with":
                return 1 if mine or state else None
            case "ends_with":
                return int(mine)
            case "max":
                return None if state + mine > self.number else state + mine
            case "min":
                return min(state + mine, self.number)
            case "immediately_before":
                return None if state and not others else int(mine)
            case "immediately_after":
                return None if mine and not state else int(others)
            case "requires_before":
                return None if mine and not state else int(state or others)
            case "requires_after":
                return 1 if mine else 0 if others else state
            case "never_before":
                return None if others and state else int(state or mine)
            case _:
                return None if others and state else int(mine)

    def holds(self, state: int) -> bool:
        """Whether a route may end in this state."""
        match self.kind:
            case "starts_with" | "ends_with":
                return state == 1
            case "min":
                return state == self.number
            case "immediately_before" | "requires_after":
                return state == 0
            case _:
                return True


def parse(text: str, steps: Sequence[str]) -> Rule:
    """Read a rule about `steps`.

    Raises:
        RuleError: it does not follow the grammar, or names something else.
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(1, f"a rule of {len(text):,} characters", "write each rule as its own list item")
    words = _Words(text, steps)
    first = words.word
    if first in ENDS:
        words.take()
        rule = Rule(first, words.step())
    elif first in COUNTS:
        words.take()
        number = words.number(first)
        rule = Rule(first, words.step(), number=number)
    else:
        words.check_first()
        step = words.step()
        kind = words.relation()
        at = words.column
        other = words.step()
        if step == other and not kind.startswith("never"):
            fix = "name two steps, or use never_before or never_immediately_before"
            raise RuleError(at, f"{steps[step]} cannot be held to itself", fix)
        rule = Rule(kind, step, other)
    words.end()
    return rule


class _Words:
    """The words of one rule, taken one after the other."""

    def __init__(self, text: str, steps: Sequence[str]) -> None:
        self.steps = steps
        self.found = [(m.group(), m.start() + 1) for m in re.finditer(r"\S+", text)]
        self.found.append(("", len(text.rstrip()) + 1))
        self.at = 0

    @property
    def word(self) -> str:
        return self.found[self.at][0]

    @property
    def column(self) -> int:
        return self.found[self.at][1]

    def take(self) -> str:
        self.at += 1
        return self.found[self.at - 1][0]

    def step(self) -> int:
        if self.word not in self.steps:
            what = f"{self.word!r} is not a step of the vocabulary" if self.word else "it ends where a step should be"
            raise self._error(what, suggestion(self.word, self.steps))
        return self.steps.index(self.take())

    def number(self, kind: str) -> int:
        if not re.fullmatch("[0-9]{1,4}", self.word) or int(self.word) > MAX_COUNT:
            found = f"found {self.word!r}" if self.word else "it ends"
            raise self._error(f"{found} where a whole number should be", f"write '{kind} 2 {self.steps[0]}'")
        return int(self.take())

    def relation(self) -> str:
        if self.word not in RELATIONS:
            found = f"{self.word!r} is not a relation of steps" if self.word else "it ends where a relation should be"
            raise self._error(found, suggestion(self.word, RELATIONS))
        return self.take()

    def check_first(self) -> None:
        """A first word that is neither a step nor a keyword was meant to be a step where a relation follows it."""
        following = self.found[self.at + 1][0] if self.word else ""
        if self.word not in self.steps and suggestion(following, RELATIONS).startswith("use"):
            what = f"{self.word!r} begins no rule" if self.word else "the rule is empty"
            raise self._error(what, suggestion(self.word, (*ENDS, *COUNTS, *self.steps)))

    def end(self) -> None:
        if self.word:
            fix = "write each rule as its own list item"
            raise self._error(f"{self.word!r} comes after the end of the rule", fix)

    def _error(self, what: str, fix: str) -> RuleError:
        return RuleError(self.column, what, fix)
