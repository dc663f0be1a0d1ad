"""The one stateful class: a campaign that can be started, fed, asked and explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from campaign import record
from campaign.cards import RecommendedBatch
from campaign.door import Door
from campaign.moments import moment
from campaign.state import CAMPAIGN_STARTED
from db.errors import InvalidInput, Problem
from db.records import Design, Event, Recommendation
from db.rows import Record
from db.store import Store

if TYPE_CHECKING:
    from campaign.replaying import Replayed
    from campaign.revisions import Revision
    from campaign.screen import Indices
    from campaign.spec import CampaignSpec


class Campaign(Door):
    """A campaign in a database: start or open it, ingest results, ask for recommendations, have them explained.

    Everything it knows comes from the ledger; two instances of one campaign see the same. Made by `start` or `open`.
    """

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
        from campaign.revisions import ready

        found = ready(spec, folder)  # before anything is written
        store = db if isinstance(db, Store) else Store.open(db, create=True)
        check_histories(store, found.spec, found.space, found.contents)
        made = cls(store, found.spec.campaign, by=by)
        rows: list[Record] = [*found.sources(), found.revision(1)]
        store.start(made.name, CAMPAIGN_STARTED, {"revision": 1}, rows=rows, by=made._by)
        return made

    def revise(
        self,
        spec: str | Path | CampaignSpec,
        *,
        folder: Path | None = None,
        reason: str | None = None,
        commit: bool = False,
    ) -> Revision:
        """Compare a spec with the one in force, and with `commit` let it take its place from now on.

        The space may be widened, with further elements too; what is recorded must still have a place in it.

        Args:
            spec: path of the YAML spec, or the spec itself.
            folder: where the files lie that the spec names; None for the folder of the spec file.
            reason: why; needed to record it.
            commit: record it; the spec in force again is a no-op.

        Raises:
            InvalidInput: the spec cannot be used, changes what may not change, or there is no reason.
            Conflict: others kept recording at the same moment.
        """
        from campaign.revisions import revise

        return revise(self._ledger, self.name, spec, folder=folder, reason=reason, by=self._by, commit=commit)

    @classmethod
    def open(
        cls, name: str, *, db: str | Store | None = None, by: str | None = None, as_of: str | int | None = None
    ) -> Self:
        """Open a campaign that exists.

        Args:
            name: of the campaign.
            db: as for `start`.
            by: as for `start`.
            as_of: a date, a time or the number of an event, as `moments.moment` takes it, for a view of the campaign as
                it was then, which records nothing; None for now.

        Raises:
            InvalidInput: no such database, campaign or moment.
        """
        store = db if isinstance(db, Store) else Store.open(db)
        store.require(name)
        return cls(store, name, by=by, at=None if as_of is None else moment(store, name, as_of))

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
        from campaign.recommend import recommend
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
        return recommend(self._ledger, self.name, request, by=self._by, stage=stage)

    def screen(
        self, top: int = 50, *, table: str | Path | None = None, stage: Callable[[str], None] = lambda _: None
    ) -> list[dict[str, Any]]:
        """Predict the whole space and rank it by the predicted median of the first objective; nothing is pending.

        Args:
            top: how many of the best to return and to keep in the store's cache of predictions.
            table: a .csv file for the prediction of every open candidate, with its interval at the spec's first level;
                None for none. A file that exists is replaced.
            stage: told how far it is. What was encoded or predicted before it is interrupted is not done again.

        Raises:
            InvalidInput: too little is measured to predict anything, or the table cannot be written.
        """
        from campaign.ranking import ranked

        found, predictions = ranked(self.state, top, table=None if table is None else Path(table), stage=stage)
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
        return RecommendedBatch(found[-1], items, state.space)

    def replay(
        self,
        number: int,
        *,
        from_model: bool = False,
        tolerance: float | None = None,
        stage: Callable[[str], None] = lambda _: None,
    ) -> Replayed:
        """Compute a batch again from what was known when it was asked for, and compare; nothing is recorded.

        Args:
            number: of the batch.
            from_model: take the surrogates that were kept with it, instead of fitting them again.
            tolerance: relative difference of numbers that other code or another machine may make; None for 0.001.
            stage: called with a name when a stage begins.

        Raises:
            InvalidInput: there is no such batch, it does not say how it was asked for, or a surrogate is not there.
        """
        from campaign.replaying import TOLERANCE, replay

        least = TOLERANCE if tolerance is None else tolerance
        return replay(self._store, self.name, number, from_model=from_model, tolerance=least, stage=stage)

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

    def diagnose(self, *, stage: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
        """Health checks, and how the surrogates predict what they have not seen; as `campaign.diagnose.diagnose`.

        Args:
            stage: called with a name when a stage begins.
        """
        from campaign.diagnose import diagnose

        return diagnose(self.state, stage)

    def whatif(
        self, designs: str | Design | Sequence[str | Design], *, stage: Callable[[str], None] = lambda _: None
    ) -> dict[str, Any]:
        """What is believed of designs that need not be candidates, beside the best measured; nothing is recorded.

        Args:
            designs: one or several, in the columns of the space, `{"Ni": 0.3, "Fe": 0.7}`, or as typed, `Ni0.3 Fe0.7`.
            stage: called with a name when a stage begins.

        Raises:
            InvalidInput: too little is measured to predict anything, or a design is none of the space's columns.
        """
        from campaign.whatif import whatif

        return whatif(self.state, [designs] if isinstance(designs, str | Mapping) else designs, stage)

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
            self._ledger, self.name, designs, lambda state: veto_payload(state, designs, reason), self._by
        )

    def lift(self, *designs: str) -> Event:
        """Lift the vetoes on designs, named as for `veto`: they may be proposed again.

        Raises:
            InvalidInput: no design is given, one of them names nothing, or is not vetoed.
        """
        from campaign.decisions import lift_payload

        return record.state_veto(self._ledger, self.name, designs, lambda state: lift_payload(state, designs), self._by)

    def worksheet(self, path: str | Path, *, number: int | None = None) -> Path:
        """Write a batch as a worksheet to fill in: CSV, XLSX or JSON by the ending of `path`.

        Raises:
            InvalidInput: there is no such batch, or the ending is another one.
        """
        from campaign.worksheet import write_worksheet

        return write_worksheet(self.state, self.batch(number), Path(path))

    def weighing(self, path: str | Path, *, number: int | None = None, inventory: str | Path | None = None) -> Path:
        """Write what to weigh for a batch, to print and to fill in: XLSX, CSV or HTML by the ending of `path`.

        Args:
            path: of the file; `ingest` reads the filled XLSX or CSV back.
            number: of the batch; None for the latest.
            inventory: another inventory than the campaign keeps, such as that of today.

        Raises:
            InvalidInput: the spec says nothing of synthesis, an element has no precursor, or the ending is another one.
        """
        from campaign.weighing import plan_of, write_weighing

        state, batch = self.state, self.batch(number)
        made = plan_of(state, batch.items, None if inventory is None else Path(inventory))
        return write_weighing(state, batch, made, Path(path))

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
            return write_report(self.state, Path(path), verified=not self._store.verify(self.name), store=self._store)

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
