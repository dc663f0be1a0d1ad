"""Migrations of the schema, run by the store and never by hand.

Ledger tables are never rebuilt (alembic's batch mode would copy them and lose the triggers): a migration only adds
nullable columns to them, and these are hashed under a new hash version (`db.chain.FIELDS`). Every migration pins its
own table definitions and imports nothing from `db.tables`, which shows the newest state only.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

HEAD = "0002"
"""Revision of the schema that this version of siteloop reads and writes."""

_LOCK = 0x517E1009  # any fixed number: PostgreSQL's advisory lock for migrations of this application


def upgrade(connection: Connection, revision: str | None = None) -> None:
    """Bring a database to a revision and make its append-only triggers, in the caller's transaction.

    Args:
        connection: inside a write transaction; an empty database or one at an earlier revision.
        revision: where to stop; None for that of this version.
    """
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "db:migrations")
    command.upgrade(config, revision or HEAD)


def revisions() -> list[str]:
    """Every revision this version of siteloop knows, oldest first."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "db:migrations")
    return [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]
