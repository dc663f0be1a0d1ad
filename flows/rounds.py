"""Whole rounds of a campaign, as a Prefect flow: screen, propose, wait for the lab, record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from campaign.belief import learnable
from campaign.campaign import Campaign
from campaign.cards import RecommendedBatch
from flows.propose import recommend
from flows.record import ingest
from flows.screen import screen
from flows.steps import flow, step


@flow(name="campaign")
def campaign_flow(
    campaign: str, measure: Callable[[RecommendedBatch], bytes], *, rounds: int, db: str | None = None
) -> Any:
    """Run a campaign with a lab that answers by itself (a robot, a simulation). Started again, it goes on where it was.

    Args:
        campaign: name of a campaign that was started.
        measure: makes and measures a batch; returns the table of results as CSV bytes. It is never called twice for a
            batch within a run, because making is not repeatable.
        rounds: how many batches to have measured in the end, those of earlier runs included.
        db: database URL.
    """
    opened = Campaign.open(campaign, db=db)
    lab = step(measure, name="measure", retries=0)
    while opened.status()["pending"] or len(opened.state.batches) < rounds:
        if learnable(opened.state):
            screen(opened)
        batch = recommend(opened)
        ingest(opened, lab(batch), name=f"batch-{batch.batch.number}.csv", commit=True)
    return opened.status()
