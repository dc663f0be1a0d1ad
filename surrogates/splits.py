"""Splits that keep groups together: folds, and the rows that stop a member's training."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal, get_args

import torch
from torch import Tensor

FOLDS = 5
"""Folds of cross-conformal calibration."""
NEVER = -1
"""Fold of a row that no fold holds out."""
Scheme = Literal["cross", "split", "none"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)


def generator(*key: object) -> torch.Generator:
    """A generator of its own for every key, the same in every process; no global state is touched."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def assign_folds(
    groups: Sequence[str], seed: int, scheme: Scheme = "cross", measured: Tensor | None = None, count: int = FOLDS
) -> Tensor:
    """The fold that holds out each row, `n`, int64.

    Groups are dealt out, largest first and in random order among equals, to the fold with the fewest rows, or with the
    fewest values of the targets that the group has. There are as many folds as groups where groups are fewer than
    `count`; one group alone is never held out (`NEVER`). A split is one fold of random groups, a quarter of the rows or
    a little more, beside rows that are never held out.

    Args:
        groups: of each row.
        seed: of the dealing.
        scheme: as above; `none` holds nothing out.
        measured: which targets each row has, `n x t`, bool; by default one, and every row has it.
        count: folds of cross.
    """
    sizes = Counter(groups)
    names = sorted(sizes)
    if len(names) < 2 or scheme == "none":
        return torch.full((len(groups),), NEVER)
    order = [names[i] for i in torch.randperm(len(names), generator=generator("folds", seed)).tolist()]
    if scheme == "split":
        kept = {name for name, before in zip(order, _before(order, sizes), strict=True) if before < len(groups) / 4}
        held = kept if len(kept) < len(names) else kept - {order[-1]}
        return torch.tensor([0 if name in held else NEVER for name in groups])
    has = torch.ones(len(groups), 1) if measured is None else measured.float()
    values = {name: has.new_zeros(has.shape[1]) for name in names}
    for name, row in zip(groups, has, strict=True):
        values[name] = values[name] + row
    filled = has.new_zeros(min(count, len(names)), has.shape[1])
    fold_of = {}
    for name in sorted(order, key=lambda name: -sizes[name]):
        fold = int((filled * (values[name] > 0)).sum(1).argmin())
        fold_of[name] = fold
        filled[fold] += values[name]
    return torch.tensor([fold_of[name] for name in groups])


def _before(order: Sequence[str], sizes: Mapping[str, int]) -> list[int]:
    """How many rows the groups before each one have."""
    return [0, *accumulate(sizes[name] for name in order)][: len(order)]


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
