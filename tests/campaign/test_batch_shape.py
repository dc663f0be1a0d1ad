"""Replicates inside the batch size, and settings that a batch shares."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from campaign import Campaign
from campaign.sentences import sentences
from campaign.shared import filling
from db.errors import InvalidInput


@pytest.fixture
def furnace(tmp_path):
    """Twelve compositions at four temperatures, started with `batch`; `n` of them measured."""
    rows = [(x / 11, T) for T in (300, 400, 500, 600) for x in range(12)]
    table = "Ni,Fe,T (degC),note\n" + "".join(f"{x:.6f},{1 - x:.6f},{T},n\n" for x, T in rows)
    (tmp_path / "list.csv").write_text(table)

    def make(n=8, **changes):
        columns = {"Ni": "fraction", "Fe": "fraction", "T": {"type": "number", "unit": "degC"}}
        spec = {
            "spec_version": 1,
            "campaign": f"furnace{n}",
            "seed": 1,
            "space": {"type": "candidate_table", "file": "list.csv", "columns": columns},
            "objectives": [{"name": "y", "goal": "maximize"}],
            "batch": {"size": 4, "shared": ["T"]},
            "model": "gp",
        } | changes
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump(spec))
        campaign = Campaign.start(path, db=f"sqlite:///{tmp_path}/{n}.db", by="tests")
        picks = np.random.default_rng(0).permutation(len(rows))[:n]
        lines = [
            f"s{i},{rows[p][0]:.6f},{1 - rows[p][0]:.6f},{rows[p][1]},{value(*rows[p]):.4f}"
            for i, p in enumerate(picks)
        ]
        if n:
            text = "\n".join(["sample_id,Ni,Fe,T (degC),y", *lines])
            campaign.ingest(text.encode(), name="history.csv", commit=True)
        return campaign

    return make


def value(x, T):
    return 5 - 8 * (x - 0.4) ** 2 - ((T - 450) / 150) ** 2


@pytest.mark.parametrize("n", [0, 8])
def test_a_batch_shares_its_temperature(furnace, n):
    batch = furnace(n).recommend()
    assert len(batch) == 4
    assert len({r.design["T"] for r in batch}) == 1
    assert len({r.candidate for r in batch}) == 4


def test_space_filling_batches_take_every_temperature_in_turn(furnace):
    campaign = furnace(0)
    found = [campaign.recommend(more=True)[0].design["T"] for _ in range(8)]
    assert set(found[:4]) == set(found[4:]) == {300, 400, 500, 600}


def test_a_temperature_with_too_few_candidates_is_left_for_later(furnace):
    campaign = furnace(0)
    space = campaign.state.space
    X = space.X(np.arange(space.count))
    few = np.flatnonzero((X[:, 2] != 600) | (X[:, 0] > 0.9))  # two of 600
    taken = X[X[:, 2] != 600][::3]
    assert (space.X(filling(space, ["T"], few, taken, size=4))[:, 2] != 600).all()
    assert (space.X(filling(space, ["T"], few, taken, size=2))[:, 2] == 600).all()


def test_pinned_items_settle_the_temperature(furnace):
    campaign = furnace()
    batch = campaign.recommend(pin=["Ni0.5 Fe0.5 T=600"])
    assert {r.design["T"] for r in batch} == {600}
    with pytest.raises(InvalidInput, match="differ in T"):
        campaign.recommend(pin=["Ni0.5 Fe0.5 T=600", "Ni0.5 Fe0.5 T=300"])


def test_replicates_in_a_shared_setting_are_of_that_setting(furnace):
    campaign = furnace(12, batch={"size": 4, "shared": ["T"], "replicates": 2})
    batch = campaign.recommend()
    assert len(batch) == 4
    assert len({r.design["T"] for r in batch}) == 1
    measured = {s.candidate for s in campaign.state.samples}
    assert all((r.candidate in measured) == (r.rationale["role"] == "replicate") for r in batch)


def test_replicates_are_inside_the_size_and_say_why(start):
    campaign = start(batch={"size": 4, "replicates": 2, "controls": [{"design": {"Mn": 1}}]})
    batch = campaign.recommend()
    roles = [r.rationale["role"] for r in batch]
    assert len(batch) == 4
    assert roles[-3:] == ["replicate", "replicate", "control"]
    repeat = batch[1]
    samples = {s.label: s.candidate for s in campaign.state.samples}
    assert repeat.candidate in {samples[label] for label in repeat.rationale["repeats"]}
    assert repeat.prediction == {}
    assert sentences(repeat)[0].startswith("A replicate of old-")
    assert [r.label for r in campaign.state.pending] == [r.label for r in batch]


def test_the_first_batch_has_nothing_to_repeat(start):
    batch = start(0, batch={"size": 3, "replicates": 1}).recommend()
    assert [r.rationale["role"] for r in batch] == ["space-filling"] * 3


@pytest.mark.parametrize(
    ("batch", "what"),
    [
        ({"size": 3, "replicates": 3}, "leave nothing"),
        ({"size": 3, "shared": ["T"]}, "no design column"),
        ({"size": 3, "shared": ["T"], "controls": [{"design": {"Ni": 1}}]}, "setting of its own"),
    ],
)
def test_what_no_batch_can_be_is_refused(start, batch, what):
    with pytest.raises(InvalidInput, match=what):
        start(batch=batch)


def test_pins_in_a_shared_setting_leave_the_stop_rules_all_that_is_open(furnace):
    campaign = furnace(12, stop={"probability_of_improvement": 0.05})
    plain = campaign.recommend(dry_run=True).batch.settings["stopping"]
    pinned = campaign.recommend(pin=["Ni0.5 Fe0.5 T=600"], dry_run=True).batch.settings["stopping"]
    assert pinned["candidates"] == plain["candidates"] == 36
    assert pinned["probability"] == plain["probability"]
