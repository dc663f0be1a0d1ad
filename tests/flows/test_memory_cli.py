"""The commands of a campaign's memory: record, amend, void, expire, replay, revise, and views of the past."""

import json
from pathlib import Path

from plate_files import PLATE


def test_a_value_is_recorded_amended_and_voided_with_its_history_in_the_log(plate):
    missing = plate("record", "oer-plate", "a", "overpotential=263")
    assert missing.code == 3
    assert "add --unit mV" in missing.err
    dry = plate("record", "oer-plate", "a", "overpotential=0.36", "replicate=2", "--unit", "V")
    assert dry.code == 0
    assert "dry run" in dry.err
    done = plate("record", "oer-plate", "a", "overpotential=0.36", "replicate=2", "--unit", "V", "--commit")
    assert "overpotential 360 (given as 0.36 V)" in done.out
    several = plate("amend", "oer-plate", "a", "--value", "3 mV", "--reason", "x", "--commit")
    assert several.code == 3
    assert "a/overpotential (352 mV" in several.err
    assert "a/overpotential/2 (360 mV" in several.err
    fix = ("amend", "oer-plate", "a/overpotential", "--value", "325 mV", "--reason", "digits swapped")
    assert "dry run" in plate(*fix).err
    done = plate(*fix, "--commit", "--json").json
    assert (done["old"]["value"], done["new"]["value"], done["committed"]) == (352.0, 325.0, True)
    assert "nothing to do" in plate(*fix, "--commit").err
    voided = plate("void", "oer-plate", "a/overpotential/2", "--reason", "the film delaminated")
    assert voided.code == 0
    told = plate("log", "oer-plate", "--rows", "--verify").out
    assert "a/overpotential: 352 mV -> 325 mV (digits swapped)" in told
    assert "a/overpotential/2: 360 mV is void (the film delaminated)" in told
    assert "352 mV  [superseded by m-" in told
    assert "360 mV  [void: the film delaminated]" in told
    assert "verified: 5 events, head " in told


def test_a_value_that_is_not_accepted_changes_nothing(plate):
    for value in ("twelve mV", "3 kg", "nan"):
        refused = plate("amend", "oer-plate", "a/overpotential", "--value", value, "--reason", "x", "--commit")
        assert refused.code == 3
        assert "error: by hand, B2" in refused.err
    assert plate("record", "oer-plate", "a", "nothing").code == 2
    assert plate("amend", "oer-plate", "a/overpotential", "--value", "3 mV", "--commit").code == 2
    assert len(plate("log", "oer-plate", "--json").json["events"]) == 2


def test_the_past_is_seen_as_it_was(plate):
    then = plate("status", "oer-plate", "--json").json
    plate("void", "oer-plate", "e", "--reason", "mislabelled")
    seen = plate("status", "oer-plate", "--as-of", "2", "--json").json
    assert seen == then
    assert f"head {then['head']['hash']}" in plate("status", "oer-plate", "--as-of", "2").out
    assert len(plate("log", "oer-plate", "--as-of", "2", "--json").json["events"]) == 2
    assert plate("status", "oer-plate", "--as-of", "soon").code == 3


def test_a_batch_waits_expires_and_is_replayed(plate):
    batch = plate("recommend", "oer-plate", "-n", "2", "--json").json
    labels = [r["sample_id"] for r in batch["recommendations"]]
    assert f"waiting since today: {', '.join(labels)}" in plate("status", "oer-plate").out
    assert plate("expire", "oer-plate", labels[0]).code == 3
    assert plate("expire", "oer-plate", "--reason", "late").code == 3
    done = plate("expire", "oer-plate", "--older-than", "0", "--reason", "the furnace is broken", "--json").json
    assert (done["expired"], done["pending"]) == (labels, [])
    same = plate("replay", "oer-plate", "--batch", "1")
    assert same.code == 0
    assert "fitted again: identical" in same.out
    assert plate("replay", "oer-plate", "--batch", "1", "--from-model", "--json").json["verdict"] == "identical"
    assert plate("replay", "oer-plate", "--batch", "2").code == 3


def test_a_replay_that_differs_says_where_and_exits_with_5(plate, monkeypatch):
    from campaign import replaying

    plate("recommend", "oer-plate", "-n", "2")
    as_it_is = replaying.propose
    monkeypatch.setattr(replaying, "propose", lambda state, asked, **how: as_it_is(state, type(asked)(3), **how))
    found = plate("replay", "oer-plate", "--batch", "1")
    assert found.code == 5
    assert "differs: items: ['b1-01', 'b1-02'] recorded" in found.out


def test_a_spec_is_revised_after_its_changes_are_shown(plate):
    Path("wider.yaml").write_text(PLATE.replace("La]", "La, Zn]"))
    dry = plate("revise", "oer-plate", "wider.yaml")
    assert dry.code == 0
    assert "space.elements: +'Zn'" in dry.out
    assert plate("revise", "oer-plate", "wider.yaml", "--commit").code == 3
    done = plate("revise", "oer-plate", "wider.yaml", "--reason", "zinc came", "--commit", "--json")
    assert json.loads(done.out)["revision"] == 2
    assert "nothing changes" in plate("revise", "oer-plate", "wider.yaml").err
    assert "revision 2 (zinc came)" in plate("log", "oer-plate").out
    Path("other.yaml").write_text(PLATE.replace("unit: mV", "unit: V").replace("La]", "Zn]"))
    refused = plate("revise", "oer-plate", "other.yaml", "--reason", "x", "--commit")
    assert refused.code == 3
    assert "objectives, overpotential.unit" in refused.err
    assert "'La' is not a component" in refused.err
