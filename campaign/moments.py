"""A moment of a campaign: after which of its events it is looked at, and after which of those it learns from.

The order of events is their number, never their time; a time stands for the last event that was recorded by then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

from db.errors import InvalidInput, Problem
from db.records import Event
from db.store import Store

_NUMBER = re.compile(r"[+-]?\d{1,18}")
"""What may be the number of an event."""


@dataclass(frozen=True)
class Moment:
    """When a campaign is looked at."""

    seq: int
    """Number of the last event that is seen."""
    at: str
    """UTC, ISO 8601: the time that was asked for, or that of the event."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Number of the last event that is seen of other campaigns, by name; of those left out, the last one by `at`."""

    def other(self, store: Store, name: str) -> Moment:
        """The same moment of another campaign; its first event where it began later."""
        events = store.events(name)
        seq = self.others.get(name) or max((e.seq for e in events if e.at <= self.at), default=1)
        return Moment(seq, self.at)


def moment(store: Store, name: str, text: str | int) -> Moment:
    """What `--as-of` names: the number of an event, a date (to its end, UTC), or a time (UTC if it does not say).

    Raises:
        InvalidInput: it is none of these, the campaign has no such event, or it began later.
    """
    store.require(name)
    events = store.events(name)
    if isinstance(text, int) or _NUMBER.fullmatch(text.strip()):
        return _numbered(name, events, int(text))
    at = _time(text)
    known = [e.seq for e in events if e.at <= at]
    if not known:
        what = f"{text} is before the campaign began"
        raise InvalidInput(Problem("as of", what, f"choose a time from {events[0].at} on, or an event number"))
    return Moment(max(known), at)


def _numbered(name: str, events: list[Event], seq: int) -> Moment:
    if not 1 <= seq <= len(events):
        fix = f"choose a number from 1 to {len(events)}; `siteloop log` lists them"
        raise InvalidInput(Problem("as of", f"campaign {name} has no event {seq}", fix))
    return Moment(seq, events[seq - 1].at)


def _time(text: str) -> str:
    try:
        found = datetime.fromisoformat(text.strip())
        if len(text.strip()) <= len("2026-03-01"):
            found = datetime.combine(found, time.max)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):  # the latter: another zone's end of all dates
        fix = "write 2026-03-01, 2026-03-01T12:00, 2026-03-01T12:00+02:00, or the number of an event"
        raise InvalidInput(Problem("as of", f"{text!r} is no date, time or event number", fix)) from None
