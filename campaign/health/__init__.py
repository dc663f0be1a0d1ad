"""The health of a campaign: small checks, each of which ends in the next thing to do."""

from __future__ import annotations

from campaign.health.base import FALSE_ALARM, Check, Finding, Look
from campaign.health.data import constraints, contradictions, failures, repeated, space_size, variation
from campaign.health.labs import labs
from campaign.health.rounds import coverage, gains, lead, shift, surrogate

CHECKS: tuple[Check, ...] = (
    surrogate,
    coverage,
    shift,
    labs,
    gains,
    lead,
    repeated,
    contradictions,
    variation,
    constraints,
    failures,
    space_size,
)

__all__ = ["CHECKS", "FALSE_ALARM", "Check", "Finding", "Look", "health"]


def health(look: Look) -> list[Finding]:
    """What all checks found, warnings first."""
    order = ("warn", "note", "ok")
    return sorted((finding for check in CHECKS for finding in check(look)), key=lambda f: order.index(f.level))
