"""Inserts that settle what to do with a row that is there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

_CHUNK = 500  # keys per look-up, well below the number of variables either database takes

Rows = Sequence[Mapping[str, Any]]


def insert_absent(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows named by their content; those that are there stay as they are."""
    columns = list(table.primary_key.columns)
    known = set(existing(connection, columns, [_key(table, row) for row in rows]))
    absent = [row for row in _in_order(table, rows) if _key(table, row) not in known]
    if absent:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), absent)


def upsert(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows, each in place of the one with the same primary key if there is one."""
    if not rows:
        return
    statement = _insert(connection, table)
    keys = table.primary_key.columns
    new = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=new), _in_order(table, rows))


def existing(
    connection: Connection, columns: Sequence[Column[Any]], keys: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[Any, ...]]:
    """Those of the keys (values of `columns`) that a row of the table has."""
    for start in range(0, len(keys), _CHUNK):
        query = select(*columns).where(tuple_(*columns).in_(keys[start : start + _CHUNK]))
        yield from (tuple(row) for row in connection.execute(query))


def _key(table: Table, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.primary_key.columns)


def _in_order(table: Table, rows: Rows) -> Rows:
    """One row per key, the last one given, in one order for all writers: two in different orders could deadlock."""
    by_key = {_key(table, row): row for row in rows}
    return [by_key[key] for key in sorted(by_key)]


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
