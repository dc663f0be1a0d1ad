"""Which candidates are still open, and which of them are worth believing jointly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from acquisition.shortlist import FINALISTS, JOINT_LIMIT, Promise
from campaign.belief import Belief, belief_score, believe, learnable
from campaign.costs import account, payable, weighed
from campaign.encoding import encode_ahead, site_encoder
from campaign.filling import drawn
from campaign.filters import Sieve, Tally
from campaign.pareto import measured_front
from campaign.spaces import StructureSpace
from campaign.spaces.base import Floats
from campaign.state import State, batch_seed
from campaign.streaming import PIECE, WORKERS, Kept, Leaders, lead
from campaign.survivors import Passed, staged, survivors
from db.errors import InvalidInput, Problem
from db.records import Prediction
from surrogates.bags import content_hash
from surrogates.recipes import recipe_hash

Indices = NDArray[np.int64]
T = TypeVar("T")
CHUNK = 8192
"""Candidates that are encoded and predicted at once."""
SMALLEST_GAIN = 1e-3
"""Least gain that a candidate promises, in spreads of the promise, where it is weighed against a cost."""


def sieve_of(state: State, stage: Callable[[str], None] = lambda _: None) -> Sieve:
    """The filters of a campaign; where one needs energies all candidates are encoded, for its baseline is of them all.

    Args:
        state: the campaign.
        stage: told how far it is.
    """
    asked = any(rule.rule == "formation_energy_proxy" for rule in state.spec.filters)
    if not asked or not isinstance(state.space, StructureSpace):
        return state.sieve()
    encode = site_encoder(state.space, state.spec.encoder, state.artifacts)
    X = state.space.X(np.arange(state.space.count))
    encode_ahead(encode, X, stage)
    return state.sieve({x: encode.energies[x] for x in X[:, 0].astype(int).tolist()})


def open_ones(state: State, *, again: bool = False) -> Callable[[Indices, Tally | None], Indices]:
    """What tells which candidates may be proposed: neither measured, pending, failed nor filtered out.

    Args:
        state: the campaign.
        again: also candidates whose samples failed.

    Returns:
        Takes positions in the space and returns the open ones; what hard filters take out is added to the tally.
    """
    sieve = sieve_of(state)
    closed = closed_ones(state, again=again)
    return lambda indices, tally: sieve.kept(indices[~np.isin(indices, closed)], tally)


def closed_ones(state: State, *, again: bool = False) -> Indices:
    """Positions, ascending, of what is measured, pending or failed; with `again`, not of what failed."""
    tried = state.tried(again=again).values()
    return np.array(sorted({i for d in tried if (i := state.space.locate(d)) is not None}), dtype=np.int64)


def open_chunks(
    state: State, *, only: Indices | None = None, again: bool = False, tally: Tally | None = None
) -> Iterator[Indices]:
    """Indices of the open candidates, in chunks.

    Args:
        state: the campaign.
        only: restrict the space to these candidates (a replay has values for some only).
        again: also candidates whose samples failed.
        tally: what hard filters take out is added to it.
    """
    opened = open_ones(state, again=again)
    pieces = state.space.chunks(CHUNK) if only is None else _pieces(only, CHUNK)
    for piece in pieces:
        rest = opened(piece, tally)
        if len(rest):
            yield rest


def _pieces(indices: Indices, size: int) -> Iterator[Indices]:
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def open_sample(
    state: State,
    size: int,
    seed: int,
    *,
    only: Indices | None = None,
    again: bool = False,
    tally: Tally | None = None,
) -> Indices:
    """At most `size` open candidates of every stratum, ascending; all of a space that has no more. See `drawn`.

    Args:
        state: the campaign.
        size: how many.
        seed: of the draw.
        only: as for `open_chunks`.
        again: as for `open_chunks`.
        tally: as for `open_chunks`; of the candidates drawn.
    """
    total = state.space.count if only is None else len(only)
    spare = size + len(state.tried(again=again))  # enough are open whatever is closed, unless filters take out more
    while True:
        lost, some = Tally(), only
        if total > 2 * spare:
            some = drawn(state.space, spare, seed, only)
        chunks = list(open_chunks(state, only=some, again=again, tally=lost))
        indices = np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int64)
        if len(indices) >= size or some is only:
            break
        spare *= 4
    if tally is not None:
        tally.add(lost)
    return drawn(state.space, size, [seed, 1], indices)


def screen(
    state: State,
    belief: Belief,
    *,
    only: Indices | None = None,
    again: bool = False,
    tally: Tally | None = None,
    wanted: int = 1,
    passed: Passed | None = None,
    stage: Callable[[str], None] = lambda _: None,
) -> Indices:
    """Indices of the open candidates to believe jointly: all of a small space, the promising ones of a large one.

    Structures of a density that was never measured are left out as long as there are `wanted` others: nothing is
    calibrated for them.

    Args:
        state: the campaign.
        belief: what predicts them.
        only: as for `open_chunks`.
        again: as for `open_chunks`.
        tally: as for `open_chunks`.
        wanted: how many are to be chosen.
        passed: told which structures were passed over without being encoded.
        stage: told how far it is.

    Returns:
        Ascending; all where no more than `JOINT_LIMIT` are open, else `FINALISTS` or as many as are wanted. Memory is
        that of `streaming.lead`.
    """
    seed = batch_seed(state, len(state.batches) + 1)
    if isinstance(state.space, StructureSpace) or _size(state, only) <= JOINT_LIMIT:
        only = _measured_first(state, belief, open_chunks(state, only=only, again=again, tally=tally), wanted)
        only = survivors(state, belief, only, wanted=wanted, seed=seed, passed=passed, stage=stage)
        encode_ahead(belief.encode, state.space.X(only), stage)
        if len(only) <= JOINT_LIMIT:
            return only
    sample = open_sample(state, JOINT_LIMIT, seed, only=only, again=again)
    if not len(sample):
        return sample
    promise = Promise.of(
        belief.model,
        torch.from_numpy(state.space.X(sample)),
        belief.goals,
        constraints=belief.bounds,
        seeking=belief.best_measured() == -np.inf,
        doubtful=state.spec.acquisition.type == "max_variance",
    )
    best = _to_beat(state, belief, promise)

    def score(promise: Promise, X: Floats, indices: Indices) -> tuple[Floats, NDArray[np.bool_]]:
        promised, late = promise(torch.from_numpy(X))
        found = promised.numpy()
        costs = weighed(state, indices)
        if costs is not None and not promise.seeking:
            gain = found if promise.doubtful else np.maximum(found - best, SMALLEST_GAIN)
            found = np.log(np.maximum(gain, 1e-300)) - costs[1] * np.log(costs[0])
        purse = payable(state, indices)
        return found, late.numpy() | (False if purse is None else purse[0] > purse[1])

    about = ["promise", [goal.__dict__ for goal in belief.goals], promise.scale.tolist(), promise.worst]
    about += [promise.doubtful, best, repr(account(state))]
    found = _lead(
        state,
        belief,
        promise,
        score,
        about,
        max(FINALISTS, wanted),
        only=only,
        again=again,
        whole=JOINT_LIMIT,
        stage=stage,
    )
    if tally is not None and not isinstance(state.space, StructureSpace):
        tally.add(found.tally)
    return np.sort(found.indices)


def _to_beat(state: State, belief: Belief, promise: Promise) -> float:
    """The promise from which gains are counted where costs divide them: the best measured; of several objectives the
    least of the measured front, for a candidate may extend any part of it.
    """
    if len(belief.objectives) == 1:
        return belief.best_measured() / float(promise.scale[0])
    measured = measured_front(state)
    if measured is None:
        return promise.worst
    return float((measured.scores(measured.members) / promise.scale).sum(-1).amin())


def _measured_first(state: State, belief: Belief, chunks: Iterator[Indices], wanted: int) -> Indices:
    """The candidates of densities that were measured, where there are as many as `wanted`; else all."""
    pieces = list(chunks)
    inside = [piece[~unmeasured(state, belief, piece)] for piece in pieces]
    found = inside if sum(map(len, inside)) >= wanted else pieces
    return np.concatenate([np.empty(0, dtype=np.int64), *found])


def _size(state: State, only: Indices | None) -> int:
    return state.space.count if only is None else len(only)


def _lead(
    state: State,
    belief: Belief,
    scoring: T,
    score: Callable[[T, Floats, Indices], tuple[Floats, NDArray[np.bool_]]],
    about: Sequence[Any],
    count: int,
    *,
    only: Indices | None = None,
    again: bool = False,
    whole: int = 0,
    stage: Callable[[str], None],
) -> Leaders:
    """The leaders of the open candidates by a score of designs and positions, kept under all that it depends on.

    Each worker has a copy of `scoring`, which the score is computed with.
    """
    opened = open_ones(state, again=again)

    def look(scoring: T, piece: Indices) -> Leaders:
        tally = Tally()
        rest = opened(piece, tally)
        parts = [score(scoring, state.space.X(part), part) for part in _pieces(rest, CHUNK)]
        scores, late = zip(*parts, strict=True) if parts else ((np.empty(0),), (np.empty(0, dtype=bool),))
        return Leaders(rest, np.concatenate(scores), np.concatenate(late), len(rest), tally)

    key = content_hash(
        *(torch.from_numpy(some) for some in (closed_ones(state, again=again), *([] if only is None else [only]))),
        state.space.fingerprint(),
        [filter_.model_dump(mode="json") for filter_ in state.spec.filters],
        [state.revision, *([] if only is None else ["only"]), count, whole, PIECE, version("siteloop")],
        [[recipe_hash(b.choice.recipe), b.choice.fitted.data_hash, b.choice.fitted.seed] for b in belief.all],
        [bound.__dict__ for bound in belief.bounds],
        [c.success.data_hash for c in belief.classified],
        list(about),
    )
    one = isinstance(state.space, StructureSpace)  # what they are encoded to is in memory once
    each = [scoring] if one else [deepcopy(scoring) for _ in range(WORKERS)]
    return lead(
        state.space.chunks(PIECE) if only is None else _pieces(only, PIECE),
        [partial(look, mine) for mine in each],
        total=_size(state, only),
        count=count,
        whole=whole,
        kept=Kept.of(state.artifacts, state.name, key),
        stage=stage,
    )


def unmeasured(state: State, belief: Belief, indices: Indices) -> NDArray[np.bool_]:
    """Which structures, `n`, have a density of which some objective or constraint was never measured; no others do."""
    if not isinstance(state.space, StructureSpace):
        return np.zeros(len(indices), dtype=bool)
    known = set.intersection(*(set(b.data.exact.strata) for b in belief.all))
    return np.array([stratum not in known for stratum in state.space.stratum(indices)], dtype=bool)


def ranked(
    state: State, top: int, stage: Callable[[str], None] = lambda _: None
) -> tuple[list[dict[str, Any]], list[Prediction]]:
    """The best open candidates by predicted median of the first objective, with the predictions to keep.

    Candidates below a least probability, of a constraint or of success, and structures of a density that was never
    measured, come after all others.

    Args:
        state: the campaign.
        top: how many.
        stage: told how far it is.

    Returns:
        Plain values per candidate (design, stratum, and per objective and constraint median, unit and intervals; with
        constraints, the probability of meeting each and all), and the same as records for the store's cache. Memory is
        that of `streaming.lead`.

    Raises:
        InvalidInput: too little is measured to predict anything.
    """
    if not learnable(state):
        fix = "ingest results first; `siteloop recommend` gives a batch that fills the space"
        raise InvalidInput(Problem(f"campaign {state.name}", "too little is measured to predict anything", fix))
    seed = batch_seed(state, len(state.batches) + 1)
    belief = believe(state, seed=seed)
    only = None
    if isinstance(state.space, StructureSpace):
        wanted = top if staged(state) else state.space.count
        only = _measured_first(state, belief, open_chunks(state), wanted)
        only = survivors(state, belief, only, wanted=top, seed=seed, stage=stage)
        encode_ahead(belief.encode, state.space.X(only), stage)

    def score(belief: Belief, X: Floats, indices: Indices) -> tuple[Floats, NDArray[np.bool_]]:
        first = belief.objectives[0]
        median = first.median(X, state.space.stratum(indices))
        return belief_score(first, median), ~belief.likely(X) | unmeasured(state, belief, indices)

    stage("screen")
    best = _lead(state, belief, belief, score, ["median"], top, only=only, stage=stage).indices
    stage("predict the best")
    X, strata = state.space.X(best), state.space.stratum(best)
    found: list[dict[str, Any]] = []
    predictions = []
    for row, index in enumerate(best):
        candidate = state.space.candidate(int(index))
        expected = {}
        for b in belief.all:
            one, where = X[row : row + 1], strata[row : row + 1]
            body = {
                "unit": b.objective.unit,
                "median": float(b.median(one, where)[0]),
                "intervals": {f"{level:g}": b.intervals(one, where, level)[0].as_json() for level in b.alphas},
            }
            expected[b.objective.name] = body
            key = recipe_hash(b.choice.recipe), b.choice.fitted.data_hash, seed
            predictions.append(Prediction(candidate.id, *key, objective=b.objective.name, body=body))
        about = {"candidate": candidate.id, "design": dict(candidate.design), "stratum": candidate.stratum}
        if belief.constraints:
            chances = belief.feasibility(X[row : row + 1])[0].tolist()
            each = {c.constraint.name: p for c, p in zip(belief.constraints, chances, strict=True)}
            about["feasibility"] = {"each": each, "all": math.prod(chances)}
        if belief.success:
            about["success"] = belief.success.told(X[row : row + 1])[0]
        found.append({**about, "predictions": expected})
    return found, predictions
