"""Heads: from one vector a bag to what is predicted of each target.

A head's raw outputs, `... x outputs`, become its prediction, `... x 9` quantiles or `... x 1` probabilities; loss,
location and noise are functions of the prediction, so that what follows need not know which head it was.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from surrogates.quantiles import LEVELS, MEDIAN, NORMAL_SCORES, head_variance, normal_quantiles, pinball

HeadName = Literal["quantiles", "normal", "class"]
SMALLEST_SD = 1e-3
"""Least sd that a normal head states, in sds of the target."""
SUREST = 1e-6
"""Least probability of a class."""


class Head(ABC):
    """What a network predicts of each target, and how a prediction is judged."""

    outputs: ClassVar[int]
    """Raw outputs of a target."""
    numbers: ClassVar[bool] = True
    """Whether the target is a number, which is standardised; otherwise 0 or 1."""

    @abstractmethod
    def start(self) -> Tensor:
        """Biases of the raw outputs at the start, `outputs`, float64: those of a standard normal target."""

    @abstractmethod
    def predict(self, raw: Tensor) -> Tensor:
        """The prediction: raw outputs `... x outputs` to `... x 9` or `... x 1`."""

    @abstractmethod
    def loss(self, prediction: Tensor, value: Tensor) -> Tensor:
        """How badly a value `...` was predicted: `...`."""

    def location(self, prediction: Tensor) -> Tensor:
        """The central prediction, `...`."""
        return prediction[..., MEDIAN]

    def noise(self, prediction: Tensor) -> Tensor:
        """Variance of a measurement that the prediction implies, `...`."""
        return head_variance(prediction)


class QuantileHead(Head):
    """Nine quantiles under the pinball loss."""

    outputs = len(LEVELS)

    def start(self) -> Tensor:
        """Those of the quantiles of the standard normal."""
        steps = [b - a for a, b in zip(NORMAL_SCORES[MEDIAN:], NORMAL_SCORES[MEDIAN + 1 :], strict=False)]
        return torch.tensor([0.0, *(math.log(math.expm1(step)) for step in steps * 2)], dtype=torch.float64)

    def predict(self, raw: Tensor) -> Tensor:
        """Quantiles that cannot cross."""
        return noncrossing_quantiles(raw)

    def loss(self, prediction: Tensor, value: Tensor) -> Tensor:
        """Mean pinball loss of the nine levels."""
        return pinball(prediction, value)


class NormalHead(Head):
    """Mean and variance under the Gaussian likelihood (Nix and Weigend 1994), told as nine normal quantiles."""

    outputs = 2

    def start(self) -> Tensor:
        """Mean 0 and sd 1."""
        return torch.tensor([0.0, math.log(math.expm1(1 - SMALLEST_SD))], dtype=torch.float64)

    def predict(self, raw: Tensor) -> Tensor:
        """Quantiles of the normal distribution."""
        return normal_quantiles(raw[..., 0], softplus(raw[..., 1]) + SMALLEST_SD)

    def loss(self, prediction: Tensor, value: Tensor) -> Tensor:
        """Negative log density, without its constant."""
        variance = head_variance(prediction)
        return 0.5 * ((value - prediction[..., MEDIAN]).square() / variance + variance.log())


class ClassHead(Head):
    """Probability that a property holds, under the cross-entropy; targets are 0 or 1."""

    outputs = 1
    numbers = False

    def start(self) -> Tensor:
        """A half."""
        return torch.zeros(1, dtype=torch.float64)

    def predict(self, raw: Tensor) -> Tensor:
        """The probability."""
        return torch.sigmoid(raw).clamp(SUREST, 1 - SUREST)

    def loss(self, prediction: Tensor, value: Tensor) -> Tensor:
        """Cross-entropy in nats."""
        p = prediction[..., 0]
        return -(value * p.log() + (1 - value) * (1 - p).log())

    def location(self, prediction: Tensor) -> Tensor:
        """The probability."""
        return prediction[..., 0]

    def noise(self, prediction: Tensor) -> Tensor:
        """Variance of a yes or no, p (1 - p)."""
        return prediction[..., 0] * (1 - prediction[..., 0])


HEADS: dict[HeadName, Head] = {"quantiles": QuantileHead(), "normal": NormalHead(), "class": ClassHead()}


def noncrossing_quantiles(raw: Tensor) -> Tensor:
    """Nine quantiles that cannot cross: raw outputs `... x 9` to `... x 9`.

    The first output is the median; each of the others is, through softplus, a step to the next level outwards, upwards
    first.
    """
    outwards = len(LEVELS) - 1 - MEDIAN
    median, steps = raw[..., :1], softplus(raw[..., 1:])
    above = median + steps[..., :outwards].cumsum(-1)
    below = median - steps[..., outwards:].cumsum(-1)
    return torch.cat([below.flip(-1), median, above], dim=-1)
