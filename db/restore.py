"""From a backup to a database of either kind: all of it, verified, or nothing."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from sqlalchemy import URL, Connection, LargeBinary, Table, insert

from db import engines, migrations, schema, tables
from db.backup import FORMAT, MANIFEST, Manifest, dumped, heads
from db.errors import Conflict, InvalidInput, Problem
from db.verify import verify

MAX_MANIFEST = 64 << 20
MAX_LINE = 256 << 20
"""Bytes of one row; the largest hold a file that was handed in."""
_CHUNK = 1000
_UNUSABLE = "take another backup; `siteloop backup` writes one"


def read_manifest(backup: Path) -> Manifest:
    """What a backup holds.

    Raises:
        InvalidInput: it cannot be read, is no backup, or one of a newer siteloop.
    """
    with _opened(backup) as archive:
        return _manifest(archive, backup)


def restore(backup: Path, url: str) -> Manifest:
    """Make a database of a backup, verify every hash chain and row in it, and bring it to this version's schema.

    The database appears in one transaction, when it is verified; a process that is killed leaves none. Artefacts follow
    after it.

    Args:
        backup: the file.
        url: SQLAlchemy URL of an SQLite file that does not exist, or of an empty PostgreSQL database.

    Raises:
        Conflict: there is a database already.
        InvalidInput: the backup cannot be read, is incomplete or altered, or the address cannot be used.
    """
    parsed = engines.parse(url)
    with _opened(backup) as archive:
        manifest = _manifest(archive, backup)
        engines.check_file(parsed, create=True)
        made = parsed.drivername == "sqlite" and not Path(str(parsed.database)).exists()
        engine = engines.engine(parsed)
        done = False
        try:
            with engines.writing(engine) as connection:
                _fill(connection, archive, manifest, backup, engines.shown(parsed))
            done = True
        finally:
            engine.dispose()
            if made and not done:
                _remove(parsed)
        _unpack(archive, manifest, backup, engines.artifacts(parsed))
    return manifest


def _opened(backup: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(backup)
    except (OSError, zipfile.BadZipFile) as error:
        what = error.strerror if isinstance(error, OSError) else f"it is no backup, or cut off ({error})"
        raise InvalidInput(Problem(str(backup), f"cannot be read: {what}", _UNUSABLE)) from None


def _manifest(archive: zipfile.ZipFile, backup: Path) -> Manifest:
    try:
        with archive.open(MANIFEST) as file:
            found = json.loads(file.read(MAX_MANIFEST))
        version = found["format"]
        manifest = Manifest(**found) if version == FORMAT else None
    except (KeyError, TypeError, ValueError, RecursionError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(Problem(str(backup), f"it is no backup of siteloop ({error})", _UNUSABLE)) from None
    if manifest is None or manifest.schema not in migrations.revisions():
        newer = f"format {version}, schema {found.get('schema')}"
        what = f"this siteloop does not know its {newer}: a newer one made it"
        raise InvalidInput(Problem(str(backup), what, "install a newer siteloop"))
    return manifest


def _fill(connection: Connection, archive: zipfile.ZipFile, manifest: Manifest, backup: Path, shown: str) -> None:
    if not schema.is_empty(connection):
        fix = "name a file that does not exist, or an empty database: nothing is ever overwritten"
        raise Conflict(Problem(shown, "there is a database already", fix))
    migrations.upgrade(connection, manifest.schema)
    made = dumped(connection)
    columns = {table.name: [column.name for column in table.columns] for table in made}
    if columns != {name: found.get("columns") for name, found in manifest.tables.items()}:
        what = f"its tables are not those of schema {manifest.schema}"
        raise InvalidInput(Problem(str(backup), what, _UNUSABLE))
    for table in made:
        rows: list[dict[str, Any]] = []
        for row in _rows(archive, table, manifest.tables[table.name], backup):
            rows.append(row)
            if len(rows) == _CHUNK:
                connection.execute(insert(table), rows)
                rows.clear()
        if rows:
            connection.execute(insert(table), rows)
    migrations.upgrade(connection)
    if heads(connection, tables.event) != manifest.campaigns:
        what = "the newest events are not those that the manifest names"
        raise InvalidInput(Problem(str(backup), what, _UNUSABLE))
    problems = [problem for campaign in manifest.campaigns for problem in verify(connection, campaign)]
    if problems:
        raise InvalidInput([Problem(f"{backup}: {p.where}", p.what, _UNUSABLE) for p in problems])


def _rows(archive: zipfile.ZipFile, table: Table, expected: dict[str, Any], backup: Path) -> Iterator[dict[str, Any]]:
    """The rows of a table; that they are complete and unaltered is known, or raised, after the last of them."""
    names = [column.name for column in table.columns]
    binary = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
    digest, n = hashlib.sha256(), 0
    where = f"{backup}: {table.name}"
    try:
        with archive.open(f"tables/{table.name}.jsonl") as lines:
            while line := lines.readline(MAX_LINE):
                digest.update(line)
                n += 1
                row = dict(zip(names, json.loads(line), strict=True))
                for name in binary:
                    row[name] = base64.b64decode(row[name], validate=True)
                yield row
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, binascii.Error) as error:
        raise InvalidInput(Problem(where, f"row {n} cannot be read ({error})", _UNUSABLE)) from None
    if (n, digest.hexdigest()) != (expected.get("rows"), expected.get("sha256")):
        what = f"its {n} rows are not the {expected.get('rows')} that were backed up"
        raise InvalidInput(Problem(where, what, _UNUSABLE))


def _unpack(archive: zipfile.ZipFile, manifest: Manifest, backup: Path, folder: Path) -> None:
    """Write the artefacts; those that are there stay as they are."""
    for name, expected in manifest.artifacts.items():
        where = f"{backup}: {name}"
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in PureWindowsPath(name).parts:
            raise InvalidInput(Problem(where, "an artefact would lie outside its folder", _UNUSABLE))
        try:
            content = archive.read(f"artifacts/{name}")
        except (KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise InvalidInput(Problem(where, f"the artefact cannot be read ({error})", _UNUSABLE)) from None
        if hashlib.sha256(content).hexdigest() != expected.get("sha256"):
            raise InvalidInput(Problem(where, "the artefact was altered", _UNUSABLE))
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _remove(url: URL) -> None:
    """Remove the file that was made for a restore that did not succeed."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{url.database}{suffix}").unlink(missing_ok=True)
