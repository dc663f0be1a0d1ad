"""A backup: a whole database in one file, as it was at one moment while others went on writing.

It is a zip archive: `manifest.json`; `tables/<name>.jsonl` with one JSON array a row, its values as they are stored
(bytes in base64) in the order of the manifest's `columns`; and, by choice, the `artifacts/`. Nothing in it depends on
the kind of database it came from, and it restores into either. Leases are no part of it.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, LargeBinary, MetaData, Table, func, select

from db.errors import Conflict, InvalidInput, Problem
from db.placing import part_of, place

FORMAT = 1
"""Version of the layout of a backup."""

MANIFEST = "manifest.json"
LEFT_OUT = ("alembic_version", "lease")
"""Tables that are made by the migrations, or say what happens now."""

_CHUNK = 1000
"""Rows that are in memory at a time."""


@dataclass(frozen=True)
class Manifest:
    """What is in a backup, and what must come out of it."""

    schema: str
    """Revision of the schema."""
    made_at: str
    """UTC, ISO 8601."""
    siteloop: str
    """Version that made it."""
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name -> `columns`, number of `rows`, and `sha256` of its lines."""
    campaigns: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name -> `seq` and `hash` of its newest event."""
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path below the folder of artefacts -> `bytes` and `sha256`."""
    format: int = FORMAT


def write_backup(
    connection: Connection, target: Path, *, schema: str, made_at: str, artifacts: Path | None = None
) -> Manifest:
    """Write a backup of what a connection sees; the file appears under its name when it is whole.

    Args:
        connection: inside a transaction that sees one moment of the database.
        target: the file to write; it must not exist.
        schema: revision of the database.
        made_at: the present time, for the manifest.
        artifacts: folder whose files are to be in it, too.

    Raises:
        Conflict: there is such a file.
        InvalidInput: it cannot be written.
    """
    taken = Conflict(Problem(str(target), "there is a file of this name already", "choose another name"))
    if target.exists():
        raise taken
    part = part_of(target)
    try:
        with part.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                manifest = _fill(connection, archive, schema, made_at, artifacts)
                archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        place(part, target)
    except FileExistsError:
        raise taken from None
    except OSError as error:
        fix = "name a folder that exists, may be written to and has room"
        raise InvalidInput(Problem(str(target), f"the backup cannot be written ({error.strerror})", fix)) from error
    finally:
        part.unlink(missing_ok=True)
    return manifest


def dumped(connection: Connection) -> list[Table]:
    """The tables that a backup holds, as they are in this database; parents come before their children."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name not in LEFT_OUT]


def _fill(
    connection: Connection, archive: zipfile.ZipFile, schema: str, made_at: str, artifacts: Path | None
) -> Manifest:
    manifest = Manifest(schema, made_at, importlib.metadata.version("siteloop"))
    for table in dumped(connection):
        digest, rows = hashlib.sha256(), 0
        with archive.open(f"tables/{table.name}.jsonl", "w", force_zip64=True) as out:
            for line in _lines(connection, table):
                out.write(line)
                digest.update(line)
                rows += 1
        columns = [column.name for column in table.columns]
        manifest.tables[table.name] = {"columns": columns, "rows": rows, "sha256": digest.hexdigest()}
        if table.name == "event":
            manifest.campaigns.update(heads(connection, table))
    if artifacts is not None:
        manifest.artifacts.update(_pack(archive, artifacts))
    return manifest


def heads(connection: Connection, event: Table) -> dict[str, dict[str, Any]]:
    """The number and hash of the newest event of every campaign, by its name."""
    last = select(event.c.campaign, func.max(event.c.seq).label("seq")).group_by(event.c.campaign).subquery()
    joined = (event.c.campaign == last.c.campaign) & (event.c.seq == last.c.seq)
    query = select(event.c.campaign, event.c.seq, event.c.hash).join(last, joined).order_by(event.c.campaign)
    return {row.campaign: {"seq": row.seq, "hash": row.hash} for row in connection.execute(query)}


def _lines(connection: Connection, table: Table) -> Iterator[bytes]:
    """Rows in an order in which they can be inserted: those of the ledger as they were recorded."""
    recorded = [table.c[name] for name in ("campaign", "seq", "position") if name in table.c]
    order = recorded if "seq" in table.c else list(table.primary_key.columns)
    binary = [i for i, column in enumerate(table.columns) if isinstance(column.type, LargeBinary)]
    for row in connection.execute(select(table).order_by(*order).execution_options(yield_per=_CHUNK)):
        values = list(row)
        for i in binary:
            values[i] = base64.b64encode(values[i]).decode()
        yield json.dumps(values, separators=(",", ":")).encode() + b"\n"


def _pack(archive: zipfile.ZipFile, folder: Path) -> dict[str, dict[str, Any]]:
    """The plain files below a folder; one that goes away meanwhile could be computed again."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        name = path.relative_to(folder).as_posix()
        archive.writestr(f"artifacts/{name}", content)
        found[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return found
