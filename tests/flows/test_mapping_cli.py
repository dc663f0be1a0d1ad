"""Mappings and fixes on the command line."""

from pathlib import Path

TABLE = "alloy,eta mean (V),who,cell\nNi0.6Fe0.4,0.301,mk,flow\nNi0.4Fe0.6,0.322,mk,beaker\nNi0.4Fe0.5,0.33,lw,flow\n"
MAPPING = """\
mapping_version: 1
columns: {alloy: formula, eta mean (V): overpotential, who: operator}
where: {cell: flow}
"""


def test_save_list_show_draft_and_use_a_mapping(plate):
    Path("flow.yaml").write_text(MAPPING)
    Path("flow.csv").write_text(TABLE)
    assert "is saved" in plate("mapping", "save", "oer-plate", "flow.yaml").out
    assert "saved before" in plate("mapping", "save", "oer-plate", "flow.yaml").out
    (listed,) = plate("mapping", "list", "oer-plate", "--json").json["mappings"]
    shown = plate("mapping", "show", "oer-plate", "flow")
    assert shown.out.strip() == MAPPING.strip()
    assert listed["sha256"] in shown.err
    asked = plate("ingest", "oer-plate", "flow.csv", "--mapping", "flow", "--commit")
    assert asked.code == 3
    assert "--accept-fix renormalise" in " ".join(asked.out.split())
    done = plate(
        "ingest", "oer-plate", "flow.csv", "--mapping", "flow", "--accept-fix", "renormalise", "--commit", "--json"
    ).json
    assert done["committed"]
    assert done["summary"] == {"accepted": 1, "fixed": 1, "skipped": 1, "pending": 0, "question": 0, "rejected": 0}
    assert "is not 'flow'" in done["rows"][1]["notes"][0]
    again = plate("ingest", "oer-plate", "flow.csv", "--mapping", "flow", "--accept-fix", "renormalise", "--commit")
    assert "recorded before" in again.out
    assert plate("mapping", "draft", "oer-plate", "flow.csv", "-o", "draft.yaml").code == 0
    assert plate("mapping", "draft", "oer-plate", "flow.csv", "-o", "draft.yaml").code == 4
    assert plate("mapping", "show", "oer-plate", "draft.yaml").code == 0
    assert "verified" in plate("log", "oer-plate", "--verify").out


def test_wrong_answers_are_told(plate):
    Path("t.csv").write_text("sample_id,Ni,Fe,overpotential (mV)\nx,0.5,0.5,300\n")
    for answers, word in (
        (["--accept-fix", "V->kV"], "not the name of a fix"),
        (["--accept-fix", "balance"], "balance=Co"),
        (["--mapping", "nowhere"], "no mapping"),
        (["--mapping", "nowhere.yaml"], "cannot be read"),
    ):
        said = plate("ingest", "oer-plate", "t.csv", *answers)
        assert said.code == 3
        assert word in said.err
        assert "Traceback" not in said.err
