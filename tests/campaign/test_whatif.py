"""What is believed of any design: the same as when it is recommended, and nothing is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_campaign import history, truth

from campaign.typed import read_designs
from db.errors import InvalidInput

UNITS = {"Ni": None, "Fe": None, "T": "°C"}


def test_a_recommended_design_is_believed_as_it_was_recommended(start):
    campaign = start(10)
    batch = campaign.recommend(dry_run=True)
    before = campaign.state.head.seq
    found = campaign.whatif([r.design for r in batch])
    assert campaign.state.head.seq == before  # nothing was recorded
    for r, told in zip(batch, found["designs"], strict=True):
        assert told["predictions"] == r.prediction
        assert told["in_space"]
        assert told["known"] == []
        assert told["domain"] == r.rationale["domain"]


def test_designs_off_the_grid_and_measured_ones_say_so(start):
    campaign = start(10)
    label, design = history(campaign, 10)[0]
    off = {"Ni": 0.41, "Fe": 0.34, "Co": 0.25}
    measured, between = campaign.whatif([design, off])["designs"]
    assert measured["known"] == [f"{label}: loss {truth(design):.4g} mV"]
    assert not between["in_space"]
    assert "not a candidate" in between["notes"][0]
    assert between["composition"] == off
    best = min(campaign.state.observations("loss"), key=lambda o: o.value)
    beside = between["beside_best"]["loss"]
    assert beside["sample"] == best.sample.label
    assert beside["worse_by"] == pytest.approx(between["prediction"]["median"] - best.value)


def test_one_design_need_not_be_a_list(start):
    found = start(8).whatif({"Ni": 0.5, "Fe": 0.5})
    assert [d["formula"] for d in found["designs"]] == ["Fe0.5 Ni0.5"]


def test_what_cannot_be_judged_is_refused_all_at_once(start):
    campaign = start(8)
    with pytest.raises(InvalidInput) as raised:
        campaign.whatif([{"Ni": 0.5, "Xx": 0.5}, {"Ni": 1}, {"Ni": 0.2}])
    assert [p.where for p in raised.value.problems] == ["design 1, Xx", "design 3, Ni"]
    with pytest.raises(InvalidInput, match="there is no design"):
        campaign.whatif([])
    with pytest.raises(InvalidInput, match="too little is measured"):
        start(0).whatif({"Ni": 1})


def test_designs_are_read_as_they_are_typed():
    assert read_designs(["Ni=0.3", "Fe=0.7"], UNITS) == [{"Ni": "0.3", "Fe": "0.7"}]
    assert read_designs(["Ni=0.3, Fe=0.7", "Ni=1 T=80"], UNITS) == [{"Ni": "0.3", "Fe": "0.7"}, {"Ni": "1", "T": "80"}]
    assert read_designs(["decoration=Ti@M1 Zn@M3"], {"decoration": None}) == [{"decoration": "Ti@M1 Zn@M3"}]


def test_designs_are_read_from_files(tmp_path: Path):
    table, listed = tmp_path / "d.csv", tmp_path / "d.json"
    table.write_text("name,Ni,Fe,T (K)\na,0.3,0.7,373.15\nb,1,,300\n")
    listed.write_text(json.dumps([{"Ni": 0.3, "Fe": 0.7}]))
    first, second, third = read_designs([str(table), str(listed)], UNITS)
    assert first == {"Ni": "0.3", "Fe": "0.7", "T": pytest.approx(100)}
    assert second == {"Ni": "1", "T": pytest.approx(26.85)}
    assert third == {"Ni": 0.3, "Fe": 0.7}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["Ni"], "not COLUMN=VALUE"),
        (["=0.3"], "not COLUMN=VALUE"),
        (["Ni=0.3", "Ni=0.4"], "given twice"),
        (["none.csv"], "cannot be read"),
        (["bad.json"], "no JSON"),
        (["list.json"], "no object of numbers"),
        (["other.csv"], "no column is one of the space's"),
        (["unit.csv"], "is not a number"),
    ],
)
def test_what_is_no_design_is_refused(words, what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("{")
    Path("list.json").write_text("[true, {}, [1]]")
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("unit.csv").write_text("T (K)\nhot\n")
    with pytest.raises(InvalidInput, match=what):
        read_designs(words, UNITS)
