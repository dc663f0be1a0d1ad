"""From a backup to a database of either kind: all of it, verified, or nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from sqlalchemy import URL, Connection, LargeBinary, Table, insert
from sqlalchemy.exc import OperationalError, StatementError

from db import engines, migrations, schema, tables
from db.backup import FORMAT, MANIFEST, Manifest, dumped, heads
from db.errors import Conflict, InvalidInput, Problem
from db.placing import part_of, place
from db.verify import verify

MAX_MANIFEST = 64 << 20
MAX_LINE = 256 << 20
"""Bytes of one row; the largest hold a file that was handed in."""
_CHUNK, _CHUNK_BYTES = 1000, 32 << 20
"""Rows that are in memory at a time, and about how much they may take."""
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_DAMAGED = (KeyError, TypeError, ValueError, EOFError, OSError, RecursionError, zipfile.BadZipFile, zlib.error)
"""What reading an altered archive, or altered JSON in it, may raise."""
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

    The database appears under its name when it is whole and verified; a process that is killed leaves none of that
    name. Artefacts, which are verified before, follow after it.

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
        _check_artifacts(archive, manifest, backup)
        with _in_place(parsed) as made:
            engine = engines.engine(made)
            try:
                with engines.writing(engine) as connection:
                    _fill(connection, archive, manifest, backup, engines.shown(parsed))
            finally:
                engine.dispose()
        _unpack(archive, manifest, backup, engines.artifacts(parsed))
    return manifest


@contextmanager
def _in_place(url: URL) -> Iterator[URL]:
    """Where to make a database: a new file is made beside its place, and takes it only if that is free even then."""
    target = Path(str(url.database))
    if url.drivername != "sqlite" or target.exists():
        yield url
        return
    fix = "name a file that does not exist: nothing is ever overwritten"
    if journal := next((p for s in ("-wal", "-journal") if (p := engines.beside(url, s)).exists()), None):
        raise Conflict(Problem(engines.shown(url), f"{journal} belongs to a database that was there", fix))
    part = part_of(target)
    try:
        yield url.set(database=str(part))
        try:
            place(part, target)
        except FileExistsError:
            raise Conflict(Problem(engines.shown(url), "somebody made a database there meanwhile", fix)) from None
        except OSError as error:
            what = f"the database cannot be put there ({error.strerror})"
            raise InvalidInput(Problem(engines.shown(url), what, "name a folder that may be written to")) from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{part}{suffix}").unlink(missing_ok=True)


def _opened(backup: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(backup)
    except (OSError, zipfile.BadZipFile) as error:
        what = error.strerror if isinstance(error, OSError) else f"it is no backup, or cut off ({error})"
        raise InvalidInput(Problem(str(backup), f"cannot be read: {what}", _UNUSABLE)) from None
    if any(e.compress_type not in _PACKED or e.flag_bits & _ENCRYPTED for e in archive.infolist()):
        archive.close()
        raise InvalidInput(Problem(str(backup), "it is packed as no backup of siteloop is", _UNUSABLE))
    return archive


def _manifest(archive: zipfile.ZipFile, backup: Path) -> Manifest:
    try:
        with archive.open(MANIFEST) as file:
            found = json.loads(file.read(MAX_MANIFEST))
        version = found["format"]
        manifest = Manifest(**found) if version == FORMAT else None
        parts = (manifest.tables, manifest.campaigns, manifest.artifacts) if manifest else ()
        if not all(isinstance(p, dict) and all(isinstance(told, dict) for told in p.values()) for p in parts):
            raise ValueError("what it says of its parts is no mapping")
    except _DAMAGED as error:
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
        held = 0
        for size, row in _rows(archive, table, manifest.tables[table.name], backup):
            rows.append(row)
            held += size
            if len(rows) == _CHUNK or held > _CHUNK_BYTES:
                _insert(connection, table, rows, backup)
                rows, held = [], 0
        if rows:
            _insert(connection, table, rows, backup)
    migrations.upgrade(connection)
    if heads(connection, tables.event) != manifest.campaigns:
        what = "the newest events are not those that the manifest names"
        raise InvalidInput(Problem(str(backup), what, _UNUSABLE))
    problems = [problem for campaign in manifest.campaigns for problem in verify(connection, campaign)]
    if problems:
        raise InvalidInput([Problem(f"{backup}: {p.where}", p.what, _UNUSABLE) for p in problems])


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]], backup: Path) -> None:
    """Insert rows; values that the columns do not take were never in a database."""
    try:
        connection.execute(insert(table), rows)
    except OperationalError:
        raise
    except (StatementError, OverflowError, ValueError) as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        what = f"it holds a row that no database has ({said})"
        raise InvalidInput(Problem(f"{backup}: {table.name}", what, _UNUSABLE)) from None


def _rows(
    archive: zipfile.ZipFile, table: Table, expected: dict[str, Any], backup: Path
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table, each with its bytes; that they are complete and unaltered is known at the end."""
    names = [column.name for column in table.columns]
    binary = [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
    digest, n = hashlib.sha256(), 0
    where = f"{backup}: {table.name}"
    try:
        with archive.open(f"tables/{table.name}.jsonl") as lines:
            while n <= int(expected["rows"]) and (line := lines.readline(MAX_LINE)):
                digest.update(line)
                n += 1
                row = dict(zip(names, json.loads(line), strict=True))
                for name in binary:
                    row[name] = base64.b64decode(row[name], validate=True)
                yield len(line), row
    except _DAMAGED as error:
        raise InvalidInput(Problem(where, f"row {n} cannot be read ({error})", _UNUSABLE)) from None
    if (n, digest.hexdigest()) != (expected.get("rows"), expected.get("sha256")):
        what = f"its {n} rows are not the {expected.get('rows')} that were backed up"
        raise InvalidInput(Problem(where, what, _UNUSABLE))


def _check_artifacts(archive: zipfile.ZipFile, manifest: Manifest, backup: Path) -> None:
    """Read every artefact once, never more of it than it is said to have.

    Raises:
        InvalidInput: one of them is missing or altered, or would lie outside its folder.
    """
    for name, expected in manifest.artifacts.items():
        where = f"{backup}: {name}"
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in PureWindowsPath(name).parts:
            raise InvalidInput(Problem(where, "an artefact would lie outside its folder", _UNUSABLE))
        digest = hashlib.sha256()
        try:
            left = int(expected["bytes"])
            with archive.open(f"artifacts/{name}") as file:
                while left >= 0 and (chunk := file.read(1 << 20)):
                    digest.update(chunk)
                    left -= len(chunk)
        except _DAMAGED as error:
            raise InvalidInput(Problem(where, f"the artefact cannot be read ({error})", _UNUSABLE)) from None
        if left or digest.hexdigest() != expected.get("sha256"):
            raise InvalidInput(Problem(where, "the artefact was altered", _UNUSABLE))


def _unpack(archive: zipfile.ZipFile, manifest: Manifest, backup: Path, folder: Path) -> None:
    """Write the artefacts, each under its name when it is whole; those that are there stay as they are."""
    for name in manifest.artifacts:
        path = folder / name
        if path.exists():
            continue
        part = part_of(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(f"artifacts/{name}") as packed, part.open("xb") as file:
                shutil.copyfileobj(packed, file)
            part.replace(path)
        except (OSError, ValueError) as error:
            part.unlink(missing_ok=True)
            what = f"the database is restored, and the artefact cannot be written ({error})"
            raise InvalidInput(Problem(f"{backup}: {name}", what, "go on without: it can be computed again")) from None
