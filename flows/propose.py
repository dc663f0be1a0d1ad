"""Propose the next batch, as a Prefect flow."""

from __future__ import annotations

from typing import Any

from campaign.campaign import Campaign
from flows.steps import flow, step

recommend = step(Campaign.recommend, name="recommend")


@flow(name="propose")
def propose_flow(campaign: str, *, db: str | None = None, by: str | None = None, **options: Any) -> Any:
    """`Campaign.recommend` with retries: an open batch comes back as it is, so nothing is proposed twice."""
    return recommend(Campaign.open(campaign, db=db, by=by), **options)
