"""Heads: from one vector a bag to what is predicted of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from surrogates.quantiles import LEVELS, MEDIAN, NORMAL_SCORES

OUTPUTS = len(LEVELS)


def noncrossing_quantiles(raw: Tensor) -> Tensor:
    """Nine quantiles that cannot cross: raw outputs `... x 9` to `... x 9`.

    The first output is the median; each of the others is, through softplus, a step to the next level outwards, upwards
    first.
    """
    median, steps = raw[..., :1], softplus(raw[..., 1:])
    above = median + steps[..., : OUTPUTS - 1 - MEDIAN].cumsum(-1)
    below = median - steps[..., OUTPUTS - 1 - MEDIAN :].cumsum(-1)
    return torch.cat([below.flip(-1), median, above], dim=-1)


def normal_start() -> Tensor:
    """Raw outputs that give the quantiles of the standard normal, `9`: where the biases of a head start."""
    steps = [b - a for a, b in zip(NORMAL_SCORES[MEDIAN:], NORMAL_SCORES[MEDIAN + 1 :], strict=False)]
    return torch.tensor([0.0, *(math.log(math.expm1(step)) for step in steps * 2)], dtype=torch.float64)
