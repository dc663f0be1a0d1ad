"""Record results, as a Prefect flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from campaign.campaign import Campaign
from campaign.record import Reading
from flows.steps import flow, step

ingest = step(Campaign.ingest, name="ingest")


@flow(name="record")
def record_flow(
    campaign: str, file: str | Path | bytes | Reading, *, db: str | None = None, by: str | None = None, **options: Any
) -> Any:
    """`Campaign.ingest` with retries: the same bytes a second time are a no-op, so nothing is recorded twice."""
    return ingest(Campaign.open(campaign, db=db, by=by), file, commit=True, **options)
