from __future__ import annotations

import pytest
from small_campaign import ELEMENTS, history, truth

from db.errors import InvalidInput


def test_a_campaign_recommends_by_the_knowledge_gradient(start):
    batch = start(acquisition="KG").recommend(3)
    assert len({r.candidate for r in batch}) == 3
    assert batch.batch.settings["acquisition"] == "KG"


def test_a_match_objective_is_refused(start):
    with pytest.raises(InvalidInput, match="minimize or maximize"):
        start(acquisition="KG", objectives=[{"name": "loss", "goal": "match", "target": 300, "unit": "mV"}])


def test_with_nothing_feasible_it_looks_for_something_that_is_as_its_note_says(start):
    impossible = [{"name": "loss2", "unit": "mV", "max": 0.0, "min_probability": 0.0}]
    found = []
    for acquisition in ("KG", "qLogEI"):
        campaign = start(0, acquisition=acquisition, outcome_constraints=impossible, explain="none")
        rows = [(label, d, truth(d), 10 + 50 * d.get("Ni", 0.0)) for label, d in history(campaign, 8)]
        lines = [
            ",".join([label, *(f"{d.get(e, 0):.6g}" for e in ELEMENTS), f"{y}", f"{c}"]) for label, d, y, c in rows
        ]
        head = ",".join(["sample_id", *ELEMENTS, "loss (mV)", "loss2 (mV)"])
        campaign.ingest("\n".join([head, *lines]).encode(), name="h.csv", commit=True)
        batch = campaign.recommend(3)
        assert any("looks for something that does" in note for note in batch.notes)
        found.append([dict(r.design) for r in batch])
    assert found[0] == found[1]
