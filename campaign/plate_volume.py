"""How a replay of several objectives is judged: the share of a finished experiment's hypervolume that it has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from acquisition.hypervolume import hypervolume, infer_reference
from campaign.pareto import value_of
from campaign.spaces.base import Floats
from campaign.spec import Objective

ENOUGH = 0.9
"""Share of the hypervolume that a campaign is to find; the experiments until then stand beside random ones."""


@dataclass(frozen=True, eq=False)
class Volume:
    """The hypervolume of a finished experiment.

    Attributes:
        scores: of its candidates, larger is better, `n x m`.
        origin: scores from which it is counted, `m`.
        reference: the same by objective, in its unit.
    """

    scores: torch.Tensor
    origin: torch.Tensor
    reference: Mapping[str, float]

    @classmethod
    def of(cls, losses: Floats, objectives: Sequence[Objective]) -> Volume:
        """Of losses, `n x m`; counted from the reference points of the spec, else from one inferred of all values."""
        scores = -torch.as_tensor(losses, dtype=torch.float64)
        inferred = infer_reference(scores).tolist()
        stated = [o.reference_point for o in objectives]
        origin = [i if s is None else -o.loss(s) for o, s, i in zip(objectives, stated, inferred, strict=True)]
        reference = {o.name: value_of(o, score) for o, score in zip(objectives, origin, strict=True)}
        return cls(scores, torch.tensor(origin, dtype=torch.float64), reference)

    @cached_property
    def whole(self) -> float:
        """Of everything, in the product of the units."""
        return hypervolume(self.scores, self.origin)

    def shares(self, order: Sequence[int]) -> list[float]:
        """Share of it that is found after each experiment."""
        found, volume, front = [], 0.0, self.scores[:0]
        for row in order:
            new = self.scores[row]
            if bool((new > self.origin).all()) and not bool((front >= new).all(-1).any()):
                front = torch.cat([front[~(new >= front).all(-1)], new.unsqueeze(0)])
                volume = hypervolume(front, self.origin)
            found.append(volume / self.whole)
        return found

    def score(self, order: Sequence[int], initial: int) -> dict[str, float]:
        """Figures of one order of measurement: `first`, experiments until the share `ENOUGH` of it was found (one more
        than there were if it never was); `found`, the share at the end; `regret`, the mean share not found yet after
        the initial ones.
        """
        shares = self.shares(order)
        enough = [i + 1 for i, share in enumerate(shares) if share >= ENOUGH]
        missing = 1 - np.array(shares[initial:])
        return {
            "first": float(enough[0] if enough else len(order) + 1),
            "found": shares[-1],
            "regret": float(missing.mean()),
        }
