"""Which candidates are still open, and which of them are worth believing jointly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acquisition.choose import JOINT_LIMIT, shortlist
from campaign.belief import Belief, belief_score, believe, learnable
from campaign.encoding import encode_ahead, site_encoder
from campaign.filling import drawn
from campaign.filters import Sieve, Tally
from campaign.spaces import StructureSpace
from campaign.state import State, batch_seed
from db.errors import InvalidInput, Problem
from db.records import Prediction
from surrogates.recipes import recipe_hash

Indices = NDArray[np.int64]
CHUNK = 8192
"""Candidates that are encoded and predicted at once."""


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


def open_chunks(
    state: State, *, only: Indices | None = None, again: bool = False, tally: Tally | None = None
) -> Iterator[Indices]:
    """Indices of the candidates that may be proposed, in chunks: neither measured, pending, failed nor filtered out.

    Args:
        state: the campaign.
        only: restrict the space to these candidates (a replay has values for some only).
        again: also candidates whose samples failed.
        tally: what hard filters take out is added to it.
    """
    sieve = sieve_of(state)
    tried = state.tried(again=again).values()
    closed = np.array(sorted({i for d in tried if (i := state.space.locate(d)) is not None}), dtype=np.int64)
    pieces = state.space.chunks(CHUNK) if only is None else _pieces(only)
    for piece in pieces:
        rest = sieve.kept(piece[~np.isin(piece, closed)], tally)
        if len(rest):
            yield rest


def _pieces(indices: Indices) -> Iterator[Indices]:
    for start in range(0, len(indices), CHUNK):
        yield indices[start : start + CHUNK]


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
        stage: told how far it is.

    Returns:
        At most `JOINT_LIMIT` indices, ascending. Memory is one chunk and one number a candidate.
    """
    chunks = list(open_chunks(state, only=only, again=again, tally=tally))
    inside = [chunk[~unmeasured(state, belief, chunk)] for chunk in chunks]
    if sum(map(len, inside)) >= wanted:
        chunks = inside
    indices = np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int64)
    encode_ahead(belief.encode, state.space.X(indices), stage)
    if len(indices) <= JOINT_LIMIT:
        return indices

    def designs() -> Iterator[Tensor]:
        done = 0
        for chunk in chunks:
            yield torch.from_numpy(state.space.X(chunk))
            done += len(chunk)
            stage(f"screened {done:,} of {len(indices):,} candidates")

    rows = shortlist(
        belief.model,
        designs(),
        belief.goals,
        constraints=belief.bounds,
        seeking=belief.best_measured() == -np.inf,
    )
    return indices[rows.numpy()]


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

    Candidates below a constraint's least probability, and structures of a density that was never measured, come after
    all others.

    Args:
        state: the campaign.
        top: how many.
        stage: told how far it is.

    Returns:
        Plain values per candidate (design, stratum, and per objective and constraint median, unit and intervals; with
        constraints, the probability of meeting each and all), and the same as records for the store's cache. Memory is
        one chunk of candidates.

    Raises:
        InvalidInput: too little is measured to predict anything.
    """
    if not learnable(state):
        fix = "ingest results first; `siteloop recommend` gives a batch that fills the space"
        raise InvalidInput(Problem(f"campaign {state.name}", "too little is measured to predict anything", fix))
    seed = batch_seed(state, len(state.batches) + 1)
    belief = believe(state, seed=seed)
    first = belief.objectives[0]
    best, scores, late = np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=bool)
    for chunk in open_chunks(state):
        best, designs = np.concatenate([best, chunk]), state.space.X(chunk)
        encode_ahead(belief.encode, designs, stage)
        median = first.median(designs, state.space.stratum(chunk))
        scores = np.concatenate([scores, belief_score(first, median)])
        late = np.concatenate([late, ~belief.likely(designs) | unmeasured(state, belief, chunk)])
        keep = np.lexsort((-scores, late))[:top]
        best, scores, late = best[keep], scores[keep], late[keep]
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
        found.append({**about, "predictions": expected})
    return found, predictions
