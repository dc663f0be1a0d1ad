"""Boolean outcome constraints: what is learned of them, and how it weighs on a choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquisition.feasibility import Bound
from campaign.classified import Classified, classify, designs_of
from campaign.outcomes import OutcomeConstraint
from campaign.state import Observation, State
from surrogates.encoders.base import Encoder


@dataclass(frozen=True)
class AnswerBelief(Classified):
    """What is believed about a boolean constraint: how likely a further sample gives the answer that is wanted."""

    constraint: OutcomeConstraint
    known: Mapping[bytes, bool]
    """Design -> whether its samples meet the constraint."""
    counts: Mapping[str, int]
    """Samples by answer, `yes` and `no`."""

    @property
    def bound(self) -> Bound:
        """As `acquisition` takes it: the liability of the wanted answer is above zero."""
        return Bound(low=0.0, least=self.constraint.min_probability)

    def eligible(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether designs `n x d` meet it, `n`: as was seen, else rather than not."""
        likely = self.probability(X) >= 0.5
        return np.array([self.known.get(x.tobytes(), guess) for x, guess in zip(X, likely, strict=True)], dtype=bool)

    def told(self, X: NDArray[np.float64]) -> list[dict[str, Any]]:
        """What is expected of each of the designs `n x d`, as it is stored."""
        c = self.constraint
        about = {"wanted": c.answer, **self.counts, "source": c.source, "min_probability": c.min_probability}
        return [{**about, "probability": p} for p in self.probability(X).tolist()]

    def as_json(self) -> dict[str, Any]:
        """What it was learned from, for the settings of a batch."""
        return {**self.counts, "data_hash": self.success.data_hash, "notes": list(self.success.notes)}

    def note(self) -> str:
        """For the notes of a batch."""
        c, told = self.constraint, f"{self.counts['yes']} yes and {self.counts['no']} no"
        return f"the probability that {c.name} is {c.answer} is learned from {told}, and weighs on this batch"


def answered(state: State, constraint: OutcomeConstraint) -> tuple[list[Observation], list[Observation]]:
    """The samples whose answer is yes, and those whose answer is no, by most of what was said of each.

    One of which both was said as often counts as unknown.
    """
    seen = state.observations(constraint.name)
    return [o for o in seen if o.value > 0.5], [o for o in seen if o.value < 0.5]


def two_sided(state: State, constraint: OutcomeConstraint) -> bool:
    """Whether both answers were given, without which nothing tells them apart."""
    return all(answered(state, constraint))


def untold(state: State, constraint: OutcomeConstraint) -> str:
    """Why nothing can be learned of a boolean constraint yet, in words."""
    yes, no = answered(state, constraint)
    if not yes and not no:
        return "no answer is known yet"
    return f"every answer so far is {'yes' if yes else 'no'}, and nothing tells yes from no"


def believe_answer(state: State, constraint: OutcomeConstraint, encode: Encoder) -> AnswerBelief:
    """Learn which designs give the wanted answer; both answers were given."""
    yes, no = answered(state, constraint)
    seen = sorted([*yes, *no], key=lambda o: o.sample.label)
    samples, met = [o.sample for o in seen], [constraint.met(o.value) for o in seen]
    found: dict[bytes, list[bool]] = {}
    for x, good in zip(designs_of(state, samples)[0], met, strict=True):
        found.setdefault(x.tobytes(), []).append(good)
    return AnswerBelief(
        success=classify(state, samples, met, encode),
        encode=encode,
        constraint=constraint,
        known={x: all(each) for x, each in found.items()},
        counts={"yes": len(yes), "no": len(no)},
    )
