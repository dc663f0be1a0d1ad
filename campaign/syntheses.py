"""What became of the samples of a campaign: made, failed, or failed by accident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from campaign.failures import LearnedFeasibility
from campaign.sharing import WEIGHED
from campaign.state import State
from db.records import Sample

LEAST = 2
"""Failed syntheses below which nothing is learned: a single one may be an accident that nobody noticed."""


@dataclass(frozen=True)
class Syntheses:
    """The samples of a campaign by what became of making them."""

    made: tuple[Sample, ...]
    """Those of which something was measured."""
    failed: tuple[Sample, ...]
    """Those that failed, and whose design is to blame."""
    accidents: tuple[Sample, ...]
    """Those that failed for another reason."""

    @property
    def learnable(self) -> bool:
        """Whether enough of them failed, and some did not."""
        return len(self.failed) >= LEAST and bool(self.made)

    def as_json(self) -> dict[str, Any]:
        """Numbers of each, and whether they weigh on the choice."""
        numbers = {"made": len(self.made), "failed": len(self.failed), "accidents": len(self.accidents)}
        return {**numbers, "learned": self.learnable}


def syntheses(state: State, settings: LearnedFeasibility) -> Syntheses:
    """What became of the samples that were tried; void ones and those still awaited are left out."""
    measured = {sample for sample, metric in state.measured if metric != WEIGHED}
    failed = [s for s in state.samples if state.status(s.id) == "failed"]
    guilty = {s.id for s in failed if settings.blames(state.statuses[s.id].get("mode"))}
    return Syntheses(
        made=tuple(s for s in state.samples if s.id in measured and state.status(s.id) == "ok"),
        failed=tuple(s for s in failed if s.id in guilty),
        accidents=tuple(s for s in failed if s.id not in guilty),
    )
