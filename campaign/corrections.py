"""Corrections: a measurement is amended by a new one that supersedes it, or declared void. Nothing is taken away.

The old rows stay in the ledger, and every batch keeps what it was computed from; the next one is computed from what is
current then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from campaign import record
from campaign.byhand import typed_row
from campaign.formulas import parsed
from campaign.sharing import WEIGHED
from campaign.state import (
    BATCH_RECOMMENDED,
    COMPOSITION,
    COMPOSITION_SD,
    MEASUREMENT_AMENDED,
    MEASUREMENT_VOIDED,
    RESULT_KINDS,
    SPEC_REVISED,
    State,
    load_state,
)
from campaign.words import quantity, suggestion
from campaign.writing import retried, stated_reason
from db.errors import InvalidInput, Problem
from db.records import Event, Measurement, Source
from db.store import Store
from lab_io.findings import CellError
from lab_io.schema import Check
from lab_io.words import answer

_LATER = frozenset({BATCH_RECOMMENDED, SPEC_REVISED, *RESULT_KINDS})
LEAST_PREFIX = 6
"""Letters of an id that must be given."""


@dataclass(frozen=True)
class Amendment:
    """A measurement, and what takes its place."""

    sample: str
    """Label."""
    old: Measurement
    new: Measurement | None
    """None where the new value cannot be accepted; `checked` says why."""
    checked: Check
    event: Event | None = None
    """As recorded; None for a dry run, or where nothing changes."""
    boolean: bool = False
    """Whether what was measured is answered with yes or no."""

    @property
    def same(self) -> bool:
        """Whether the new one says what the old one said."""
        return self.new is not None and _content(self.new) == _content(self.old)

    def sentence(self) -> str:
        """`b1-03 overpotential: 263 mV -> 251 ± 3 mV`."""
        after = told(self.new, boolean=self.boolean) if self.new else "not accepted"
        return f"{name_of(self.sample, self.old)}: {told(self.old, boolean=self.boolean)} -> {after}"


def _content(m: Measurement) -> tuple[object, ...]:
    return m.value, m.qualifier, m.sd, m.composition and dict(m.composition)


def told(m: Measurement, *, boolean: bool = False) -> str:
    """A measured value in words: `<263 ± 4 mV`, `Ni 0.48, Fe 0.52`, and of what is `boolean`, `yes` or `no`."""
    if m.value is None:
        spreads = m.conditions.get(COMPOSITION_SD, {})
        sds = {name: f" ± {quantity(sd)}" for name, sd in spreads.items()}
        return ", ".join(f"{name} {x:.4g}{sds.get(name, '')}" for name, x in (m.composition or {}).items())
    if boolean:
        return answer(m.value)
    spread = f" ± {quantity(m.sd)}" if m.sd is not None else ""
    sign = "" if m.qualifier == "=" else m.qualifier
    return f"{sign}{quantity(m.value, digits=6)}{spread}{' ' + m.unit if m.unit else ''}"


def name_of(label: str, m: Measurement) -> str:
    """How a measurement is named: `b1-03/overpotential`, `b1-03/overpotential/2` for a numbered replicate."""
    return "/".join([label, m.metric, *([m.replicate] if m.replicate else [])])


def find(store: Store, state: State, text: str) -> Measurement:
    """The current measurement that a person means.

    Args:
        store: where the campaign is.
        state: the campaign.
        text: its name (`b1-03/overpotential`, `b1-03/overpotential/2`), its id or the beginning of it, or the label of
            a sample that has one measurement only.

    Raises:
        InvalidInput: it names none, several, or one that is superseded or void.
    """
    label = {s.id: s.label for s in state.samples}
    names = {m.id: name_of(label[m.sample], m) for m in state.measurements}
    found = [m for m in state.measurements if text in (names[m.id], m.id)]
    found = found or [m for m in state.measurements if text == label[m.sample]]
    if not found and text.startswith("m-") and len(text) >= LEAST_PREFIX:
        found = [m for m in state.measurements if m.id.startswith(text)]
    where = f"campaign {state.name}"
    if len(found) == 1 and found[0].campaign != state.name:
        what = f"{text} is shared by campaign {found[0].campaign}"
        raise InvalidInput(Problem(where, what, "correct it there, and it is corrected here"))
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{names[m.id]} ({told(m, boolean=m.metric in state.questions)}, {m.id})" for m in found)
        raise InvalidInput(Problem(where, f"{text!r} names several measurements", f"name one of {several}"))
    if past := [m for m in store.measurements(state.name, current=False) if m.id == text]:
        later = next((names[m.id] for m in state.measurements if m.supersedes == text), None)
        what = f"{text} is void: {state.decisions.voided[text]}" if text in state.decisions.voided else "superseded"
        was = told(past[0], boolean=past[0].metric in state.questions)
        what = what if "void" in what else f"{text} ({was}) is superseded already"
        raise InvalidInput(Problem(where, what, f"name {later}, which took its place" if later else "record it anew"))
    known = sorted(names.values())
    fix = suggestion(text, known) if known else "record or ingest something first"
    raise InvalidInput(Problem(where, f"there is no measurement {text!r}", fix))


def amend(
    store: Store,
    name: str,
    text: str,
    value: str,
    *,
    unit: str | None = None,
    sd: str | None = None,
    reason: str,
    by: str,
    commit: bool,
) -> Amendment:
    """Check a corrected value as if it stood in a table, and with `commit` record it in place of the old one.

    Args:
        store: where the campaign is.
        name: of the campaign.
        text: which measurement, as `find` takes it.
        value: as typed, `251` or `0.251 V` or `<10`; of a composition, a formula.
        unit: of the value, where it does not say.
        sd: standard deviation, in the same unit; that of the old measurement stays if it is left out.
        reason: why the old one is wrong.
        by: who says so.
        commit: whether to record it; the same value again is a no-op.

    Raises:
        InvalidInput: there is no such measurement, no reason, or, with `commit`, the value is not accepted.
        Overtaken: others kept recording at the same moment.
    """
    reason = stated_reason(reason, "an amendment", "digits swapped in the notebook")

    def attempt() -> Amendment:
        with store.reading():
            state = load_state(store, name)
            old = find(store, state, text)
        found, reading = _checked(state, old, value, unit, sd, reason)
        if not commit or found.same:
            return found
        if found.new is None:
            raise InvalidInput(found.checked.problems)
        event = store.append(
            name,
            MEASUREMENT_AMENDED,
            {"amended": {found.new.id: old.id}, "reason": reason},
            rows=[Source(reading.sha256, reading.name, reading.content), found.new],
            by=by,
            after=state.head.seq,
            unless=_LATER,
        )
        return replace(found, event=event)

    return retried(attempt)


def _checked(
    state: State, old: Measurement, value: str, unit: str | None, sd: str | None, reason: str
) -> tuple[Amendment, record.Reading]:
    """What becomes of a typed value in place of an old measurement, which the check does not know of."""
    label = next(s.label for s in state.samples if s.id == old.sample)
    if old.metric == WEIGHED:
        fix = f"`siteloop void {label}/{WEIGHED}`, and hand in the corrected weighing sheet"
        raise InvalidInput(Problem(f"{label}/{WEIGHED}", "masses are not amended one by one", fix))
    without = replace(state, measurements=tuple(m for m in state.measurements if m.id != old.id))
    cells = {"replicate": old.replicate} if old.replicate else {}
    cells |= _fractions(state, value) if old.metric == COMPOSITION else {old.metric: value}
    reading = typed_row(without, label, cells, unit=unit, sd=sd)
    checked = record.check(without, reading)
    result, boolean = next(iter(checked.results), None) if checked.ok else None, old.metric in state.questions
    if result is None or not (result.values or result.composition):
        return Amendment(label, old, None, checked, boolean=boolean), reading
    key = [old.id, value, unit, sd, reason]
    new = replace(old, id=record.new_id("m", *key), supersedes=old.id, reason=reason, source=reading.sha256, cell=None)
    if result.composition is not None:
        new = replace(new, composition=dict(result.composition))
    else:
        found = result.values[old.metric]
        spread = old.sd if found.sd is None else found.sd
        new = replace(new, value=found.value, qualifier=found.qualifier, sd=spread, cell=found.cell)
    return Amendment(label, old, new, checked, boolean=boolean), reading


def _fractions(state: State, value: str) -> dict[str, str]:
    try:
        return {f"measured {name}": f"{x!r}" for name, x in parsed(state.space, value).items()}
    except CellError as error:
        raise InvalidInput(Problem("--value", error.what, error.fix)) from None


def void_measurement(store: Store, name: str, text: str, *, reason: str, by: str) -> Measurement:
    """State that one measurement does not count; what it measured is awaited again.

    Raises:
        InvalidInput: there is no such measurement, or no reason.
        Overtaken: others kept recording at the same moment.
    """
    reason = stated_reason(reason, "a void measurement", "the electrode was not wetted")

    def attempt() -> Measurement:
        with store.reading():
            state = load_state(store, name)
            found = find(store, state, text)
        store.append(
            name, MEASUREMENT_VOIDED, {"voided": {found.id: reason}}, by=by, after=state.head.seq, unless=_LATER
        )
        return found

    return retried(attempt)
