"""Whether a database is one that this version of siteloop can use, and making it so."""

from __future__ import annotations

from sqlalchemy import Connection, inspect

from db import migrations
from db.errors import InvalidInput, Problem
from db.triggers import missing_triggers

_UPGRADE = "run `siteloop db-upgrade`"


def is_empty(connection: Connection) -> bool:
    """Whether the database holds no tables at all."""
    return not inspect(connection).get_table_names()


def check(connection: Connection, url: str) -> None:
    """Raise InvalidInput unless the schema is at this version's revision and its ledger is protected."""
    check_revision(connection, url)
    check_triggers(connection, url)


def check_revision(connection: Connection, url: str) -> None:
    """Raise InvalidInput unless the schema is at this version's revision."""
    found = _revision(connection, url)
    if found != migrations.HEAD:
        raise InvalidInput(_mismatch(found, url))


def check_triggers(connection: Connection, url: str) -> None:
    """Raise InvalidInput unless every append-only trigger is there."""
    if missing := missing_triggers(connection):
        what = f"the append-only triggers {', '.join(missing)} are missing, so the ledger is not protected"
        raise InvalidInput(Problem(url, what, f"{_UPGRADE}, which makes them again, then `siteloop log --verify`"))


def upgradable(connection: Connection, url: str) -> str:
    """The revision of a database that can be migrated to this version's; InvalidInput if it is not a known one.

    Nobody else writes to its ledger before the transaction ends, so that a backup made in it holds everything.
    """
    found = _revision(connection, url)
    if found not in migrations.revisions():
        raise InvalidInput(_mismatch(found, url))
    if connection.dialect.name == "postgresql":  # an SQLite transaction that writes is alone anyway
        connection.exec_driver_sql("LOCK TABLE campaign, event IN EXCLUSIVE MODE")
    return found


def _revision(connection: Connection, url: str) -> str:
    if is_empty(connection):
        fix = "start a campaign here, which makes the tables, or set $SITELOOP_DB to the database you mean"
        raise InvalidInput(Problem(url, "this database is empty", fix))
    if not {"alembic_version", "campaign", "event"} <= set(inspect(connection).get_table_names()):
        what = "this database belongs to another program: it holds other tables and no campaigns"
        raise InvalidInput(Problem(url, what, "name a siteloop database, or an empty one for a new campaign"))
    return connection.exec_driver_sql("SELECT max(version_num) FROM alembic_version").scalar_one() or "unknown"


def _mismatch(found: str, url: str) -> Problem:
    if found in migrations.revisions():
        return Problem(url, f"its schema is at revision {found}, and this siteloop needs {migrations.HEAD}", _UPGRADE)
    what = f"its schema is at revision {found}, which this siteloop does not know: a newer one made it"
    return Problem(url, what, "install a newer siteloop")
