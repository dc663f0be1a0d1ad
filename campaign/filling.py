"""A first batch without data: spread over the strata and within each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from campaign.spaces import Space

Indices = NDArray[np.int64]
CHUNK = 65_536
"""Candidates whose strata are found at once."""

SAMPLE = 4000
"""Candidates among which a first batch is spread, drawn from every stratum."""


def drawn(space: Space, size: int, seed: int | Sequence[int], only: Indices | None = None) -> Indices:
    """At most `size` candidates, ascending, of every stratum, each drawn evenly; all where there are no more.

    Half of them are shared equally among the strata, and a stratum that is smaller than its share is drawn as a whole;
    the other half goes by how many are left. Memory is `size` for each stratum.

    Args:
        space: where they are from.
        size: how many.
        seed: of the draw.
        only: draw among these positions.
    """
    total = space.count if only is None else len(only)
    if total <= size:
        return np.arange(total) if only is None else only
    rng = np.random.default_rng(seed)
    counts: dict[str, int] = {}
    kept: dict[str, tuple[NDArray[np.float64], Indices]] = {}
    for start in range(0, total, CHUNK):
        stop = min(start + CHUNK, total)
        piece = np.arange(start, stop) if only is None else only[start:stop]
        names, which = np.unique(space.stratum(piece), return_inverse=True)
        lots = rng.random(len(piece))
        for i, name in enumerate(names.tolist()):
            mine = which == i
            counts[name] = counts.get(name, 0) + int(mine.sum())
            before, found = kept.get(name, (np.empty(0), np.empty(0, dtype=np.int64)))
            lot, found = np.concatenate([before, lots[mine]]), np.concatenate([found, piece[mine]])
            least = np.argsort(lot, kind="stable")[:size]
            kept[name] = lot[least], found[least]
    shares = _shares(np.array([counts[name] for name in kept]), size)
    return np.sort(np.concatenate([found[:n] for n, (_, found) in zip(shares, kept.values(), strict=True)]))


def _shares(counts: Indices, size: int) -> list[int]:
    """How many of each stratum, given how many there are; they sum to `size`, of which there are more."""
    shares, left = np.zeros_like(counts), size // 2
    for rank, i in enumerate(np.argsort(counts, kind="stable")):
        shares[i] = min(counts[i], left // (len(counts) - rank))
        left -= int(shares[i])
    rest = counts - shares
    bounds = np.concatenate([[0], np.cumsum(rest) * (size - int(shares.sum())) // rest.sum()])
    found: list[int] = (shares + np.diff(bounds)).tolist()
    return found


def spread(
    X: NDArray[np.float64],
    strata: Sequence[str],
    q: int,
    *,
    taken: NDArray[np.float64],
    prices: NDArray[np.float64] | None = None,
    purse: float = np.inf,
) -> list[int]:
    """Rows of `X` (`n x d`) that fill the space: strata in turn, in each the row farthest from all others chosen.

    The largest stratum comes first. The very first row is the one nearest to the centre of its stratum; each next one
    maximises its smallest distance to the rows chosen before and to `taken` (Kennard and Stone 1969).

    Args:
        X: designs, columns on comparable scales.
        strata: of each row.
        q: how many; all rows where there are fewer.
        taken: designs made or pending already, `n_taken x d`.
        prices: of each row, nan where it is unknown; None where that does not matter.
        purse: what the rows may cost in all; those that exceed what is left of it come last.
    """
    strata_array = np.asarray(strata)
    names, sizes = np.unique(strata_array, return_counts=True)
    order = [str(names[i]) for i in np.lexsort((names, -sizes))]
    nearest = np.full(len(X), np.inf)
    for row in taken:
        nearest = np.minimum(nearest, np.linalg.norm(X - row, axis=1))
    picked: list[int] = []
    turn = 0
    while len(picked) < min(q, len(X)):
        name = order[turn % len(order)]
        turn += 1
        mine = (strata_array == name) & _open(len(X), picked, prices, purse)
        if not mine.any():
            continue
        first = np.isinf(nearest).all()
        score = -np.linalg.norm(X - X[mine].mean(axis=0), axis=1) if first else nearest.copy()
        score[~mine] = -np.inf
        row = int(score.argmax())
        picked.append(row)
        nearest = np.minimum(nearest, np.linalg.norm(X - X[row], axis=1))
    return picked


def _open(n: int, picked: Sequence[int], prices: NDArray[np.float64] | None, purse: float) -> NDArray[np.bool_]:
    """Which of `n` rows may come next: what the picks leave money for, else what the purse could pay, else any."""
    left = np.ones(n, dtype=bool)
    left[list(picked)] = False
    if prices is None:
        return left
    tiers = [left & ~(prices > limit) for limit in (purse - np.nansum(prices[list(picked)]), purse)]
    return next((tier for tier in tiers if tier.any()), left)
