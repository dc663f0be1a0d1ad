"""Goals as objectives over posterior samples.

Targets of minimised and maximised objectives arrive oriented to "larger is better"; a matched objective arrives as
measured and is scored by its distance to the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Goal:
    """What is wanted of one output: as large as possible (`target` None), or as near to `target` as possible."""

    target: float | None = None
    tolerance: float = 0.0
    """Distance from the target that is as good as the target itself."""

    def score(self, values: Tensor) -> Tensor:
        """Larger is better: the values, or minus their distance to the target beyond the tolerance; shape kept."""
        if self.target is None:
            return values
        return -((values - self.target).abs() - self.tolerance).clamp_min(0)


def score(goals: Sequence[Goal], samples: Tensor) -> Tensor:
    """Scores of `... x m` samples, output by output: `... x m`, larger is better."""
    return torch.stack([goal.score(samples[..., j]) for j, goal in enumerate(goals)], dim=-1)
