"""Chosen candidates moved off the grid, where the space goes on between its points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from acquisition.choose import choose
from acquisition.continuous import REFINABLE, Region, function_on, refine
from campaign.belief import Array, Belief
from campaign.costs import purse
from campaign.spaces.simplex import SimplexSpace
from campaign.state import State
from db.records import Candidate, Design


def refined(
    state: State,
    belief: Belief,
    chosen: Sequence[Candidate],
    pending: Array,
    seed: int,
    power: float = 0.0,
    beside: Sequence[Design] = (),
) -> tuple[list[Candidate], list[str]]:
    """The chosen candidates, each moved to a local optimum of the acquisition around all others, and what to note.

    A candidate stays where it is when nothing nearby is better, or when what is better cannot be weighed in, was tried,
    is filtered out, or costs more than the budget leaves.

    Args:
        state: the campaign; only a `composition_simplex` is refined.
        belief: what is believed.
        chosen: from the grid.
        pending: designs that are pending, `n_pending x d`.
        seed: of the samples.
        power: of the costs that weighed on the choice, which the gradient does not see.
        beside: what else the batch pays for, its controls and replicates.
    """
    space, acquisition = state.space, state.spec.acquisition
    if not isinstance(space, SimplexSpace) or not chosen:
        return list(chosen), []
    why = [
        reason
        for reason, wrong in (
            (f"{acquisition.type} has no gradient to follow", acquisition.type not in REFINABLE),
            ("there are several objectives", len(belief.objectives) > 1),
            ("outcome constraints weigh on the choice", bool(belief.constraints)),
            ("the chance of being made weighs on the choice", belief.success is not None),
            ("costs weigh on the choice", power > 0),
            ("greedy matches no target", acquisition.type == "greedy" and belief.goals[0].target is not None),
        )
        if wrong
    ]
    if why:
        return list(chosen), [f"chosen on the grid of 1/{space.spec.divisions} and not refined: {why[0]}"]
    sieve, tried, limit = state.sieve(), state.tried(), purse(state, beside)
    X = torch.from_numpy(np.stack([space.x_of(c.design) for c in chosen]))
    found = list(chosen)
    options: dict[str, Any] = {
        "goal": belief.goals[0],
        "X_observed": belief.observed(),
        "best_observed": belief.best_measured(),
        "seed": seed,
        "beta": getattr(acquisition, "beta", 4.0),
    }
    for i in range(len(chosen)):
        others = torch.cat([X[:i], X[i + 1 :], torch.from_numpy(pending)])
        function = function_on(belief.model, acquisition.type, X_pending=others, **options)
        design = space.weighable(refine(function, X[i], region(space, X[i].numpy())).numpy())
        if design is None:
            continue
        candidate = space.design_candidate(design)
        x = space.x_of(candidate.design)
        new = candidate.id not in tried and candidate.id not in {c.id for c in found}
        paid = limit is None or _paid(state, [*found[:i], candidate, *found[i + 1 :]], found[i], candidate, limit)
        if new and paid and not sieve.takes_out(x):
            found[i], X[i] = candidate, torch.from_numpy(x)
    moved = sum(a.id != b.id for a, b in zip(found, chosen, strict=True))
    return found, [f"{moved} of {len(found)} compositions were refined between the points of the grid"]


def _paid(state: State, batch: Sequence[Candidate], old: Candidate, new: Candidate, limit: float) -> bool:
    """Whether a batch with `new` in place of `old` is within the limit, or costs no more than before."""
    if state.costs is None:
        return True
    costs = {c.id: state.costs.of_design(c.design) for c in (*batch, old)}
    return math.fsum(costs[c.id] for c in batch) <= limit or costs[new.id] <= costs[old.id]


def valued(belief: Belief, X: Array, rows: Sequence[int], designs: Array, options: dict[str, Any]) -> list[float]:
    """The acquisition value of each refined design of a batch, given those before it.

    Args:
        belief: what is believed.
        X: the pool that the batch was chosen from, `n x d`.
        rows: of the pool, that the batch was before it was refined.
        designs: of the refined batch, `q x d`.
        options: as the batch was chosen with, see `acquisition.choose.choose`.
    """
    if options["acquisition"] != "portfolio":  # the others do not ask how the rest of the pool fares
        X, rows = X[list(rows)], range(len(rows))
    pool = X.copy()
    pool[list(rows)] = designs
    return choose(belief.model, torch.from_numpy(pool), len(rows), given=list(rows), **options).values


def region(space: SimplexSpace, x: Array) -> Region:
    """Where a composition [d] may move: the limits of the space, with its elements present and no others."""
    lower, upper = (torch.from_numpy(v) for v in space.bounds(x))
    rows = [(torch.from_numpy(c), b) for c, b in space.at_least(x)]
    return Region(lower, upper, [(torch.ones(len(x), dtype=torch.float64), 1.0)], rows)
