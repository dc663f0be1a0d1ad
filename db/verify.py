"""Does a campaign's ledger still say what was recorded? Every hash is computed again from the rows as stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, select

from db import chain, tables
from db.errors import Problem
from db.triggers import LEDGER

_FIX = "restore the database from a backup, and compare its head hash with one printed in an earlier report"

_CHUNK = 1000
"""Rows that are in memory at a time."""

Listed = dict[tuple[str, str], tuple[int, str, int]]
"""(table, id) -> event that lists the row, hash it gives, hash version."""


def verify(connection: Connection, campaign: str) -> list[Problem]:
    """Everything that does not fit in one campaign: events altered, missing or in the wrong place; rows altered,
    missing, or in no event. Empty when all is well.

    Events cut off at the end together with their rows leave no trace inside the database: compare the head hash with
    one written down elsewhere for that.
    """
    query = select(tables.event).where(tables.event.c.campaign == campaign).order_by(tables.event.c.seq)
    events = [dict(row) for row in connection.execute(query).mappings()]
    problems = list(_chain(campaign, events))
    listed, unreadable = _listed(events)
    problems += unreadable
    for name in LEDGER[1:]:
        expected = {key: value for (table, key), value in listed.items() if table == name}
        problems += _rows(connection, tables.metadata.tables[name], campaign, expected)
    created_at = connection.execute(
        select(tables.campaign.c.created_at).where(tables.campaign.c.name == campaign)
    ).scalar_one_or_none()
    if events and created_at != events[0]["at"]:
        problems.append(Problem(f"campaign {campaign}", "its date is not that of its first event", _FIX))
    return problems


def _chain(campaign: str, events: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    if not events:
        yield Problem(f"campaign {campaign}", "it has no events", _FIX)
    seq, head = 0, chain.genesis(campaign)
    for event in events:
        where = f"event {event['seq']}"
        if event["seq"] != seq + 1:
            yield Problem(where, f"events {seq + 1} to {event['seq'] - 1} before it are missing", _FIX)
        if event["prev_hash"] != head:
            yield Problem(where, "it does not continue from the event before it", _FIX)
        if event["hash_version"] not in chain.FIELDS:
            yield Problem(where, f"its hash version {event['hash_version']} is unknown", "install a newer siteloop")
        elif _hash("event", event, event["hash_version"]) != event["hash"]:
            yield Problem(where, "it was altered: its hash is not that of its content", _FIX)
        seq, head = event["seq"], event["hash"]


def _listed(events: Sequence[Mapping[str, Any]]) -> tuple[Listed, list[Problem]]:
    listed: Listed = {}
    problems = []
    for event in events:
        try:
            for table, hashes in json.loads(event["payload"])["rows"].items():
                listed |= {(table, key): (event["seq"], h, event["hash_version"]) for key, h in hashes.items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            problems.append(Problem(f"event {event['seq']}", "its list of rows cannot be read", _FIX))
    return listed, problems


def _rows(
    connection: Connection, table: Table, campaign: str, expected: Mapping[str, tuple[int, str, int]]
) -> Iterator[Problem]:
    """Sources belong to every campaign that has read them, so one in no event of this campaign is no problem."""
    seen = set()
    for row in _stored(connection, table, campaign, expected):
        key = row["sha256"] if table is tables.source else row["id"]
        seen.add(key)
        where = f"{table.name} {key}"
        if key not in expected:
            yield Problem(where, "no event of the campaign has recorded it", _FIX)
            continue
        seq, recorded, version = expected[key]
        altered = (version in chain.FIELDS and _hash(table.name, row, version) != recorded) or row.get(
            "seq", seq
        ) != seq
        if altered or (table is tables.source and hashlib.sha256(row["content"]).hexdigest() != key):
            yield Problem(f"{where} (event {seq})", "it was altered: its hash is not the one in its event", _FIX)
    for key in sorted(expected.keys() - seen):
        yield Problem(f"{table.name} {key} (event {expected[key][0]})", "it is missing", _FIX)


def _stored(
    connection: Connection, table: Table, campaign: str, expected: Mapping[str, Any]
) -> Iterator[Mapping[Any, Any]]:
    if table is not tables.source:
        rows = select(table).where(table.c.campaign == campaign).execution_options(yield_per=_CHUNK)
        yield from connection.execute(rows).mappings()
        return
    for key in expected:  # one file at a time: all of them together may not fit in memory
        yield from connection.execute(select(table).where(table.c.sha256 == key)).mappings()


def _hash(table: str, row: Mapping[Any, Any], version: int) -> str | None:
    try:
        return chain.row_hash(table, row, version)
    except (TypeError, ValueError):  # a value of a kind that was never written
        return None
