"""Discrete designs: X is one column, a whole number, and the bags are known by what they hold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import torch
from botorch.exceptions.errors import UnsupportedError
from torch import Tensor

from surrogates.bags import Bags


def whole_numbers(X: Tensor, count: int | None = None) -> list[int]:
    """The designs `... x 1` as row numbers from 0 on, leading dimensions flattened.

    Args:
        X: designs, `... x 1`.
        count: rows that there are; by default any number.

    Raises:
        ValueError: X has more than one column, or holds what is no row number.
        UnsupportedError: X asks for gradients.
    """
    if X.requires_grad:
        raise UnsupportedError("a pool is discrete and has no gradients; choose from its rows instead")
    if X.shape[-1] != 1:
        raise ValueError(f"X must have one column, the row number, not {X.shape[-1]}")
    values = X.reshape(-1)
    wrong = (values != values.round()) | (values < 0) | (values >= (math.inf if count is None else count))
    if wrong.any():
        pool = "any pool" if count is None else f"a pool of {count}"
        raise ValueError(f"{float(values[wrong][0]):g} is no row of {pool}")
    return [int(value) for value in values.tolist()]


def contents(bags: Bags) -> list[bytes]:
    """A key of what each bag holds: its instances with their weights and parts, in order, and its side information.

    Padding, the stratum, the labels and the dtype do not count.
    """
    features, weights, side = (t.detach().cpu().double() for t in (bags.features, bags.weights, bags.side))
    columns = [weights] if bags.part is None else [weights, bags.part.detach().cpu().double()]
    rows = torch.cat([features, torch.stack(columns, dim=-1)], dim=-1)
    mask = bags.mask.cpu()
    return [
        sha256(torch.cat([rows[i][mask[i]].flatten(), side[i]]).numpy().tobytes()).digest() for i in range(len(bags))
    ]


def known_designs(known: Mapping[bytes, int], bags: Bags) -> Tensor:
    """The design of each bag by what it holds, `n x 1`, float64.

    Raises:
        ValueError: a bag is not known.
    """
    found = [known.get(key) for key in contents(bags)]
    missing = [i for i, number in enumerate(found) if number is None]
    if missing:
        raise ValueError(f"{len(missing)} of {len(bags)} bags are not in the pool, the first is row {missing[0]}")
    return torch.tensor(found, dtype=torch.float64).unsqueeze(1)


@dataclass(frozen=True, eq=False)
class BagPool:
    """Bags by row number: routes, or any bags given as tensors, encoded before."""

    bags: Bags

    def __call__(self, X: Tensor, stratum: Sequence[str] | None = None) -> Bags:
        """The bags of row numbers `... x 1`, leading dimensions flattened.

        Raises:
            ValueError: X has more than one column, or holds what is no row number.
            UnsupportedError: X asks for gradients.
        """
        found = self.bags[whole_numbers(X, len(self.bags))]
        return found if stratum is None else replace(found, stratum=tuple(stratum))

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        rows: dict[bytes, int] = {}
        for row, key in enumerate(contents(self.bags)):
            rows.setdefault(key, row)
        return rows

    def designs(self, bags: Bags) -> Tensor:
        """The row number of each bag, `n x 1`, float64, known by its tensors; the first where equal bags occur twice.

        Raises:
            ValueError: a bag is not in the pool.
        """
        return known_designs(self._rows, bags)
