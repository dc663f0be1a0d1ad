"""Refined compositions: valued as they are, and no dearer than the budget bears."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_campaign import ELEMENTS

from acquisition.choose import choose
from acquisition.continuous import function_on
from campaign.belief import believe
from campaign.continuous import valued
from campaign.state import batch_seed

SPACE = {"type": "composition_simplex", "elements": list(ELEMENTS), "divisions": 6, "max_elements": 3}
DEAR = {"unit": "EUR", "sample_mass": "1 g", "weight": 0}


@pytest.mark.parametrize("acquisition", ["greedy", "qLogEI"])
def test_a_refined_design_has_its_own_value(start, acquisition):
    campaign = start(space=SPACE, acquisition=acquisition)
    state = campaign.state
    belief = believe(state, seed=batch_seed(state, 1))
    batch = campaign.recommend(2)
    first = batch[0]
    assert state.space.locate(first.design) is None
    X = torch.from_numpy(state.space.x_of(first.design)[None])
    options = {"goal": belief.goals[0], "X_observed": belief.observed(), "best_observed": belief.best_measured()}
    value = float(function_on(belief.model, acquisition, X_pending=X[:0], seed=3, **options)(X[None]))
    found = first.rationale["acquisition_value"]
    assert found == pytest.approx(value, abs=1e-6 if acquisition == "greedy" else 0.2)  # by 128 samples, and exactly


def test_the_values_of_a_batch_that_did_not_move_are_those_it_was_chosen_by(start):
    state = start(space=SPACE).state
    belief = believe(state, seed=1)
    X = state.space.X(np.arange(0, state.space.count, 3))
    options = {
        "acquisition": "portfolio",
        "goals": belief.goals,
        "X_observed": belief.observed(),
        "best_observed": belief.best_measured(),
        "seed": 3,
    }
    chosen = choose(belief.model, torch.from_numpy(X), 3, **options)
    assert valued(belief, X, chosen.rows, X[chosen.rows], options) == pytest.approx(chosen.values)


def test_nothing_moves_to_where_the_budget_does_not_reach(start):
    free = start(space=SPACE, acquisition="greedy").recommend()
    grid = start(space=SPACE | {"type": "composition_grid"}, acquisition="greedy").recommend()
    more = {e: sum(r.design.get(e, 0) for r in free) - sum(r.design.get(e, 0) for r in grid) for e in ELEMENTS}
    dear = max(more, key=lambda e: more[e])
    assert more[dear] > 0.05
    prices = {"precursors": dict.fromkeys(ELEMENTS, 1) | {dear: 60}}

    def spent(kind, **changes):
        batch = start(space=SPACE | {"type": kind}, cost=DEAR | prices, acquisition="greedy", **changes).recommend()
        return sum(r.rationale["cost"]["value"] for r in batch)

    least, most = spent("composition_grid"), spent("composition_simplex")
    assert least < most
    limit = (least + most) / 2
    assert spent("composition_simplex", budget={"cost": limit}) <= limit
