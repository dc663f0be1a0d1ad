"""The door of a campaign: what the lab hands in, corrects and calls off."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from campaign import record
from campaign.moments import Moment
from campaign.state import State, load_state
from campaign.writing import stated_reason
from db.errors import InvalidInput, Problem
from db.records import Event, Measurement
from db.store import Store

if TYPE_CHECKING:
    from campaign.corrections import Amendment
    from campaign.curve_list import Handed
    from campaign.curve_record import Again
    from campaign.curves import CheckedCurve
    from campaign.mapping import SavedMapping
    from campaign.record import Reading
    from lab_io.schema import Check


class Door:
    """What a campaign takes in from the lab. Everything is appended to the ledger, and nothing in it is changed."""

    def __init__(self, store: Store, name: str, *, by: str | None = None, at: Moment | None = None) -> None:
        self._store = store
        self._at = at
        self._by = by or _user()
        self.name = name

    @property
    def state(self) -> State:
        """What the ledger says now, or said as of the moment of the view."""
        with self._store.reading():
            return load_state(self._store, self.name, at=self._at)

    @property
    def _ledger(self) -> Store:
        """The store, to record something in; a view refuses."""
        if self._at is not None:
            what = f"this is a view as of event {self._at.seq}, in which nothing can be recorded"
            raise InvalidInput(Problem(f"campaign {self.name}", what, "open the campaign as it is now"))
        return self._store

    def check(self, file: str | Path | bytes | Reading, **answers: Any) -> Check:
        """Read a table of results and say of every row whether it would be accepted; nothing is written.

        Args:
            file: path of a CSV or spreadsheet file, its bytes, or a `record.Reading` of it.
            **answers: `name`, what to call the file in messages; `mapping`, column of the file -> our name for it;
                `units`, column of the file -> its unit where the file does not say; `sheet` of a workbook; `fixes`,
                what is consented to (`V->mV`); `saved`, a mapping as `find_mapping` gives it.

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
        return record.ingest(self._ledger, self.name, reading, by=self._by)

    def record(
        self,
        sample: str,
        values: Mapping[str, str],
        *,
        unit: str | None = None,
        sd: str | None = None,
        commit: bool = False,
    ) -> Check:
        """Check one row typed by hand, as if it stood in a table, and with `commit` record it.

        Args:
            sample: its label.
            values: header -> cell, as in a table of results: `{"overpotential": "263", "operator": "mk"}`.
            unit: of the metrics, where their cells do not say.
            sd: standard deviation of the only metric, in the same unit.
            commit: record it; the same row again is a no-op.

        Raises:
            InvalidInput: a unit is missing, the row was recorded before and does not count any more, or, with
                `commit`, it is rejected or needs an answer.
            Conflict: others kept recording at the same moment.
        """
        from campaign.byhand import typed_row

        reading = typed_row(self.state, sample, values, unit=unit, sd=sd)
        checked = self.check(reading)
        if self.recorded(reading) and any(row.status == "accepted" for row in checked.rows):
            what = "this was recorded before, and is amended or void since"
            fix = 'say what is new about it, such as notes="measured again"'
            raise InvalidInput(Problem(f"campaign {self.name}, {sample}", what, fix))
        return self.ingest(reading, commit=True) if commit else checked

    def amend(
        self,
        measurement: str,
        value: str,
        *,
        unit: str | None = None,
        sd: str | None = None,
        reason: str,
        commit: bool = False,
    ) -> Amendment:
        """Check a corrected value, and with `commit` record it in place of a measurement, which stays in the ledger.

        Args:
            measurement: which one: `b1-03/overpotential`, with `/2` for a numbered replicate, or its id.
            value: as typed: `251`, `0.251 V`, `<10`; a formula for a composition.
            unit: of the value, where it does not say.
            sd: standard deviation, in the same unit; that of the old measurement stays if left out.
            reason: why the old one is wrong.
            commit: record it; the same value again is a no-op.

        Raises:
            InvalidInput: no such measurement, no reason, or, with `commit`, the value is not accepted.
            Conflict: others kept recording at the same moment.
        """
        from campaign.corrections import amend

        return amend(
            self._ledger, self.name, measurement, value, unit=unit, sd=sd, reason=reason, by=self._by, commit=commit
        )

    def void_measurement(self, measurement: str, *, reason: str) -> Measurement:
        """State that one measurement, named as for `amend`, does not count; its metric is awaited again.

        Raises:
            InvalidInput: no such measurement, or no reason.
            Conflict: others kept recording at the same moment.
        """
        from campaign.corrections import void_measurement

        return void_measurement(self._ledger, self.name, measurement, reason=reason, by=self._by)

    def expire(self, *labels: str, older_than: int | None = None, reason: str) -> tuple[str, ...]:
        """Close pending items that will not come: their designs may be proposed again, what was measured stays.

        Args:
            *labels: of pending items.
            older_than: also all that wait for so many days or more.
            reason: why.

        Returns:
            The labels that were closed.

        Raises:
            InvalidInput: a label is not pending, nothing is named, or there is no reason.
            Conflict: others kept recording at the same moment.
        """
        from campaign.waiting import expire

        return expire(self._ledger, self.name, labels, older_than=older_than, reason=reason, by=self._by)

    def share(self, other: str, *labels: str) -> Event | None:
        """Let samples of another campaign count in this one, by reference: a correction there is one here.

        Args:
            other: the campaign that they belong to, in the same database.
            *labels: of the samples there.

        Returns:
            The event; None where all of them are shared already.

        Raises:
            InvalidInput: a sample does not exist, or has no place in this campaign; all problems at once.
            Conflict: others kept recording at the same moment.
        """
        from campaign.share import share

        return share(self._ledger, self.name, other, labels, by=self._by)

    def find_mapping(self, given: str) -> SavedMapping:
        """A column mapping by the name under which it was saved here, else from the YAML file of that path.

        Raises:
            InvalidInput: there is neither, or the file has problems.
        """
        from campaign.mapping import find_mapping

        return find_mapping(self._store, self.name, given)

    def save_mapping(self, mapping: SavedMapping) -> Event | None:
        """Record a column mapping under its name; None where the very same is saved already.

        Raises:
            InvalidInput: the name cannot be used.
        """
        from campaign.mapping import save_mapping

        return save_mapping(self._store, self.name, mapping, by=self._by)

    @property
    def mappings(self) -> dict[str, SavedMapping]:
        """The newest mapping of each name."""
        from campaign.mapping import saved_mappings

        return saved_mappings(self._store, self.name)

    def recorded(self, file: str | Path | bytes | Reading, **answers: Any) -> bool:
        """Whether these very bytes, read in this way, were ingested before. Arguments as for `check`."""
        return record.recorded_before(self._store, self.name, record.read(file, **answers))

    def check_curves(self, handed: Sequence[Handed]) -> list[CheckedCurve]:
        """Read polarisation curves and say what each would bring, and what stands against it; nothing is written.

        Args:
            handed: as `campaign.curve_list.handed_in` makes them of a file, a folder or a list.
        """
        from campaign.curve_record import checked_curves

        return checked_curves(self._store, self.name, handed)

    def record_curves(self, handed: Sequence[Handed]) -> list[CheckedCurve]:
        """Record polarisation curves with what is read on them: all or none. Those on record change nothing.

        Raises:
            InvalidInput: one of them cannot be recorded; all problems at once.
            Conflict: others kept recording at the same moment.
        """
        from campaign.curve_record import record_curves

        return record_curves(self._store, self.name, handed, by=self._by)

    def recompute_curves(self) -> list[Again]:
        """Every value that came from a curve, computed again from the stored bytes and parameters alone.

        Raises:
            InvalidInput: a file of a curve is missing from the database.
        """
        from campaign.curve_record import recomputed

        return recomputed(self._store, self.name)

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
            self._ledger, self.state, label, {"status": "failed", "mode": mode, "reason": reason}, self._by
        )

    def void(self, label: str, *, reason: str) -> Event:
        """State that a sample does not count (spilt, mislabelled): its values are set aside, its design is free again.

        Raises:
            InvalidInput: there is no such sample or recommendation, or no reason.
        """
        reason = stated_reason(reason, "a void sample", "mislabelled")
        return record.state_status(self._ledger, self.state, label, {"status": "void", "reason": reason}, self._by)

    def knows(self, label: str) -> bool:
        """Whether there is a sample or recommendation of this label."""
        state = self.state
        return any(label == known.label for some in (state.samples, state.recommendations) for known in some)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
