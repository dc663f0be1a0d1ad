from __future__ import annotations

import pytest

from db.errors import InvalidInput


def test_a_campaign_recommends_by_the_knowledge_gradient(start):
    batch = start(acquisition="KG").recommend(3)
    assert len({r.candidate for r in batch}) == 3
    assert batch.batch.settings["acquisition"] == "KG"


def test_a_match_objective_is_refused(start):
    with pytest.raises(InvalidInput, match="minimize or maximize"):
        start(acquisition="KG", objectives=[{"name": "loss", "goal": "match", "target": 300, "unit": "mV"}])
