"""Goals as objectives over posterior samples.

Targets of minimised and maximised objectives arrive oriented to "larger is better"; a matched objective arrives as
measured and is scored by its distance to the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from botorch.acquisition.analytic import _log_ei_helper
from torch import Tensor

SMALLEST_GAIN = 1e-300
"""Stands for an improvement that underflows."""


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

    def log_improvement(self, mean: Tensor, sd: Tensor, best: Tensor) -> Tensor:
        """Logarithm of the expected improvement of the score of N(mean, sd^2) over `best`; arguments broadcast.

        With h(u) = phi(u) + u Phi(u), E (f - b)+ = sd h((mean - b) / sd) (Ament et al. 2023, eq. 8). A matched value
        improves if it lies within r = tolerance - best of the target; E (c - |f - target|)+ is the second difference of
        the above over target - c, target and target + c, and the tolerance takes off the same with c = tolerance.
        """
        if self.target is None:
            return _log_ei_helper((mean - best) / sd) + sd.log()
        free = torch.full_like(best, self.tolerance)
        gain = self._within(mean, sd, self.tolerance - best) - self._within(mean, sd, free)
        return gain.clamp_min(SMALLEST_GAIN).log()

    def _within(self, mean: Tensor, sd: Tensor, reach: Tensor) -> Tensor:
        """E (reach - |f - target|)+ for f ~ N(mean, sd^2)."""
        centre = mean - float(self.target or 0.0)

        def above(at: Tensor) -> Tensor:
            return (_log_ei_helper((centre - at) / sd) + sd.log()).exp()

        return above(-reach) - 2 * above(torch.zeros_like(reach)) + above(reach)


def score(goals: Sequence[Goal], samples: Tensor) -> Tensor:
    """Scores of `... x m` samples, output by output: `... x m`, larger is better."""
    return torch.stack([goal.score(samples[..., j]) for j, goal in enumerate(goals)], dim=-1)
