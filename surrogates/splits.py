"""Splits that keep groups together: folds, and the rows that stop a member's training."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

FOLDS = 5
"""Folds of cross-conformal calibration."""
NEVER = -1
"""Fold of a row that no fold holds out."""
Scheme = Literal["cross", "split", "none"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
SPLIT_SHARE = 0.25
"""Share of the rows that a split keeps for calibration."""


def generator(*key: object) -> torch.Generator:
    """A generator of its own for every key, the same in every process; no global state is touched."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def assign_folds(groups: Sequence[str], seed: int, scheme: Scheme = "cross", count: int = FOLDS) -> Tensor:
    """The fold that holds out each row, `n`, int64.

    Groups are dealt out, largest first and in random order among equals, to the fold with the fewest rows. There are
    as many folds as groups where groups are fewer than `count`; one group alone is never held out (`NEVER`). A split
    is one such fold of a quarter of the rows, in fold 0, beside rows that are never held out.
    """
    sizes = Counter(groups)
    names = sorted(sizes)
    if len(names) < 2 or scheme == "none":
        return torch.full((len(groups),), NEVER)
    if scheme == "split":
        count = round(1 / SPLIT_SHARE)
    order = torch.randperm(len(names), generator=generator("folds", seed)).tolist()
    filled = [0] * min(count, len(names))
    fold_of = {}
    for name in sorted((names[i] for i in order), key=lambda name: -sizes[name]):
        fold = filled.index(min(filled))
        fold_of[name] = fold
        filled[fold] += sizes[name]
    dealt = torch.tensor([fold_of[name] for name in groups])
    return dealt if scheme == "cross" else dealt.masked_fill(dealt > 0, NEVER)


def hold_back(groups: Sequence[str], rows: Tensor, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Split row numbers into those that train and those that stop training, whole groups at a time.

    With fewer than five groups nothing can be spared: all rows do both.
    """
    names = sorted({groups[i] for i in rows.tolist()})
    if len(names) < 5:
        return rows, rows
    order = torch.randperm(len(names), generator=rng).tolist()
    held = {names[i] for i in order[: max(1, round(share * len(names)))]}
    stops = torch.tensor([groups[i] in held for i in rows.tolist()])
    return rows[~stops], rows[stops]
