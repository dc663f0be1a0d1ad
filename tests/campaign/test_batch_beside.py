"""What a batch knows of itself while it is built: its pins, its controls, and what they leave of the budget."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from small_campaign import ELEMENTS, history, truth

import campaign.replicates as module
from campaign.health.data import repeats
from campaign.pareto import measured_front
from db.errors import InvalidInput

GOALS = [{"name": "loss", "goal": "minimize", "unit": "mV"}, {"name": "life", "goal": "maximize", "unit": "h"}]
COST = {
    "unit": "EUR",
    "sample_mass": "500 mg",
    "precursors": {"Ni": 0, "Fe": 4, "Co": 0, "Mn": 0},
    "sample": 1,
    "weight": 0,
}


def both(samples, *, shift=0.0, lives=True):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", *ELEMENTS, "loss (mV)", "life (h)"])
    for label, design in samples:
        amounts = [f"{design.get(e, 0):.6g}" for e in ELEMENTS]
        life = f"{100 * design.get('Mn', 0) + shift:.3f}" if lives else ""
        writer.writerow([label, *amounts, f"{truth(design) + shift:.3f}", life])
    return text.getvalue().encode()


def test_replicates_wait_for_the_controls_beside_them_and_not_for_what_is_measured(start, monkeypatch):
    campaign = start(0, objectives=GOALS, batch={"size": 3, "replicates": 1, "controls": [{"design": {"Ni": 1}}]})
    campaign.ingest(both([*history(campaign), ("old-pure", {"Ni": 1})]), name="history.csv", commit=True)
    seen, real = [], module.repeats

    def spy(mean, *args, waiting, **options):
        seen.append(list(waiting))
        return real(mean, *args, waiting=waiting, **options)

    monkeypatch.setattr(module, "repeats", spy)
    batch = campaign.recommend()
    assert len(seen.pop()) == 1
    campaign.ingest(both([(batch[2].label, {"Ni": 1})], lives=False), name="half.csv", commit=True)
    assert batch[2].label in [r.label for r in campaign.state.pending]
    campaign.recommend(more=True, dry_run=True)
    assert len(seen.pop()) == 2  # the replicate of before and the new control; the old control is data already


@pytest.mark.parametrize("n", [0, 8])
def test_a_batch_with_a_pin_stays_within_the_budget(start, n):
    dear = COST | {"precursors": {"Ni": 4, "Fe": 4, "Co": 4, "Mn": 0}}
    campaign = start(n, cost=dear, budget={"cost": 4.4})
    batch = campaign.recommend(2, pin=["Fe1"])
    costs = [r.rationale["cost"]["value"] for r in batch]
    assert costs[0] == pytest.approx(3)
    assert sum(costs) <= 4.4
    assert len(batch) == 2
    assert not any(note.startswith("over budget") for note in batch.notes)
    assert campaign.status()["cost"]["pending"] == pytest.approx(sum(costs))


def test_controls_are_paid_before_the_picks(start):
    batch = {"size": 3, "controls": [{"design": {"Fe": 1}}]}
    found = start(cost=COST, budget={"cost": 5}, batch=batch).recommend()
    assert sum(r.rationale["cost"]["value"] for r in found) <= 5


@pytest.mark.parametrize("n", [0, 8])
def test_an_empty_pool_leaves_the_pins(start, n):
    campaign, nothing = start(n), np.empty(0, dtype=np.int64)
    batch = campaign.recommend(pin=["Ni0.5 Fe0.5"], only=nothing)
    assert [r.rationale["pinned"] for r in batch] == ["by hand"]
    assert any("only 0 candidates are left" in note for note in batch.notes)
    with pytest.raises(InvalidInput, match="every candidate"):
        campaign.recommend(only=nothing, more=True)


def test_the_front_takes_designs_made_twice_for_its_noise(start):
    campaign = start(0, objectives=GOALS)
    made = history(campaign, 4)
    campaign.ingest(both(made), name="a.csv", commit=True)
    assert measured_front(campaign.state).probabilities is None
    again = [(f"again-{i}", design) for i, (_, design) in enumerate(made)]
    campaign.ingest(both(again, shift=6.0), name="b.csv", commit=True)
    front = measured_front(campaign.state)
    assert front.probabilities is not None
    for j, objective in enumerate(campaign.state.objectives):
        sd, _ = repeats(campaign.state, objective)
        assert sd == pytest.approx(6 / 2**0.5, rel=1e-3)
        assert [p.sds[j] for p in front.points] == pytest.approx([sd / 2**0.5] * 4)
