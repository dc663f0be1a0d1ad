"""One proposer at a time per campaign: a row that says who, since when and until when, and no open transaction.

Whoever proposes takes the lease, renews it while computing, and gives it back; a commit that names a lease is refused
unless the lease is still its own. A lease that is not renewed lapses at its end, and at once where its owner was a
process of this very machine that is no longer there.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, delete, select

from db import tables
from db.errors import Conflict, Problem
from db.inserts import upsert

_OVER = frozenset("ZX")  # states of a process that has ended and waits for its parent


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to propose in a campaign."""

    campaign: str
    owner: str
    """Host, process and occasion: `host|machine|pid|start|token`; no two are alike."""
    by: str
    since: str
    """UTC, ISO 8601 with microseconds; so is `until`."""
    until: str
    """It lapses then, unless it is renewed before."""

    def sentence(self) -> str:
        """`ada (process 4711 on lab-3) is proposing a batch since ... UTC, until ... UTC unless it takes longer`."""
        host, _, pid, *_ = self.owner.split("|")
        who = f"{self.by} (process {pid} on {host})"
        return f"{who} is proposing a batch since {_clock(self.since)}, until {_clock(self.until)} or longer"


class Leased(Conflict):
    """Somebody else is proposing in the campaign."""


def take(connection: Connection, campaign: str, *, by: str, now: str, until: str) -> Lease:
    """Take the lease of a campaign that is free, or whose lease has lapsed; the caller holds the campaign's lock.

    Raises:
        Leased: it is somebody else's; the message names them.
    """
    first = held(connection, campaign, now)
    if first is not None:
        fix = (
            "wait for that batch, which `siteloop recommend` shows then; `siteloop status` says whether it is computed"
        )
        raise Leased(Problem(f"campaign {campaign}", first.sentence(), fix))
    lease = Lease(campaign, f"{_here()}|{uuid.uuid4().hex}", by, now, until)
    _put(connection, lease)
    return lease


def held(connection: Connection, campaign: str, now: str) -> Lease | None:
    """The lease in force in a campaign, or None."""
    row = connection.execute(select(tables.lease).where(tables.lease.c.campaign == campaign)).mappings().first()
    lease = Lease(**row) if row else None
    return lease if lease and lease.until > now and not _gone(lease.owner) else None


def renew(connection: Connection, lease: Lease, until: str) -> Lease:
    """Put off the end of a lease. One that has lapsed is renewed, too, if nobody took it meanwhile.

    Raises:
        Conflict: as `require`.
    """
    require(connection, lease)
    longer = replace(lease, until=until)
    _put(connection, longer)
    return longer


def require(connection: Connection, lease: Lease) -> None:
    """Raise Conflict unless a lease is still its owner's."""
    row = connection.execute(select(tables.lease).where(tables.lease.c.campaign == lease.campaign)).mappings().first()
    if row is None or row["owner"] != lease.owner:
        taken = f"and {row['by']} took it at {_clock(row['since'])}" if row else "and was given back"
        what = f"the lease under which this batch was computed lapsed at {_clock(lease.until)} or later, {taken}"
        raise Conflict(Problem(f"campaign {lease.campaign}", what, "nothing was recorded: repeat the command"))


def release(connection: Connection, lease: Lease) -> None:
    """Give a lease back; nothing where it is somebody else's by now."""
    c = tables.lease.c
    connection.execute(delete(tables.lease).where(c.campaign == lease.campaign, c.owner == lease.owner))


def _put(connection: Connection, lease: Lease) -> None:
    row = {"campaign": lease.campaign, "owner": lease.owner, "by": lease.by, "since": lease.since, "until": lease.until}
    upsert(connection, tables.lease, [row])


def _clock(at: str) -> str:
    return f"{at[:19].replace('T', ' ')} UTC"


def _here() -> str:
    """This process, such that another one of the same machine can tell whether it still runs."""
    pid = os.getpid()
    host = socket.gethostname().replace("|", "-")
    return f"{host}|{_machine()}|{pid}|{_started(pid) or ''}"


@cache
def _machine() -> str:
    """The boot and the process namespace in which process numbers mean something; empty where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the boot; None if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in _OVER else fields[19]


def _gone(owner: str) -> bool:
    """Whether the owner was a process of this machine and has ended; an owner elsewhere is not known to."""
    _, machine, pid, started, _ = owner.split("|")
    return bool(machine) and machine == _machine() and _started(int(pid)) != started
