"""Multi-head attention pooling: several learned questions to the same instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from surrogates.networks.pooling import multihead_attention
from surrogates.recipes.bag import BagRecipe, PooledNetwork, weight
from surrogates.training import Parameters


@dataclass(frozen=True)
class MultiheadNetwork(PooledNetwork):
    """Multi-head attention of learned seeds between encoder and head.

    Raises:
        ValueError: heads do not divide the width of an instance; without an instance encoder that of the features.
    """

    heads: int
    seeds: int

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"heads must divide the width of an instance = {self.width}, which {self.heads} does not")

    @property
    def pooled(self) -> int:
        """One vector for each seed."""
        return self.seeds * self.width

    def start_pool(self, rng: torch.Generator) -> Parameters:
        """Seeds of variance 1, and the projections to keys and values."""
        h = self.width
        seeds = weight(rng, 1, self.seeds * h).reshape(self.seeds, h)
        return {"seeds": seeds, "keys": weight(rng, h, h), "values": weight(rng, h, h)}

    def pool(self, p: Mapping[str, Tensor], instances: Tensor, mask: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Multi-head attention."""
        return multihead_attention(instances, mask, weights, p["seeds"], p["keys"], p["values"], self.heads)


@dataclass(frozen=True)
class MultiheadAttention(BagRecipe):
    """Pooling by multi-head attention (Lee et al. 2019) under nine quantiles, as an ensemble over folds.

    Raises:
        ValueError: a setting is out of range, or heads do not divide the width.
    """

    type: ClassVar[str] = "multihead_attention"

    heads: int = 4
    """Attention heads; they share the width between them."""
    seeds: int = 1
    """Learned queries, each of which pools a vector of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.instance_encoder and self.hidden % self.heads:
            raise ValueError(f"heads must divide hidden = {self.hidden}, which {self.heads} does not")

    def network(self, **sizes: Any) -> MultiheadNetwork:
        """The network with the recipe's settings."""
        return MultiheadNetwork(**sizes, heads=self.heads, seeds=self.seeds)
