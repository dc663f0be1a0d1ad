"""The doctor finds what was broken, and says what to do; where nothing is, every line is OK."""

import shutil
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from db_examples import CAMPAIGN, fill
from sqlalchemy import create_engine, text

from db import filesystems, migrations
from db.doctor import examine
from db.errors import InvalidInput
from db.store import Store


@pytest.fixture
def filled(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store.open(address, create=True) as store:
        fill(store)
    return address


def answers(address):
    found = {}
    for answer in examine(address):
        found[answer.name] = max(answer, found.get(answer.name, answer), key=lambda a: a.state != "ok")
    assert all(bool(a.next) == (a.state != "ok") for a in found.values())
    return found


def broken(address, statement):
    engine = create_engine(address)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text(statement))
    engine.dispose()


def test_all_is_well_and_nothing_is_written(filled):
    before = [answer for answer in examine(filled) if answer.state != "ok"]
    assert before == []
    found = answers(filled)
    with Store.open(filled) as store:
        assert store.head(CAMPAIGN).hash in found[f"chain of {CAMPAIGN}"].said
        assert store.head(CAMPAIGN).seq == 3
    assert found["schema"].said == f"revision {migrations.HEAD}"


def test_an_altered_row_is_found_though_the_triggers_are_gone(filled):
    on = "" if filled.startswith("sqlite") else " ON measurement"
    broken(filled, f"DROP TRIGGER measurement_no_update{on}")
    broken(filled, "UPDATE measurement SET value = 1 WHERE id = 'm-1'")
    found = answers(filled)
    assert (found["triggers"].state, found[f"chain of {CAMPAIGN}"].state) == ("fail", "fail")
    assert "db-upgrade" in found["triggers"].next
    assert "m-1" in found[f"chain of {CAMPAIGN}"].said


def test_an_old_schema_asks_for_the_upgrade(address, monkeypatch):
    with monkeypatch.context() as then:
        then.setattr(migrations, "HEAD", "0001")
        Store.open(address, create=True).close()
    found = answers(address)
    assert found["schema"].state == "fail"
    assert "siteloop db-upgrade" in found["schema"].next


def test_a_clock_that_runs_behind_the_ledger_is_noticed(address):
    with Store.open(address, create=True, clock=lambda: datetime.now(UTC) + timedelta(hours=2)) as store:
        fill(store)
    found = answers(address)
    assert found["clock"].state == "warn"
    assert "newest event" in found["clock"].said


def test_who_proposes_is_told(filled):
    with Store.open(filled) as store:
        store.take_lease(CAMPAIGN, by="ada", seconds=60)
    assert "ada" in answers(filled)[f"lease of {CAMPAIGN}"].said


@pytest.mark.parametrize(
    ("url", "name"),
    [("nonsense", "address"), ("sqlite:///none.db", "address"), ("postgresql://127.0.0.1:1/lab", "database")],
)
def test_what_cannot_be_reached_is_one_line(url, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert answers(url)[name].state == "fail"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("free", "state"), [(10 << 30, "ok"), (500 << 20, "warn"), (1 << 20, "fail")])
def test_little_room_is_said(filled, monkeypatch, free, state):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, free))
    assert answers(filled)["disk"].state == state


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_damaged_page_is_found(filled):
    path = Path(filled.removeprefix("sqlite:///"))
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 4] = bytes(4096)
    path.write_bytes(content)
    assert any(answer.state == "fail" for answer in examine(filled))


MOUNTS = r"""overlay / overlay rw 0 0
server:/export /home nfs4 rw 0 0
/dev/sda1 /home/ada/local\040disk ext4 rw 0 0
//nas/lab /mnt/lab cifs rw 0 0
/dev/sdb1 /mnt/lab xfs rw 0 0
host /mnt/c 9p rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/x.db", "overlay"),
        ("/home/ada/x.db", "nfs4"),
        ("/homer/x.db", "overlay"),
        ("/home/ada/local disk/x.db", "ext4"),
        ("/mnt/lab/x.db", "xfs"),  # mounted over the other
    ],
)
def test_the_nearest_mount_tells_the_file_system(path, kind):
    assert filesystems._kind(Path(path), MOUNTS) == kind


@pytest.mark.parametrize(("kind", "state"), [("nfs4", "fail"), ("cifs", "fail"), ("9p", "warn"), ("ext4", "ok")])
@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_network_file_system_is_refused_for_sqlite(filled, tmp_path, monkeypatch, kind, state):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"x / {kind} rw 0 0\n")
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
    assert answers(filled)["file system"].state == state
    Store.open(filled).close()  # what is there may be read, and moved elsewhere
    new = f"sqlite:///{tmp_path}/new.db"
    if state == "fail":
        with pytest.raises(InvalidInput, match="network file system"):
            Store.open(new, create=True)
        assert not (tmp_path / "new.db").exists()
    else:
        Store.open(new, create=True).close()


def test_a_campaign_whose_row_was_taken_away_is_missed(filled):
    broken(filled, f"DELETE FROM campaign WHERE name = '{CAMPAIGN}'")
    assert "its date is not that" in answers(filled)[f"chain of {CAMPAIGN}"].said
