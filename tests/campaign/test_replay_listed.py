"""A replay has values for the points of a table only: nothing is refined between them."""

import numpy as np
from small_campaign import ELEMENTS, results, spec_of

from campaign.backtest import Protocol, replay
from campaign.plate import load_plate
from campaign.spaces import build_space
from campaign.spec import load_spec

SIMPLEX = {"type": "composition_simplex", "elements": list(ELEMENTS), "divisions": 5, "max_elements": 3}


def test_a_simplex_is_replayed_on_the_points_of_its_grid(tmp_path):
    spec = load_spec(spec_of(space=SIMPLEX))
    space = build_space(spec.space)
    made = [(f"r{i}", space.candidate(i).design) for i in range(space.count)]
    plate = load_plate(space, spec.objectives, results(made), "plate.csv")
    done = replay(spec, tmp_path, plate, seed=1, protocol=Protocol(initial=8, batch=3, budget=14))
    assert len(set(done.order)) == 14
    assert not done.recipes.count("none")


def test_a_batch_of_listed_candidates_is_of_them_and_says_nothing_of_refining(start):
    campaign = start(space=SIMPLEX)
    listed = np.arange(0, campaign.state.space.count, 2)
    batch = campaign.recommend(only=listed)
    assert {campaign.state.space.locate(r.design) for r in batch} <= set(listed.tolist())
    assert not any("refined" in note for note in batch.notes)
