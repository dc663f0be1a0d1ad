"""Recommend: the open batch again, or the next one, computed under a lease and written to the ledger."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from campaign.cards import RecommendedBatch
from campaign.decisions import VETO_STATED
from campaign.kept_models import keep
from campaign.propose import Proposal, propose
from campaign.proposing import still, under_lease
from campaign.request import Request
from campaign.state import (
    BATCH_RECOMMENDED,
    PENDING_EXPIRED,
    RESULT_KINDS,
    SPEC_REVISED,
    State,
    load_state,
)
from campaign.writing import retried
from db.errors import Conflict, Problem
from db.leases import Lease
from db.records import Batch, Candidate
from db.store import Store


def open_batch(state: State) -> Batch | None:
    """The latest batch, if some of it is pending and nothing was recorded since: asking again must not double it."""
    if not state.batches or state.last_result > state.last_batch:
        return None
    latest = state.batches[-1]
    return latest if any(r.batch == latest.id for r in state.pending) else None


class BatchConflict(Conflict):
    """Somebody else recommended a batch at the same moment."""


def recommend(
    store: Store, name: str, request: Request, *, by: str, stage: Callable[[str], None] = lambda _: None
) -> RecommendedBatch:
    """The open batch again, or the next one, computed and written down.

    Args:
        store: where the campaign is.
        name: of the campaign.
        request: what is asked.
        by: who asks.
        stage: called with a name when a stage begins.

    Raises:
        InvalidInput: nothing is left to recommend.
        Leased: somebody else is proposing in this campaign.
        BatchConflict: somebody else recommended a batch at the same moment. Results that came in between are taken in.
    """
    seen: int | None = None
    lease: Lease | None = None

    def attempt() -> RecommendedBatch:
        nonlocal seen, lease
        stage("read the campaign")
        with store.reading():
            state = load_state(store, name)
        if seen is not None and len(state.batches) > seen:
            latest = state.batches[-1]
            labels = ", ".join(r.label for r in state.recommendations if r.batch == latest.id)
            what = f"batch {latest.number} ({labels}) was recommended by somebody else at the same moment"
            raise BatchConflict(
                Problem(f"campaign {name}", what, "make that one, or ask for a further one with --more")
            )
        seen = len(state.batches)
        standing = None if request.more or request.pin or request.veto else open_batch(state)
        if standing is not None:
            gone = state.decisions.superseded
            items = tuple(r for r in state.recommendations if r.batch == standing.id and r.id not in gone)
            note = f"batch {standing.number} is open and nothing was recorded since; --more proposes a further one"
            kept = f"it stays at {len(items)}, not {request.size}"
            notes = (note, kept) if request.size not in (None, len(items)) else (note,)
            return RecommendedBatch(standing, items, state.space, notes, repeated=True)
        if lease is None and not request.dry_run:
            lease = held.enter_context(under_lease(store, name, by=by))
            still(store, state)
        proposal = propose(state, request, stage=stage)
        if not request.dry_run:
            stage("record")
            record_batch(store, state, proposal, by=by, lease=lease)
        recorded = not request.dry_run
        return RecommendedBatch(
            proposal.batch, proposal.recommendations, state.space, proposal.notes, recorded=recorded
        )

    with ExitStack() as held:
        return retried(attempt)


def record_batch(store: Store, state: State, proposal: Proposal, *, by: str, lease: Lease | None = None) -> None:
    """Write a batch to the ledger; its items are pending from then on.

    Args:
        store: where the campaign is.
        state: of which the batch was computed.
        proposal: the batch.
        by: who proposes.
        lease: under which it was computed.

    Raises:
        Overtaken: a batch was recommended or results were recorded since `state` was read.
        Conflict: the lease is somebody else's by now.
    """
    for version in proposal.models:
        store.put_model_version(version)  # a cache: written first, so that no batch names a model nobody knows
    for fitted in proposal.fits:
        keep(store.artifacts, fitted)
    candidates = [Candidate(r.candidate, r.design, r.stratum) for r in proposal.recommendations]
    store.append(
        state.name,
        BATCH_RECOMMENDED,
        {"batch": proposal.batch.id, "size": len(proposal.recommendations), **proposal.payload},
        rows=[*candidates, proposal.batch, *proposal.recommendations],
        by=by,
        after=state.head.seq,
        unless={BATCH_RECOMMENDED, VETO_STATED, PENDING_EXPIRED, SPEC_REVISED, *RESULT_KINDS},
        lease=lease,
    )
