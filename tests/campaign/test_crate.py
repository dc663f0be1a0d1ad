"""An RO-Crate holds what it says it holds, refers to nothing that is not there, and its data can be handed in again."""

import hashlib
import json

import pytest
import yaml
from small_campaign import results

from campaign import Campaign
from campaign.spec import load_spec
from db import chain
from db.errors import Conflict, InvalidInput
from db.records import Event
from db.rows import encode


@pytest.fixture
def crate(start, tmp_path):
    campaign = start()
    batch = campaign.recommend(2)
    campaign.ingest(results([(batch[0].label, batch[0].design)]), name="../=evil.csv", commit=True)
    folder = campaign.crate(tmp_path / "crate", licence="https://creativecommons.org/licenses/by/4.0/")
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    return campaign, folder, {entity["@id"]: entity for entity in graph}


def references(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_file_is_described_and_every_reference_leads_somewhere(crate):
    _, folder, graph = crate
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"ro-crate-metadata.json"}
    described = {key for key, entity in graph.items() if entity["@type"] == "File"}
    assert files == described == {part["@id"] for part in graph["./"]["hasPart"]}
    for path in files:
        content = (folder / path).read_bytes()
        assert graph[path]["sha256"] == hashlib.sha256(content).hexdigest()
        assert graph[path]["contentSize"] == str(len(content))
    told = {ref for entity in graph.values() for ref in references(entity)} - {"https://w3id.org/ro/crate/1.1"}
    assert told <= graph.keys()


def test_the_root_says_what_ro_crate_asks_for(crate):
    campaign, _, graph = crate
    root = graph["./"]
    assert root["@type"] == "Dataset"
    assert all(root[key] for key in ("name", "description", "datePublished", "license", "hasPart", "creator"))
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    assert root["license"] == {"@id": "https://creativecommons.org/licenses/by/4.0/"}
    assert root["identifier"] == campaign.state.head.hash
    assert graph["#batch-1"]["instrument"] == {"@id": "#siteloop"}
    assert [graph[m["@id"]]["unitText"] for m in root["variableMeasured"]] == ["mV"]


def test_data_spec_models_ledger_and_report_are_those_of_the_campaign(crate, tmp_path):
    campaign, folder, _ = crate
    spec = load_spec(yaml.safe_load((folder / "spec.yaml").read_text()))
    again = Campaign.start(spec, db=f"sqlite:///{tmp_path}/again.db")
    again.ingest(folder / "results.csv", commit=True)
    assert again.state.snapshot == campaign.state.snapshot
    (batch,) = json.loads((folder / "recommendations.json").read_text())
    assert [r["label"] for r in batch["recommendations"]] == ["b1-01", "b1-02"]
    assert batch["seed"] == campaign.state.batches[0].seed
    recipe = batch["settings"]["models"]["loss"]["recipe_hash"]
    assert recipe in {model["recipe_hash"] for model in json.loads((folder / "models.json").read_text())}
    events = [Event(**json.loads(line)) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    before = chain.genesis("small")
    for event in events:
        assert (event.prev_hash, event.hash) == (before, chain.event_hash(encode(event)))
        before = event.hash
    assert before == campaign.state.head.hash
    assert "b1-02" in (folder / "report.html").read_text()


def test_a_name_from_the_lab_is_no_path(crate):
    _, folder, graph = crate
    (evil,) = [entity for entity in graph.values() if entity.get("name") == "../=evil.csv"]
    assert evil["@id"].startswith("sources/")
    assert (folder / evil["@id"]).read_bytes().startswith(b"sample_id")


def test_a_folder_in_use_is_left_alone(start, tmp_path):
    campaign = start(0)
    (tmp_path / "empty").mkdir()
    assert campaign.crate(tmp_path / "empty").joinpath("results.csv").exists()
    with pytest.raises(Conflict, match="something of this name"):
        campaign.crate(tmp_path / "empty")
    with pytest.raises(InvalidInput, match="cannot be written"):
        campaign.crate(tmp_path / "no" / "where")
    assert not list(tmp_path.rglob("*.part"))
