"""Which candidates are still open, and which of them are worth believing jointly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from acquisition.shortlist import FINALISTS, JOINT_LIMIT, Promise
from campaign.belief import Belief
from campaign.costs import account, payable, weighed
from campaign.encoding import encode_ahead, site_encoder
from campaign.filling import drawn
from campaign.filters import Sieve, Tally
from campaign.pareto import measured_front
from campaign.spaces import StructureSpace
from campaign.spaces.base import Floats
from campaign.state import State, batch_seed
from campaign.streaming import PIECE, WORKERS, Kept, Leaders, lead
from campaign.survivors import Passed, survivors
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
    for piece in state.space.chunks(CHUNK) if only is None else pieces(only, CHUNK):
        rest = opened(piece, tally)
        if len(rest):
            yield rest


def pieces(indices: Indices, size: int) -> Iterator[Indices]:
    """Indices in consecutive arrays of at most `size`."""
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
        only = measured_first(state, belief, open_chunks(state, only=only, again=again, tally=tally), wanted)
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
    dearest = 0.0 if state.costs is None else float(state.costs.of_candidates(sample).max())

    def score(promise: Promise, X: Floats, indices: Indices) -> tuple[Floats, NDArray[np.bool_]]:
        promised, late = promise(torch.from_numpy(X))
        found = promised.numpy()
        costs = weighed(state, indices, dearest)
        if costs is not None and not promise.seeking:
            gain = found if promise.doubtful else np.maximum(found - best, SMALLEST_GAIN)
            found = np.log(np.maximum(gain, 1e-300)) - costs[1] * np.log(costs[0])
        purse = payable(state, indices)
        return found, late.numpy() | (False if purse is None else purse[0] > purse[1])

    about = ["promise", [goal.__dict__ for goal in belief.goals], promise.scale.tolist(), promise.worst]
    about += [promise.doubtful, best, dearest, repr(account(state))]
    found = leaders_by(
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


def measured_first(state: State, belief: Belief, chunks: Iterator[Indices], wanted: int) -> Indices:
    """The candidates of densities that were measured, where there are as many as `wanted`; else all."""
    whole = list(chunks)
    inside = [piece[~unmeasured(state, belief, piece)] for piece in whole]
    found = inside if sum(map(len, inside)) >= wanted else whole
    return np.concatenate([np.empty(0, dtype=np.int64), *found])


def _size(state: State, only: Indices | None) -> int:
    return state.space.count if only is None else len(only)


def leaders_by(
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
        parts = [score(scoring, state.space.X(part), part) for part in pieces(rest, CHUNK)]
        scores, late = zip(*parts, strict=True) if parts else ((np.empty(0),), (np.empty(0, dtype=bool),))
        return Leaders(rest, np.concatenate(scores), np.concatenate(late), len(rest), tally)

    key = screen_key(state, belief, [*about, count, whole], only=only, again=again)
    return lead(
        state.space.chunks(PIECE) if only is None else pieces(only, PIECE),
        [partial(look, mine) for mine in for_workers(state, scoring)],
        total=_size(state, only),
        count=count,
        whole=whole,
        kept=Kept.of(Leaders, state.artifacts, state.name, key),
        stage=stage,
    )


def screen_key(
    state: State, belief: Belief, about: Sequence[Any], *, only: Indices | None = None, again: bool = False
) -> str:
    """Hash of all that what is found in the pieces of a space depends on, `about` being what is looked for."""
    return content_hash(
        *(torch.from_numpy(some) for some in (closed_ones(state, again=again), *([] if only is None else [only]))),
        state.space.fingerprint(),
        [filter_.model_dump(mode="json") for filter_ in state.spec.filters],
        [state.revision, *([] if only is None else ["only"]), PIECE, version("siteloop")],
        [[recipe_hash(b.choice.recipe), b.choice.fitted.data_hash, b.choice.fitted.seed] for b in belief.all],
        [bound.__dict__ for bound in belief.bounds],
        [c.success.data_hash for c in belief.classified],
        list(about),
    )


def for_workers(state: State, scoring: T) -> list[T]:
    """A copy for each worker; of structures there is one worker, for what they are encoded to is in memory once."""
    return [scoring] if isinstance(state.space, StructureSpace) else [deepcopy(scoring) for _ in range(WORKERS)]


def unmeasured(state: State, belief: Belief, indices: Indices) -> NDArray[np.bool_]:
    """Which structures, `n`, have a density of which some objective or constraint was never measured; no others do."""
    if not isinstance(state.space, StructureSpace):
        return np.zeros(len(indices), dtype=bool)
    known = set.intersection(*(set(b.data.exact.strata) for b in belief.all))
    return np.array([stratum not in known for stratum in state.space.stratum(indices)], dtype=bool)
