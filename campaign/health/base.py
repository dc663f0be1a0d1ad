"""What a check of a campaign's health finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from campaign.belief import Belief, ObjectiveBelief
from campaign.state import State

Level = Literal["ok", "note", "warn"]
FALSE_ALARM = 0.05
"""Share of the looks at a healthy campaign at which a statistical check warns all the same."""


@dataclass(frozen=True)
class Finding:
    """What one check saw."""

    name: str
    """Of the check, with the objective or constraint it is about: `coverage of overpotential`."""
    level: Level
    seen: str
    """With numbers, in the user's units."""
    next: str = ""
    """The next thing to do; empty where nothing is."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The same numbers for a program."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Look:
    """What the checks look at."""

    state: State
    belief: Belief | None
    """None where too little is measured to learn from."""

    def believed(self, name: str) -> ObjectiveBelief | None:
        """What is believed of an objective or constraint, if anything is."""
        return next((b for b in self.belief.all if b.objective.name == name), None) if self.belief else None


Check = Callable[[Look], Iterator[Finding]]
