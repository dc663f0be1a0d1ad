"""What the spec says about when to stop."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from campaign.grammar import Frozen, Number, Whole


class Stop(Frozen):
    """When to advise to stop, besides a spent budget. Nothing is stopped by force; `null` switches a rule off."""

    batches_without_gain: Annotated[Whole, Field(ge=1)] | None = 5
    """Measured batches in a row without a gain above the noise floor; 5 if left out."""
    probability_of_improvement: Annotated[Number, Field(gt=0, lt=1)] | None = 0.05
    """Probability that anything open is better by more than the noise floor, below which to stop; 0.05 if left out."""
    expected_regret: Annotated[Number, Field(gt=0)] | None = 0.25
    """Gain that is expected to be left, as a share of the noise floor, below which to stop; 0.25 if left out."""
