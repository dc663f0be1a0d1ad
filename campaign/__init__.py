"""The rooms people use: spec, spaces, screen -> propose -> record, rationale, report, and the Campaign itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from campaign.campaign import Campaign

__all__ = ["Campaign"]


def __getattr__(name: str) -> Any:
    if name == "Campaign":  # lazily, so that `campaign.spec` does not pay for the store
        from campaign.campaign import Campaign

        return Campaign
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
