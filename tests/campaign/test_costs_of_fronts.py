"""Costs that weigh on the choice between several objectives."""

from __future__ import annotations

import numpy as np
from small_campaign import ELEMENTS, history, truth

from campaign.belief import believe
from campaign.screen import screen

TWO = [{"name": "loss", "goal": "minimize", "unit": "mV"}, {"name": "life", "goal": "maximize", "unit": "h"}]
DEAR = {"unit": "EUR", "sample_mass": "1 g", "precursors": {"Ni": 1, "Fe": 1, "Co": 60, "Mn": 1}}


def begun(start, **changes):
    campaign = start(0, objectives=TWO, explain="none", **changes)
    head = ["sample_id", *ELEMENTS, "loss (mV)", "life (h)"]
    lines = [
        [label, *(f"{d.get(e, 0):.6g}" for e in ELEMENTS), f"{truth(d):.4f}", f"{50 * d.get('Co', 0.0) + 1:.4f}"]
        for label, d in history(campaign, 8)
    ]
    content = "\n".join(",".join(line) for line in [head, *lines]).encode()
    campaign.ingest(content, name="history.csv", commit=True)
    return campaign


def test_a_weight_makes_batches_cheaper(start):
    spent = []
    for weight in (0, 1):
        batch = begun(start, cost=DEAR | {"weight": weight}).recommend()
        spent.append(sum(r.rationale["cost"]["value"] for r in batch))
    assert spent[1] < spent[0]


def test_a_large_space_is_screened_for_what_a_gain_costs(start, monkeypatch):
    monkeypatch.setattr("campaign.screen.JOINT_LIMIT", 30)
    monkeypatch.setattr("campaign.screen.FINALISTS", 12)
    prices = []
    for weight in (0, 1):
        state = begun(start, cost=DEAR | {"weight": weight}).state
        found = screen(state, believe(state, seed=1))
        assert len(found) == 12
        prices.append(float(np.mean(state.costs.of_candidates(found))))
    assert prices[1] < prices[0]
