"""Poolings that learn nothing: the mean, for signals that all instances carry, and the maximum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from surrogates.networks.pooling import maximum, mean
from surrogates.recipes.bag import BagRecipe, PooledNetwork


class MeanNetwork(PooledNetwork):
    """Weighted mean between encoder and head."""

    def pool(self, p: Mapping[str, Tensor], instances: Tensor, mask: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted mean."""
        return mean(instances, mask, weights)


class MaxNetwork(PooledNetwork):
    """Maximum between encoder and head."""

    def pool(self, p: Mapping[str, Tensor], instances: Tensor, mask: Tensor, weights: Tensor) -> tuple[Tensor, None]:
        """Maximum."""
        return maximum(instances, mask, weights)


@dataclass(frozen=True)
class MeanPool(BagRecipe):
    """Weighted mean pooling (Zaheer et al. 2017); its attention is the shares of the weights, whatever was learned."""

    type: ClassVar[str] = "mean_pool"

    def network(self, **sizes: Any) -> MeanNetwork:
        """The network."""
        return MeanNetwork(**sizes)


@dataclass(frozen=True)
class MaxPool(BagRecipe):
    """Maximum pooling, channel by channel: blind to how much there is of an instance, and without attention."""

    type: ClassVar[str] = "max_pool"

    def network(self, **sizes: Any) -> MaxNetwork:
        """The network."""
        return MaxNetwork(**sizes)
