"""The store: the only way to the database."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy import Connection, Engine, Select, exists, insert, select

from db import engines, leases, ledger, migrations, schema, tables
from db.backup import Manifest, write_backup
from db.errors import Conflict, InvalidInput, Problem
from db.inserts import upsert
from db.leases import Lease
from db.records import (
    Batch,
    Candidate,
    Event,
    Measurement,
    ModelVersion,
    Prediction,
    Recommendation,
    Sample,
    Source,
    SpecRevision,
)
from db.rows import TABLES, Record, Stored, decode, encode
from db.verify import verify


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Upgraded(NamedTuple):
    """What an upgrade did."""

    before: str
    """Revision of the schema."""
    after: str
    backup: Path | None
    """The database as it was before; None where nothing had to be migrated."""


class Store:
    """The only way to the database. This text is the contract; one test suite holds every database to it.

    **Ownership.** The store owns its connections; nobody else touches the tables. It gives out frozen records and
    takes them in; what comes back equals what was put in, in the order in which it was recorded. The ledger (events,
    and the rows recorded with them) only grows: nothing in it is ever updated or deleted, and triggers in the database
    refuse it to everybody. A correction is a new measurement that supersedes an old one. Model versions and
    predictions are caches: they may be overwritten, and losing them loses nothing.

    **Transactions.** `start` and `append` are the only ledger writes. Each is one transaction that records one event
    with all its rows, or nothing at all if anything is wrong or the process dies. Writers of a campaign go one at a
    time; one that cannot begin within 30 s raises Conflict. Caches are written as they are made, each call in a short
    transaction of its own. Reads inside `with store.reading():` see one moment of the database.

    **Clock.** `at` comes from the clock given at opening, read inside the transaction, and is stored as UTC with
    microseconds. The order of events is their number `seq`, never their time.

    **Ids** are given by the caller and must be deterministic, so that a command that is repeated after it was killed
    collides with itself instead of doubling what it did. An id, label or number that is taken raises Conflict.
    Candidates and sources are named by their content: they are inserted if absent, and the first name or stratum
    stays. The number and the previous hash of an event are assigned by the store.

    **Threads.** One store may be used by many threads; `reading()` holds for the thread that entered it. A process
    that forks opens its own.

    **Errors.** What a user can cause raises InvalidInput or Conflict, with where, what and fix, and never a password.
    Values that a program should not have handed over raise ValueError.
    """

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._reads = engines.for_reading(engine)
        self._clock = clock
        self._pinned = threading.local()

    # Opening

    @classmethod
    def open(cls, url: str | None = None, *, create: bool = False, clock: Callable[[], datetime] = _utc_now) -> Store:
        """Open a database and check that this version of siteloop can use it.

        Args:
            url: SQLAlchemy URL of an SQLite file or a PostgreSQL database; None takes `$SITELOOP_DB`, else
                `sqlite:///siteloop.db` in the current folder.
            create: make the file if it is missing and the tables if the database is empty.
            clock: gives the present time, with its time zone.

        Raises:
            InvalidInput: a bad address, no database there, one that is not siteloop's, one whose schema is older or
                newer than this version, or one without its append-only triggers.
        """
        store = cls._connect(url, create=create, clock=clock)
        try:
            if create and store._is_empty():
                with engines.writing(store._engine) as connection:
                    migrations.upgrade(connection)
            with store._snapshot() as connection:
                schema.check(connection, store.url)
        except BaseException:
            store.close()
            raise
        return store

    @staticmethod
    def upgrade(url: str | None = None, *, backup: Path | None = None) -> Upgraded:
        """Migrate an existing database to the schema of this version, and make its append-only triggers again.

        A backup is written first, in the same transaction, so that nothing is recorded between the two.

        Args:
            url: as for `open`.
            backup: the file to write it to; None for one beside the database, named after both revisions and the time.

        Raises:
            InvalidInput: as `open`, except that an older schema or missing triggers are what it is for; or the backup
                cannot be written.
        """
        with Store._connect(url, create=False, clock=_utc_now) as store, engines.writing(store._engine) as connection:
            before = schema.upgradable(connection, store.url)
            saved = None
            if before != migrations.HEAD:
                saved = backup or store._named(f"before-{migrations.HEAD}")
                write_backup(connection, saved, schema=before, made_at=store.now())
            migrations.upgrade(connection)
            return Upgraded(before, migrations.HEAD, saved)

    @classmethod
    @contextmanager
    def connected(cls, url: str | None = None) -> Iterator[tuple[Store, Connection]]:
        """A store on a database whatever its schema, and a connection that reads from it: for `db.doctor` alone.

        Raises:
            InvalidInput: there is no database, or it cannot be reached.
        """
        with cls._connect(url, create=False, clock=_utc_now) as store, store._snapshot() as connection:
            yield store, connection

    @classmethod
    def _connect(cls, url: str | None, *, create: bool, clock: Callable[[], datetime]) -> Store:
        parsed = engines.parse(url)
        engines.check_file(parsed, create=create)
        return cls(engines.engine(parsed), clock)

    def _is_empty(self) -> bool:
        with self._snapshot() as connection:
            return schema.is_empty(connection)

    @property
    def url(self) -> str:
        """The address of the database, without its password."""
        return engines.shown(self._engine.url)

    @property
    def artifacts(self) -> Path:
        """Folder for what can be computed again, such as the features of structures; it may be missing, or deleted."""
        return engines.artifacts(self._engine.url)

    def backup(self, target: Path | None = None, *, artifacts: bool = False) -> tuple[Path, Manifest]:
        """Write the whole database to one file, as it is at one moment; others go on writing.

        Args:
            target: the file, or a folder for it; None for one beside the database, named after the time.
            artifacts: whether to put in what can be computed again, too.

        Returns:
            The file and what is in it.

        Raises:
            Conflict: there is such a file.
            InvalidInput: it cannot be written.
        """
        named = self._named("backup")
        path = named if target is None else target / named.name if target.is_dir() else target
        with self._snapshot() as connection:
            kept = self.artifacts if artifacts else None
            return path, write_backup(connection, path, schema=migrations.HEAD, made_at=self.now(), artifacts=kept)

    def _named(self, what: str) -> Path:
        at = self.now()[:19].replace("-", "").replace(":", "")
        return engines.beside(self._engine.url, f".{at}Z.{what}.zip")

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    # Ledger writes

    def start(
        self, campaign: str, kind: str, payload: Mapping[str, Any], *, rows: Sequence[Record] = (), by: str
    ) -> Event:
        """Create a campaign with its first event, in one transaction; arguments and errors as for `append`.

        Raises:
            Conflict: a campaign of this name exists.
        """
        prepared = ledger.prepare(campaign, rows)
        with engines.writing(self._engine) as connection:
            at = self.now()
            name = tables.campaign.c.name
            if connection.execute(select(name).where(name == campaign)).first():
                fix = "choose another name in the spec, or go on with the campaign that exists"
                raise Conflict(Problem(f"campaign {campaign}", "there is a campaign of this name already", fix))
            connection.execute(insert(tables.campaign), {"name": campaign, "created_at": at})
            return ledger.write(connection, campaign, kind, payload, prepared, by=by, at=at)

    def append(
        self,
        campaign: str,
        kind: str,
        payload: Mapping[str, Any],
        *,
        rows: Sequence[Record] = (),
        by: str,
        after: int | None = None,
        unless: Collection[str] = (),
        lease: Lease | None = None,
    ) -> Event:
        """Record one event and the rows that belong to it, all or nothing.

        Args:
            campaign: an existing campaign.
            kind: what happened, in one word.
            payload: plain JSON values; the stored payload gains `rows`, the hash of each ledger row by table and id.
            rows: what is recorded with the event. A row that refers to another one in `rows` of its own table comes
                after it; tables go in their natural order by themselves.
            by: who did it.
            after: number of the last event that the caller has seen.
            unless: with `after`, kinds of event that would make this one wrong if they came in between.
            lease: under which this was computed.

        Returns:
            The event as stored.

        Raises:
            Overtaken: an event of a kind in `unless` came after `after`.
            Conflict: an id, label or number is taken, or the lease is somebody else's by now.
            InvalidInput: unknown campaign, a row that refers to one that is not there, or a value that cannot be kept.
            ValueError: a row of another campaign, a source with a wrong hash, or a key `rows` in the payload.
        """
        prepared = ledger.prepare(campaign, rows)
        with engines.writing(self._engine) as connection:
            self._lock(connection, campaign)
            if lease is not None:
                leases.require(connection, lease)
            if after is not None:
                ledger.refuse_newer(connection, campaign, after, unless)
            return ledger.write(connection, campaign, kind, payload, prepared, by=by, at=self.now())

    def _lock(self, connection: Connection, campaign: str) -> None:
        """Let no other transaction write in a campaign before this one ends."""
        name = tables.campaign.c.name
        if not connection.execute(select(name).where(name == campaign).with_for_update()).first():
            raise _unknown(campaign, _campaigns(connection), self.url)

    def now(self) -> str:
        """The present by the store's clock, as events carry it."""
        now = self._clock()
        if now.tzinfo is None:
            raise ValueError("the clock of a store must give times with a time zone")
        return now.astimezone(UTC).isoformat(timespec="microseconds")

    # Leases

    def _in(self, seconds: float) -> str:
        later = datetime.fromisoformat(self.now()) + timedelta(seconds=seconds)
        return later.isoformat(timespec="microseconds")

    def take_lease(self, campaign: str, *, by: str, seconds: float) -> Lease:
        """Take the right to propose in a campaign, for `seconds` unless it is renewed.

        Raises:
            Leased: somebody else has it; the message says who, since when and until when.
            InvalidInput: no such campaign.
        """
        with engines.writing(self._engine) as connection:
            self._lock(connection, campaign)
            return leases.take(connection, campaign, by=by, now=self.now(), until=self._in(seconds))

    def renew_lease(self, lease: Lease, *, seconds: float) -> Lease:
        """The same lease, to end `seconds` from now.

        Raises:
            Conflict: it lapsed, and is somebody else's by now.
        """
        with engines.writing(self._engine) as connection:
            self._lock(connection, lease.campaign)
            return leases.renew(connection, lease, self._in(seconds))

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back."""
        with engines.writing(self._engine) as connection:
            leases.release(connection, lease)

    def lease(self, campaign: str) -> Lease | None:
        """The lease in force in a campaign, or None."""
        with self._snapshot() as connection:
            return leases.held(connection, campaign, self.now())

    # Reads

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within it, all reads of this thread see the database as it was at the first of them, whatever others write.

        What this thread itself appends meanwhile is not seen either.
        """
        with self._snapshot():
            yield

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        pinned: Connection | None = getattr(self._pinned, "connection", None)
        if pinned is not None:
            with engines.translated(self._engine.url):
                yield pinned
            return
        with engines.translated(self._engine.url), self._reads.connect() as connection:
            self._pinned.connection = connection
            try:
                yield connection
            finally:
                del self._pinned.connection

    def _all(self, kind: type[Stored], query: Select[Any]) -> list[Stored]:
        with self._snapshot() as connection:
            return [decode(kind, row) for row in connection.execute(query).mappings()]

    def _recorded(self, kind: type[Stored], campaign: str, *where: Any, until: int | None = None) -> list[Stored]:
        table = TABLES[kind]
        where = where if until is None else (*where, table.c.seq <= until)
        query = select(table).where(table.c.campaign == campaign, *where).order_by(table.c.seq, table.c.position)
        return self._all(kind, query)

    def campaigns(self) -> list[str]:
        """Names of all campaigns, in alphabetical order."""
        with self._snapshot() as connection:
            return _campaigns(connection)

    def require(self, campaign: str) -> None:
        """Raise InvalidInput, with the names that exist, unless there is such a campaign."""
        if campaign not in (names := self.campaigns()):
            raise _unknown(campaign, names, self.url)

    def spec(self, campaign: str, revision: int | None = None, *, until: int | None = None) -> SpecRevision:
        """A revision of a campaign's spec, by default the newest; `until` as for `events`.

        Raises:
            InvalidInput: no such campaign or revision.
        """
        self.require(campaign)
        found = {spec.revision: spec for spec in self._recorded(SpecRevision, campaign, until=until)}
        wanted = revision if revision is not None else max(found, default=1)
        if wanted not in found:
            what = f"it has no spec revision {wanted}"
            fix = f"choose one of {', '.join(map(str, sorted(found))) or 'none'}"
            raise InvalidInput(Problem(f"campaign {campaign}", what, fix))
        return found[wanted]

    def source(self, sha256: str) -> Source | None:
        """The file with this hash, or None."""
        return next(iter(self._all(Source, select(tables.source).where(tables.source.c.sha256 == sha256))), None)

    def candidate(self, id: str) -> Candidate | None:
        """The candidate with this id, or None."""
        return next(iter(self._all(Candidate, select(tables.candidate).where(tables.candidate.c.id == id))), None)

    def events(
        self, campaign: str, kinds: Collection[str] | None = None, after: int = 0, *, until: int | None = None
    ) -> list[Event]:
        """Events numbered above `after`, in order; only those of certain kinds if `kinds` is given.

        Here and in every read that takes it, `until` shows the ledger as it was after the event of that number.
        """
        c = tables.event.c
        query = select(tables.event).where(c.campaign == campaign, c.seq > after).order_by(c.seq)
        query = query if until is None else query.where(c.seq <= until)
        return self._all(Event, query if kinds is None else query.where(c.kind.in_(kinds)))

    def head(self, campaign: str) -> Event:
        """The newest event; its hash vouches for all before it.

        Raises:
            InvalidInput: no such campaign.
        """
        self.require(campaign)
        c = tables.event.c
        return self._all(Event, select(tables.event).where(c.campaign == campaign).order_by(c.seq.desc()).limit(1))[0]

    def batches(self, campaign: str, *, until: int | None = None) -> list[Batch]:
        """All batches, in the order of recording."""
        return self._recorded(Batch, campaign, until=until)

    def recommendations(
        self, campaign: str, batch: str | None = None, *, until: int | None = None
    ) -> list[Recommendation]:
        """All recommendations, or those of the batch with this id."""
        where = [] if batch is None else [tables.recommendation.c.batch == batch]
        return self._recorded(Recommendation, campaign, *where, until=until)

    def samples(self, campaign: str, *, until: int | None = None) -> list[Sample]:
        """All samples, in the order of recording."""
        return self._recorded(Sample, campaign, until=until)

    def measurements(
        self, campaign: str, *, metric: str | None = None, current: bool = True, until: int | None = None
    ) -> list[Measurement]:
        """Measurements in the order of recording.

        Args:
            campaign: whose.
            metric: only those of this metric.
            current: leave out those that a later one supersedes.
            until: as for `events`; what a later event superseded is current before it.
        """
        table = tables.measurement
        later = table.alias()
        where: list[Any] = [] if metric is None else [table.c.metric == metric]
        if current:
            seen = [] if until is None else [later.c.seq <= until]
            where.append(~exists().where(later.c.supersedes == table.c.id, *seen))
        return self._recorded(Measurement, campaign, *where, until=until)

    def verify(self, campaign: str) -> list[Problem]:
        """Recompute the hash chain and every row's hash; what does not fit is named, see `db.verify.verify`.

        Raises:
            InvalidInput: no such campaign.
        """
        with self._snapshot() as connection:
            self.require(campaign)
            return verify(connection, campaign)

    # Caches

    def put_model_version(self, version: ModelVersion) -> None:
        """Keep a model version, in place of one of the same campaign, recipe, data and seed."""
        row = encode(version)
        with engines.writing(self._engine) as connection:
            upsert(connection, tables.model_version, [row])

    def model_version(self, recipe_hash: str, data_hash: str, seed: int) -> ModelVersion | None:
        """The model version fitted from these, whichever campaign asked for it, or None."""
        c = tables.model_version.c
        query = select(tables.model_version).where(
            c.recipe_hash == recipe_hash, c.data_hash == data_hash, c.seed == seed
        )
        return next(iter(self._all(ModelVersion, query.limit(1))), None)

    def model_versions(self, campaign: str) -> list[ModelVersion]:
        """All model versions of a campaign, in no order that means anything, but always the same."""
        c = tables.model_version.c
        found = self._all(ModelVersion, select(tables.model_version).where(c.campaign == campaign))
        return sorted(found, key=lambda v: (v.recipe_hash, v.data_hash, v.seed))

    def put_predictions(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions, in place of those of the same model, objective and candidate."""
        rows = [encode(prediction) for prediction in predictions]
        with engines.writing(self._engine) as connection:
            upsert(connection, tables.prediction, rows)

    def predictions(
        self, recipe_hash: str, data_hash: str, seed: int, *, objective: str | None = None
    ) -> list[Prediction]:
        """What one model said, by candidate id; of one objective if it is given."""
        c = tables.prediction.c
        query = select(tables.prediction).where(c.recipe_hash == recipe_hash, c.data_hash == data_hash, c.seed == seed)
        found = self._all(Prediction, query if objective is None else query.where(c.objective == objective))
        return sorted(found, key=lambda p: (p.candidate, p.objective))


def _campaigns(connection: Connection) -> list[str]:
    return sorted(connection.execute(select(tables.campaign.c.name)).scalars())


def _unknown(campaign: str, names: list[str], url: str) -> InvalidInput:
    near = difflib.get_close_matches(campaign, names, n=1)
    start = "start one with `siteloop start SPEC`"
    fix = f"did you mean {near[0]}? There are: {', '.join(names)}" if near else f"there are: {', '.join(names)}"
    return InvalidInput(Problem(f"campaign {campaign}", f"{url} has no such campaign", fix if names else start))
