"""The triggers that make the ledger append-only, also for those who come with another tool.

They are made by `create_triggers` alone, which the migrations run at their end, and which reads the keys from the
database itself, so that it is right after every revision.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Inspector, inspect, text

LEDGER = ("event", "source", "spec_revision", "batch", "recommendation", "sample", "measurement")
"""Tables whose rows are facts: never updated, deleted or overwritten. Parents come before their children."""

REFUSAL = "the ledger is append-only"
"""How every refusal begins, on both databases."""

_ACTIONS = {"sqlite": ("update", "delete", "overwrite"), "postgresql": ("update", "delete", "overwrite", "truncate")}


def create_triggers(connection: Connection) -> None:
    """Make the append-only triggers of every ledger table there is, replacing those that exist.

    Args:
        connection: to SQLite or PostgreSQL, inside a transaction of the caller.
    """
    make = {"sqlite": _sqlite, "postgresql": _postgresql}[connection.dialect.name]
    inspector = inspect(connection)
    for table in _present(inspector):
        for statement in make(table, _exists(inspector, table)):
            connection.exec_driver_sql(statement)


def missing_triggers(connection: Connection) -> list[str]:
    """Names of the triggers that should be there and are not, are switched off or, on SQLite, say something else."""
    dialect, inspector = connection.dialect.name, inspect(connection)
    found = {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT t.tgname AS name, '' AS sql FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE pg_table_is_visible(c.oid) AND t.tgenabled IN ('O', 'A')",
    }[dialect]
    present = {row.name: row.sql for row in connection.execute(text(found))}
    missing = []
    for table in _present(inspector):
        missing += [name for name in _names(dialect, table) if name not in present]
        if dialect == "sqlite":
            made = [s for s in _sqlite(table, _exists(inspector, table)) if s.startswith("CREATE TRIGGER")]
            kept = [(s.split()[2], s) for s in made]
            missing += [name for name, s in kept if name in present and present[name] != s]
    return missing


def _exists(inspector: Inspector, table: str) -> str:
    """SQL that is true if a row with a key of the new row exists."""
    keys = [
        inspector.get_pk_constraint(table)["constrained_columns"],
        *(unique["column_names"] for unique in inspector.get_unique_constraints(table)),
    ]
    taken = " OR ".join("(" + " AND ".join(f'"{c}" = NEW."{c}"' for c in key) + ")" for key in keys)
    return f"EXISTS (SELECT 1 FROM {table} WHERE {taken})"


def _present(inspector: Inspector) -> list[str]:
    tables = set(inspector.get_table_names())
    return [table for table in LEDGER if table in tables]


def _names(dialect: str, table: str) -> list[str]:
    return [f"{table}_no_{action}" for action in _ACTIONS[dialect]]


def _sqlite(table: str, exists: str) -> Iterator[str]:
    events = {"update": ("UPDATE", ""), "delete": ("DELETE", ""), "overwrite": ("INSERT", f"WHEN {exists}")}
    for action, (event, when) in events.items():
        verb = "INSERT over an existing row" if action == "overwrite" else event
        yield f"DROP TRIGGER IF EXISTS {table}_no_{action}"
        yield (
            f"CREATE TRIGGER {table}_no_{action} BEFORE {event} ON {table} {when} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}: {verb} of {table} is refused'); END"
        )


def _postgresql(table: str, exists: str) -> Iterator[str]:
    refuse = "RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = "
    yield (
        "CREATE OR REPLACE FUNCTION siteloop_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"{refuse} '{REFUSAL}: ' || TG_OP || ' of ' || TG_TABLE_NAME || ' is refused'; END $$"
    )
    yield (
        f"CREATE OR REPLACE FUNCTION siteloop_{table}_no_overwrite() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF {exists} THEN {refuse} '{REFUSAL}: INSERT over an existing row of {table} is refused'; END IF; "
        "RETURN NEW; END $$"
    )
    for action, event, function in (
        ("update", "UPDATE ON {} FOR EACH ROW", "siteloop_append_only"),
        ("delete", "DELETE ON {} FOR EACH ROW", "siteloop_append_only"),
        ("truncate", "TRUNCATE ON {} FOR EACH STATEMENT", "siteloop_append_only"),
        ("overwrite", "INSERT ON {} FOR EACH ROW", f"siteloop_{table}_no_overwrite"),
    ):
        yield (
            f"CREATE OR REPLACE TRIGGER {table}_no_{action} BEFORE {event.format(table)} EXECUTE FUNCTION {function}()"
        )
