"""What a spec says about failed syntheses: whether to learn from them, and which failures a design is to blame for."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from campaign.grammar import Choice, Frozen, Number

ACCIDENTS = (
    *("spilt", "spilled", "spill", "lost", "dropped", "broken", "contaminated", "mislabelled", "mislabeled"),
    *("operator", "instrument", "equipment", "furnace", "power", "measurement", "contact", "potentiostat"),
)
"""Words of failure modes for which no design is to blame."""


class LearnedFeasibility(Frozen):
    """How likely a design is to be made successfully, learned from the samples that were and those that failed.

    It weighs on the choice from the second failure on; before, nothing changes. A sample with the status `failed` has
    failed in synthesis unless its failure mode holds one of the `accidents`. One with the status `void` says nothing.
    """

    type: Literal["learned"] = "learned"
    min_probability: Annotated[Number, Field(ge=0, lt=1)] = 0.5
    """Candidates that are less likely to be made successfully come after all others; 0.5 if left out, 0 for none."""
    accidents: tuple[Annotated[str, Field(min_length=1)], ...] = ACCIDENTS
    """Words in a failure mode that acquit the design, such as `instrument`; a list of usual ones if left out."""

    def blames(self, mode: str | None) -> bool:
        """Whether a failure of this mode speaks against the design; one without a mode does."""
        words = set(re.findall(r"\w+", (mode or "").casefold()))
        return words.isdisjoint(word.casefold() for word in self.accidents)


class NoFeasibility(Frozen):
    """Failed designs are not proposed again, and nothing is learned from them."""

    type: Literal["none"] = "none"


AnyFeasibility = Annotated[LearnedFeasibility | NoFeasibility, Field(discriminator="type"), Choice()]
