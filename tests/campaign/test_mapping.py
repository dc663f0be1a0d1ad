"""Saved column mappings, and a table that nobody prepared."""

from pathlib import Path

import pytest

from campaign import Campaign
from campaign.mapping import read_mapping
from campaign.mapping_draft import draft
from campaign.record import as_table, expectation, read
from campaign.spec import load_spec
from db.errors import InvalidInput
from lab_io.filtering import Wanted
from lab_io.findings import Status

SPEC = {
    "spec_version": 1,
    "campaign": "alloys",
    "seed": 3,
    "space": {"type": "composition_grid", "elements": ["Al", "Co", "Cr", "Fe", "Ni"], "divisions": 5},
    "objectives": [{"name": "yield_strength", "goal": "maximize", "unit": "MPa"}],
    "batch": {"size": 2},
}
TABLE = b"""\
IDENTIFIER: Reference ID,FORMULA,PROPERTY: Processing method,PROPERTY: Type of test,\
PROPERTY: Test temperature ($^\\circ$C),PROPERTY: YS (MPa),PROPERTY: UTS (MPa),PROPERTY: O content (wppm)
1,Al0.25 Co1 Fe1 Ni1,CAST,C,25.0,158.0,,80
1,Al0.5 Co1 Fe1 Ni1,CAST,C,25.0,346.0,,80
1,Al0.5 Co1 Fe1 Ni1,CAST,C,25.0,346.0,,80
2,Al0.5 Co1 Fe1 Ni1,ANNEAL,C,23.0,351.0,,
2,Al1 Co1 Fe1 Ni1,CAST,C,600.0,512.0,,
2,Al1 Co1 Fe1 Ni1,CAST,T,25.0,964.0,1100,
3,Co1 Cr1 Fe1 Ni1,WROUGHT,C,,207.0,,
3,Co1 Cr1 Fe1 Ni1,WROUGHT,C,25.0,,600,
4,Co1 Cr1 Fe1 Si0.5,CAST,C,25.0,800.0,,
4,Al0.3 Cr0.4 Ni0.4,CAST,C,25.0,900.0,,
5,Cr1 Fe1 Ni1,CAST,C,25.0,<150,,
"""
MAPPING = b"""\
mapping_version: 1
description: yield strength in compression at room temperature
columns:
  FORMULA: formula
  "PROPERTY: YS (MPa)": yield_strength
  "PROPERTY: Processing method": keep processing
where:
  "PROPERTY: Type of test": C
  "PROPERTY: Test temperature ($^\\\\circ$C)": {min: 20, max: 30}
  "PROPERTY: YS (MPa)": {filled: true}
"""


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    return Campaign.start(load_spec(SPEC), db=f"sqlite:///{tmp_path}/lab.db")


def test_rows_of_an_unprepared_table_are_accepted_asked_rejected_or_skipped_with_a_reason(campaign: Campaign) -> None:
    mapping = read_mapping(MAPPING, "mpea.yaml")
    checked = campaign.check(TABLE, name="t.csv", saved=mapping)
    found = {row.number: str(row.status) for row in checked.rows}
    assert [n for n, s in found.items() if s == "accepted"] == [2, 3, 12]
    assert [n for n, s in found.items() if s == "question"] == [5, 11]
    assert [n for n, s in found.items() if s == "rejected"] == [10]
    assert [n for n, s in found.items() if s == "skipped"] == [4, 6, 7, 8, 9]
    assert all(row.problems or row.notes or row.result for row in checked.rows)
    reasons = {row.number: " ".join(row.notes) for row in checked.rows}
    assert "row 3 says the same" in reasons[4]
    assert "not a number from 20 to 30" in reasons[6]
    assert "is not 'C'" in reasons[7]
    assert "not a number from 20 to 30" in reasons[8]
    assert "is empty" in reasons[9]
    with pytest.raises(InvalidInput, match="Si, which the space has not"):
        campaign.ingest(TABLE, commit=True, saved=mapping)
    assert not campaign.state.samples


def test_with_consent_it_is_recorded_and_a_second_reading_adds_nothing(campaign: Campaign) -> None:
    mapping = read_mapping(MAPPING, "mpea.yaml")
    consent = ("own-samples", "leave-out-rejected", "leave-out-questions")
    checked = campaign.ingest(TABLE, commit=True, saved=mapping, fixes=consent)
    state = campaign.state
    assert sorted(m.value for m in state.measurements) == [150, 158, 346, 351]
    assert {m.qualifier for m in state.measurements if m.value == 150} == {"<"}
    assert {m.conditions["processing"] for m in state.measurements} == {"CAST", "ANNEAL"}
    assert len(state.samples) == 4
    assert any("left out by consent" in note for row in checked.rows for note in row.notes)
    event = state.head
    assert event.payload["fixes"] == sorted(consent)
    assert event.payload["mapping"]["sha256"] == mapping.source.sha256
    assert campaign._store.source(mapping.source.sha256).content == MAPPING
    assert campaign.recorded(TABLE, saved=mapping, fixes=consent)
    longer = TABLE + b"6,Al1 Cr1,CAST,C,25.0,700,,\n"
    again = campaign.ingest(longer, commit=True, saved=mapping, fixes=consent)
    assert again.summary()["accepted"] == 1
    assert len(campaign.state.samples) == 5


def test_replicates_by_consent_are_of_one_sample(campaign: Campaign) -> None:
    mapping = read_mapping(MAPPING, "mpea.yaml")
    consent = ("replicates", "leave-out-rejected", "renormalise")
    checked = campaign.ingest(TABLE, commit=True, saved=mapping, fixes=consent)
    assert {str(row.status) for row in checked.rows if row.number in (5,)} == {"fixed"}
    both = [m for m in campaign.state.measurements if m.value in (346, 351)]
    assert len({m.sample for m in both}) == 1
    assert sorted(str(m.replicate) for m in both) == ["2", "None"]
    assert "replicate 2" in next(m.conditions["fixes"] for m in both if m.value == 351)


def test_a_mapping_is_saved_with_its_hash_and_found_again(campaign: Campaign) -> None:
    mapping = read_mapping(MAPPING, "mpea.yaml")
    assert campaign.save_mapping(mapping) is not None
    assert campaign.save_mapping(mapping) is None
    second = read_mapping(MAPPING + b"accept: [own-samples]\n", "mpea.yaml")
    assert campaign.save_mapping(second) is not None
    found = campaign.find_mapping("mpea")
    assert found.content == second.content
    assert found.spec.where["PROPERTY: Type of test"] == Wanted(values=("C",))
    assert list(campaign.mappings) == ["mpea"]
    with pytest.raises(InvalidInput, match="did you mean mpea"):
        campaign.find_mapping("mpae")
    status = {row.number: row.status for row in campaign.check(TABLE, saved=found).rows}
    assert status[5] is Status.ACCEPTED


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("columns: {}\n", "mapping_version"),
        ("mapping_version: 1\ncolums: {a: b}\n", "did you mean columns"),
        ("mapping_version: 1\naccept: [renormalize]\n", "did you mean renormalise"),
        ("mapping_version: 1\nwhere: {a: {mim: 3}}\n", "use one of min"),
        ("mapping_version: 1\nwhere: {a: {min: x}}\n", "not a number"),
        ("mapping_version: 1\nwhere: {a: {}}\n", "says nothing"),
        ("mapping_version: 1\nwhere: {a: [[1]]}\n", "not a word or a number"),
        ("mapping_version: 1\nheader: {rows: 9}\n", "from 1 to 5"),
        ("- 1\n", "keys and values"),
        ("a: &x [1]\nb: *x\n", "anchor"),
        ("mapping_version: 1\ncolumns: {a: !!python/object:os.system x}\n", "tag"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_told(yaml: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_mapping(yaml.encode(), "m.yaml")


def test_a_condition_on_a_column_that_is_not_there(campaign: Campaign) -> None:
    mapping = read_mapping(MAPPING.replace(b'"PROPERTY: Type of test"', b'"PROPERTY: Type of tests"'), "m.yaml")
    checked = campaign.check(TABLE, saved=mapping)
    assert "did you mean PROPERTY: Type of test?" in str(checked.problems[0])


def test_a_draft_is_a_mapping_that_reads_the_table_as_before(campaign: Campaign) -> None:
    reading = read(TABLE)
    text = draft(as_table(reading), expectation(campaign.state))
    mapping = read_mapping(text.encode(), "draft.yaml")
    assert mapping.spec.columns == {"FORMULA": "formula"}
    assert "'PROPERTY: YS (MPa)': ignore  # 10 filled" in text
    empty = draft(as_table(read(b"a,b\n1,2\n")), expectation(campaign.state))
    assert read_mapping(empty.encode(), "draft.yaml").spec.columns == {}
