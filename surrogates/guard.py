"""The domain guard: which bags lie outside what a surrogate was trained on.

A bag is outside if its stratum has no training bag, or if it is farther from the training bags than they are from one
another: its distance to the nearest of them exceeds the distance that all but a hundredth of the training bags keep to
theirs. Distances are Euclidean between kernel inputs, each scaled to a range of 1 over the training bags: the
applicability domain of nearest neighbours (Sheridan et al. 2004).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from surrogates.bags import Bags
from surrogates.kernel_inputs import KernelInputs, kernel_inputs
from surrogates.recipes.base import Problem

COMPONENTS = 4
"""Principal components of the descriptors of a composition, as of the gp recipe."""
INSIDE = 0.99
"""Share of the training bags that are inside by themselves."""
FEWEST = 10
"""Training bags from which distances are judged; the reach of fewer is not known."""
SAME = 6
"""Decimals, in ranges of the training bags, to which bags are the same."""
CHUNK = 4096
"""Bags whose distances are found together."""
WIDEST = 3.0
"""An interval outside is widened at most so many times."""


@dataclass(frozen=True, eq=False)
class Domain:
    """Where bags lie, `n` of them."""

    distance: Tensor
    """Distance to the nearest training bag over the reach of the training bags, `n`; above 1 is outside. NaN if there
    are too few training bags to know.
    """
    new_stratum: Tensor
    """Whether no training bag is of the stratum, `n`, bool."""

    @property
    def inside(self) -> Tensor:
        """`n`, bool."""
        return ~self.new_stratum & ~(self.distance > 1)

    @property
    def widening(self) -> Tensor:
        """Factor for intervals that do not know their reach, `n`: 1 inside, then the distance, up to `WIDEST`."""
        return self.distance.nan_to_num(1.0).clamp(1.0, WIDEST)

    def reasons(self) -> tuple[str, ...]:
        """Why each bag is outside, in words; empty if it is inside."""
        found = []
        for new, distance in zip(self.new_stratum.tolist(), self.distance.tolist(), strict=True):
            reasons = ["no training sample is of its stratum"] if new else []
            if distance > 1:
                reasons.append(f"{distance:.1f} times as far from the training samples as they are apart")
            found.append(" and ".join(reasons))
        return tuple(found)


@dataclass(frozen=True, eq=False)
class Guard:
    """The training domain of a surrogate."""

    inputs: KernelInputs
    training: Tensor
    """Scaled kernel inputs of the training bags, `m x d`."""
    scale: Tensor
    """Range of each kernel input, `d`."""
    reach: float
    """Distance to the nearest other training bag that `INSIDE` of them keep; NaN for fewer than `FEWEST`."""
    strata: frozenset[str]

    @classmethod
    def of(cls, problem: Problem) -> Guard:
        """The domain of training data; what occurs more than once, as replicates do, counts once."""
        inputs = kernel_inputs(replace(problem.bags, part=None), COMPONENTS)  # where a bag lies, not its parts
        Z = inputs(problem.bags).detach()
        extent = Z.amax(0) - Z.amin(0)
        scale = torch.where(extent > 0, extent, torch.ones_like(extent))
        training = torch.unique((Z / scale).round(decimals=SAME), dim=0)
        reach = math.nan
        if len(training) >= FEWEST:
            apart = _distances(training, training).fill_diagonal_(torch.inf)
            reach = float(apart.amin(1).quantile(INSIDE))
        return cls(inputs, training, scale, reach, frozenset(problem.bags.stratum))

    def domain(self, bags: Bags) -> Domain:
        """Where bags lie."""
        Z = self.inputs(bags).detach() / self.scale
        nearest = torch.cat([Z.new_zeros(0), *(_distances(part, self.training).amin(1) for part in Z.split(CHUNK))])
        new = torch.tensor([stratum not in self.strata for stratum in bags.stratum], dtype=torch.bool)
        return Domain(nearest / self.reach, new)


def _distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean, without the rounding of the matrix product."""
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
