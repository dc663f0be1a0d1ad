from __future__ import annotations

from pathlib import Path


def test_what_is_restored_recommends_the_same_batch(plate):
    made = plate("backup", "kept.zip", "--json").json
    said = plate("restore", "kept.zip", "--to", "sqlite:///again.db", "--json")
    assert said.code == 0, said.err
    assert said.json["campaigns"] == made["campaigns"]
    again = plate("recommend", "oer-plate", "--json", "--db", "sqlite:///again.db").json
    here = plate("recommend", "oer-plate", "--json").json
    assert [r["composition"] for r in again["recommendations"]] == [r["composition"] for r in here["recommendations"]]
    assert again["batch"]["snapshot"] == here["batch"]["snapshot"]
    assert plate("log", "oer-plate", "--verify", "--db", "sqlite:///again.db").code == 0


def test_backup_and_restore_refuse_to_overwrite(plate):
    assert "wrote" in plate("backup").out
    assert len(list(Path().glob("siteloop.db.*.backup.zip"))) == 1
    assert plate("backup", "kept.zip").code == 0
    assert plate("backup", "kept.zip").code == 4
    said = plate("restore", "kept.zip", "--to", "sqlite:///siteloop.db")
    assert said.code == 4
    assert "overwritten" in said.err
    assert plate("restore", "history.csv", "--to", "sqlite:///new.db").code == 3
    assert not Path("new.db").exists()


def test_the_doctor_is_content_and_then_not(plate):
    said = plate("doctor")
    assert said.code == 0, said.out
    assert "FAIL" not in said.out
    assert plate("doctor", "--json").json["ok"] is True
    ill = plate("doctor", "--db", "sqlite:///none.db")
    assert ill.code == 3
    assert "FAIL" in ill.out
    assert "no such database file" in ill.out


def test_export_writes_what_it_is_asked_for(plate):
    said = plate("export", "oer-plate", "--csv", "r.csv", "--xlsx", "r.xlsx", "--ro-crate", "crate", "--json")
    assert said.code == 0, said.err
    assert said.json == {"wrote": ["r.csv", "r.xlsx", "crate"]}
    assert Path("crate/ro-crate-metadata.json").exists()
    assert "6 skipped" in plate("ingest", "oer-plate", "r.csv").out
    assert plate("export", "oer-plate").code == 2
    assert plate("export", "oer-plate", "--csv", "r.txt").code == 2
    assert plate("export", "oer-plate", "--ro-crate", "crate").code == 4
