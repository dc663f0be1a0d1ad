"""Predictions of several objectives as columns of a table that fits a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from campaign.sentences import interval_text, percent
from campaign.words import quantity


def front_heads(predictions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A column for each objective, its unit and the level of its interval below its name; then that of the front."""
    found = []
    for name, expected in predictions.items():
        level = f"{100 * float(next(iter(expected['intervals']))):g} %"
        found.append(f"{name}\n{expected['unit']}, {level}>" if expected["unit"] else f"{name}\n{level}>")
    return [*found, "P(on\nfront)>"]


def front_cells(
    predictions: Mapping[str, Mapping[str, Any]], front: Mapping[str, Any] | None, objectives: int
) -> list[str]:
    """The median of each objective with its first interval below, and the probability of being on the front.

    Args:
        predictions: by objective; none for a control or a replicate.
        front: what is stored of the front.
        objectives: how many there are.
    """
    if not predictions:
        return [""] * (objectives + 1)
    found = []
    for expected in predictions.values():
        interval = next(iter(expected["intervals"].values()))
        found.append(f"{quantity(expected['median'], digits=4)}\n{short(interval_text(interval, None))}")
    chance = (front or {}).get("probability")
    return [*found, "" if chance is None else percent(chance)]


def short(text: str) -> str:
    """An interval without its level: `275 to 359`, `needs 5 more`."""
    return text.partition(": ")[2].replace(" measurements", "").replace(" measurement", "")
