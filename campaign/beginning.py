"""A first batch with a history: chosen by what earlier data tell, before anything of the campaign is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acquisition.choose import Selection, choose
from acquisition.objectives import score
from acquisition.shortlist import JOINT_LIMIT, Promise, shortlist
from campaign.belief import encoder, goal, sign
from campaign.costs import payable
from campaign.filters import Tally
from campaign.lessons import Lesson, lessons
from campaign.model_spec import RecipeModel
from campaign.screen import Indices, open_chunks
from campaign.state import State
from db.records import Candidate
from surrogates.conditioning import IndependentOutputs
from surrogates.recipes import recipe_from
from surrogates.recipes.gp import GP
from surrogates.recipes.transfer import PriorBelief


@dataclass(frozen=True)
class Beginning:
    """A first batch."""

    candidates: Sequence[Candidate]
    rationales: Sequence[dict[str, Any]]
    """What the histories expect of each, by objective."""
    acquisition: str


def learnt(state: State) -> dict[str, tuple[Lesson, ...]]:
    """What the histories tell of each objective, by name."""
    return {o.name: lessons(state, o, sign(o)) for o in state.objectives}


def begin(
    state: State,
    told: dict[str, tuple[Lesson, ...]],
    wanted: int,
    seed: int,
    *,
    only: Indices | None = None,
    again: bool = False,
    beside: Sequence[Candidate] = (),
    tally: Tally,
    stage: Callable[[str], None] = lambda _: None,
) -> Beginning | None:
    """The batch that histories suggest; None where none of them tells anything of some objective.

    Nothing is measured, so that improvement is over the median of what is expected of the candidates: each pick adds
    most to the best that the batch is expected to hold, given those before it. Several objectives are sought by
    Thompson sampling.

    Args:
        state: the campaign.
        told: what its histories tell, by objective.
        wanted: how many.
        seed: of the joint samples.
        only: as for `open_chunks`.
        again: as for `open_chunks`.
        beside: the controls of the batch, which cost as well.
        tally: as for `open_chunks`.
        stage: called with a name when a stage begins.
    """
    useful = {name: [x.history for x in found if x.used and x.history is not None] for name, found in told.items()}
    if not all(useful.values()):
        return None
    stage("learn from history")
    chunks = list(open_chunks(state, only=only, again=again, tally=tally))
    if not chunks:
        return Beginning((), (), state.spec.acquisition.type)
    space, encode, goals = state.space, encoder(state), [goal(o) for o in state.objectives]
    indices = np.concatenate(chunks)
    given = recipe_from(state.spec.model.recipe) if isinstance(state.spec.model, RecipeModel) else GP()
    recipe = given if isinstance(given, GP) else GP()
    some = encode(torch.from_numpy(space.X(indices[:1])))
    models = [PriorBelief(useful[o.name], some, encode, recipe) for o in state.objectives]
    model = models[0] if len(models) == 1 else IndependentOutputs(models)

    def designs() -> Iterator[Tensor]:
        for chunk in chunks:
            yield torch.from_numpy(space.X(chunk))

    if len(indices) > JOINT_LIMIT:
        sample = np.sort(np.random.default_rng(seed).choice(indices, JOINT_LIMIT, replace=False))
        promise = Promise.of(model, torch.from_numpy(space.X(sample)), goals)
        indices = indices[shortlist(promise, designs()).numpy()]
    X = torch.from_numpy(space.X(indices))
    acquisition = state.spec.acquisition.type
    if acquisition in ("portfolio", "qLogNEI", "qLogEI"):
        acquisition = "qLogEI" if len(goals) == 1 else "Thompson"
    taken = [r.design for r in state.pending] + [s.design for s in state.samples]
    taken_X = np.array([space.x_of(design) for design in taken]).reshape(-1, len(space.columns))
    prices, purse = payable(state, indices, [c.design for c in beside]) or (None, math.inf)
    with torch.no_grad():
        expected = torch.cat([model.posterior(part.unsqueeze(-2)).mean.squeeze(-2) for part in X.split(512)])
        selection: Selection = choose(
            model,
            X,
            wanted,
            acquisition=acquisition,
            goals=goals,
            X_observed=X[:0],
            best_observed=float(score(goals[:1], expected[:, :1]).median()),
            seed=seed,
            X_pending=torch.from_numpy(taken_X),
            beta=getattr(state.spec.acquisition, "beta", 4.0),
            noise_variance=[0.0] * len(goals),
            prices=None if prices is None else torch.from_numpy(prices),
            purse=purse,
        )
        chosen = model.posterior(X[selection.rows].unsqueeze(-2))
        means, sds = chosen.mean.squeeze(-2), chosen.variance.clamp_min(0).sqrt().squeeze(-2)
    rationales = [
        {
            "role": "history",
            "acquisition_value": value,
            "history": {
                o.name: {
                    "unit": o.unit,
                    "mean": sign(o) * float(means[i, j]),
                    "sd": float(sds[i, j]),
                    "source": " and ".join(h.name for h in useful[o.name]),
                }
                for j, o in enumerate(state.objectives)
            },
        }
        for i, value in enumerate(selection.values)
    ]
    return Beginning([space.candidate(int(indices[row])) for row in selection.rows], rationales, acquisition)
