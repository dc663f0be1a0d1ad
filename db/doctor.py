"""Is all well with a database? One line a question, each with the next thing to do where it is not."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import URL, Connection, func, select

from db import engines, filesystems, migrations, schema, tables
from db.errors import InvalidInput
from db.store import Store

LITTLE = 1 << 30
"""Bytes of free disk below which to warn."""
NONE_LEFT = 100 << 20
SKEW_SECONDS = 5.0
"""How far two clocks may be apart."""

State = Literal["ok", "warn", "fail"]

_PACKAGES = ("siteloop", "sqlalchemy", "alembic", "torch", "botorch", "gpytorch", "pydantic", "numpy", "pandas")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question."""

    name: str
    state: State
    said: str
    next: str = ""
    """What to do; empty where nothing need be done."""


def examine(url: str | None = None) -> list[Answer]:
    """Ask everything that can be asked of a database; nothing is written to it.

    Args:
        url: as for `Store.open`.
    """
    found = [_versions()]
    try:
        parsed = engines.parse(url)
        engines.check_file(parsed, create=False)
    except InvalidInput as error:
        return [*found, *_failed("address", error)]
    found.append(Answer("address", "ok", engines.shown(parsed)))
    found += _file(parsed)
    try:
        with Store.connected(url) as (store, connection):
            found.append(Answer("database", "ok", _reached(connection)))
            found += _content(connection, store.url)
    except InvalidInput as error:
        found += _failed("database", error)
    return [*found, _artifacts(engines.artifacts(parsed))]


def _failed(name: str, error: InvalidInput) -> Iterator[Answer]:
    for problem in error.problems:
        yield Answer(name, "fail", f"{problem.where}: {problem.what}", problem.fix)


def _versions() -> Answer:
    have, lost = [f"python {platform.python_version()}", f"sqlite {sqlite3.sqlite_version}"], []
    for name in _PACKAGES:
        try:
            have.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            lost.append(name)
    if lost:
        return Answer("versions", "fail", f"not installed: {', '.join(lost)}", "install siteloop again with pip")
    return Answer("versions", "ok", ", ".join(have))


def _file(url: URL) -> Iterator[Answer]:
    """What can be said of an SQLite file without opening it."""
    if url.drivername != "sqlite":
        return
    path = Path(str(url.database))
    kind = filesystems.kind_of(path)
    if kind in filesystems.NETWORK:
        fix = "move it to a disk of this machine with `siteloop backup` and `siteloop restore`, or use PostgreSQL"
        what = f"{path} lies on {kind}, a network file system, on which SQLite loses data when two machines write"
        yield Answer("file system", "fail", what, fix)
    elif kind in filesystems.GUEST:
        fix = "let only this machine open the file, or move it to a disk of this machine"
        yield Answer("file system", "warn", f"{path} lies on {kind}, the disk of a host", fix)
    else:
        yield Answer("file system", "ok", kind or "its type is not known on this machine")
    free, size = shutil.disk_usage(path.parent).free, path.stat().st_size
    said = f"{free / 2**30:.1f} GiB free beside a database of {size / 2**20:.1f} MiB"
    state: Literal["ok", "warn", "fail"] = (
        "fail" if free < NONE_LEFT else "warn" if free < max(LITTLE, 2 * size) else "ok"
    )
    yield Answer("disk", state, said, "" if state == "ok" else "make room: a backup and a migration need it")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        yield Answer("file", "fail", f"{path} or its folder may not be written to", "correct the permissions")


def _reached(connection: Connection) -> str:
    if connection.dialect.name == "sqlite":
        return f"SQLite, journal {connection.exec_driver_sql('PRAGMA journal_mode').scalar_one()}"
    return f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar_one()}"


def _content(connection: Connection, url: str) -> Iterator[Answer]:
    try:
        schema.check_revision(connection, url)
    except InvalidInput as error:
        yield from _failed("schema", error)
        return
    yield Answer("schema", "ok", f"revision {migrations.HEAD}")
    try:
        schema.check_triggers(connection, url)
        yield Answer("triggers", "ok", "the ledger is append-only")
    except InvalidInput as error:
        yield from _failed("triggers", error)
    if connection.dialect.name == "sqlite":
        said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        fix = "" if said == "ok" else "restore a backup with `siteloop restore`"
        yield Answer("pages", "ok" if said == "ok" else "fail", said, fix)
    yield from _chains(connection)
    yield _clock(connection)


def _chains(connection: Connection) -> Iterator[Answer]:
    from db.leases import held
    from db.verify import verify

    found = select(tables.campaign.c.name).union(
        select(tables.event.c.campaign)
    )  # also of one whose row was taken away
    names = sorted(connection.execute(found).scalars())
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    for name in names:
        problems = verify(connection, name)
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            said = f"{problems[0].where}: {problems[0].what}{more}"
            yield Answer(f"chain of {name}", "fail", said, problems[0].fix)
        else:
            c = tables.event.c
            query = select(c.seq, c.hash).where(c.campaign == name).order_by(c.seq.desc()).limit(1)
            seq, head = connection.execute(query).one()
            yield Answer(f"chain of {name}", "ok", f"{seq} events, head {head}")
        if lease := held(connection, name, now):
            yield Answer(f"lease of {name}", "ok", lease.sentence())


def _clock(connection: Connection) -> Answer:
    """This machine's clock, beside the newest event and the server's."""
    here = datetime.now(UTC)
    told = f"{here:%Y-%m-%d %H:%M:%S} UTC"
    others = {"the newest event": connection.execute(select(func.max(tables.event.c.at))).scalar_one()}
    ahead = {k: (datetime.fromisoformat(at) - here).total_seconds() for k, at in others.items() if at}
    if connection.dialect.name == "postgresql":
        there = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        ahead["the server"] = abs((there - here).total_seconds())
    late = [f"{who} is {seconds:.0f} s away" for who, seconds in ahead.items() if seconds > SKEW_SECONDS]
    if late:
        return Answer("clock", "warn", f"{told} here, and {', '.join(late)}", "set the clocks by NTP")
    return Answer("clock", "ok", told)


def _artifacts(folder: Path) -> Answer:
    near = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(near, os.W_OK):
        fix = f"correct its permissions, or set ${engines.ARTIFACTS} to another folder"
        return Answer("artefacts", "fail", f"{near} may not be written to", fix)
    if not folder.exists():
        return Answer("artefacts", "ok", f"{folder} is made when it is needed")
    if not folder.is_dir():
        return Answer("artefacts", "fail", f"{folder} is not a folder", f"remove it, or set ${engines.ARTIFACTS}")
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return Answer("artefacts", "ok", f"{folder}, {size / 2**20:.1f} MiB that can be computed again")
