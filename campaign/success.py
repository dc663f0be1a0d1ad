"""How likely candidates are to be made successfully, learned from failed syntheses and told as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquisition.feasibility import Bound
from campaign.classified import Classified, classify
from campaign.failures import LearnedFeasibility
from campaign.state import State
from campaign.syntheses import Syntheses, syntheses
from lab_io.words import count
from surrogates.encoders.base import Encoder


@dataclass(frozen=True)
class SuccessBelief(Classified):
    """What is believed about making candidates."""

    settings: LearnedFeasibility
    seen: Syntheses

    @property
    def bound(self) -> Bound:
        """As `acquisition` takes it: what is measured was made."""
        return Bound(low=0.0, least=self.settings.min_probability, settled=True)

    def likely(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether that is the least probability or more, `n`."""
        return self.probability(X) >= self.settings.min_probability

    def told(self, X: NDArray[np.float64]) -> list[dict[str, Any]]:
        """What is expected of making each of the designs `n x d`, as it is stored."""
        least = self.settings.min_probability
        known = {"made": len(self.seen.made), "failed": len(self.seen.failed), "min_probability": least}
        return [{"probability": p, **known, "late": p < least} for p in self.probability(X).tolist()]

    def as_json(self) -> dict[str, Any]:
        """What it was learned from, for the settings of a batch."""
        return {**self.seen.as_json(), "data_hash": self.success.data_hash, "notes": list(self.success.notes)}

    def note(self) -> str:
        """For the notes of a batch."""
        told = f"{count(len(self.seen.made), 'sample')} made and {len(self.seen.failed)} that failed"
        aside = f" ({count(len(self.seen.accidents), 'accident')} left out)" if self.seen.accidents else ""
        return f"the probability of a successful synthesis is learned from {told}{aside}, and weighs on this batch"


def believe_success(state: State, encode: Encoder) -> SuccessBelief | None:
    """Learn which designs can be made; None where the spec does not ask for it, or too few syntheses failed."""
    settings = state.spec.feasibility
    if not isinstance(settings, LearnedFeasibility) or not (seen := syntheses(state, settings)).learnable:
        return None
    samples = sorted([*seen.made, *seen.failed], key=lambda s: s.label)
    failed = {s.id for s in seen.failed}
    success = classify(state, samples, [s.id not in failed for s in samples], encode)
    return SuccessBelief(success, encode, settings, seen)
