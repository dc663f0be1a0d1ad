"""Bags of parts taken apart: a candidate that is an ensemble of structures, each of them a bag of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from surrogates.bags import Bags


@dataclass(frozen=True, eq=False)
class Parts:
    """Where the parts of `n` bags are, at most `m` of at most `w` instances.

    A bag that has fewer parts repeats its first with a share of 0, so that every part has an instance.
    """

    columns: Tensor
    """The instances of each part by their column in the bag, `n x m x w`."""
    mask: Tensor
    """Whether there is an instance, `n x m x w`, bool."""
    share: Tensor
    """What each part counts in the mean, `n x m`, float64; 1 over the number of parts that the bag has."""

    @classmethod
    def of(cls, bags: Bags, mask: Tensor | None = None) -> Parts:
        """The parts of bags; what is masked or of weight 0 is in none, and a part of which nothing is left is none.

        Args:
            bags: with parts.
            mask: in place of that of the bags.

        Raises:
            ValueError: the bags have no parts.
        """
        if bags.part is None:
            raise ValueError("these bags have no parts")
        here = (bags.mask if mask is None else mask) & (bags.weights > 0)
        which = torch.arange(bags.parts, device=here.device).unsqueeze(1)
        belongs = here.unsqueeze(1) & (bags.part.unsqueeze(1) == which)
        there = belongs.any(-1)
        first = belongs[torch.arange(len(bags)), there.int().argmax(1)]
        belongs = torch.where(there.unsqueeze(-1), belongs, first.unsqueeze(1))
        width = int(belongs.sum(-1).max()) if len(bags) else 1
        columns = torch.argsort((~belongs).int(), dim=-1, stable=True)[..., :width]
        share = there.double() / there.sum(1, keepdim=True)
        return cls(columns, belongs.gather(-1, columns), share)

    def pick(self, values: Tensor) -> Tensor:
        """What each instance has, `n x k x ...`, part by part: `n x m x w x ...`."""
        return values[torch.arange(len(values), device=values.device)[:, None, None], self.columns]

    def apart(self, bags: Bags) -> Bags:
        """Every part as a bag of its own, `n m` of them, a bag's one after the other."""
        m = self.share.shape[1]
        found = Bags.of(
            self.pick(bags.features).flatten(0, 1),
            mask=self.mask.flatten(0, 1),
            weights=self.pick(bags.weights).flatten(0, 1),
            side=bags.side.repeat_interleave(m, 0),
            stratum=[stratum for stratum in bags.stratum for _ in range(m)],
        )
        return replace(found, outline=tuple(shares.repeat_interleave(m, 0) for shares in bags.outline))
