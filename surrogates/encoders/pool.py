"""A pool of bags that were encoded before, as the designs of a discrete space: X is the row number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import torch
from botorch.exceptions.errors import UnsupportedError
from torch import Tensor

from surrogates.bags import Bags


@dataclass(frozen=True, eq=False)
class BagPool:
    """Bags by row number: structures whose sites were encoded once, routes, or any bags given as tensors."""

    bags: Bags

    def __call__(self, X: Tensor, stratum: Sequence[str] | None = None) -> Bags:
        """The bags of row numbers `... x 1`, leading dimensions flattened.

        Raises:
            ValueError: X has more than one column, or holds what is no row number.
            UnsupportedError: X asks for gradients.
        """
        if X.requires_grad:
            raise UnsupportedError("a pool is discrete and has no gradients; choose from its rows instead")
        if X.shape[-1] != 1:
            raise ValueError(f"X must have one column, the row number, not {X.shape[-1]}")
        rows = X.reshape(-1).long()
        wrong = (rows != X.reshape(-1)) | (rows < 0) | (rows >= len(self.bags))
        if wrong.any():
            raise ValueError(f"{float(X.reshape(-1)[wrong][0]):g} is no row of a pool of {len(self.bags)}")
        found = self.bags[rows]
        return found if stratum is None else replace(found, stratum=tuple(stratum))

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        keys = _contents(self.bags)
        return {key: len(keys) - 1 - i for i, key in enumerate(reversed(keys))}

    def designs(self, bags: Bags) -> Tensor:
        """The row number of each bag, `n x 1`, float64, known by its tensors; the first where equal bags occur twice.

        Raises:
            ValueError: a bag is not in the pool.
        """
        rows = [self._rows.get(key) for key in _contents(bags)]
        missing = [i for i, row in enumerate(rows) if row is None]
        if missing:
            raise ValueError(f"{len(missing)} of {len(bags)} bags are not in the pool, the first is row {missing[0]}")
        return torch.tensor(rows, dtype=torch.float64).unsqueeze(1)


def _contents(bags: Bags) -> list[bytes]:
    """A key of each bag's tensors; its stratum and the dtype do not count."""
    tensors = (bags.features, bags.mask, bags.weights, bags.side)
    rows = torch.cat([tensor.flatten(1).double() for tensor in tensors], dim=1)
    return [sha256(row.tobytes()).digest() for row in rows.numpy()]
