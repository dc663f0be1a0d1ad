"""The nine quantile levels that every head predicts, and what is done with them."""

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor

LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
"""Levels of the nine predicted quantiles."""
MEDIAN = LEVELS.index(0.5)
NORMAL_SCORES = tuple(NormalDist().inv_cdf(level) for level in LEVELS)
"""Quantiles of the standard normal at `LEVELS`."""
QUARTILE_TO_SD = 2 * NormalDist().inv_cdf(0.75)
"""Distance of the quartiles of a normal distribution, in sds."""


def normal_quantiles(mean: Tensor, sd: Tensor) -> Tensor:
    """The nine quantiles of normal distributions: mean and sd `...` to `... x 9`."""
    return mean.unsqueeze(-1) + sd.unsqueeze(-1) * mean.new_tensor(NORMAL_SCORES)


def at_level(quantiles: Tensor, level: float) -> Tensor:
    """The quantile at any level in (0, 1), from the nine: `... x 9` to `...`.

    Linear in the normal score of the level between two neighbours; beyond the outermost levels the last segment is
    continued, so that the tails are those of a normal distribution. Exact for a normal head.

    Raises:
        ValueError: the level is not inside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"a quantile level lies inside (0, 1), not at {level!r}")
    score = NormalDist().inv_cdf(level)
    left = sum(s <= score for s in NORMAL_SCORES[1:-1])
    low, high = NORMAL_SCORES[left], NORMAL_SCORES[left + 1]
    share = (score - low) / (high - low)
    return quantiles[..., left] * (1 - share) + quantiles[..., left + 1] * share


def pinball(quantiles: Tensor, value: Tensor) -> Tensor:
    """Pinball loss averaged over the nine levels: quantiles `... x 9` and value `...` to `...`.

    Koenker and Bassett 1978; twice this average approximates the continuous ranked probability score.
    """
    error = value.unsqueeze(-1) - quantiles
    levels = quantiles.new_tensor(LEVELS)
    return torch.maximum(levels * error, (levels - 1) * error).mean(-1)


def head_variance(quantiles: Tensor) -> Tensor:
    """Variance that a head's quartiles imply for a normal distribution: `... x 9` to `...`."""
    return ((quantiles[..., MEDIAN + 1] - quantiles[..., MEDIAN - 1]) / QUARTILE_TO_SD).square()
