"""Networks over bags of parts: each part is read as a bag of its own, and what is said of them is averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from surrogates.bags import Bags
from surrogates.networks.heads import Head
from surrogates.parts import Parts
from surrogates.training import Parameters

if TYPE_CHECKING:
    from surrogates.ensemble import BagNetwork


@dataclass(frozen=True)
class PartNetwork:
    """The mean over a bag's parts of what a network predicts of them, quantiles level by level.

    It is what is trained too, so that the network learns what it has to say of parts for their mean to be right.
    """

    each: BagNetwork
    """The network over (features, mask, weights, side) of a part."""

    @property
    def head(self) -> Head:
        """What it predicts."""
        return self.each.head

    def start(self, rng: torch.Generator) -> Parameters:
        """Initial parameters of one member: those of the network."""
        return self.each.start(rng)

    def prepare(self, parameters: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The same parameters, made ready to be applied many times."""
        return self.each.prepare(parameters)

    def inputs(self, bags: Bags) -> tuple[Tensor, ...]:
        """What it sees of `n` bags of `m` parts of at most `w` instances.

        Features `n x m x w x d`, mask and weights `n x m x w`, side information `n x s`, the shares of the parts,
        `n x m`, the column of each instance, `n x m x w`, and whether there is an instance, `n x k`.

        Raises:
            ValueError: the bags have no parts.
        """
        features, mask, weights, side = self.each.inputs(bags)
        parts = Parts.of(bags, mask)
        return parts.pick(features), parts.mask, parts.pick(weights), side, parts.share, parts.columns, mask

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Predictions of scaled targets, `P x b x t x o`."""
        share = inputs[4]
        said = self.each(parameters, _apart(inputs)).unflatten(1, share.shape[1:])
        return (said * share[..., None, None]).sum(2)

    def attention(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor | None:
        """Attention over the instances of all parts, each part by its share, `P x b x k`; None if there is none."""
        share, columns, whole = inputs[4:]
        said = self.each.attention(parameters, _apart(inputs))
        if said is None:
            return None
        shares = (said.unflatten(1, share.shape[1:]) * share.unsqueeze(-1)).flatten(2)
        return shares.new_zeros(whole.shape).scatter_add(2, columns.flatten(2), shares)


def _apart(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Inputs of the network over parts, `P x (b m) x ...`."""
    features, mask, weights, side, share, *_ = inputs
    sides = side.repeat_interleave(share.shape[2], 1)
    return [features.flatten(1, 2), mask.flatten(1, 2), weights.flatten(1, 2), sides]
