"""What a campaign waits for, since when, and how a person closes what will not come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from campaign.decisions import VETO_STATED
from campaign.state import BATCH_RECOMMENDED, PENDING_EXPIRED, RESULT_KINDS, State, load_state
from campaign.words import listed, suggestion
from campaign.writing import retried, stated_reason
from db.errors import InvalidInput, Problem
from db.records import Recommendation
from db.store import Store


@dataclass(frozen=True)
class Waiting:
    """A pending item and its age."""

    sample: str
    """Its label."""
    batch: str
    """Id of the batch that holds it now."""
    since: str
    """When it was first recommended, under whatever label; UTC."""
    days: int
    """Whole days from then to the moment of the state."""
    made: bool
    """Whether something of it is recorded already."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def waiting(state: State) -> tuple[Waiting, ...]:
    """The pending items, oldest first."""
    found = [_aged(state, r) for r in state.pending]
    return tuple(sorted(found, key=lambda w: (w.since, w.sample)))


def _aged(state: State, item: Recommendation) -> Waiting:
    batch_of = {r.id: r.batch for r in state.recommendations}
    first = list(state.decisions.names(item.id))[-1]
    since = state.batch_times[batch_of.get(first, item.batch)]
    age = datetime.fromisoformat(state.moment) - datetime.fromisoformat(since)
    made = any(name in state.sample_of for name in state.decisions.names(item.id))
    return Waiting(item.label, item.batch, since, max(age // timedelta(days=1), 0), made)


def ages(waits: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What is told of pending items, a line for all of one age: `waiting for 12 days: b1-03, b1-04`."""
    for days in dict.fromkeys(w["days"] for w in waits):
        labels = [w["sample"] + (" (in part)" if w["made"] else "") for w in waits if w["days"] == days]
        told = "since today" if days == 0 else f"for {days} day{'s' if days > 1 else ''}"
        yield f"waiting {told}: {', '.join(labels)}"


def expire(
    store: Store, name: str, labels: Sequence[str] = (), *, older_than: int | None = None, reason: str, by: str
) -> tuple[str, ...]:
    """Close pending items that will not come; what was not made of them may be proposed again.

    What was measured of an item stays and counts. Results that come in nevertheless are accepted as ever.

    Args:
        store: where the campaign is.
        name: of the campaign.
        labels: of pending items.
        older_than: also all that wait for this many days or more.
        reason: why.
        by: who says so.

    Returns:
        The labels that were closed; none where nothing is that old.

    Raises:
        InvalidInput: a label is not pending, nothing is named, or there is no reason.
        Overtaken: others kept recording at the same moment.
    """
    reason = stated_reason(reason, "what is no longer waited for", "the furnace is out of order")
    if not labels and older_than is None:
        fix = "name labels (b1-03), or an age with --older-than"
        raise InvalidInput(Problem(f"campaign {name}", "nothing is named that should expire", fix))

    def attempt() -> tuple[str, ...]:
        with store.reading():
            state = load_state(store, name)
        closed = _named(state, labels, older_than)
        if not closed:
            return ()
        made = [state.sample_of[i].id for r in closed for i in state.decisions.names(r.id) if i in state.sample_of]
        unmade = [r.id for r in closed if not any(i in state.sample_of for i in state.decisions.names(r.id))]
        payload = {"reason": reason, "expired": [r.label for r in closed], "superseded": unmade, "closed": made}
        store.append(
            name,
            PENDING_EXPIRED,
            payload,
            by=by,
            after=state.head.seq,
            unless={BATCH_RECOMMENDED, VETO_STATED, PENDING_EXPIRED, *RESULT_KINDS},
        )
        return tuple(r.label for r in closed)

    return retried(attempt)


def _named(state: State, labels: Sequence[str], older_than: int | None) -> list[Recommendation]:
    pending = {r.label: r for r in state.pending}
    known = {r.label for r in state.recommendations}
    problems = []
    for label in dict.fromkeys(labels):
        if label not in pending:
            what = f"{label} is not pending" if label in known else f"there is no recommendation {label!r}"
            fix = suggestion(label, list(pending)) if pending else "nothing is pending: there is nothing to close"
            problems.append(Problem(f"campaign {state.name}", what, fix))
    if problems:
        raise InvalidInput(problems)
    old = {w.sample for w in waiting(state) if older_than is not None and w.days >= older_than}
    return [r for label, r in pending.items() if label in old or label in labels]


def closed_line(labels: Sequence[str], reason: str) -> str:
    """What was closed, in words."""
    return f"no longer waited for: {listed(list(labels))} ({reason.strip()})" if labels else "nothing is that old"
