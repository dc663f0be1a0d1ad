"""How a spec says what makes a candidate worth trying."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from campaign.grammar import Choice, Frozen, Number


class Portfolio(Frozen):
    """Picks that go for the best, as qLogNEI; from 30 samples on every second one gathers many of the best 1 %."""

    type: Literal["portfolio"] = "portfolio"


class QLogEI(Frozen):
    """Expected improvement on the best measured value."""

    type: Literal["qLogEI"] = "qLogEI"


class QLogNEI(Frozen):
    """Expected improvement on the best noise-free value, which is itself uncertain."""

    type: Literal["qLogNEI"] = "qLogNEI"


class KG(Frozen):
    """Expected rise of the highest predicted mean: the knowledge gradient, for one noisy objective."""

    type: Literal["KG"] = "KG"


class UCB(Frozen):
    """Upper confidence bound."""

    type: Literal["UCB"] = "UCB"
    beta: Annotated[Number, Field(ge=0)] = 4.0
    """Weight of the variance: the bound is mean + sqrt(beta) * sd; 4 if left out."""


class Thompson(Frozen):
    """The best of one sample of the belief for each place in the batch."""

    type: Literal["Thompson"] = "Thompson"


class Greedy(Frozen):
    """The best predicted."""

    type: Literal["greedy"] = "greedy"


class MaxVariance(Frozen):
    """The most uncertain."""

    type: Literal["max_variance"] = "max_variance"


AnyAcquisition = Annotated[
    Portfolio | QLogEI | QLogNEI | KG | UCB | Thompson | Greedy | MaxVariance, Field(discriminator="type"), Choice()
]
