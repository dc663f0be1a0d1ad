"""Which measured designs to measure again: where a repeat tells most about the value of the best one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

from acquisition.objectives import Goal

N_SAMPLES = 2048
SMALLEST = 1e-300


def repeats(
    mean: Tensor,
    covariance: Tensor,
    noise_variance: Sequence[float],
    goals: Sequence[Goal],
    n: int,
    *,
    seed: int,
    waiting: Sequence[int] = (),
) -> tuple[list[int], list[float]]:
    """Choose `n` measured designs to measure again, greedily; a design may come more than once.

    The best score is B = max_j s(f_j). By Stein's lemma (Stein 1981, lemma 1; Siegel 1993 for the maximum)
    Cov(B, f_i) = sum_j K_ij E[dB/df_j], and one more measurement y_i of design i takes at least
    Cov(B, f_i)^2 / (K_ii + noise variance) off the variance of B, which is what the best linear predictor takes.
    Repeats that are chosen or awaited already are counted as measured.

    Args:
        mean: of the noise-free values of the measured designs, `n_measured x m`.
        covariance: of them, `m x n_measured x n_measured`.
        noise_variance: of one measurement of each objective.
        goals: one per objective.
        n: how many.
        seed: of the joint samples behind the expectation.
        waiting: rows of which a repeat is awaited, as often as it is.

    Returns:
        Rows in the order of choice, and the share of the variance of B that each takes off, a mean over objectives.

    Raises:
        ValueError: there is no measured design.
    """
    if not len(mean):
        raise ValueError("no design is measured: there is nothing to repeat")
    generator = torch.Generator().manual_seed(seed)
    slopes, spread = [], []
    for j, goal in enumerate(goals):
        draws = torch.randn(N_SAMPLES, len(mean), generator=generator, dtype=mean.dtype)
        values = (mean[:, j] + draws @ psd_safe_cholesky(covariance[j]).T).requires_grad_()
        best = goal.score(values).amax(1)
        (slope,) = torch.autograd.grad(best.sum(), values)
        slopes.append(slope.mean(0))
        spread.append(best.detach().var().clamp_min(SMALLEST))
    believed = covariance.clone()
    noise = torch.tensor(list(noise_variance), dtype=mean.dtype)

    def measure(row: int) -> None:
        column = believed[:, :, row]
        variance = (column[:, row] + noise).clamp_min(SMALLEST)
        believed.sub_(column.unsqueeze(-1) * column.unsqueeze(-2) / variance[:, None, None])

    for row in waiting:
        measure(row)
    rows: list[int] = []
    shares: list[float] = []
    for _ in range(n):
        told = torch.stack([believed[j] @ slope for j, slope in enumerate(slopes)]).square()
        variance = (believed.diagonal(dim1=-2, dim2=-1) + noise[:, None]).clamp_min(SMALLEST)
        worth = (told / variance / torch.stack(spread)[:, None]).mean(0)
        rows.append(int(worth.argmax()))
        shares.append(min(float(worth[rows[-1]]), 1.0))
        measure(rows[-1])
    return rows, shares
