"""Mean over the instances that somebody named: what a model that knows where the signal is would see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from surrogates.bags import Bags
from surrogates.recipes.bag import BagRecipe
from surrogates.recipes.plain import MeanNetwork


@dataclass(frozen=True)
class NamedNetwork(MeanNetwork):
    """Weighted mean of named instances between encoder and head."""

    names: tuple[str, ...]

    def inputs(self, bags: Bags) -> tuple[Tensor, ...]:
        """As of any network, with the instances masked that are not named.

        Raises:
            ValueError: a bag has no instance of these names.
        """
        rows = bags.labels if bags.shared_labels is None else (bags.shared_labels,)
        named = torch.tensor([[label in self.names for label in row] for row in rows], device=bags.mask.device)
        mask = bags.mask & named.reshape(len(rows), bags.mask.shape[1])
        without = (~(mask & (bags.weights > 0)).any(1)).nonzero().flatten().tolist()
        if without:
            first, labels = without[0], bags[without[0]].labels
            row = labels if bags.shared_labels is not None else labels[0]
            there = [label for label, there in zip(row, bags.mask[first].tolist(), strict=True) if there]
            raise ValueError(
                f"bag {first} has no instance called {' or '.join(self.names)}, only {', '.join(map(str, there))} "
                f"({len(without)} such bags of {len(bags)})"
            )
        return bags.features, mask, bags.weights, bags.side


@dataclass(frozen=True)
class NamedPool(BagRecipe):
    """Weighted mean over the instances whose label is among `names`: the oracle beside which attention is judged.

    Its attention is the shares of their weights, and 0 elsewhere. Features are scaled over all instances.

    Raises:
        ValueError: a setting is out of range, or no name is given.
    """

    type: ClassVar[str] = "named_pool"

    names: tuple[str, ...] = ()
    """Labels of the instances that count; at least one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.names, str) or not self.names:
            raise ValueError(f"names must list the labels of at least one instance, not {self.names!r}")
        object.__setattr__(self, "names", tuple(self.names))

    def network(self, **sizes: Any) -> NamedNetwork:
        """The network with the recipe's settings."""
        return NamedNetwork(**sizes, names=self.names)
