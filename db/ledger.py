"""How an event and the rows recorded with it enter the ledger, inside a write transaction of the store."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, UniqueConstraint, insert, select

from db import chain, tables
from db.errors import Conflict, Overtaken, Problem
from db.inserts import existing, insert_absent
from db.records import Candidate, Event, Source
from db.rows import TABLES, Record, decode, encode

Rows = Mapping[Table, list[dict[str, Any]]]
"""Encoded rows by table, in an order in which they can be inserted."""


def prepare(campaign: str, records: Sequence[Record]) -> Rows:
    """Encode what an event will record, before any lock is taken.

    Raises:
        InvalidInput: a record holds what cannot be stored (`db.rows.encode`).
        ValueError: a record of another campaign, or a source whose hash is not that of its content.
    """
    rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in TABLES.values()}
    for position, record in enumerate(records):
        row = encode(record)
        if isinstance(record, Source):
            if hashlib.sha256(record.content).hexdigest() != record.sha256:
                raise ValueError(f"the source {record.name!r} does not have the hash {record.sha256}")
        elif not isinstance(record, Candidate):
            if record.campaign != campaign:
                raise ValueError(f"{record.id} belongs to campaign {record.campaign!r}, not to {campaign!r}")
            row["position"] = position
        rows[TABLES[type(record)]].append(row)
    return {table: encoded for table, encoded in rows.items() if encoded}


def write(
    connection: Connection, campaign: str, kind: str, payload: Mapping[str, Any], rows: Rows, *, by: str, at: str
) -> Event:
    """Insert the next event of a campaign and its rows; the caller holds the campaign's lock.

    Raises:
        Conflict: a row with such an id, label or number is in the ledger already.
        InvalidInput: `kind`, `payload` or `by` cannot be stored.
        ValueError: the payload has a key `rows`, which is the ledger's own.
    """
    if "rows" in payload:
        raise ValueError("the payload has a key 'rows', which the ledger sets itself")
    last = connection.execute(
        select(tables.event.c.seq, tables.event.c.hash)
        .where(tables.event.c.campaign == campaign)
        .order_by(tables.event.c.seq.desc())
        .limit(1)
    ).first()
    seq, prev_hash = (last.seq + 1, last.hash) if last else (1, chain.genesis(campaign))
    recorded = {table: [{**row, "seq": seq} for row in given] for table, given in rows.items() if "seq" in table.c}
    _refuse_clashes(connection, recorded)
    insert_absent(connection, tables.source, rows.get(tables.source, []))
    insert_absent(connection, tables.candidate, rows.get(tables.candidate, []))
    hashes = {t.name: {row["id"]: _hash(t, row) for row in given} for t, given in recorded.items()}
    if sources := _as_stored(connection, rows.get(tables.source, [])):
        hashes["source"] = {row["sha256"]: _hash(tables.source, row) for row in sources}
    body = {**payload, "rows": hashes}
    event = encode(Event(campaign, seq, kind, body, by, at, prev_hash, hash="", hash_version=chain.HASH_VERSION))
    event["hash"] = chain.event_hash(event)
    connection.execute(insert(tables.event), event)
    for table, given in recorded.items():
        connection.execute(insert(table), given)
    return decode(Event, event)


def refuse_newer(connection: Connection, campaign: str, after: int, unless: Collection[str]) -> None:
    """Raise Overtaken if an event of a kind in `unless` is numbered above `after`; it names the first."""
    c = tables.event.c
    query = select(tables.event).where(c.campaign == campaign, c.seq > after, c.kind.in_(unless)).order_by(c.seq)
    newer = connection.execute(query.limit(1)).first()
    if newer:
        what = f"{newer.by} recorded {newer.kind!r} at {newer.at}, after this command began"
        raise Overtaken(Problem(f"campaign {campaign}, event {newer.seq}", what, "look at it, then repeat the command"))


def _hash(table: Table, row: Mapping[str, Any]) -> str:
    return chain.row_hash(table.name, row, chain.HASH_VERSION)


def _as_stored(connection: Connection, sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A source that was there before keeps the name it had."""
    c = tables.source.c
    query = select(c.sha256, c.name).where(c.sha256.in_([row["sha256"] for row in sources]))
    names = {row.sha256: row.name for row in connection.execute(query)}
    return [{**row, "name": names[row["sha256"]]} for row in sources]


def _refuse_clashes(connection: Connection, rows: Rows) -> None:
    problems = []
    for table, encoded in rows.items():
        for columns in _keys(table):
            given = Counter(tuple(row[column.name] for column in columns) for row in encoded)
            taken = [*existing(connection, columns, list(given)), *(key for key, n in given.items() if n > 1)]
            names = ", ".join(column.name for column in columns)
            for key in sorted(set(taken), key=str):
                where = f"{table.name} {', '.join(str(part) for part in key)}"
                what = f"the ledger has one row for each {names}, and this one is taken"
                problems.append(Problem(where, what, "repeat the command, or choose another label"))
    if problems:
        raise Conflict(problems)


def _keys(table: Table) -> Iterator[list[Column[Any]]]:
    yield list(table.primary_key.columns)
    yield from (list(c.columns) for c in table.constraints if isinstance(c, UniqueConstraint))
