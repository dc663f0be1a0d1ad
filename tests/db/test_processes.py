"""What other processes do: die in the middle of a write, or write at the same time."""

import signal
import subprocess
import sys

import pytest
from db_examples import CAMPAIGN, COMPOSITION, MEASUREMENT, SAMPLE, SOURCE, fill

from db.store import Store

KILLED = """
import os, signal, sys
from dataclasses import replace
from sqlalchemy import Engine, event
from db_examples import *
from db.store import Store

address, point = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def before(connection, cursor, statement, *_):
    if statement.startswith(point):
        die()

store = Store.open(address)
if point == "COMMIT":
    event.listen(Engine, "commit", die)
else:
    event.listen(Engine, "before_cursor_execute", before)
store.append(CAMPAIGN, "ingest", {}, rows=[replace(COMPOSITION, id="m-9")], by="ada")
"""

APPENDING = """
import sys
from db_examples import CAMPAIGN
from db.store import Store

address, name = sys.argv[1:]
with Store.open(address) as store:
    for i in range(25):
        store.append(CAMPAIGN, "note", {"i": i}, by=name)
"""


def start(script, *arguments):
    """A process that runs a script beside these tests."""
    prologue = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
    return subprocess.Popen([sys.executable, "-c", prologue + script, *arguments])


@pytest.mark.parametrize("point", ["INSERT INTO event", "INSERT INTO measurement", "COMMIT"])
def test_a_process_killed_in_the_middle_of_a_write_leaves_nothing_of_it(address, point):
    with Store.open(address, create=True) as store:
        fill(store)
    assert start(KILLED, address, point).wait() == -signal.SIGKILL
    with Store.open(address) as store:
        assert store.head(CAMPAIGN).seq == 3
        assert store.measurements(CAMPAIGN) == [MEASUREMENT, COMPOSITION]
        assert store.verify(CAMPAIGN) == []
        assert store.append(CAMPAIGN, "ingest", {}, by="ada").seq == 4


def test_two_processes_that_write_at_once_lose_nothing(address):
    with Store.open(address, create=True) as store:
        fill(store)
        processes = [start(APPENDING, address, name) for name in ("ada", "ben")]
        assert [process.wait() for process in processes] == [0, 0]
        events = store.events(CAMPAIGN, after=3)
        assert [event.seq for event in events] == list(range(4, 54))
        for name in ("ada", "ben"):
            assert [event.payload["i"] for event in events if event.by == name] == list(range(25))
        assert store.verify(CAMPAIGN) == []
        assert store.samples(CAMPAIGN) == [SAMPLE]
        assert store.source(SOURCE.sha256) == SOURCE


def test_the_words_of_the_store_do_not_import_the_database():
    script = """
import db.errors, db.records
heavy = {"sqlalchemy", "alembic", "torch", "pandas", "pymatgen"}
assert not heavy & set(sys.modules)
import db.store
assert not (heavy - {"sqlalchemy"}) & set(sys.modules)
"""
    assert start(script).wait() == 0
