"""Proposing alone: the lease of a campaign is held, and renewed, for as long as a batch is computed.

Only proposing is exclusive. Results, failures and vetoes are recorded meanwhile as always; the batch that is computed
is then out of date, is not recorded, and is computed again from what is there now (`campaign.writing.retried`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from campaign.state import State
from db.errors import Overtaken, Problem, SiteloopError
from db.leases import Lease
from db.store import Store

LEASE_SECONDS = 60.0
"""A lease lapses so long after its last renewal; it is renewed three times in that time."""


@contextmanager
def under_lease(store: Store, name: str, *, by: str) -> Iterator[Lease]:
    """Hold the right to propose in a campaign.

    Raises:
        Leased: somebody else holds it.
    """
    lease = store.take_lease(name, by=by, seconds=LEASE_SECONDS)
    done = threading.Event()

    def renew() -> None:
        while not done.wait(LEASE_SECONDS / 3):
            with suppress(SiteloopError):  # a database that is busy now may not be next time; the commit tells
                store.renew_lease(lease, seconds=LEASE_SECONDS)

    thread = threading.Thread(target=renew, name=f"lease of {name}", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        done.set()
        thread.join()
        with suppress(SiteloopError):  # it lapses by itself
            store.release_lease(lease)


def still(store: Store, state: State) -> None:
    """Raise Overtaken if anything was recorded since `state` was read, before much is computed from it."""
    head = store.head(state.name)
    if head.seq != state.head.seq:
        what = f"{head.by} recorded {head.kind!r} at {head.at}, while the lease was taken"
        raise Overtaken(Problem(f"campaign {state.name}, event {head.seq}", what, "repeat the command"))
