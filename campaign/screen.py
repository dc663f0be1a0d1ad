"""Which candidates are still open, and which of them are worth believing jointly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acquisition.choose import JOINT_LIMIT, shortlist
from campaign.belief import Belief, belief_score, believe, learnable
from campaign.state import State, batch_seed
from db.errors import InvalidInput, Problem
from db.records import Prediction
from surrogates.recipes import recipe_hash

Indices = NDArray[np.int64]
CHUNK = 8192
"""Candidates that are encoded and predicted at once."""


def open_chunks(state: State, *, only: Indices | None = None, again: bool = False) -> Iterator[Indices]:
    """Indices of the candidates that may be proposed, in chunks: neither measured, pending nor failed.

    Args:
        state: the campaign.
        only: restrict the space to these candidates (a replay has values for some only).
        again: also candidates whose samples failed.
    """
    tried = state.tried(again=again).values()
    closed = np.array(sorted({i for d in tried if (i := state.space.locate(d)) is not None}), dtype=np.int64)
    pieces = state.space.chunks(CHUNK) if only is None else _pieces(only)
    for piece in pieces:
        rest = piece[~np.isin(piece, closed)]
        if len(rest):
            yield rest


def _pieces(indices: Indices) -> Iterator[Indices]:
    for start in range(0, len(indices), CHUNK):
        yield indices[start : start + CHUNK]


def open_sample(state: State, size: int, seed: int, *, only: Indices | None = None, again: bool = False) -> Indices:
    """At most `size` open candidates drawn evenly, ascending; all of a space that has no more. Memory is `size`.

    Args:
        state: the campaign.
        size: how many.
        seed: of the draw.
        only: as for `open_chunks`.
        again: as for `open_chunks`.
    """
    total = state.space.count if only is None else len(only)
    spare = size + len(state.tried(again=again))
    if total > 2 * spare:  # enough are open whatever is closed
        draw = np.sort(np.random.default_rng(seed).choice(total, spare, replace=False, shuffle=False))
        only = draw if only is None else only[draw]
    chunks = list(open_chunks(state, only=only, again=again))
    indices = np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int64)
    if len(indices) <= size:
        return indices
    return np.sort(np.random.default_rng([seed, 1]).choice(indices, size, replace=False))


def screen(
    state: State,
    belief: Belief,
    *,
    only: Indices | None = None,
    again: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Indices:
    """Indices of the open candidates to believe jointly: all of a small space, the promising ones of a large one.

    Args:
        state: the campaign.
        belief: what predicts them.
        only: as for `open_chunks`.
        again: as for `open_chunks`.
        progress: called with the number of candidates screened so far.

    Returns:
        At most `JOINT_LIMIT` indices, ascending. Memory is one chunk and one number a candidate.
    """
    chunks = list(open_chunks(state, only=only, again=again))
    indices = np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int64)
    if len(indices) <= JOINT_LIMIT:
        return indices

    def designs() -> Iterator[Tensor]:
        done = 0
        for chunk in chunks:
            yield torch.from_numpy(state.space.X(chunk))
            done += len(chunk)
            progress(done)

    return indices[shortlist(belief.model, designs(), belief.goals).numpy()]


def ranked(state: State, top: int) -> tuple[list[dict[str, Any]], list[Prediction]]:
    """The best open candidates by predicted median of the first objective, with the predictions to keep.

    Args:
        state: the campaign.
        top: how many.

    Returns:
        Plain values per candidate (design, stratum, and per objective median, unit and intervals), and the same as
        records for the store's cache. Memory is one chunk of candidates.

    Raises:
        InvalidInput: too little is measured to predict anything.
    """
    if not learnable(state):
        fix = "ingest results first; `siteloop recommend` gives a batch that fills the space"
        raise InvalidInput(Problem(f"campaign {state.name}", "too little is measured to predict anything", fix))
    seed = batch_seed(state, len(state.batches) + 1)
    belief = believe(state, seed=seed)
    first = belief.objectives[0]
    best, scores = np.empty(0, dtype=np.int64), np.empty(0)
    for chunk in open_chunks(state):
        best = np.concatenate([best, chunk])
        median = first.median(state.space.X(chunk), state.space.stratum(chunk))
        scores = np.concatenate([scores, belief_score(first, median)])
        keep = np.argsort(-scores, kind="stable")[:top]
        best, scores = best[keep], scores[keep]
    X, strata = state.space.X(best), state.space.stratum(best)
    found: list[dict[str, Any]] = []
    predictions = []
    for row, index in enumerate(best):
        candidate = state.space.candidate(int(index))
        expected = {}
        for b in belief.objectives:
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
        found.append({**about, "predictions": expected})
    return found, predictions
