"""What is believed of any design: the same as when it is recommended, and nothing is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from small_campaign import history, truth

from campaign.formulas import example, formula, parsed
from campaign.spaces import AnySpace, build_space
from campaign.typed import read_designs
from db.errors import InvalidInput
from lab_io.findings import CellError

HEAT = {"name": "heat", "type": "process", "variables": {"T": {"values": [80, 100], "unit": "°C"}}}
PARTS = [{"name": "mix", "type": "composition_grid", "elements": ["Ni", "Fe"], "divisions": 10}, HEAT]


@pytest.fixture(scope="module")
def space():
    return build_space(TypeAdapter(AnySpace).validate_python({"type": "product", "parts": PARTS}))


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
    found = start(8).whatif({"Fe": 0.5, "Ni": 0.5})
    assert [d["formula"] for d in found["designs"]] == ["Ni0.5 Fe0.5"]


def test_what_cannot_be_judged_is_refused_all_at_once(start):
    campaign = start(8)
    with pytest.raises(InvalidInput) as raised:
        campaign.whatif([{"Ni": 0.5, "Xx": 0.5}, {"Ni": 1}, {"Ni": 0.2}])
    assert [p.where for p in raised.value.problems] == ["design 1, Xx", "design 3, Ni"]
    with pytest.raises(InvalidInput, match="there is no design"):
        campaign.whatif([])
    with pytest.raises(InvalidInput, match="too little is measured"):
        start(0).whatif({"Ni": 1})


@pytest.mark.parametrize(
    ("words", "designs"),
    [
        (["Ni=0.3", "Fe=0.7", "heat.T=80"], [{"Ni": "0.3", "Fe": "0.7", "heat.T": "80"}]),
        (["Ni0.3", "Fe0.7", "heat.T=353.15 K"], [{"Ni": 0.3, "Fe": 0.7, "heat.T": pytest.approx(80)}]),
        (["heat.T=80", "Ni3Fe"], [{"Ni": 0.75, "Fe": 0.25, "heat.T": "80"}]),
        (["heat.T=80, Ni0.5 Fe0.5"], [{"Ni": 0.5, "Fe": 0.5, "heat.T": "80"}]),
        (["Ni=0.3, Fe=0.7", "Ni=1 heat.T=80"], [{"Ni": "0.3", "Fe": "0.7"}, {"Ni": "1", "heat.T": "80"}]),
        (["Ni0.3Fe0.7", "Fe"], [{"Fe": 1.0}, {"Ni": 0.3, "Fe": 0.7}]),
    ],
)
def test_designs_are_read_as_they_are_typed(space, words, designs):
    assert [parsed(space, line) for line in read_designs(words, space)] == designs


def test_a_design_reads_back_as_it_is_shown_with_its_units(space):
    for index in range(space.count):
        shown = formula(space.candidate(index).design, space)
        assert shown.endswith("°C")
        assert space.design_candidate(parsed(space, shown)).id == space.candidate(index).id


def test_texts_are_read_whole():
    steps = {"anneal": {"T": {"values": [700, 800], "unit": "K"}}, "quench": {"medium": {"values": ["water", "oil"]}}}
    route = {"type": "process_sequence", "name": "route", "vocabulary": steps, "length": {"min": 1, "max": 2}}
    text = "anneal(T=700 K) > quench(medium=water)"
    for parts in ([route], [route, HEAT]):
        line = text if len(parts) == 1 else f"route={text}, heat.T=80"
        found = build_space(TypeAdapter(AnySpace).validate_python({"type": "product", "parts": parts}))
        assert found.locate(parsed(found, *read_designs([line], found))) is not None
    slab = {"host": {"builder": "coooh", "lateral": [3, 2]}, "sites": {"element": "Co"}, "dopants": ["Ti", "Zn"]}
    slabs = build_space(
        TypeAdapter(AnySpace).validate_python({"type": "doped_slab", "count": {"min": 1, "max": 2}, **slab})
    )
    for words in (["Ti@M1", "Zn@M3"], ["decoration=Ti@M1", "Zn@M3"], ["decoration=Ti@M1, Zn@M3"], ["Ti@M1 Zn@M3"]):
        (line,) = read_designs(words, slabs)
        assert slabs.locate(parsed(slabs, line)) == slabs.locate({"decoration": "Ti@M1 Zn@M3"}) is not None
    assert "decoration=" in example(slabs)


def test_labels_formulas_and_designs_are_asked_about_alike(start):
    campaign = start(8)
    label, design = history(campaign, 8)[0]
    found = campaign.whatif([label, formula(design, campaign.state.space), design])["designs"]
    assert len({one["candidate"] for one in found}) == 1
    with pytest.raises(InvalidInput, match="a design of this space is `"):
        campaign.whatif("nickel")


def test_designs_are_read_from_files(tmp_path: Path, space):
    table, listed = tmp_path / "d.csv", tmp_path / "d.json"
    table.write_text("name,Ni,Fe,heat.T (K)\na,0.3,0.7,373.15\nb,1,,300\n")
    listed.write_text(json.dumps([{"Ni": 0.3, "Fe": 0.7}]))
    first, second, third = read_designs([str(table), str(listed)], space)
    assert first == {"Ni": "0.3", "Fe": "0.7", "heat.T": pytest.approx(100)}
    assert second == {"Ni": "1", "heat.T": pytest.approx(26.85)}
    assert third == {"Ni": 0.3, "Fe": 0.7}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("=0.3", "is not a formula"),
        ("Ni=0.3 Ni=0.4", "Ni is given twice"),
        ("Ni0.3Fe0.7 Fe=0.4", "Fe is given twice"),
        ("Ni0.3 Xx0.7", "Xx"),
        ("Ni=1 heat.T=3 mV", "does not convert"),
    ],
)
def test_lines_that_are_no_design_are_refused(space, line, what):
    with pytest.raises(CellError, match=what):
        parsed(space, line)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["none.csv"], "cannot be read"),
        (["bad.json"], "no JSON"),
        (["list.json"], "no object of numbers"),
        (["other.csv"], "no column is one of the space's"),
        (["unit.csv"], "is not a number"),
    ],
)
def test_files_without_designs_are_refused(words, what, tmp_path, monkeypatch, space):
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("{")
    Path("list.json").write_text("[true, {}, [1]]")
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("unit.csv").write_text("heat.T (K)\nhot\n")
    with pytest.raises(InvalidInput, match=what):
        read_designs(words, space)
