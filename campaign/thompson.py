"""Thompson sampling of a pool too large to be believed jointly: each pick is the best of all for a sample function."""

from __future__ import annotations

import numpy as np
import torch
from botorch.exceptions.errors import UnsupportedError
from botorch.models import SingleTaskGP

from acquisition.shortlist import JOINT_LIMIT
from campaign.belief import Belief
from campaign.screen import Indices, open_chunks
from campaign.spaces import StructureSpace
from campaign.state import State
from surrogates.pathwise import Paths, draw_paths

SAMPLED = "Thompson: each pick is the best of all open candidates for one function drawn from the belief"
"""The note of a batch."""


def sampled(
    state: State, belief: Belief, count: int, seed: int, *, only: Indices | None = None, again: bool = False
) -> Indices | None:
    """The candidates that are best for functions drawn from the belief, a new one for each function.

    Args:
        state: the campaign.
        belief: what is believed.
        count: functions, and picks.
        seed: of the functions.
        only: as for `open_chunks`.
        again: as for `open_chunks`.

    Returns:
        Positions, ascending, `count` or as many as are open. None where Thompson sampling is not asked for, the pool
        can be believed jointly, or more weighs on the choice than one objective of a Gaussian process: then the joint
        samples of the finalists decide. Memory is one chunk and `count` candidates for each function.
    """
    small = (state.space.count if only is None else len(only)) <= JOINT_LIMIT
    weighed = belief.bounds or state.costs or state.spec.batch.shared or len(belief.objectives) > 1
    if state.spec.acquisition.type != "Thompson" or isinstance(state.space, StructureSpace) or small or weighed:
        return None
    paths = _paths(belief, count, seed)
    if paths is None:
        return None
    scores = torch.empty(count, 0, dtype=torch.float64)
    rows = torch.empty(count, 0, dtype=torch.long)
    for chunk in open_chunks(state, only=only, again=again):
        here = belief.goals[0].score(paths(torch.from_numpy(state.space.X(chunk))))
        scores = torch.cat([scores, here], dim=1)
        rows = torch.cat([rows, torch.from_numpy(chunk).expand(count, -1)], dim=1)
        scores, best = scores.topk(min(count, scores.shape[1]), dim=1)
        rows = rows.gather(1, best)
    picked: list[int] = []
    for row in rows.tolist():
        picked += [i for i in row if i not in picked][:1]
    return np.array(sorted(picked), dtype=np.int64)


def _paths(belief: Belief, count: int, seed: int) -> Paths | None:
    model = belief.model
    if not isinstance(model, SingleTaskGP):
        return None
    try:
        return draw_paths(model, count, seed=seed)
    except UnsupportedError:
        return None
