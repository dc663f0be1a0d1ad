"""Gated attention over a bag of instances, with non-crossing quantiles: the bag recipe of localised signals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import silu

from surrogates.conformal import Score
from surrogates.ensemble import Ensemble, scale, train_ensemble
from surrogates.networks.heads import OUTPUTS, noncrossing_quantiles, normal_start
from surrogates.networks.pooling import gated_attention
from surrogates.recipes.base import Learned, Problem, Recipe, Trained
from surrogates.training import TRAINED, Parameters, Schedule


@dataclass(frozen=True)
class GatedNetwork:
    """Instance encoder, gated attention pooling, head: (features, mask, weights, side) to quantiles."""

    features: int
    side: int
    targets: int
    hidden: int
    gate: int

    def start(self, rng: torch.Generator) -> Parameters:
        """Uniform weights with the variance of He et al. 2015 over 2; the head starts at a standard normal."""
        h, s = self.hidden, self.side

        def weight(rows: int, columns: int, gain: float = 1.0) -> Tensor:
            return gain * math.sqrt(3 / rows) * (2 * torch.rand(rows, columns, generator=rng, dtype=TRAINED) - 1)

        return {
            "encode": weight(self.features, h),
            "encode_bias": torch.zeros(h, dtype=TRAINED),
            "V": weight(h, self.gate),
            "U": weight(h, self.gate),
            "w": weight(self.gate, 1),
            "mix": weight(h + s, h),
            "mix_bias": torch.zeros(h, dtype=TRAINED),
            "head": weight(h, self.targets * OUTPUTS, gain=0.1),
            "head_bias": normal_start().to(TRAINED).repeat(self.targets),
        }

    def _pool(self, p: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        features, side = scale(p, inputs)
        members, b, k, d = features.shape
        instances = silu(torch.baddbmm(p["encode_bias"].unsqueeze(1), features.reshape(members, b * k, d), p["encode"]))
        pooled, attention = gated_attention(
            instances.unflatten(1, (b, k)), inputs[1], inputs[2], p["V"], p["U"], p["w"]
        )
        return pooled, attention, side

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Quantiles of scaled targets, `P x b x t x 9`."""
        p = parameters
        pooled, _, side = self._pool(p, inputs)
        mixed = silu(torch.baddbmm(p["mix_bias"].unsqueeze(1), torch.cat([pooled, side], dim=-1), p["mix"]))
        raw = torch.baddbmm(p["head_bias"].unsqueeze(1), mixed, p["head"])
        return noncrossing_quantiles(raw.unflatten(-1, (self.targets, OUTPUTS)))

    def attention(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Attention over the instances, `P x b x k`."""
        return self._pool(parameters, inputs)[1]


@dataclass(frozen=True)
class GatedAttention(Recipe):
    """Gated attention pooling (Ilse, Tomczak and Welling 2018) under nine quantiles, as an ensemble over folds.

    Raises:
        ValueError: a setting is out of range.
    """

    type: ClassVar[str] = "gated_attention"
    score: ClassVar[Score] = "cqr"

    hidden: int = 32
    """Width of the instance encoder and of the head."""
    gate: int = 16
    """Width of the attention's gate."""
    members: int = 3
    """Members for each of the five folds."""
    epochs: int = 200
    batch: int = 16
    rate: float = 1e-2
    """Learning rate at the start."""
    decay: float = 1e-2
    """Weight decay."""
    patience: int = 40
    """Epochs without improvement after which a member stops."""

    def __post_init__(self) -> None:
        for name in ("hidden", "gate", "members", "epochs", "batch", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.rate <= 0 or self.decay < 0:
            raise ValueError(f"rate must be positive and decay not negative, not {self.rate} and {self.decay}")

    def _network(self, problem: Problem) -> GatedNetwork:
        bags = problem.bags
        return GatedNetwork(bags.features.shape[2], bags.side.shape[1], problem.value.shape[1], self.hidden, self.gate)

    def train(self, problem: Problem, seed: int) -> Trained:
        """Train all members in one batched computation."""
        schedule = Schedule(self.epochs, self.batch, self.rate, self.decay, self.patience)
        return train_ensemble(
            self._network(problem), problem, members_per_fold=self.members, schedule=schedule, seed=seed
        )

    def restore(self, tensors: Mapping[str, Tensor], problem: Problem) -> Learned:
        """The same members."""
        return Ensemble(self._network(problem), dict(tensors), problem)
