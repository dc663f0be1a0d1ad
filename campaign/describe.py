"""What is stored of a candidate: what is predicted of it, and why it is proposed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from campaign.belief import Belief
from campaign.encoding import encode_ahead
from campaign.feasibility import feasibility
from campaign.filters import Sieve
from campaign.health.data import repeats
from campaign.noise import lab_notes
from campaign.pareto import places
from campaign.rationale import expectation, explain, noise_floor
from campaign.screen import sieve_of
from campaign.sentences import warnings_about
from campaign.site_rationale import changed
from campaign.spaces.slab.space import SlabSpace
from campaign.state import State
from db.records import Candidate


def filter_verdicts(state: State, sieve: Sieve, candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """What the filters make of candidates, as it is stored; nothing where there are none."""
    if not sieve.filters:
        return [{} for _ in candidates]
    return [{"filters": [v.as_json() for v in sieve.verdicts(state.space.x_of(c.design))]} for c in candidates]


def warned(prediction: dict[str, Any], rationale: dict[str, Any]) -> dict[str, Any]:
    """A rationale with the warnings that it and the prediction give rise to."""
    return {**rationale, "warnings": warnings_about(prediction, rationale)}


def describe(
    state: State, belief: Belief, candidates: Sequence[Candidate], stage: Callable[[str], None] = lambda _: None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Predictions and rationales of candidates, as they are stored."""
    X = np.stack([state.space.x_of(c.design) for c in candidates])
    strata = [c.stratum for c in candidates]
    if isinstance(state.space, SlabSpace) and state.spec.explanation.type == "site_reversion":
        encode_ahead(belief.encode, changed(state.space, X), stage, what="structures to explain")
    expected = {
        b.objective.name: expectation(
            b,
            X,
            strata,
            noise_floor(b),
            eligible=belief.eligible(b.data.exact.X),
            repeats=repeats(state, b.objective)[1],
        )
        for b in belief.objectives
    }
    chances = feasibility(belief, X, strata) if belief.constraints else []
    placed = places(state, belief, X) if len(belief.objectives) > 1 else []
    made = belief.success.told(X) if belief.success else []
    sieve, labs = sieve_of(state), lab_notes(state)
    filtered = filter_verdicts(state, sieve, candidates)
    predictions = [{name: found[i] for name, found in expected.items()} for i in range(len(candidates))]
    rationales = []
    for i, (candidate, prediction) in enumerate(zip(candidates, predictions, strict=True)):
        roles = {p["role"] for p in prediction.values()}
        rationale: dict[str, Any] = {"role": "exploit" if "exploit" in roles else "explore"}
        if state.spec.explanation.type != "none":
            rationale |= explain(state, belief, candidate, sieve)
        rationale |= filtered[i]
        if placed:
            rationale["front"] = placed[i]
        if labs:
            rationale["labs"] = labs
        if chances:
            rationale["feasibility"] = chances[i]
        if made:
            rationale["success"] = made[i]
        rationales.append(warned(prediction, rationale))
    return predictions, rationales
