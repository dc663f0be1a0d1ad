"""A batch whose items share a setting: one furnace temperature for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from botorch.models.model import Model
from torch import Tensor

from acquisition.choose import Selection

PER_ROW = ("late", "costs", "prices")
"""Options of a chooser that have one entry a candidate."""
JUDGED_BY = {"portfolio": "qLogNEI"}
"""What settings are compared by where the picks of an acquisition have no common scale: the part that improves."""


def in_one_setting(choose: Callable[..., Selection], settings: Tensor | None) -> Callable[..., Selection]:
    """`choose` with the setting of the batch chosen jointly with its items.

    For each setting a batch is built greedily from its candidates alone, and the batch of the largest joint value wins.
    A setting with fewer than `q` candidates counts only where none has more. Under an acquisition of `JUDGED_BY` the
    settings are compared by the batches of another one, and the winner is filled by the acquisition itself.

    Args:
        choose: as `acquisition.choose.choose`.
        settings: number of the setting of each candidate, `n`; None where nothing is shared.
    """
    if settings is None:
        return choose

    def chosen(model: Model, X: Tensor, q: int, **options: Any) -> Selection:
        numbers, sizes = settings.unique(return_counts=True)
        enough = min(q, int(sizes.amax()))
        asked = options["acquisition"]
        judge = JUDGED_BY.get(asked, asked)
        best: tuple[float, Tensor, Selection] | None = None
        for number in numbers[sizes >= enough]:
            rows = (settings == number).nonzero().flatten()
            mine = _of(options, rows) | {"acquisition": judge}
            found = choose(model, X[rows], q, **mine)
            value = batch_value(mine, found)
            if best is None or value > best[0]:
                best = value, rows, found
        if best is None:
            raise ValueError("the pool is empty: nothing is left to choose from")
        _, rows, found = best
        if asked != judge:
            found = choose(model, X[rows], q, **_of(options, rows))
        return Selection([int(rows[row]) for row in found.rows], found.values)

    return chosen


def _of(options: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    """The options of a chooser for some of its candidates."""
    return {key: v[rows] if key in PER_ROW and v is not None else v for key, v in options.items()}


def batch_value(options: dict[str, Any], batch: Selection) -> float:
    """What a batch is worth, on a scale that orders batches, from the values of its picks in order.

    An improvement, a gain of knowledge and a probability are what each pick adds to those before it, as logarithms; the
    upper confidence bound is that of the batch so far; scores and variances add up. Costs, where given, are those of
    the whole batch.
    """
    gains = torch.tensor(batch.values, dtype=torch.float64)
    seeking = bool(options.get("constraints")) and options["best_observed"] == -torch.inf
    name = options["acquisition"]
    if name != "max_variance" and (seeking or name in ("qLogEI", "qLogNEI", "KG")):
        value = gains.logsumexp(0)
    else:
        value = gains[-1] if name == "UCB" else gains.sum()
    costs = options.get("costs")
    if costs is None:
        return float(value)
    log_cost = options.get("cost_power", 1.0) * costs[batch.rows].sum().log()
    return float(value.log() - log_cost if name == "max_variance" else value - log_cost)
