"""Addresses, files and servers that cannot be used get one clear message, without a password and without a trace."""

import sqlite3
import sys
from pathlib import Path

import pytest
from db_examples import CAMPAIGN, fill

from db.errors import InvalidInput
from db.store import Store


def refused(url, **options):
    with pytest.raises(InvalidInput) as caught:
        Store.open(url, **options)
    (problem,) = caught.value.problems
    assert problem.fix
    return problem


def test_without_an_address_the_store_is_a_file_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("SITELOOP_DB", raising=False)
    monkeypatch.chdir(tmp_path)
    with Store.open(create=True) as store:
        assert store.url == f"sqlite:///{tmp_path}/siteloop.db"
        monkeypatch.chdir("/")
        fill(store)  # the address was resolved at opening, so a later change of folder changes nothing
    assert (tmp_path / "siteloop.db").stat().st_size > 0


def test_the_environment_names_the_database(tmp_path, monkeypatch):
    monkeypatch.setenv("SITELOOP_DB", f"sqlite:///{tmp_path}/lab.db")
    with Store.open(create=True) as store:
        assert store.url.endswith("/lab.db")
    monkeypatch.setenv("SITELOOP_DB", "lab.db")
    assert refused(None).where == "$SITELOOP_DB"


@pytest.mark.parametrize(
    "url",
    [
        "lab.db",
        "/home/ada/lab.db",
        "mysql://host/db",
        "sqlite+aiosqlite:///lab.db",
        "postgresql+asyncpg://host/db",
        "postgresql://host:port/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///lab.db?mode=ro",
        "sqlite://lab.db",
    ],
)
def test_an_address_of_the_wrong_kind(url):
    assert "sqlite:///folder/siteloop.db" in refused(url, create=True).fix


@pytest.mark.parametrize("create", [True, False])
def test_a_missing_folder(tmp_path, create):
    assert "does not exist" in refused(f"sqlite:///{tmp_path}/none/lab.db", create=create).what
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_not_made_by_looking(tmp_path):
    problem = refused(f"sqlite:///{tmp_path}/lab.db")
    assert problem.what == "there is no such database file"
    assert problem.where.endswith("lab.db")
    with pytest.raises(InvalidInput):
        Store.upgrade(f"sqlite:///{tmp_path}/lab.db")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_a_file(tmp_path):
    assert "is not a file" in refused(f"sqlite:///{tmp_path}", create=True).what


@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_not_a_database(tmp_path, create):
    path = tmp_path / "lab.db"
    path.write_bytes(b"sample_id,Ni,Fe\n" * 100)
    assert "cannot be read" in refused(f"sqlite:///{path}", create=create).what
    assert path.read_bytes() == b"sample_id,Ni,Fe\n" * 100


def test_a_damaged_database(tmp_path):
    path = tmp_path / "lab.db"
    with Store.open(f"sqlite:///{path}", create=True) as store:
        fill(store)
    path.write_bytes(path.read_bytes()[:5000])
    assert "cannot be read" in refused(f"sqlite:///{path}").what


def test_an_empty_database_is_used_only_when_asked_to_create(address):
    if address.startswith("sqlite"):
        Path(address.removeprefix("sqlite:///")).touch()
    assert "empty" in refused(address).what
    with pytest.raises(InvalidInput, match="empty"):
        Store.upgrade(address)
    with Store.open(address, create=True) as store:
        assert store.campaigns() == []


@pytest.mark.parametrize("create", [True, False])
def test_a_database_of_another_program_is_left_alone(tmp_path, create):
    path = tmp_path / "lab.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()
    assert "another program" in refused(f"sqlite:///{path}", create=create).what
    with pytest.raises(InvalidInput, match="another program"):
        Store.upgrade(f"sqlite:///{path}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hunter2@127.0.0.1:1/lab",
        "postgresql+psycopg://127.0.0.1:1/lab?password=hunter2",
        "postgresql://ada:hunter2@host:port/lab",
        "mysql://ada:hunter2@host/lab",
        "sqlite://ada:hunter2@host/lab.db",
        "ada:hunter2@host",
    ],
)
def test_a_password_is_never_shown(url):
    with pytest.raises(InvalidInput) as caught:
        Store.open(url)
    assert "hunter2" not in str(caught.value)


def test_an_unreachable_server():
    problem = refused("postgresql://ada:hunter2@127.0.0.1:1/lab")
    assert problem.where == "postgresql+psycopg://ada:***@127.0.0.1:1/lab"
    assert "reached" in problem.fix


def test_a_server_without_that_database(postgresql_server):
    with pytest.raises(InvalidInput, match=r"none_\d+.*does not exist"):
        Store.open(postgresql_server().replace("/test_", "/none_"))


def test_a_missing_driver_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "siteloop[postgres]" in refused("postgresql://host/lab").fix


def test_plain_postgresql_means_psycopg(postgresql_server):
    address = postgresql_server().replace("postgresql+psycopg:", "postgresql:")
    with Store.open(address, create=True) as store:
        assert store.url.startswith("postgresql+psycopg:")
        assert "hunter2" not in repr(store)


def test_sqlite_connections_keep_what_the_store_promises(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/lab.db", create=True) as store, store._snapshot() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")
        }
    assert pragma == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "busy_timeout": 30000,
    }


def test_a_write_that_cannot_begin_is_a_conflict(tmp_path, monkeypatch):
    monkeypatch.setattr("db.engines.WAIT_SECONDS", 0.1)
    with Store.open(f"sqlite:///{tmp_path}/lab.db", create=True) as store:
        fill(store)
        other = sqlite3.connect(tmp_path / "lab.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Exception, match="another process is writing") as caught:
            store.append(CAMPAIGN, "note", {}, by="ada")
        assert caught.value.exit_code == 4
        other.execute("ROLLBACK")
        other.close()
        assert store.append(CAMPAIGN, "note", {}, by="ada").seq == 4


def test_what_can_be_computed_again_lies_beside_the_database_or_where_it_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("SITELOOP_ARTIFACTS", raising=False)
    with Store.open(f"sqlite:///{tmp_path}/lab.db", create=True) as store:
        assert store.artifacts == tmp_path / "lab.db.artifacts"
        assert not store.artifacts.exists()
        monkeypatch.setenv("SITELOOP_ARTIFACTS", str(tmp_path / "elsewhere"))
        assert store.artifacts == tmp_path / "elsewhere"
