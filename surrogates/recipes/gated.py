"""Gated attention over a bag of instances, with non-crossing quantiles: the bag recipe of localised signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from surrogates.networks.pooling import gated_attention
from surrogates.recipes.bag import BagRecipe, PooledNetwork, weight
from surrogates.training import Parameters

GATE_GAIN = 0.1
"""Factor on the initial weights of the gate's projections."""


@dataclass(frozen=True)
class GatedNetwork(PooledNetwork):
    """Gated attention between encoder and head."""

    gate: int

    def start_pool(self, rng: torch.Generator) -> Parameters:
        """Both projections of the gate, and its read-out.

        The projections start small: attention begins as the mean, and an instance far from the others, which is what
        there is to find, does not saturate its gate before it is learned.
        """
        h, a = self.width, self.gate
        return {"V": weight(rng, h, a, GATE_GAIN), "U": weight(rng, h, a, GATE_GAIN), "w": weight(rng, a, 1)}

    def pool(self, p: Mapping[str, Tensor], instances: Tensor, mask: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Gated attention."""
        return gated_attention(instances, mask, weights, p["V"], p["U"], p["w"])

    def encode_and_pool(
        self, p: Mapping[str, Tensor], features: Tensor, mask: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both in one."""
        encoder = (p["encode"], p["encode_bias"]) if self.instance_encoder else ()
        return gated_attention(features, mask, weights, p["V"], p["U"], p["w"], *encoder)


@dataclass(frozen=True)
class GatedAttention(BagRecipe):
    """Gated attention pooling (Ilse, Tomczak and Welling 2018) under nine quantiles, as an ensemble over folds.

    Raises:
        ValueError: a setting is out of range.
    """

    type: ClassVar[str] = "gated_attention"

    gate: int = 16
    """Width of the attention's gate."""

    def network(self, **sizes: Any) -> GatedNetwork:
        """The network with the recipe's settings."""
        return GatedNetwork(**sizes, gate=self.gate)
