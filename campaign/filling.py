"""A first batch without data: spread over the strata and within each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAMPLE = 4000
"""Candidates among which a first batch is spread, drawn evenly from the space."""


def spread(X: NDArray[np.float64], strata: Sequence[str], q: int, *, taken: NDArray[np.float64]) -> list[int]:
    """Rows of `X` (`n x d`) that fill the space: strata in turn, in each the row farthest from all others chosen.

    The largest stratum comes first. The very first row is the one nearest to the centre of its stratum; each next one
    maximises its smallest distance to the rows chosen before and to `taken` (Kennard and Stone 1969).

    Args:
        X: designs, columns on comparable scales.
        strata: of each row.
        q: how many; all rows where there are fewer.
        taken: designs made or pending already, `n_taken x d`.
    """
    strata_array = np.asarray(strata)
    names, sizes = np.unique(strata_array, return_counts=True)
    order = [str(names[i]) for i in np.lexsort((names, -sizes))]
    left = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    nearest = np.full(len(X), np.inf)
    for row in taken:
        nearest = np.minimum(nearest, np.linalg.norm(X - row, axis=1))
    picked: list[int] = []
    turn = 0
    while len(picked) < min(q, len(X)):
        name = order[turn % len(order)]
        turn += 1
        if not left[name]:
            continue
        mine = strata_array == name
        first = np.isinf(nearest).all()
        score = -np.linalg.norm(X - X[mine].mean(axis=0), axis=1) if first else nearest.copy()
        score[~mine] = -np.inf
        score[picked] = -np.inf
        row = int(score.argmax())
        picked.append(row)
        left[name] -= 1
        nearest = np.minimum(nearest, np.linalg.norm(X - X[row], axis=1))
    return picked
