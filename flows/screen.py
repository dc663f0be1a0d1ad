"""Screen a campaign's space, as a Prefect flow."""

from __future__ import annotations

from typing import Any

from campaign.campaign import Campaign
from flows.steps import flow, step

screen = step(Campaign.screen, name="screen")


@flow(name="screen")
def screen_flow(campaign: str, *, db: str | None = None, **options: Any) -> Any:
    """`Campaign.screen` with retries: the same predictions, kept in the store."""
    return screen(Campaign.open(campaign, db=db), **options)
