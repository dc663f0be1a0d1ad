"""Thompson sampling beyond the joint limit: the picks are the best of the whole space for the functions drawn."""

import numpy as np
import pytest
import torch
from small_campaign import history, results, spec_of

from campaign import Campaign, screen, thompson
from campaign.belief import believe
from campaign.spec import load_spec
from campaign.thompson import SAMPLED, sampled
from surrogates.pathwise import draw_paths

GRID = {"type": "composition_grid", "elements": ["Ni", "Fe", "Co", "Mn"], "divisions": 12}


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    monkeypatch.setattr(thompson, "JOINT_LIMIT", 100)
    monkeypatch.setattr(screen, "JOINT_LIMIT", 100)
    monkeypatch.setattr(screen, "FINALISTS", 40)
    monkeypatch.setattr(screen, "CHUNK", 60)
    spec = load_spec(spec_of(space=GRID, acquisition="Thompson", model="gp"))
    started = Campaign.start(spec, db=f"sqlite:///{tmp_path}/lab.db")
    started.ingest(results(history(started, 12)), name="old.csv", commit=True)
    return started


def test_picks_are_the_maximisers_of_the_paths(campaign):
    state = campaign.state
    belief = believe(state, seed=1)
    open_now = np.concatenate(list(screen.open_chunks(state)))
    values = draw_paths(belief.model, 5, seed=9)(torch.from_numpy(state.space.X(open_now)))
    expected: list[int] = []
    for order in values.argsort(dim=1, descending=True).tolist():
        expected.append(next(int(open_now[i]) for i in order if open_now[i] not in expected))
    assert sampled(state, belief, 5, 9).tolist() == sorted(expected)


def test_a_batch_is_of_such_picks_and_the_same_again(campaign):
    batch = campaign.recommend(3, dry_run=True)
    assert len({r.candidate for r in batch}) == 3
    assert SAMPLED in batch.notes
    assert [r.candidate for r in campaign.recommend(3, dry_run=True)] == [r.candidate for r in batch]


def test_a_small_pool_is_sampled_jointly(campaign, monkeypatch):
    monkeypatch.setattr(thompson, "JOINT_LIMIT", 4096)
    state = campaign.state
    assert sampled(state, believe(state, seed=1), 3, 9) is None
