"""Ax proposes with our surrogate within the limits of the space, and what it proposes becomes a batch."""

from __future__ import annotations

import pytest
import torch
from small_campaign import ELEMENTS

from db.errors import InvalidInput

SPACE = {
    "type": "composition_simplex",
    "elements": list(ELEMENTS),
    "divisions": 6,
    "bounds": {"Fe": {"max": 0.45}, "Mn": {"max": 0.3}},
    "constraints": ["Ni + Co <= 0.75"],
}


@pytest.mark.filterwarnings("ignore")
def test_designs_of_ax_are_recorded_as_a_batch(start):
    from campaign.ax_bridge import suggest

    campaign = start(10, space=SPACE)
    designs = suggest(campaign.state, 2)
    assert len(designs) == 2
    assert designs[0] != designs[1]
    for design in designs:
        assert sum(design.values()) == pytest.approx(1, abs=1e-5)
        assert design.get("Fe", 0) <= 0.45 + 1e-6
        assert design.get("Mn", 0) <= 0.3 + 1e-6
        assert design.get("Ni", 0) + design.get("Co", 0) <= 0.75 + 1e-6
    batch = campaign.recommend(n=2, pin=designs)
    assert [r.rationale["pinned"] for r in batch] == ["by hand", "by hand"]
    assert [r.design for r in batch] == [campaign.state.space.design_candidate(d).design for d in designs]
    assert all(r.prediction["loss"]["intervals"] for r in batch)
    assert [r.label for r in campaign.state.pending] == ["b1-01", "b1-02"]


def test_the_last_fraction_is_what_the_others_leave():
    from campaign.ax_bridge import Completed

    X = torch.tensor([[0.2, 0.3, 400.0]], dtype=torch.float64)
    assert Completed(None, 3).whole(X).tolist() == [[0.2, 0.3, 0.5, 400.0]]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"space": SPACE | {"max_elements": 3}}, "limited"),
        ({"space": SPACE | {"constraints": ["Ni >= 0.1 or Co >= 0.1"]}}, "alternatives"),
        ({"objectives": [{"name": "loss", "goal": "match", "target": 300, "unit": "mV"}]}, "match"),
    ],
)
def test_what_ax_cannot_be_told_is_refused(start, changes, what):
    from campaign.ax_bridge import suggest

    with pytest.raises(InvalidInput, match=what):
        suggest(start(4, **changes).state, 1)
