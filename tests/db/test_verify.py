"""Whoever gets past the triggers is found out by the hashes."""

import pytest
from db_examples import CAMPAIGN, SOURCE, fill
from sqlalchemy import create_engine

from db.store import Store
from db.verify import verify

TAMPERING = {
    "UPDATE measurement SET value = 200 WHERE id = 'm-1'": ["measurement m-1 (event 3)"],
    "UPDATE measurement SET unit = NULL WHERE id = 'm-1'": ["measurement m-1 (event 3)"],
    "UPDATE measurement SET campaign = 'second' WHERE id = 'm-1'": ["measurement m-1 (event 3)"],
    "UPDATE measurement SET position = 9 WHERE id = 'm-1'": ["measurement m-1 (event 3)"],
    "UPDATE measurement SET id = 'm-7' WHERE id = 'm-1'": ["measurement m-7", "measurement m-1 (event 3)"],
    "DELETE FROM measurement WHERE id = 'm-1'": ["measurement m-1 (event 3)"],
    "DELETE FROM measurement": ["measurement m-1 (event 3)", "measurement m-2 (event 3)"],
    'UPDATE sample SET design = \'{"Ni": 0.5,"Fe":0.5}\'': ["sample sample-1 (event 3)"],
    "UPDATE recommendation SET rationale = '{}'": ["recommendation rec-1 (event 2)"],
    "UPDATE batch SET seed = 8": ["batch batch-1 (event 2)"],
    "UPDATE spec_revision SET reason = 'none'": ["spec_revision spec-1 (event 1)"],
    "UPDATE source SET name = 'x.csv'": [f"source {SOURCE.sha256} (event 3)"],
    "DELETE FROM source": [f"source {SOURCE.sha256} (event 3)"],
    "UPDATE event SET \"by\" = 'eve' WHERE seq = 2": ["event 2"],
    "UPDATE event SET at = '2020-01-01T00:00:00.000000+00:00' WHERE seq = 2": ["event 2"],
    "UPDATE event SET hash = 'ff' WHERE seq = 2": ["event 2", "event 3"],
    "UPDATE event SET prev_hash = 'ff' WHERE seq = 2": ["event 2", "event 2"],
    "UPDATE event SET seq = 9 WHERE seq = 3": ["event 9", "event 9", "measurement m-1 (event 9)"],
    "UPDATE event SET payload = '{' WHERE seq = 1": ["event 1", "event 1", "spec_revision spec-1"],
    "UPDATE event SET hash_version = 2 WHERE seq = 1": ["event 1"],
    "DELETE FROM event WHERE seq = 2": ["event 3", "event 3", "batch batch-1", "recommendation rec-1"],
    "DELETE FROM event WHERE seq = 3": ["sample sample-1", "measurement m-1", "measurement m-2"],
    "DELETE FROM event": [f"campaign {CAMPAIGN}", "spec_revision spec-1", "batch batch-1", "measurement m-2"],
    "UPDATE campaign SET created_at = '2020-01-01T00:00:00.000000+00:00'": [f"campaign {CAMPAIGN}"],
    "INSERT INTO measurement SELECT 'm-9', campaign, sample, metric, 1.0, unit, sd, qualifier, replicate, composition, "
    "conditions, source, cell, supersedes, reason, seq, position FROM measurement WHERE id = 'm-1'": [
        "measurement m-9"
    ],
}
ON_SQLITE = {
    "UPDATE source SET content = x'00'": [f"source {SOURCE.sha256} (event 3)"],
    "UPDATE measurement SET metric = x'ff' WHERE id = 'm-1'": ["measurement m-1 (event 3)"],
    "UPDATE measurement SET value = 'high' WHERE id = 'm-1'": ["measurement m-1 (event 3)"],
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def tampered(request, make_address):
    """A function that alters a filled database with its guards off, and gives the problems found; undone after."""
    address = make_address(request.param)
    store = Store.open(address, create=True)
    fill(store)
    engine = create_engine(address)

    def tamper(statement):
        with engine.connect() as connection:
            if request.param == "sqlite":
                connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
                triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
                guards = connection.exec_driver_sql(triggers).all()
                for name, _ in guards:
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
            else:
                connection.exec_driver_sql("SET session_replication_role = replica")
            assert connection.exec_driver_sql(statement).rowcount > 0
            found = verify(connection, CAMPAIGN)
            connection.rollback()
        return found

    yield tamper
    assert store.verify(CAMPAIGN) == []
    store.close()
    engine.dispose()


def hold(places, expected):
    """The first problem is the one expected first, and the others are among them as often as expected."""
    assert places[0] == expected[0]
    for place in expected:
        assert places.count(place) >= expected.count(place), places


@pytest.mark.parametrize("statement", TAMPERING)
def test_every_tampering_is_found_and_named(tampered, statement):
    hold([problem.where for problem in tampered(statement)], TAMPERING[statement])


@pytest.mark.parametrize("tampered", ["sqlite"], indirect=True)
@pytest.mark.parametrize("statement", ON_SQLITE)
def test_values_of_another_type_are_found(tampered, statement):
    """SQLite keeps a value of any type in any column."""
    hold([problem.where for problem in tampered(statement)], ON_SQLITE[statement])


def test_one_alteration_is_one_problem(tampered):
    (problem,) = tampered("UPDATE measurement SET value = 200 WHERE id = 'm-1'")
    assert "altered" in problem.what
    assert "backup" in problem.fix
