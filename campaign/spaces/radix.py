"""Mixed-radix numbers: a position in a product of small choices, the last of which changes fastest."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from campaign.spaces.base import Ints
from db.errors import InvalidInput, Problem

MAX_NUMBERED = 1 << 62
"""Largest space whose candidates can be numbered in 64 bits."""


def strides(sizes: Sequence[int]) -> list[int]:
    """What one step of each digit is worth."""
    return [prod(sizes[i + 1 :]) for i in range(len(sizes))]


def digits(indices: Ints, sizes: Sequence[int]) -> Ints:
    """Positions [n] -> digits [n, k], each in 0..size-1.

    Raises:
        InvalidInput: the product is beyond what can be numbered.
    """
    check_numbered(prod(sizes))
    found = [indices // worth % size for worth, size in zip(strides(sizes), sizes, strict=True)]
    return np.stack(found, axis=1) if found else np.empty((len(indices), 0), dtype=np.int64)


def check_numbered(total: int) -> None:
    """Whether so many candidates can be numbered.

    Raises:
        InvalidInput: they cannot.
    """
    if total >= MAX_NUMBERED:
        fix = "use fewer steps, values or divisions, or more rules"
        raise InvalidInput(Problem("space", f"{total:,} candidates are too many to number", fix))
