"""How designs are shown: in the order of the spec, with the units of their columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from campaign import Campaign
from campaign.cards import card
from campaign.formulas import formula
from campaign.sentences import sentences
from campaign.spaces import variables
from campaign.whatif import whatif

MIX = {"name": "mix", "type": "composition_grid", "elements": ["Ni", "Fe", "Co"], "divisions": 4}
HEAT = {"T": {"values": [0, 50, 100], "unit": "degC"}, "bath": {"values": ["acid", "base"]}}
SPACE = {"type": "product", "parts": [{"name": "heat", "type": "process", "variables": HEAT}, MIX]}


@pytest.fixture
def begun(start: Any) -> Campaign:
    campaign = start(0, space=SPACE)
    rows = ["sample_id,Fe,Ni,Co,heat.T (degC),heat.bath,measured Fe,measured Ni,loss (mV)"]
    for i in range(12):
        ni, fe = (i % 4) / 4, (1 - (i % 4) / 4) / 2
        measured = (0.4, 0.6) if i == 0 else ("", "")
        bath, loss = ["acid", "base"][i % 2], 300 + 10 * i
        cells = [f"s{i}", fe, ni, 1 - ni - fe, i % 3 * 50, bath, *measured, loss]
        rows.append(",".join(str(cell) for cell in cells))
    campaign.ingest("\n".join(rows).encode(), name="r.csv", commit=True)
    return campaign


def test_elements_follow_the_spec_and_numbers_have_their_units(begun: Campaign, tmp_path: Path) -> None:
    state = begun.state
    assert formula({"heat.T": 0, "Co": 0.25, "heat.bath": "acid", "Ni": 0.75, "Fe": 0.0}, state.space) == (
        "Ni0.75 Co0.25 heat.bath=acid heat.T=0 degC"
    )
    batch = begun.recommend()
    for r in (*batch, *begun.batch()):  # as it was proposed, and as the ledger keeps it
        shown = card(r, batch.space)["formula"]
        order = [name for name in ("Ni", "Fe", "Co", "heat.bath=", "heat.T=") if name in shown]
        assert sorted(order, key=shown.index) == order
        assert " degC" in shown
    columns = [c for c in batch.to_frame() if c in variables(batch.space)]
    assert columns == sorted(columns, key=variables(batch.space).index)
    best = begun.status()["objectives"]["loss"]["best"]
    assert best["formula"] == "Ni0.6 Fe0.4 heat.bath=acid heat.T=0 degC"  # as it was measured
    assert best["formula"] in begun.report(tmp_path / "r.html").read_text()
    begun.veto(batch[0].label, reason="no")
    assert begun.status()["vetoes"][0]["formula"] == formula(batch[0].design, batch.space)


def test_sentences_say_by_how_much_in_which_unit(begun: Campaign) -> None:
    (told,) = whatif(begun.state, ["Ni0.5 Fe0.5 heat.T=50 heat.bath=acid"])["designs"]
    why = told["objectives"]["loss"]
    assert {e["step_unit"] for e in why["effects"] if "step_unit" in e} == {"degC"}
    assert not any("step_unit" in e for e in why["effects"] if e["name"] in ("Ni", "Fe", "Co"))
    moved = next(s["swap"] for s in why["substitutions"] if s["swap"].startswith("heat.T"))
    assert moved.startswith("heat.T: 50 degC -> ")
    r = begun.recommend(1)[0]
    first = sorted(r.rationale["objectives"]["loss"]["effects"], key=lambda e: "step_unit" not in e)
    r.rationale["objectives"]["loss"]["effects"] = first
    assert any("at heat.T +10 degC" in line or "at heat.T -10 degC" in line for line in sentences(r))
