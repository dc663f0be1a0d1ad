"""Raw SQL of another tool cannot change the ledger, after an upgrade from every revision there was."""

import pytest
from db_examples import CAMPAIGN, fill
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from db import engines, migrations
from db.errors import InvalidInput
from db.store import Store
from db.triggers import LEDGER, create_triggers, missing_triggers

KEY = {"event": "seq", "source": "sha256"}


@pytest.fixture(params=migrations.revisions())
def upgraded(request, address, tmp_path, monkeypatch):
    """Address of a database that was made at an old revision, upgraded and filled."""
    monkeypatch.chdir(tmp_path)  # the backup of a PostgreSQL database goes to the current folder
    engine = engines.engine(engines.parse(address))
    with engines.writing(engine) as connection:
        migrations.upgrade(connection, request.param)
    engine.dispose()
    assert Store.upgrade(address)[:2] == (request.param, migrations.HEAD)
    with Store.open(address) as store:
        fill(store)
    return address


@pytest.fixture
def other_tool(upgraded):
    """A connection that knows nothing of the store and sets nothing, each statement its own transaction."""
    engine = create_engine(upgraded, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def attempts(connection, table):
    """Statements that would change a ledger table, and rows as they were before."""
    key = KEY.get(table, "id")
    before = connection.execute(text(f"SELECT * FROM {table} ORDER BY {key}")).mappings().all()
    row = dict(before[0])
    columns = ", ".join(f'"{column}"' for column in row)
    values = ", ".join(f":{column}" for column in row)
    statements = [
        f"UPDATE {table} SET {key} = {key}",
        f"DELETE FROM {table}",
        f"INSERT INTO {table} ({columns}) VALUES ({values})",
        f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING",
    ]
    if connection.dialect.name == "sqlite":
        statements += [
            f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({values})",
            f"UPDATE OR REPLACE {table} SET {key} = {key}",
        ]
    else:
        statements.append(f"TRUNCATE {table} CASCADE")
    return statements, row, before


@pytest.mark.parametrize("table", LEDGER)
def test_the_ledger_refuses_every_change(other_tool, table):
    statements, row, before = attempts(other_tool, table)
    assert before
    for statement in statements:
        with pytest.raises(DBAPIError, match="the ledger is append-only"):
            other_tool.execute(text(statement), row)
    after = other_tool.execute(text(f"SELECT * FROM {table} ORDER BY {KEY.get(table, 'id')}")).mappings().all()
    assert after == before


@pytest.mark.parametrize("table", ["sample", "batch", "recommendation", "spec_revision", "event"])
def test_a_row_cannot_be_replaced_through_another_of_its_keys(other_tool, table):
    """`INSERT OR REPLACE` deletes whatever stands in its way, without a delete trigger unless a PRAGMA is set."""
    _, row, _ = attempts(other_tool, table)
    row["seq" if table == "event" else "id"] = 77 if table == "event" else "a new id"
    verb = "INSERT OR REPLACE" if other_tool.dialect.name == "sqlite" else "INSERT"
    columns = ", ".join(f'"{column}"' for column in row)
    values = ", ".join(f":{column}" for column in row)
    with pytest.raises(DBAPIError, match="the ledger is append-only: INSERT over an existing row"):
        other_tool.execute(text(f"{verb} INTO {table} ({columns}) VALUES ({values})"), row)


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
@pytest.mark.parametrize("table", LEDGER)
def test_there_is_no_hidden_row_number_to_replace_by(other_tool, table):
    with pytest.raises(DBAPIError, match="no such column: rowid"):
        other_tool.execute(text(f"SELECT rowid FROM {table}"))


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_truncating_a_parent_does_not_reach_the_ledger(other_tool):
    with pytest.raises(DBAPIError, match="append-only"):
        other_tool.execute(text("TRUNCATE campaign CASCADE"))


def test_a_database_without_a_trigger_is_refused_until_it_is_upgraded(upgraded, other_tool):
    on = "" if other_tool.dialect.name == "sqlite" else " ON measurement"
    other_tool.execute(text(f"DROP TRIGGER measurement_no_update{on}"))
    with pytest.raises(InvalidInput, match=r"measurement_no_update are missing.*siteloop db-upgrade"):
        Store.open(upgraded)
    assert Store.upgrade(upgraded) == (migrations.HEAD, migrations.HEAD, None)
    with Store.open(upgraded) as store:
        assert store.verify(CAMPAIGN) == []


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_trigger_switched_off_counts_as_missing(upgraded, other_tool):
    other_tool.execute(text("ALTER TABLE event DISABLE TRIGGER event_no_delete"))
    assert missing_triggers(other_tool) == ["event_no_delete"]
    with pytest.raises(InvalidInput, match="event_no_delete"):
        Store.open(upgraded)


def test_triggers_are_made_for_the_tables_there_are(address):
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE event (campaign TEXT, seq INTEGER, PRIMARY KEY (campaign, seq))"))
        create_triggers(connection)
        create_triggers(connection)
        assert missing_triggers(connection) == []
        connection.execute(text("CREATE TABLE sample (id TEXT PRIMARY KEY)"))
        assert missing_triggers(connection)[:2] == ["sample_no_update", "sample_no_delete"]
        assert inspect(connection).get_table_names() == ["event", "sample"]
    engine.dispose()


def test_a_trigger_of_the_right_name_that_does_nothing_is_missing(tmp_path) -> None:
    import sqlite3

    from db.errors import InvalidInput
    from db.store import Store

    Store.open(f"sqlite:///{tmp_path}/x.db", create=True).close()
    with sqlite3.connect(tmp_path / "x.db") as raw:
        raw.execute("DROP TRIGGER measurement_no_update")
        raw.execute("CREATE TRIGGER measurement_no_update BEFORE UPDATE ON measurement BEGIN SELECT 1; END")
    raw.close()
    with pytest.raises(InvalidInput, match="measurement_no_update"):
        Store.open(f"sqlite:///{tmp_path}/x.db")
