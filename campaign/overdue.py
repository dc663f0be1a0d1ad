"""Pending items that the lab has had for longer than the spec allows: nothing happens by itself, a person is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from campaign.state import State
from campaign.words import listed
from db.records import Recommendation

SHOWN = 4
"""Labels that a sentence names."""


@dataclass(frozen=True)
class Overdue:
    """One pending item."""

    label: str
    days: float
    """Since it was recommended."""

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"sample": self.label, "days": round(self.days, 1)}


def overdue(state: State, now: datetime | None = None) -> tuple[Overdue, ...]:
    """What is pending for more than `batch.due_days`, the longest first.

    Args:
        state: the campaign.
        now: the present time; None for the clock's.
    """
    now = now or datetime.now(UTC)
    batch_of = {r.id: r.batch for r in state.recommendations}

    def since(item: Recommendation) -> str:
        """When it was first recommended, under whatever label."""
        first = list(state.decisions.names(item.id))[-1]
        return state.batch_times[batch_of.get(first, item.batch)]

    waited = [Overdue(r.label, _days(since(r), now)) for r in state.pending]
    return tuple(sorted((w for w in waited if w.days > state.spec.batch.due_days), key=lambda w: (-w.days, w.label)))


def question(items: Sequence[Overdue], campaign: str, due_days: float) -> str:
    """What a person is asked about items that are overdue; empty where none is."""
    if not items:
        return ""
    names = listed([i.label for i in items[:SHOWN]]) + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")
    what = f"{names} {'is' if len(items) == 1 else 'are'} pending for more than {due_days:g} days"
    ask = f"ask the lab, then `siteloop ingest {campaign} FILE`, or `siteloop fail` what was not made"
    return f"{what} (the longest for {items[0].days:.0f}): {ask}"


def _days(since: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(since)).total_seconds() / 86_400
