"""Check of where things were measured: results of two labs are never pooled in silence."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.health.base import Finding, Look
from campaign.noise import both_labs, lab_sentence


def labs(look: Look) -> Iterator[Finding]:
    """Whether labs differ, and whether shared designs tell by how much."""
    for metric in look.state.metrics:
        noise = look.state.noise(metric.name)
        if noise is None:
            continue
        for e in noise.labs:
            told = lab_sentence(look.state, noise.model, e, metric.unit)
            numbers = {"offset": e.shift, "sd": e.sd, "shared": float(e.shared)}
            name = f"labs in {metric.name}"
            if e.shared:
                yield Finding(name, "note", told, "measure shared designs again when either lab changes", numbers)
            else:
                yield Finding(name, "warn", told, both_labs(look.state, noise.model, e), numbers)
