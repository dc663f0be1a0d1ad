"""The migrations make exactly the tables of `db.tables`, and only this version's schema is opened."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event, inspect, text

from db import engines, migrations, tables
from db.errors import InvalidInput
from db.store import Store


def test_head_is_the_last_script():
    assert migrations.revisions()[-1] == migrations.HEAD


def test_the_migrated_schema_is_that_of_the_tables(address):
    Store.open(address, create=True).close()
    engine = create_engine(address)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        primary_keys = {
            t: inspect(connection).get_pk_constraint(t)["constrained_columns"] for t in tables.metadata.tables
        }
    engine.dispose()
    assert primary_keys == {name: table.primary_key.columns.keys() for name, table in tables.metadata.tables.items()}


def test_a_column_of_another_type_would_be_noticed(address):
    """The comparison above is not blind."""
    Store.open(address, create=True).close()
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE measurement ADD COLUMN extra TEXT"))
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    engine.dispose()
    assert [difference[0] for difference in differences] == ["remove_column"]


def test_an_older_schema_names_the_command(address, monkeypatch):
    Store.open(address, create=True).close()
    monkeypatch.setattr(migrations, "HEAD", "9999")
    with pytest.raises(
        InvalidInput, match=r"revision 0002, and this siteloop needs 9999\. Fix: run `siteloop db-upgrade`"
    ):
        Store.open(address)
    with pytest.raises(InvalidInput, match="siteloop db-upgrade"):
        Store.open(address, create=True)


def test_a_newer_schema_asks_for_a_newer_siteloop(address):
    Store.open(address, create=True).close()
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    for refuse in (Store.open, Store.upgrade):
        with pytest.raises(InvalidInput, match=r"9999, which this siteloop does not know.*install a newer siteloop"):
            refuse(address)


def test_a_migration_that_fails_leaves_nothing_behind(address):
    engine = engines.engine(engines.parse(address))

    @event.listens_for(engine, "before_cursor_execute")
    def fail(connection, cursor, statement, *_):
        if "CREATE TABLE measurement" in statement:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"), engines.writing(engine) as connection:
        migrations.upgrade(connection)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
    engine.dispose()


def test_opening_an_existing_database_with_create_changes_nothing(address):
    with Store.open(address, create=True) as store:
        store.start("oer-plate", "start", {}, by="ada")
    with Store.open(address, create=True) as store:
        assert store.campaigns() == ["oer-plate"]
