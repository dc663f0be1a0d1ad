"""The one stateful class: a campaign that can be started, fed, asked and explained."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from campaign import record
from campaign.cards import RecommendedBatch
from campaign.state import CAMPAIGN_STARTED, State, load_state
from db.errors import InvalidInput, Problem
from db.records import Design, Event, Recommendation, Source, SpecRevision
from db.rows import Record
from db.store import Store

if TYPE_CHECKING:
    from campaign.record import Reading
    from campaign.screen import Indices
    from campaign.spec import CampaignSpec
    from lab_io.schema import Check


class Campaign:
    """A campaign in a database: start or open it, ingest results, ask for recommendations, have them explained.

    Everything it knows comes from the ledger; two instances of one campaign see the same. Made by `start` or `open`.
    """

    def __init__(self, store: Store, name: str, *, by: str | None = None) -> None:
        self._store = store
        self._by = by or _user()
        self.name = name

    @classmethod
    def start(
        cls,
        spec: str | Path | CampaignSpec,
        *,
        folder: Path | None = None,
        db: str | Store | None = None,
        by: str | None = None,
    ) -> Self:
        """Start a campaign from a spec.

        Args:
            spec: path of the YAML spec, or the spec itself.
            folder: where the files lie that the spec names; None for the folder of the spec file.
            db: SQLAlchemy URL or an open store; None for `$SITELOOP_DB`, else `sqlite:///siteloop.db`.
            by: who does it; None for the name of the user.

        Raises:
            InvalidInput: the spec, or a file it names, cannot be used; all problems at once.
            Conflict: a campaign of this name exists.
        """
        from campaign.history import check_histories
        from campaign.labels import check_files
        from campaign.spaces import build_space, read_sources
        from campaign.spec import CampaignSpec, load_spec

        loaded = spec if isinstance(spec, CampaignSpec) else load_spec(Path(spec))
        place = folder or (Path() if isinstance(spec, CampaignSpec) else Path(spec).parent)
        loaded = loaded.anchored(place)
        contents = read_sources(loaded, place)
        space = build_space(loaded.space, contents)
        check_files(loaded, space, contents)  # before anything is written
        check_histories(None, loaded, space, contents)
        sources = {name: Source(sha256(content).hexdigest(), name, content) for name, content in contents.items()}
        revision = SpecRevision(
            id=f"{loaded.campaign}/spec1",
            campaign=loaded.campaign,
            revision=1,
            spec=loaded.resolved(),
            sources={name: source.sha256 for name, source in sources.items()},
        )
        store = db if isinstance(db, Store) else Store.open(db, create=True)
        check_histories(store, loaded, space, contents)
        made = cls(store, loaded.campaign, by=by)
        rows: list[Record] = [*sources.values(), revision]
        store.start(loaded.campaign, CAMPAIGN_STARTED, {"revision": 1}, rows=rows, by=made._by)
        return made

    @classmethod
    def open(cls, name: str, *, db: str | Store | None = None, by: str | None = None) -> Self:
        """Open a campaign that exists.

        Raises:
            InvalidInput: no such database or campaign.
        """
        store = db if isinstance(db, Store) else Store.open(db)
        store.require(name)
        return cls(store, name, by=by)

    @property
    def state(self) -> State:
        """What the ledger says now."""
        with self._store.reading():
            return load_state(self._store, self.name)

    def check(self, file: str | Path | bytes | Reading, **answers: Any) -> Check:
        """Read a table of results and say of every row whether it would be accepted; nothing is written.

        Args:
            file: path of a CSV or spreadsheet file, its bytes, or a `record.Reading` of it.
            **answers: `name`, what to call the file in messages; `mapping`, column of the file -> our name for it;
                `units`, column of the file -> its unit where the file does not say; `sheet` of a workbook.

        Raises:
            InvalidInput: the file cannot be read as a table at all.
        """
        return record.check(self.state, record.read(file, **answers))

    def ingest(self, file: str | Path | bytes | Reading, *, commit: bool = False, **answers: Any) -> Check:
        """Check a table of results and, with `commit`, record all of it or nothing. Arguments as for `check`.

        The same bytes, read in the same way, are a no-op the second time.

        Raises:
            InvalidInput: with `commit`, any row is rejected or needs an answer.
            Conflict: others kept recording at the same moment.
        """
        reading = record.read(file, **answers)
        if not commit:
            return record.check(self.state, reading)
        return record.ingest(self._store, self.name, reading, by=self._by)

    def recorded(self, file: str | Path | bytes | Reading, **answers: Any) -> bool:
        """Whether these very bytes, read in this way, were ingested before. Arguments as for `check`."""
        return record.recorded_before(self._store, self.name, record.read(file, **answers))

    def recommend(
        self,
        n: int | None = None,
        *,
        more: bool = False,
        dry_run: bool = False,
        again: bool = False,
        only: Indices | None = None,
        pin: Sequence[str | Design] = (),
        veto: Sequence[str] = (),
        reason: str | None = None,
        stage: Callable[[str], None] = lambda _: None,
    ) -> RecommendedBatch:
        """Recommend the next batch; its items are pending from then on.

        While the latest batch is open and nothing was recorded since, the same batch comes back.

        Args:
            n: how many; None for the spec's batch size with its controls.
            more: propose a further batch around the pending ones.
            dry_run: compute, and record nothing.
            again: allow candidates whose samples failed.
            only: restrict the space to these candidate indices.
            pin: labels of the open batch, or designs (`Ni0.5 Fe0.5`), that the batch must hold; with a pin or a veto
                the open batch is proposed anew, and what of it is neither made nor pinned is no longer pending.
            veto: labels or designs that are not to be proposed until the veto is lifted.
            reason: of the vetoes.
            stage: called with a name when a stage begins.

        Raises:
            InvalidInput: nothing is left to recommend, or a pin or veto cannot be followed.
            Leased: somebody else is proposing; the message says who, since when and until when.
            BatchConflict: somebody else recommended a batch at the same moment; the message names it.
        """
        from campaign.propose import recommend
        from campaign.request import Request

        request = Request(
            size=n,
            more=more,
            dry_run=dry_run,
            again=again,
            only=only,
            pin=tuple(pin),
            veto=tuple(veto),
            reason=reason,
        )
        return recommend(self._store, self.name, request, by=self._by, stage=stage)

    def screen(self, top: int = 50, *, stage: Callable[[str], None] = lambda _: None) -> list[dict[str, Any]]:
        """Predict the whole space and rank it by the predicted median of the first objective; nothing is pending.

        Args:
            top: how many of the best to return and to keep in the store's cache of predictions.
            stage: told how far it is. What was encoded before it is interrupted is not encoded again.

        Raises:
            InvalidInput: too little is measured to predict anything.
        """
        from campaign.screen import ranked

        found, predictions = ranked(self.state, top, stage)
        self._store.put_predictions(predictions)
        return found

    def batch(self, number: int | None = None) -> RecommendedBatch:
        """A batch as it was recommended; None for the latest.

        Raises:
            InvalidInput: there is no such batch.
        """
        state = self.state
        found = [b for b in state.batches if number in (None, b.number)]
        if not found:
            fix = f"use a number from 1 to {len(state.batches)}" if state.batches else "run `siteloop recommend` first"
            what = f"there is no batch {number}" if number else "no batch was recommended yet"
            raise InvalidInput(Problem(f"campaign {self.name}", what, fix))
        items = tuple(r for r in state.recommendations if r.batch == found[-1].id)
        return RecommendedBatch(found[-1], items)

    def explain(self, label: str) -> Recommendation:
        """The recommendation with this sample_id (`b1-03`) or id, with its prediction and rationale as stored.

        Raises:
            InvalidInput: there is no such recommendation.
        """
        from campaign.words import suggestion

        known = {key: r for r in self.state.recommendations for key in (r.label, r.id)}
        if label not in known:
            fix = suggestion(label, [r.label for r in self.state.recommendations]) if known else "recommend first"
            raise InvalidInput(Problem(f"campaign {self.name}", f"there is no recommendation {label!r}", fix))
        return known[label]

    def fail(self, label: str, *, mode: str, reason: str | None = None) -> Event:
        """State that a sample failed in synthesis or measurement: it is no longer pending, nor proposed again.

        Args:
            label: its sample_id.
            mode: what went wrong: `no precipitate`, `film delaminated`, ...
            reason: a remark to keep.

        Raises:
            InvalidInput: there is no such sample or recommendation.
        """
        return record.state_status(
            self._store, self.state, label, {"status": "failed", "mode": mode, "reason": reason}, self._by
        )

    def void(self, label: str, *, reason: str) -> Event:
        """State that a sample does not count (spilt, mislabelled): its values are set aside, its design is free again.

        Raises:
            InvalidInput: there is no such sample or recommendation.
        """
        return record.state_status(self._store, self.state, label, {"status": "void", "reason": reason}, self._by)

    def diagnose(self, *, stage: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
        """Health checks, and how the surrogates predict what they have not seen; as `campaign.diagnose.diagnose`.

        Args:
            stage: called with a name when a stage begins.
        """
        from campaign.diagnose import diagnose

        return diagnose(self.state, stage)

    def whatif(
        self, designs: Design | Sequence[Design], *, stage: Callable[[str], None] = lambda _: None
    ) -> dict[str, Any]:
        """What is believed of designs that need not be candidates, beside the best measured; nothing is recorded.

        Args:
            designs: one or several, in the columns of the space: `{"Ni": 0.3, "Fe": 0.7}`.
            stage: called with a name when a stage begins.

        Raises:
            InvalidInput: too little is measured to predict anything, or a design is none of the space's columns.
        """
        from campaign.whatif import whatif

        return whatif(self.state, [designs] if isinstance(designs, Mapping) else designs, stage)

    def veto(self, *designs: str, reason: str) -> Event:
        """State that designs are not to be proposed; what is pending of them and not made yet is no longer pending.

        Args:
            *designs: labels (`b1-03`) or designs (`Ni0.5 Fe0.5`).
            reason: why.

        Raises:
            InvalidInput: no design is given, one of them names nothing, or is a control of the spec.
        """
        from campaign.decisions import veto_payload

        return record.state_veto(
            self._store, self.name, designs, lambda state: veto_payload(state, designs, reason), self._by
        )

    def lift(self, *designs: str) -> Event:
        """Lift the vetoes on designs, named as for `veto`: they may be proposed again.

        Raises:
            InvalidInput: no design is given, one of them names nothing, or is not vetoed.
        """
        from campaign.decisions import lift_payload

        return record.state_veto(self._store, self.name, designs, lambda state: lift_payload(state, designs), self._by)

    def worksheet(self, path: str | Path, *, number: int | None = None) -> Path:
        """Write a batch as a worksheet to fill in: CSV, XLSX or JSON by the ending of `path`.

        Raises:
            InvalidInput: there is no such batch, or the ending is another one.
        """
        from campaign.worksheet import write_worksheet

        return write_worksheet(self.state, self.batch(number), Path(path))

    def export(self, path: str | Path) -> Path:
        """Write the current results as CSV or XLSX by the ending of `path`; `ingest` reads the file back.

        Raises:
            InvalidInput: the ending is another one, or the file cannot be written.
        """
        from campaign.export import write_results

        return write_results(self.state, Path(path))

    def crate(self, folder: str | Path, *, licence: str | None = None) -> Path:
        """Write an RO-Crate: results, recommendations, spec, models, ledger and report, and what each of them is.

        Args:
            folder: a new or empty folder.
            licence: address or text of the licence under which the data may be used.

        Raises:
            Conflict: the folder holds something.
            InvalidInput: it cannot be written.
        """
        from campaign.crate import write_crate

        return write_crate(self._store, self.name, Path(folder), licence=licence)

    def report(self, path: str | Path) -> Path:
        """Write the report, one HTML file that needs no network.

        Raises:
            InvalidInput: the file cannot be written.
        """
        from campaign.report import write_report

        with self._store.reading():
            return write_report(self.state, Path(path), verified=not self._store.verify(self.name))

    def status(self) -> dict[str, Any]:
        """Where the campaign stands, as plain values: batches, measured, pending, best, coverage, next thing to do.

        `proposing` says who computes a batch right now, or is None.
        """
        from campaign.status import status

        lease = self._store.lease(self.name)
        return status(self.state) | {"proposing": lease and lease.sentence()}

    def __repr__(self) -> str:
        from campaign.status import state_line, status

        return f"Campaign {self.name}: {state_line(status(self.state))}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
