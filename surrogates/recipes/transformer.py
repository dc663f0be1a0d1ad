"""Transformer encoder with a class token: instances that look at one another before the bag is summed up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from surrogates.networks.transformer import layer_shapes, run_layer, start_places
from surrogates.recipes.bag import BagRecipe, PooledNetwork, weight
from surrogates.training import TRAINED, Parameters


@dataclass(frozen=True)
class TransformerNetwork(PooledNetwork):
    """Layers of self-attention between encoder and head; what the class token has gathered is the pooled vector.

    Weights are shares of the bag; the class token weighs as much as all instances together. Ordered instances count by
    their place among those that are there, and the class token stands before the first.
    """

    layers: int
    heads: int
    ordered: bool

    def start_pool(self, rng: torch.Generator) -> Parameters:
        """The class token and the layers; what a layer adds starts small (Radford et al. 2019)."""
        small = 1 / math.sqrt(2 * self.layers)
        found = {"class": weight(rng, 1, self.hidden)[0]}
        for layer in range(self.layers):
            for name, (rows, columns) in layer_shapes(self.hidden).items():
                gain = small if name in ("answer", "narrow") else 1.0
                found[f"layer{layer}.{name}"] = weight(rng, rows, columns, gain)
                found[f"layer{layer}.{name}_bias"] = torch.zeros(columns, dtype=TRAINED)
            if self.ordered:
                found[f"layer{layer}.places"] = start_places(self.heads)
        return found

    def contextualise(self, p: Mapping[str, Tensor], instances: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
        """What each instance is in its bag, `P x b x k x h`; arguments as of `pool`."""
        return self._run(p, instances, mask, weights, None)[0][:, :, 1:]

    def pool(self, p: Mapping[str, Tensor], instances: Tensor, mask: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The class token, and its attention to the instances in the last layer, heads averaged."""
        tokens, attention = self._run(p, instances, mask, weights, 1)
        return tokens[:, :, 0], attention

    def _run(
        self, p: Mapping[str, Tensor], instances: Tensor, mask: Tensor, weights: Tensor, asking: int | None
    ) -> tuple[Tensor, Tensor]:
        """The class token and the instances after the last layer, which updates the first `asking`; and attention."""
        members, b, k, h = instances.shape
        there = mask & (weights > 0)
        share = weights * there
        logarithm = torch.where(there, share / share.sum(-1, keepdim=True), 1.0).log().masked_fill(~there, -torch.inf)
        logarithm = logarithm.expand(members, b, k)
        order = torch.argsort((~there).int(), dim=-1, stable=True).expand(members, b, k) if self.ordered else None
        if order is not None:
            instances, logarithm = _sort(instances, order), logarithm.gather(-1, order)
        present = torch.cat([logarithm.new_zeros(members, b, 1), logarithm], dim=-1)
        tokens = torch.cat([p["class"][:, None, None].expand(-1, b, 1, h), instances], dim=2)
        for layer in range(self.layers):
            last = layer == self.layers - 1
            tokens, score = run_layer(p, layer, tokens, present, self.heads, asking if last else None)
        tokens = layer_norm(tokens, (h,))
        attention = torch.softmax(score[..., 0, 1:] + logarithm.unsqueeze(2), dim=-1).mean(2)
        if order is not None:
            back = order.argsort(-1)
            attention = attention.gather(-1, back)
            tokens = tokens if asking else torch.cat([tokens[:, :, :1], _sort(tokens[:, :, 1:], back)], dim=2)
        return tokens, attention


def _sort(instances: Tensor, order: Tensor) -> Tensor:
    """Instances `P x b x k x h` in the order `P x b x k`."""
    return instances.gather(2, order.unsqueeze(-1).expand_as(instances))


@dataclass(frozen=True)
class Transformer(BagRecipe):
    """Transformer encoder with a class token (Vaswani et al. 2017, Devlin et al. 2019), as an ensemble over folds.

    Raises:
        ValueError: a setting is out of range, heads do not divide the width, or instances are not to be encoded.
    """

    type: ClassVar[str] = "transformer"

    layers: int = 2
    """Layers of self-attention."""
    heads: int = 4
    """Attention heads of a layer; they share the width between them."""
    rate: float = 3e-3
    """Learning rate at the start."""
    ordered: bool = False
    """Whether the order of the instances counts: then each head learns how much distance matters to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden % self.heads:
            raise ValueError(f"heads must divide hidden = {self.hidden}, which {self.heads} does not")
        if not self.instance_encoder:
            raise ValueError("a transformer encodes its instances; set instance_encoder to true")

    def network(self, **sizes: Any) -> TransformerNetwork:
        """The network with the recipe's settings."""
        return TransformerNetwork(**sizes, layers=self.layers, heads=self.heads, ordered=self.ordered)
