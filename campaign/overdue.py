"""Pending items that the lab has had for longer than the spec allows: nothing happens by itself, a person is asked."""

from __future__ import annotations

from collections.abc import Sequence

from campaign.state import State
from campaign.waiting import Waiting, waiting
from campaign.words import listed

SHOWN = 4
"""Labels that a sentence names."""


def overdue(state: State) -> tuple[Waiting, ...]:
    """What is pending for `batch.due_days` or more at the moment of the state, the longest first."""
    return tuple(item for item in waiting(state) if item.days >= state.spec.batch.due_days)


def question(items: Sequence[Waiting], campaign: str, due_days: float) -> str:
    """What a person is asked about items that are overdue; empty where none is."""
    if not items:
        return ""
    names = listed([i.sample for i in items[:SHOWN]])
    names += f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    what = f"{names} {'is' if len(items) == 1 else 'are'} pending for {due_days:g} days or more"
    ask = f"ask the lab, then `siteloop ingest {campaign} FILE`, or `siteloop expire` what will not come"
    return f"{what} (the longest for {items[0].days}): {ask}"
