"""A small campaign that fits in a second: three elements in sixths, minimised, with the GP."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from campaign import Campaign

ELEMENTS = ("Ni", "Fe", "Co", "Mn")


def spec_of(**changes: Any) -> dict[str, Any]:
    return {
        "spec_version": 1,
        "campaign": "small",
        "seed": 3,
        "space": {"type": "composition_grid", "elements": list(ELEMENTS), "divisions": 6, "max_elements": 3},
        "objectives": [{"name": "loss", "goal": "minimize", "unit": "mV"}],
        "batch": {"size": 3},
        "model": "gp",
    } | changes


def truth(design: Mapping[str, Any]) -> float:
    ni, fe, co, _ = (float(design.get(e, 0.0)) for e in ELEMENTS)
    return 300 + 400 * (ni - 0.5) ** 2 + 300 * (fe - 0.33) ** 2 - 20 * co


def results(samples: Sequence[tuple[str, Mapping[str, Any]]], *, sign: float = 1.0, header: str = "loss (mV)") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", *ELEMENTS, header])
    for label, design in samples:
        writer.writerow([label, *(f"{design.get(e, 0):.6g}" for e in ELEMENTS), f"{sign * truth(design):.3f}"])
    return text.getvalue().encode()


def history(campaign: Campaign, n: int = 8, seed: int = 0) -> list[tuple[str, Mapping[str, Any]]]:
    """`n` random designs of the campaign's space."""
    space = campaign.state.space
    rows = np.random.default_rng(seed).choice(space.count, n, replace=False)
    return [(f"old-{i}", space.candidate(int(row)).design) for i, row in enumerate(rows)]
