"""A restore harms nothing that others made meanwhile, and a hostile backup is refused before anything is there."""

import hashlib
import json
import sqlite3
import zipfile
from pathlib import Path

import pytest
from db_examples import CAMPAIGN, fill

from db import backup, engines
from db.errors import Conflict, InvalidInput
from db.restore import restore
from db.store import Store


@pytest.fixture
def saved(tmp_path):
    """A backup with one artefact."""
    with Store.open(f"sqlite:///{tmp_path}/lab.db", create=True) as store:
        fill(store)
        store.artifacts.mkdir()
        (store.artifacts / "a").write_bytes(b"x" * 1000)
        return store.backup(tmp_path / "b.zip", artifacts=True)[0]


def test_a_restore_that_comes_second_leaves_the_database_of_the_first(saved, tmp_path, monkeypatch):
    target = f"sqlite:///{tmp_path}/new.db"
    connect = engines.engine

    def overtaken(url):
        monkeypatch.setattr(engines, "engine", connect)
        restore(saved, target)  # somebody else, after this one has seen that the name is free
        return connect(url)

    monkeypatch.setattr(engines, "engine", overtaken)
    with pytest.raises(Conflict, match="meanwhile"):
        restore(saved, target)
    with Store.open(target) as store:
        assert store.verify(CAMPAIGN) == []
    assert not list(tmp_path.glob("*.part*"))


def test_a_journal_that_was_left_behind_is_not_taken_for_that_of_the_restored(saved, tmp_path):
    (tmp_path / "new.db-wal").write_bytes(b"of another database")
    with pytest.raises(Conflict, match=r"new\.db-wal"):
        restore(saved, f"sqlite:///{tmp_path}/new.db")
    assert (tmp_path / "new.db-wal").read_bytes() == b"of another database"


def test_a_backup_takes_no_name_that_was_taken_meanwhile_and_no_part_of_another(saved, tmp_path, monkeypatch):
    target, other = tmp_path / "c.zip", tmp_path / "c.zip.part"
    other.write_bytes(b"somebody's")
    fill_archive = backup._fill

    def overtaken(*arguments):
        target.write_bytes(b"somebody's, too")
        return fill_archive(*arguments)

    monkeypatch.setattr(backup, "_fill", overtaken)
    with Store.open(f"sqlite:///{tmp_path}/lab.db") as store, pytest.raises(Conflict, match="a file of this name"):
        store.backup(target)
    assert (target.read_bytes(), other.read_bytes()) == (b"somebody's, too", b"somebody's")
    assert list(tmp_path.glob("*.part")) == [other]


def value(table, column, new):
    """Put another value into the first row of a table, with hashes that fit."""

    def change(manifest, files):
        part = f"tables/{table}.jsonl"
        first, _, rest = files[part].partition(b"\n")
        row = json.loads(first)
        row[manifest["tables"][table]["columns"].index(column)] = new
        files[part] = json.dumps(row).encode() + b"\n" + rest
        manifest["tables"][table]["sha256"] = hashlib.sha256(files[part]).hexdigest()

    return change


def said(key, new):
    return lambda manifest, files: manifest.update({key: new})


def nested(manifest, files):
    files["tables/sample.jsonl"] = b"[" * 200_000 + b"\n"


def bomb(manifest, files):
    files["artifacts/a"] = b"\0" * (64 << 20)


HOSTILE = {
    "a huge number": (value("measurement", "seq", 2**70), "measurement: it holds a row that no database has"),
    "a list": (value("measurement", "metric", [1]), "measurement: it holds a row"),
    "half a character": (value("measurement", "metric", "\ud800"), "measurement: it holds a row"),
    "a word for a number": (value("measurement", "value", "much"), "measurement: it holds a row"),
    "nothing": (value("measurement", "metric", None), "measurement: it holds a row"),
    "deep JSON": (nested, "sample: row 1 cannot be read"),
    "no tables": (said("tables", None), "no backup of siteloop"),
    "a list of tables": (said("tables", [1]), "no backup of siteloop"),
    "a word for a table": (said("tables", {"event": "x"}), "no backup of siteloop"),
    "a list of artefacts": (said("artifacts", ["a"]), "no backup of siteloop"),
    "an altered artefact": (said("artifacts", {"a": {"bytes": 1000, "sha256": "00"}}), "the artefact was altered"),
    "an artefact without a size": (said("artifacts", {"a": {}}), "the artefact cannot be read"),
    "an artefact that swells": (bomb, "the artefact was altered"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_backup_is_refused_and_leaves_nothing(saved, tmp_path, kind):
    change, message = HOSTILE[kind]
    with zipfile.ZipFile(saved) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files["manifest.json"])
    change(manifest, files)
    files["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(tmp_path / "odd.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InvalidInput, match=message):
        restore(tmp_path / "odd.zip", f"sqlite:///{tmp_path}/new.db")
    assert sorted(tmp_path.iterdir()) == before


def test_a_backup_that_is_packed_otherwise_is_refused(saved, tmp_path):
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(tmp_path / "odd.zip", "w", zipfile.ZIP_LZMA) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(InvalidInput, match="packed as no backup"):
        restore(tmp_path / "odd.zip", f"sqlite:///{tmp_path}/new.db")


def test_an_empty_file_may_become_a_database(saved, tmp_path):
    Path(tmp_path / "new.db").touch()
    restore(saved, f"sqlite:///{tmp_path}/new.db")
    with sqlite3.connect(tmp_path / "new.db") as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone()[0] == 3
    connection.close()
