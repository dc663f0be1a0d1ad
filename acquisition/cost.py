"""Cost-aware choice: what an experiment promises, against what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from acquisition.feasibility import Feasibility

LOGARITHMIC = ("portfolio", "qLogEI", "qLogNEI", "KG")
"""Acquisitions whose values are logarithms of a gain; of several objectives, of a gain in hypervolume."""


@dataclass(frozen=True)
class Costed(Feasibility):
    """The constraints of a pool, where a row is the better the more it gains for its cost.

    A pick maximises log gain - power log cost, which is the gain divided by cost^power: with power 1 the improvement
    per unit cost (Snoek et al. 2012, sec. 3.2).

    Attributes:
        costs: of each candidate, above zero, `n`.
        power: of the cost.
        logarithmic: whether the values to choose by are logarithms already.
    """

    costs: Tensor | None = None
    power: float = 1.0
    logarithmic: bool = True

    def best(self, values: Tensor, picked: Sequence[int]) -> int:
        """The best row of `values` (`n`) for its cost that is not picked yet; late ones come after all others."""
        if self.costs is None:
            return super().best(values, picked)
        gain = values if self.logarithmic else values.clamp_min(1e-300).log()
        return super().best(gain - self.power * self.costs.log(), picked)


def costed(
    feasible: Feasibility, costs: Tensor | None, power: float, *, acquisition: str, seeking: bool
) -> Feasibility:
    """The constraints of a pool, with costs where there are any.

    Args:
        feasible: the constraints.
        costs: of each candidate, `n`; None for a choice that does not look at them.
        power: of the cost; 0 for a choice that does not look at them either.
        acquisition: one of `acquisition.choose.ACQUISITIONS`.
        seeking: nothing feasible is known, so that the probability of feasibility is what is chosen by.

    Raises:
        ValueError: a cost is not above zero, or the acquisition has no ratio scale, so that dividing it by a cost means
            nothing: upper bounds and scores.
    """
    if costs is None or power == 0:
        return feasible
    if not bool((costs > 0).all()):
        raise ValueError("every cost must be above zero; candidates that cost nothing need a small cost")
    variance = acquisition == "max_variance"
    if not (variance or seeking or acquisition in LOGARITHMIC):
        raise ValueError(f"{acquisition} cannot be divided by a cost")
    return Costed(
        feasible.pool,
        feasible.n,
        feasible.bounds,
        feasible.after,
        feasible.prices,
        feasible.purse,
        feasible.given,
        costs=costs,
        power=power,
        logarithmic=not variance,
    )


def cooled(budget: float, spent: float, initial: float) -> float:
    """Power of the cost that falls from 1, after the first designs, to 0, when the budget is spent.

    EI-cool: EI / c^a with a = (budget - spent) / (budget - initial) (Lee, Perrone, Archambeau and Seeger 2020, "Cost-
    aware Bayesian optimization", arXiv:2003.10870, eq. 2): cheap experiments first, the best ones in the end.

    Args:
        budget: in all.
        spent: so far, what is pending included.
        initial: spent on designs that were not chosen by the acquisition.
    """
    if budget <= initial:
        return 0.0
    return min(max((budget - spent) / (budget - initial), 0.0), 1.0)
