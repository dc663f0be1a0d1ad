"""From a database address to a connection that keeps the store's promises, and from its errors to ours."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from db.errors import Conflict, InvalidInput, Problem
from db.filesystems import is_network, kind_of

VARIABLE = "SITELOOP_DB"
"""Environment variable that holds the address of the database."""

DEFAULT_URL = "sqlite:///siteloop.db"

ARTIFACTS = "SITELOOP_ARTIFACTS"
"""Environment variable that names the folder of what can be computed again."""

WAIT_SECONDS = 30
"""How long a write waits for another one before it gives up."""

_TURN_MS = 20
"""SQLite asks for a lock ever more rarely the longer it waits, up to ten times a second, so that of many writers an old
one starves beside new ones; who begins to wait anew every so often has the chance of all the others."""

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_EXPECTED = "sqlite:///folder/siteloop.db or postgresql://user@host/database"
_BUSY = {"55P03", "40P01", "40001"}  # PostgreSQL: lock not available, deadlock, serialisation failure


def parse(address: str | None) -> URL:
    """The address to open: the one given, else `$SITELOOP_DB`, else `siteloop.db` in the current folder.

    Raises:
        InvalidInput: not the address of an SQLite file or a PostgreSQL database.
    """
    variable = os.environ.get(VARIABLE)
    where = f"${VARIABLE}" if address is None and variable else "database address"
    try:
        url = make_url(address or variable or DEFAULT_URL)
    except (ArgumentError, ValueError):  # the text itself is not shown: it may hold a password
        raise InvalidInput(Problem(where, "this is not a database address", f"write {_EXPECTED}")) from None
    if url.drivername not in _DRIVERS:
        what = f"databases of the kind {url.drivername!r} are not supported"
        raise InvalidInput(Problem(where, what, f"write {_EXPECTED}"))
    url = url.set(drivername=_DRIVERS[url.drivername])
    if url.drivername != "sqlite":
        return url
    if not url.database or url.database == ":memory:" or url.query or url.host:
        what = f"{shown(url)!r} does not name a plain file, in which a campaign can be kept"
        raise InvalidInput(Problem(where, what, "write sqlite:///folder/siteloop.db, with four slashes for /folder"))
    return url.set(database=str(Path(url.database).absolute()))


def artifacts(url: URL) -> Path:
    """Folder of what can be computed again: `$SITELOOP_ARTIFACTS`, else `lab.db.artifacts` beside `lab.db`.

    Of a PostgreSQL database it lies in the current folder, under the name of the database.
    """
    given = os.environ.get(ARTIFACTS)
    return Path(given or f"{url.database}.artifacts").absolute()


def beside(url: URL, suffix: str) -> Path:
    """A file beside an SQLite database, `lab.db` + suffix; of a PostgreSQL database it lies in the current folder."""
    return Path(f"{url.database}{suffix}").absolute()


def shown(url: URL) -> str:
    """The address without its password, for people to read."""
    query = {k: "***" if "pass" in k.lower() else v for k, v in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True)


def check_file(url: URL, *, create: bool) -> None:
    """Refuse an SQLite address whose file or folder is not there, before SQLite makes an empty file of it.

    Raises:
        InvalidInput: the folder is missing, or the file is and `create` is false, or it is not a file; or it would be
            made on a network file system.
    """
    if url.drivername != "sqlite":
        return
    path = Path(str(url.database))
    if path.exists():
        if not path.is_file():
            raise InvalidInput(Problem(shown(url), f"{path} is not a file", "name the file of a database"))
    elif not path.parent.is_dir():
        what = f"the folder {path.parent} does not exist"
        raise InvalidInput(Problem(shown(url), what, "make the folder, or correct the address"))
    elif not create:
        fix = f"start a campaign here, which makes the file, or set ${VARIABLE} to the database you mean"
        raise InvalidInput(Problem(shown(url), "there is no such database file", fix))
    elif is_network(path.parent):
        what = f"{path.parent} is on a network file system ({kind_of(path.parent)}), on which SQLite loses data"
        fix = f"name a folder on a disk of this machine, or set ${VARIABLE} to a PostgreSQL database"
        raise InvalidInput(Problem(shown(url), what, fix))


def engine(url: URL) -> Engine:
    """An engine for a parsed address; nothing is connected yet.

    Raises:
        InvalidInput: the PostgreSQL driver is not installed.
    """
    if url.drivername == "sqlite":
        made = create_engine(url, connect_args={"timeout": WAIT_SECONDS})
        event.listen(made, "connect", _prepare_sqlite)
        event.listen(made, "begin", _begin_sqlite)
        return made
    try:
        return create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True)
    except ImportError as error:
        fix = "install it with: pip install 'siteloop[postgres]'"
        raise InvalidInput(Problem(shown(url), f"the PostgreSQL driver is missing ({error})", fix)) from None


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin in `_begin_sqlite`, DDL included
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
        connection.execute(f"PRAGMA {pragma}")
    deadline = time.monotonic() + WAIT_SECONDS
    while True:  # SQLite does not wait by itself when several connections switch a new file to WAL at once
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get("siteloop_write", False):
        connection.exec_driver_sql("BEGIN")
        return
    raw: Any = connection.connection.dbapi_connection
    deadline = time.monotonic() + WAIT_SECONDS
    raw.execute(f"PRAGMA busy_timeout={_TURN_MS}")
    try:
        while time.monotonic() < deadline:
            try:
                raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    break
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the last try, whose error is told
    finally:
        raw.execute(f"PRAGMA busy_timeout={1000 * WAIT_SECONDS:.0f}")


def for_reading(made: Engine) -> Engine:
    """The same engine with transactions that see one moment of the database from their first read on."""
    return made if made.dialect.name == "sqlite" else made.execution_options(isolation_level="REPEATABLE READ")


@contextmanager
def writing(made: Engine) -> Iterator[Connection]:
    """One write transaction: committed at the end, rolled back if anything is raised."""
    with translated(made.url), made.execution_options(siteloop_write=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
        yield connection


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn what the database says into an error with where, what and fix, its password left out.

    Raises:
        Conflict: another process holds the database, or a row exists already.
        InvalidInput: a row refers to one that is not there, or the database cannot be used.
    """
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        if url.password and len(url.password) > 3:  # a shorter one would be found in any word
            said = said.replace(str(url.password), "***")
        raise _meaning(shown(url), said, getattr(error.orig, "sqlstate", None) or "") from error


def _meaning(where: str, said: str, state: str) -> InvalidInput | Conflict:
    if state in _BUSY or "database is locked" in said:
        return Conflict(Problem(where, f"another process is writing ({said})", "wait for it, then repeat the command"))
    if state == "23503" or "FOREIGN KEY" in said:
        return InvalidInput(Problem(where, f"a row refers to one that is not there ({said})", "record that one first"))
    if state.startswith("23") or "UNIQUE constraint" in said:
        return Conflict(Problem(where, f"a row is there already ({said})", "look at `siteloop log`, then repeat"))
    if "not a database" in said or "malformed" in said:
        return InvalidInput(
            Problem(where, f"it cannot be read ({said})", "name a siteloop database, or restore a backup")
        )
    fix = "check that the address is right, that the database can be reached, and that you may write there"
    return InvalidInput(Problem(where, f"the database cannot be used ({said})", fix))
