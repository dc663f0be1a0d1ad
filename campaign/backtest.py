"""Replay a campaign on a finished experiment, through the same code that runs a real one."""

from __future__ import annotations

import csv
import io
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from campaign.belief import stored_interval
from campaign.campaign import Campaign
from campaign.plate import Plate, initial_draw, random_order, regret, score
from campaign.spaces import variables
from campaign.spec import CampaignSpec
from campaign.stop_spec import Stop
from db.errors import Problem, UsageError
from db.store import Store

RANDOM_SEEDS = 200


@dataclass(frozen=True)
class Protocol:
    """How a replay runs: `initial` random candidates, then batches of `batch` until `budget` are measured.

    With a history there need be no random ones; the first batch is then chosen by it.
    """

    initial: int = 10
    batch: int = 5
    budget: int = 100

    def check(self, spec: CampaignSpec, plate: Plate) -> None:
        """Whether a replay can run like this.

        Raises:
            UsageError: nothing would be left to recommend, or the spec has outcome constraints.
        """
        found = []
        if self.initial >= min(self.budget, len(plate)):
            limit = min(self.budget, len(plate))
            what = f"{self.initial} initial experiments leave nothing of {limit} to recommend"
            found.append(Problem("--initial", what, f"use less than {limit}, or a larger --budget or table"))
        if spec.outcome_constraints:
            what = "a replay follows objectives, and the spec has outcome constraints, whose values it does not read"
            found.append(Problem("spec, outcome_constraints", what, "write a spec without them to replay"))
        if found:
            raise UsageError(found)


@dataclass(frozen=True)
class Forward:
    """One measured recommendation against the interval stored before it was made."""

    experiment: int
    """Which experiment it was, counted from 1."""
    value: float
    lower: float | None
    upper: float | None
    objective: str = ""
    """Which one it is of."""


@dataclass(frozen=True)
class Replay:
    """One replayed campaign."""

    seed: int
    order: list[int]
    """Row numbers of the plate in the order of measurement."""
    forward: list[Forward]
    """Every recommendation, with its interval at the spec's first level."""
    recipes: list[str]
    """Recipe of each round, objective by objective."""
    scores: dict[str, float]
    """Figures of `plate.score`."""
    regret: list[float]
    """`plate.regret` after each experiment."""


def replay(
    spec: CampaignSpec,
    folder: Path,
    plate: Plate,
    *,
    seed: int,
    protocol: Protocol = Protocol(),
    progress: Callable[[int], None] = lambda _: None,
) -> Replay:
    """Replay one campaign in a database of its own that is thrown away.

    Args:
        spec: the campaign. Its seed becomes `seed`; rationales and rules for stopping are not computed and
            controls not repeated.
        folder: where the spec's files lie.
        plate: the finished experiment.
        seed: of the initial draw and of the campaign.
        protocol: sizes.
        progress: called with the number of experiments done.

    Raises:
        UsageError: as `Protocol.check`.
    """
    protocol.check(spec, plate)
    names = [o.name for o in spec.objectives]
    batch_only: dict[str, Any] = {"seed": seed, "explain": "none", "batch": {"size": protocol.batch}}
    batch_only["stop"] = dict.fromkeys(Stop.model_fields)  # a replay goes on to the end of its budget
    changed = CampaignSpec.model_validate(spec.resolved() | batch_only)
    row_of = {int(index): row for row, index in enumerate(plate.indices)}
    budget = min(protocol.budget, len(plate))
    order = initial_draw(plate, min(protocol.initial, budget), seed)
    forward: list[Forward] = []
    recipes: list[str] = []
    with (
        tempfile.TemporaryDirectory() as place,
        Store.open(f"sqlite:///{place}/replay.db", create=True) as store,
    ):
        campaign = Campaign.start(changed, folder=folder, db=store)
        space = campaign.state.space
        drawn = {f"initial-{i:03d}": space.candidate(int(plate.indices[row])).design for i, row in enumerate(order, 1)}
        if drawn:
            _measure(campaign, drawn, plate, order)
        while len(order) < budget:
            batch = campaign.recommend(min(protocol.batch, budget - len(order)), only=np.sort(plate.indices))
            rows = [row_of[index] for r in batch if (index := space.locate(r.design)) is not None]
            _measure(campaign, {r.label: r.design for r in batch}, plate, rows)
            for r, row in zip(batch, rows, strict=True):
                order.append(row)
                for name, value in zip(names, plate.measured(row), strict=True):
                    lower, upper = stored_interval(r.prediction, name, spec.intervals.levels[0]) or (None, None)
                    forward.append(Forward(len(order), value, lower, upper, name))
            models = batch.batch.settings.get("models", {})
            recipes += [models.get(name, {}).get("recipe", "none") for name in names]
            progress(len(order))
    return Replay(seed, order, forward, recipes, score(plate, order, protocol.initial), regret(plate, order))


def _measure(campaign: Campaign, made: Mapping[str, Mapping[str, Any]], plate: Plate, rows: Sequence[int]) -> None:
    """Hand values in as a table of results, as a lab would."""
    state = campaign.state
    columns = variables(state.space)
    text = io.StringIO()
    writer = csv.writer(text)
    heads = [f"{o.name} ({o.unit})" if o.unit else o.name for o in state.objectives]
    writer.writerow(["sample_id", *columns, *heads])
    for (label, design), row in zip(made.items(), rows, strict=True):
        writer.writerow([label, *(design.get(c, 0) for c in columns), *map(repr, plate.measured(row))])
    campaign.ingest(text.getvalue().encode(), name="replay.csv", commit=True)


def summarise(plate: Plate, replays: Sequence[Replay], protocol: Protocol, level: float) -> dict[str, Any]:
    """Mean figures of replays beside those of random draws, and the coverage of their intervals.

    Returns:
        Plain values: per figure of `plate.score` its mean and standard error for siteloop and for `RANDOM_SEEDS` random
        campaigns, how many never came to the `first` (each counts as one more than the budget), the acceleration (ratio
        of the mean experiments to it), and `coverage`. Of several objectives `coverage` holds one under each name, and
        `volume` where the hypervolume is counted from and the mean share that is found after each experiment.
    """
    mine = [r.scores for r in replays]
    sizes = {"initial": protocol.initial, "budget": protocol.budget}
    orders = [random_order(plate, **sizes, seed=s) for s in range(RANDOM_SEEDS)]
    chance = [score(plate, order, protocol.initial) for order in orders]
    figures = ("first", "found", "regret")
    most = min(protocol.budget, len(plate))
    never = {who: sum(s["first"] > most for s in scores) for who, scores in (("siteloop", mine), ("random", chance))}
    ours = {name: _mean([m[name] for m in mine]) for name in figures}
    theirs = {name: _mean([c[name] for c in chance]) for name in figures}
    return {
        "seeds": [r.seed for r in replays],
        "candidates": len(plate),
        "without_value": plate.unmeasured,
        "outside_space": plate.outside,
        "siteloop": ours,
        "random": theirs,
        "never_found": never,
        "acceleration": theirs["first"]["mean"] / ours["first"]["mean"],
        "coverage": coverage(replays, level) if plate.volume is None else _each(replays, level),
    } | _volume(plate, replays, orders)


def _volume(plate: Plate, replays: Sequence[Replay], orders: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The hypervolume found over experiments, for several objectives."""
    if plate.volume is None:
        return {}
    curves = {"siteloop": [r.order for r in replays], "random": orders}
    shares = {who: np.mean([plate.volume.shares(o) for o in each], axis=0).tolist() for who, each in curves.items()}
    return {"volume": {"whole": plate.volume.whole, "reference": dict(plate.volume.reference), "share": shares}}


def _each(replays: Sequence[Replay], level: float) -> dict[str, Any]:
    """The coverage of each objective."""
    names = dict.fromkeys(f.objective for r in replays for f in r.forward)
    only = {n: [replace(r, forward=[f for f in r.forward if f.objective == n]) for r in replays] for n in names}
    return {name: coverage(each, level) for name, each in only.items()}


def _mean(values: Sequence[float]) -> dict[str, Any]:
    array = np.asarray(values, dtype=float)
    se = float(array.std(ddof=1) / math.sqrt(len(array))) if len(array) > 1 else None
    return {"mean": float(array.mean()), "se": se}


def coverage(replays: Sequence[Replay], level: float) -> dict[str, Any]:
    """Coverage of intervals on the round after they were stored.

    Returns:
        Number given and withheld, realised coverage, misses below and above, mean width and mean Winkler score
        (Gneiting and Raftery 2007, eq. 43; lower is better), pooled and under `thirds` by third of the campaign.
    """
    forward = [f for r in replays for f in r.forward]
    edges = np.linspace(min(f.experiment for f in forward), max(f.experiment for f in forward) + 1, 4)
    thirds = [_covered([f for f in forward if low <= f.experiment < high], level) for low, high in pairwise(edges)]
    return {**_covered(forward, level), "thirds": thirds}


def _covered(forward: Sequence[Forward], level: float) -> dict[str, Any]:
    given = [(f.value, f.lower, f.upper) for f in forward if f.lower is not None]
    found: dict[str, Any] = {"level": level, "n": len(given), "withheld": len(forward) - len(given)}
    if not given:
        return found | {"realised": None, "below": 0, "above": 0, "width": None, "winkler": None}
    value, lower, upper = np.array(given, dtype=float).T
    below, above = value < lower, value > upper
    penalty = 2 / (1 - level) * (np.where(below, lower - value, 0) + np.where(above, value - upper, 0))
    return found | {
        "realised": float(1 - (below | above).mean()),
        "below": int(below.sum()),
        "above": int(above.sum()),
        "width": float((upper - lower).mean()),
        "winkler": float((upper - lower + penalty).mean()),
    }
