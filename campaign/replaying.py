"""An earlier batch computed again from the ledger as it was, and compared with what was recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from campaign.kept_models import models_of
from campaign.moments import Moment
from campaign.propose import propose
from campaign.provenance import ORIGIN
from campaign.request import Request
from campaign.state import BATCH_RECOMMENDED, load_state
from campaign.surroundings import surroundings
from db.chain import canonical
from db.errors import InvalidInput, Problem
from db.records import Batch, Event, Recommendation
from db.store import Store

TOLERANCE = 1e-3
"""Relative difference of two numbers that other code, or another machine, may make."""
SMALL = 1e-3
"""Numbers below it are compared as if they were it."""
_SAYS = ("rationale", "notes", "reason", "artefact", "data_hash", "code_version")
"""Parts of a path below which texts follow from numbers, and are not compared with a tolerance."""


@dataclass(frozen=True)
class Difference:
    """One place in which two batches, or two surroundings, differ."""

    where: str
    """`b3-02.prediction.loss.median`."""
    recorded: Any
    """None where there is nothing."""
    now: Any


@dataclass(frozen=True)
class Replayed:
    """What came of it."""

    batch: int
    """Number."""
    from_model: bool
    """Whether the surrogates were those that were kept, or fitted again."""
    differences: tuple[Difference, ...]
    """In the batch; none where it is the same to the last bit."""
    surroundings: tuple[Difference, ...]
    """In code, packages and machine, which threads are not part of: those of then are restored."""
    within: bool
    """Whether the same items were chosen in the same order, and all numbers agree within the tolerance."""
    tolerance: float

    @property
    def verdict(self) -> str:
        """`identical`; `within tolerance`, on other code or another machine only; or `different`."""
        if not self.differences:
            return "identical"
        return "within tolerance" if self.surroundings and self.within else "different"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"verdict": self.verdict, **asdict(self)}


def replay(
    store: Store,
    name: str,
    number: int,
    *,
    from_model: bool = False,
    tolerance: float = TOLERANCE,
    stage: Callable[[str], None] = lambda _: None,
) -> Replayed:
    """Compute a batch again from the events that it had seen, as it was asked for; nothing is recorded.

    Args:
        store: where the campaign is.
        name: of the campaign.
        number: of the batch.
        from_model: take the surrogates that were kept with the batch instead of fitting them again.
        tolerance: relative difference of numbers, for other code or another machine.
        stage: called with a name when a stage begins.

    Raises:
        InvalidInput: there is no such batch, it does not say how it was asked for, or a surrogate is not there.
    """
    with store.reading():
        batch, event, items = _recorded(store, name, number)
        origin = batch.settings[ORIGIN]
        as_of = origin["as_of"]
        at = Moment(as_of["event"], store.events(name, until=as_of["event"])[-1].at, as_of["others"])
        state = load_state(store, name, at=at)
    kept = models_of(store.artifacts, batch.settings) if from_model else None
    asked, threads = Request.restored(origin["asked"]), origin["surroundings"]["threads"]
    found = propose(state, asked, stage=stage, kept=kept, threads=threads)
    then, now = _content(batch, items, event.payload), _content(found.batch, found.recommendations, found.payload)
    differences = tuple(_differences(then, now))
    return Replayed(
        batch=number,
        from_model=from_model,
        differences=differences,
        surroundings=tuple(_differences(_fixed(origin["surroundings"]), _fixed(surroundings()))),
        within=all(_tolerable(d, tolerance) for d in differences),
        tolerance=tolerance,
    )


def _recorded(store: Store, name: str, number: int) -> tuple[Batch, Event, list[Recommendation]]:
    store.require(name)
    batches = {b.number: b for b in store.batches(name)}
    where = f"campaign {name}"
    if number not in batches:
        fix = f"use a number from 1 to {max(batches)}" if batches else "run `siteloop recommend` first"
        raise InvalidInput(Problem(where, f"there is no batch {number}", fix))
    batch = batches[number]
    if ORIGIN not in batch.settings:
        what = f"batch {number} was recorded by siteloop {batch.code_version}, which did not keep how it was asked for"
        raise InvalidInput(Problem(where, what, "replay a later one"))
    events = store.events(name, kinds=[BATCH_RECOMMENDED])
    event = next(e for e in events if e.payload["batch"] == batch.id)
    return batch, event, store.recommendations(name, batch.id)


def _content(batch: Batch, items: Any, payload: Mapping[str, Any]) -> dict[str, Any]:
    """All that a batch says, as the ledger would give it back, but for where it was computed."""
    said = {
        "snapshot": batch.snapshot,
        "spec_revision": batch.spec_revision,
        "seed": batch.seed,
        "settings": {k: v for k, v in batch.settings.items() if k != ORIGIN},
        "decided": {k: v for k, v in payload.items() if k not in ("batch", "size", "rows")},
        "items": [r.label for r in items],
    }
    for r in items:
        said[r.label] = {
            "candidate": r.candidate,
            "design": dict(r.design),
            "stratum": r.stratum,
            "prediction": r.prediction,
            "rationale": r.rationale,
        }
    plain: dict[str, Any] = json.loads(canonical(said))
    return plain


def _fixed(found: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if k not in ("threads", "deterministic")}


def _differences(then: Any, now: Any, where: str = "") -> Iterator[Difference]:
    """Every leaf that is not the same, in order; -0.0 is not 0.0, and 1 is not 1.0."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            yield from _differences(then.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for i, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from _differences(one, other, f"{where}[{i}]")
    elif canonical(then) != canonical(now):
        yield Difference(where, then, now)


def _tolerable(d: Difference, tolerance: float) -> bool:
    numbers = [x for x in (d.recorded, d.now) if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(numbers) == 2:
        size = max(abs(numbers[0]), abs(numbers[1]), SMALL)
        return math.isclose(numbers[0], numbers[1], rel_tol=0, abs_tol=tolerance * size)
    parts = d.where.replace("[", ".").split(".")
    return isinstance(d.recorded, str) and isinstance(d.now, str) and any(part in _SAYS for part in parts)
