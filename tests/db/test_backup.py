"""A backup is one moment of a database in use; what is restored is that moment, verified, or nothing at all."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from db_examples import CAMPAIGN, COMPOSITION, MODEL, PREDICTION, RECOMMENDATION, SOURCE, SPEC, fill
from sqlalchemy import create_engine, inspect

from db import engines, migrations
from db.errors import Conflict, InvalidInput
from db.restore import read_manifest, restore
from db.store import Store


def content(store):
    """Everything that a store holds of the examples' campaigns."""
    kept = ("events", "spec", "batches", "recommendations", "samples", "model_versions")
    found = {name: [getattr(store, what)(name) for what in kept] for name in store.campaigns()}
    found |= {f"{name}: values": store.measurements(name, current=False) for name in store.campaigns()}
    return found | {"shared": [store.source(SOURCE.sha256), store.predictions("recipe", "data", 7)]}


@pytest.fixture
def filled(address):
    with Store.open(address, create=True) as store:
        fill(store)
        store.put_model_version(MODEL)
        store.put_predictions([PREDICTION])
        store.take_lease(CAMPAIGN, by="ada", seconds=60)
        yield store


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_is_restored_is_what_was_backed_up_in_either_kind_of_database(filled, make_address, kind, tmp_path):
    path, manifest = filled.backup(tmp_path)
    assert path.parent == tmp_path
    assert read_manifest(path) == manifest
    head = filled.head(CAMPAIGN)
    assert manifest.campaigns == {CAMPAIGN: {"seq": 3, "hash": head.hash}}
    address = make_address(kind)
    assert restore(path, address) == manifest
    with Store.open(address) as store:
        assert content(store) == content(filled)
        assert store.verify(CAMPAIGN) == []
        assert store.lease(CAMPAIGN) is None
        assert store.append(CAMPAIGN, "note", {}, by="ada").prev_hash == head.hash


def test_nothing_is_ever_overwritten(filled, address, tmp_path):
    path, _ = filled.backup(tmp_path / "b.zip")
    with pytest.raises(Conflict, match="a file of this name"):
        filled.backup(path)
    before = content(filled)
    filled.append(CAMPAIGN, "note", {}, by="ada")
    with pytest.raises(Conflict, match="there is a database already"):
        restore(path, address)
    assert len(filled.events(CAMPAIGN)) == len(before[CAMPAIGN][0]) + 1


WRITING = """
import sys
from dataclasses import replace
from db_examples import CAMPAIGN, COMPOSITION
from db.store import Store

with Store.open(sys.argv[1]) as store:
    for i in range(100_000):
        store.append(CAMPAIGN, "ingest", {"i": i}, rows=[replace(COMPOSITION, id=f"w-{i}")], by="robot")
        print(i, flush=True)
"""


def test_a_backup_of_a_database_in_use_is_one_moment_of_it(filled, address, make_address, tmp_path):
    prologue = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
    writer = subprocess.Popen([sys.executable, "-c", prologue + WRITING, address], stdout=subprocess.PIPE, text=True)
    made = []
    for n in range(3):
        assert writer.stdout.readline()
        first = filled.head(CAMPAIGN).seq
        made.append((first, *filled.backup(tmp_path / f"{n}.zip"), filled.head(CAMPAIGN).seq))
    writer.kill()
    writer.stdout.close()
    writer.wait()
    assert made[-1][3] > 4  # it went on writing
    for first, path, manifest, last in made:
        assert first <= manifest.campaigns[CAMPAIGN]["seq"] <= last
        address = make_address("sqlite")
        restore(path, address)
        with Store.open(address) as store:
            events = store.events(CAMPAIGN, kinds=["ingest"])[1:]
            written = store.measurements(CAMPAIGN)[2:]
            assert [e.payload["i"] for e in events] == list(range(len(written)))


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_artefacts_come_along_by_choice(filled, make_address, tmp_path):
    folder = filled.artifacts / "features"
    folder.mkdir(parents=True)
    (folder / "a.safetensors").write_bytes(b"\x00\x01")
    (folder / "link").symlink_to("/etc/hostname")
    bare, manifest = filled.backup(tmp_path / "bare.zip")
    assert manifest.artifacts == {}
    path, manifest = filled.backup(tmp_path / "all.zip", artifacts=True)
    assert list(manifest.artifacts) == ["features/a.safetensors"]
    target = make_address("sqlite")
    restore(path, target)
    with Store.open(target) as store:
        assert (store.artifacts / "features/a.safetensors").read_bytes() == b"\x00\x01"
    assert bare.exists()


def altered(path, name, change):
    """A copy of a backup in which one part is another."""
    target = path.with_name(f"altered-{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for part in old.namelist():
            body = old.read(part)
            body = change(body) if part == name else body
            if body is not None:
                new.writestr(part, body)
    return target


def in_manifest(change):
    def changed(body):
        found = json.loads(body)
        change(found)
        return json.dumps(found).encode()

    return changed


DAMAGE = {
    "a value": ("tables/measurement.jsonl", lambda b: b.replace(b"271.3", b"171.3"), "not the 2 that were"),
    "a row less": ("tables/measurement.jsonl", lambda b: b.split(b"\n", 1)[1], "not the 2 that were"),
    "a row twice": ("tables/sample.jsonl", lambda b: b + b, "its 2 rows are not the 1"),
    "no JSON": ("tables/measurement.jsonl", lambda b: b"[1,2\n", "row 1 cannot be read"),
    "a short row": ("tables/measurement.jsonl", lambda b: b"[1,2]\n", "row 1 cannot be read"),
    "no table": ("tables/sample.jsonl", lambda b: None, "sample.*cannot be read"),
    "no manifest": ("manifest.json", lambda b: None, "no backup of siteloop"),
    "another manifest": ("manifest.json", lambda b: b"{}", "no backup of siteloop"),
    "a list": ("manifest.json", lambda b: b"[]", "no backup of siteloop"),
    "a newer format": ("manifest.json", in_manifest(lambda m: m.update(format=9)), "install a newer siteloop"),
    "a newer schema": ("manifest.json", in_manifest(lambda m: m.update(schema="9999")), "install a newer siteloop"),
    "other columns": (
        "manifest.json",
        in_manifest(lambda m: m["tables"]["sample"].update(columns=["id"])),
        "not those of schema",
    ),
    "another head": (
        "manifest.json",
        in_manifest(lambda m: m["campaigns"][CAMPAIGN].update(hash="ff")),
        "newest events are not",
    ),
}


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_backup_makes_no_database(filled, tmp_path, damage):
    name, change, message = DAMAGE[damage]
    path = altered(filled.backup(tmp_path / "b.zip")[0], name, change)
    target = tmp_path / "new.db"
    with pytest.raises((InvalidInput, Conflict), match=message):
        restore(path, f"sqlite:///{target}")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["altered-b.zip", "b.zip"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_forged_value_is_found_by_the_chain(filled, tmp_path, make_address, kind):
    path = altered(
        filled.backup(tmp_path / "b.zip")[0], "tables/measurement.jsonl", lambda b: b.replace(b"271.3", b"171.3")
    )
    with zipfile.ZipFile(path) as archive:
        forged = hashlib.sha256(archive.read("tables/measurement.jsonl")).hexdigest()
    path = altered(path, "manifest.json", in_manifest(lambda m: m["tables"]["measurement"].update(sha256=forged)))
    target = make_address(kind)
    with pytest.raises(InvalidInput, match=r"measurement m-1 \(event 3\).*altered"):
        restore(path, target)
    if kind == "postgresql":
        engine = create_engine(target)
        assert inspect(engine).get_table_names() == []
        engine.dispose()
    else:
        assert not Path(target.removeprefix("sqlite:///")).exists()


@pytest.mark.parametrize("cut", [0, 10, 500, -30])
@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_truncated_backup_is_refused(filled, tmp_path, cut):
    path, _ = filled.backup(tmp_path / "b.zip")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InvalidInput, match="cannot be read"):
        restore(path, f"sqlite:///{tmp_path}/new.db")
    with pytest.raises(InvalidInput, match="cannot be read"):
        restore(tmp_path / "none.zip", f"sqlite:///{tmp_path}/new.db")


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_an_artefact_never_leaves_its_folder(filled, tmp_path):
    filled.artifacts.mkdir()
    (filled.artifacts / "a").write_bytes(b"x")
    path, _ = filled.backup(tmp_path / "b.zip", artifacts=True)

    def climb(manifest):
        manifest["artifacts"] = {"../../evil": manifest["artifacts"]["a"]}

    (tmp_path / "in").mkdir()
    with pytest.raises(InvalidInput, match="outside its folder"):
        restore(altered(path, "manifest.json", in_manifest(climb)), f"sqlite:///{tmp_path}/in/new.db")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_backup_that_cannot_be_written_leaves_nothing(filled, tmp_path):
    with pytest.raises(InvalidInput, match="cannot be written"):
        filled.backup(tmp_path / "nowhere" / "b.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def old(address, tmp_path, monkeypatch):
    """Address of a database at the first released schema, filled as that release would have."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(migrations, "HEAD", "0001")
    with Store.open(address, create=True) as store:
        fill(store)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    return address


def test_an_upgrade_is_preceded_by_a_backup_that_restores_at_the_old_schema_and_is_brought_up(old, make_address):
    before, after, saved = Store.upgrade(old)
    assert (before, after) == ("0001", migrations.HEAD)
    assert f"before-{migrations.HEAD}" in saved.name
    assert read_manifest(saved).schema == "0001"
    with Store.open(old) as store:
        upgraded = content(store)
        assert store.verify(CAMPAIGN) == []
        assert store.spec(CAMPAIGN) == SPEC
        assert store.recommendations(CAMPAIGN) == [RECOMMENDATION]
    again = make_address("sqlite")
    restore(saved, again)
    with Store.open(again) as store:
        assert content(store) == upgraded
    assert Store.upgrade(old).backup is None  # nothing to do, nothing to keep


def test_without_a_backup_nothing_is_migrated(old, tmp_path):
    with pytest.raises(InvalidInput, match="backup cannot be written"):
        Store.upgrade(old, backup=tmp_path / "nowhere" / "b.zip")
    with pytest.raises(InvalidInput, match="siteloop db-upgrade"):
        Store.open(old)


def test_the_backup_goes_where_it_is_told(old, tmp_path):
    assert Store.upgrade(old, backup=tmp_path / "mine.zip").backup == tmp_path / "mine.zip"
    assert read_manifest(tmp_path / "mine.zip").campaigns[CAMPAIGN]["seq"] == 3


RELEASED = Path(__file__).with_name("released")


@pytest.mark.parametrize("kept", sorted(RELEASED.iterdir()), ids=lambda path: path.stem)
def test_what_a_release_wrote_is_read_by_this_one(kept, address):
    """Of every released schema a database is kept that was filled by that release."""
    restore(kept, address)
    with Store.open(address) as store:
        assert store.verify(CAMPAIGN) == []
        assert store.measurements(CAMPAIGN)[-1] == COMPOSITION
        assert store.source(SOURCE.sha256) == SOURCE


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_restore_into_a_database_of_another_program_is_refused(address, filled, make_address, tmp_path):
    path, _ = filled.backup(tmp_path / "b.zip")
    other = make_address("postgresql")
    engine = engines.engine(engines.parse(other))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE notes (text TEXT)")
    engine.dispose()
    with pytest.raises(Conflict, match="there is a database already"):
        restore(path, other)
