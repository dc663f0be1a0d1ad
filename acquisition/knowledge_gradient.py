"""The knowledge gradient over a pool: how much a measurement is expected to raise the best posterior mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from botorch.acquisition.analytic import _log_ei_helper
from botorch.sampling.qmc import NormalQMCEngine
from torch import Tensor

from acquisition.feasibility import Feasibility
from acquisition.objectives import Goal

FINALISTS = 256
"""Rows whose posterior mean may end as the best one; in a larger pool those with the highest optimistic bound."""
FANTASIES = 16
"""Joint outcomes of what is awaited, over which the next pick is averaged."""
OPTIMISM = 3.0
"""Posterior sds added to the mean to find the finalists."""


def log_gain(intercepts: Tensor, slopes: Tensor) -> Tensor:
    """Logarithm of E max_j (a_j + b_j Z) - max_j a_j for a standard normal Z, exactly.

    Frazier, Powell and Dayanik 2009, eq. 14: with the lines of the upper envelope by rising slope, which meet at c_k,
    the value is sum_k (b_k+1 - b_k) f(-|c_k|), f(z) = phi(z) + z Phi(z). The envelope is walked from the left, from
    each line to the one that it meets first, for all rows at once.

    Args:
        intercepts: a, `n x l`, or `1 x l`.
        slopes: b, `n x l`.

    Returns:
        `n`; -inf where no outcome changes which line is best.
    """
    a = intercepts.expand_as(slopes)
    least = slopes.amin(1, keepdim=True)
    line = a.where(slopes == least, -torch.inf).argmax(1, keepdim=True)
    terms = []
    while True:
        a_now, b_now = a.gather(1, line), slopes.gather(1, line)
        steeper = slopes - b_now
        meets = ((a_now - a) / steeper).where(steeper > 0, torch.inf)
        at = meets.amin(1, keepdim=True)
        going = at < torch.inf
        if not bool(going.any()):
            break
        # of the lines that are met at the same point the steepest goes on
        then = steeper.where(meets <= at, -torch.inf).argmax(1, keepdim=True)
        change = (slopes.gather(1, then) - b_now).where(going, 1.0)
        term = change.log() + _log_ei_helper(-at.abs().where(going, 0.0))
        terms.append(term.where(going, -torch.inf))
        line = torch.where(going, then, line)
    if not terms:
        return slopes.new_full((len(slopes),), -torch.inf)
    return torch.cat(terms, dim=1).logsumexp(1)


def knowledge_gradient(
    feasible: Feasibility,
    q: int,
    waiting: Sequence[int],
    noise_variance: Sequence[float],
    goals: Sequence[Goal],
    seed: int,
) -> tuple[list[int], list[float]]:
    """Greedy knowledge-gradient batch, exact for one pick with nothing awaited in a pool of at most `FINALISTS`.

    A measurement of row i moves the means of all rows along K_i / sqrt(K_ii + noise variance), by a standard normal
    amount, and its value is the expected rise of the highest mean (Frazier, Powell and Dayanik 2009). What is awaited,
    and the picks before, are fantasised jointly: each later pick is averaged over `FANTASIES` outcomes of theirs.

    With constraints a row that cannot be is worth as little as the worst, in expectation, and a pick counts by the
    probability that it can be made.

    Args:
        feasible: the belief about one objective, and its constraints; its rows beyond the candidates (measured and
            pending designs) may end as the best ones too.
        q: how many to pick.
        waiting: rows that are pending.
        noise_variance: of one measurement.
        goals: one, to be as large as possible.
        seed: of the fantasies.

    Returns:
        Rows, and the logarithm of what each adds to the expected highest mean.

    Raises:
        ValueError: there are several objectives, or a target.
    """
    if len(goals) != 1 or goals[0].target is not None:
        raise ValueError("the knowledge gradient is for one objective, minimised or maximised")
    pool, n = feasible.pool, feasible.n
    mean, covariance = pool.mean[:, 0], pool.covariance[0].clone()
    mean, possible = feasible.weighed(mean, mean.amin(), slice(None)), feasible.log_given([])[0]
    noise = max(float(noise_variance[0]) if noise_variance else 0.0, 1e-12 * float(covariance.diagonal().mean()))
    bound = mean + OPTIMISM * covariance.diagonal().clamp_min(0).sqrt()
    finalists = bound.topk(min(FINALISTS, len(bound))).indices
    amounts = NormalQMCEngine(d=len(waiting) + q, seed=seed).draw(FANTASIES, dtype=mean.dtype)
    means = mean.expand(1, -1)
    done = 0

    def measure(row: int) -> None:
        nonlocal means, done
        scale = (covariance[row, row] + noise).sqrt()
        move = covariance[:, row] / scale
        means = means + amounts[:, done, None] * move
        covariance.sub_(move.unsqueeze(-1) * move)
        done += 1

    for row in waiting:
        measure(row)
    rows: list[int] = []
    values: list[float] = []
    for _ in range(q):
        scale = (covariance.diagonal()[:n].clamp_min(0) + noise).sqrt()
        slopes = covariance[:n][:, finalists] / scale[:, None]
        own = covariance.diagonal()[:n].clamp_min(0) / scale
        every = torch.cat([slopes, own[:, None]], dim=1)
        gains = [log_gain(torch.cat([m[finalists].expand(n, -1), m[:n, None]], dim=1), every) for m in means]
        # each candidate has a line of its own beside the finalists', for it may be none of them
        gain = torch.stack(gains).logsumexp(0) - torch.tensor(float(len(gains))).log() + possible
        rows.append(feasible.best(gain, rows))
        values.append(float(gain[rows[-1]]))
        measure(rows[-1])
    return rows, values
