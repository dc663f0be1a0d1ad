"""The default choice: picks that take turns in going for the best and in gathering many of the best.

A campaign wants the best material soon, and several good ones to choose from. Expected improvement alone asks every
pick to beat the best so far; near the end that leaves good materials unmade which would not be the very best. The
other half of the picks, once enough is known to tell them, are those that most probably belong to the best share of
the space, which is one-step active search (Garnett et al. 2012) for the best share that each joint sample of the belief
has.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from acquisition.feasibility import Feasibility
from acquisition.objectives import Goal

BEST_SHARE = 0.01
"""Share of everything believed that counts as the best; at least one."""
GATHER_FROM = 30
"""Designs measured or pending from which picks take turns; before that all of them go for the best."""
TIE = 1e-6
"""Weight of the expected score, scaled to [0, 1], where no joint sample tells two candidates apart."""


def log_top(feasible: Feasibility, goal: Goal) -> Tensor:
    """Log probability of each candidate to be among the best `BEST_SHARE` of all rows of the pool, `n`.

    Of a space too large to be believed jointly these are its finalists. Counted over the joint samples: how often the
    noise-free score of the candidate is feasible and reaches the k-th best feasible one of candidates, pending and
    measured designs together.

    Args:
        feasible: the belief and its constraints.
        goal: what is wanted of the first output.
    """
    pool, n = feasible.pool, feasible.n
    rows = list(range(len(pool.mean)))
    scores = goal.score(pool.samples[..., 0]).where(feasible.holds(rows), -torch.inf)
    k = max(1, math.ceil(BEST_SHARE * len(rows)))
    least = scores.topk(k, dim=1).values[:, -1:]
    share = ((scores[:, :n] >= least) & scores[:, :n].isfinite()).double().mean(0)
    expected = feasible.weighed(*_scaled(goal.score(pool.mean[:n, 0])), slice(n))
    return (share + TIE * (expected + TIE)).log()


def gathers(pick: int, known: int, seed: int) -> bool:
    """Whether a pick of a batch gathers the best instead of going for the best one.

    Args:
        pick: its number in the batch, from 0.
        known: designs that are measured or pending before the batch.
        seed: of the batch; it draws who begins, so that batches of odd size, of one above all, are fair to both.
    """
    return known >= GATHER_FROM and (pick + seed) % 2 == 1


def _scaled(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores scaled to [0, 1], and the least of them."""
    low = scores.amin()
    scaled = (scores - low) / (scores.amax() - low).clamp_min(1e-300)
    return scaled, scaled.amin()
