"""Offsets between sets of samples that have no design in common, told apart from the signal over designs.

    y = m + offset(set) + g(design) + e,   g a Gaussian process

Mean and offsets have flat priors; length scale and noise are averaged over a grid, each pair by its restricted
likelihood (Rasmussen and Williams 2006, ch. 2.7; Patterson and Thompson 1971). Where designs of two sets lie apart
the signal may have changed between them, and the sd says so.
"""

from __future__ import annotations

import numpy as np

from surrogates.mixed import Array, Ints

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""In median distances of the designs."""
NOISES = (0.003, 0.03, 0.1, 0.3, 1.0)
"""Variance of noise, in those of the signal."""
MOST = 500
"""Samples of one set that are looked at."""


def signal_offsets(value: Array, X: Array, part: Ints) -> tuple[Array, Array]:
    """Offset of each set of samples beside set 0, and its sd.

    Args:
        value: `n`.
        X: coordinates of designs, `n x p`.
        part: number of the set of each, from 0 on without gaps.

    Returns:
        Both one a set, 0 for set 0. Where there are too few samples to tell, an offset is 0 and its sd the spread.
    """
    sets = int(part.max()) + 1
    kept = np.sort(np.concatenate([_some(np.flatnonzero(part == k)) for k in range(sets)]))
    y, Z, number = value[kept], X[kept], part[kept]
    spread = float(y.std()) or 1.0
    n = len(y)
    if n <= sets + 1:
        sd = np.full(sets, spread)
        sd[0] = 0.0
        return np.zeros(sets), sd
    H = np.column_stack([np.ones(n), *(number == k for k in range(1, sets))]).astype(float)
    distance = np.sqrt(np.maximum(np.square(Z[:, None] - Z[None]).sum(-1), 0.0))
    scale = float(np.median(distance[distance > 0])) if (distance > 0).any() else 1.0
    r = (y - y.mean()) / spread
    weights, means, variances = [], [], []
    for length in LENGTHS:
        signal = np.exp(-0.5 * np.square(distance / (length * scale)))
        for noise in NOISES:
            factor = np.linalg.cholesky(signal + noise * np.eye(n))
            white = np.linalg.solve(factor, np.column_stack([H, r]))
            normal = white[:, :-1].T @ white[:, :-1]
            inverse = np.linalg.inv(normal)
            beta = inverse @ (white[:, :-1].T @ white[:, -1])
            rest = float(np.square(white[:, -1] - white[:, :-1] @ beta).sum())
            s2 = max(rest / (n - sets), 1e-12)
            size = np.log(factor.diagonal()).sum() + 0.5 * np.linalg.slogdet(normal)[1]
            weights.append(-0.5 * (n - sets) * np.log(s2) - float(size))
            means.append(beta[1:])
            variances.append(s2 * inverse.diagonal()[1:])
    share = np.exp(np.array(weights) - max(weights))
    share /= share.sum()
    mean = share @ np.array(means)
    variance = share @ (np.array(variances) + np.square(np.array(means) - mean))
    return spread * np.concatenate([[0.0], mean]), spread * np.sqrt(np.concatenate([[0.0], variance]))


def _some(rows: Ints) -> Ints:
    """At most `MOST` of some rows, evenly spaced."""
    if len(rows) <= MOST:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST).round().astype(int)]
