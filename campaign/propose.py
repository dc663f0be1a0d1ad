"""Propose a batch: believe, choose and explain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from acquisition.choose import Selection, choose
from acquisition.shared import in_one_setting
from campaign.beginning import begin, learnt
from campaign.belief import Belief, believe, learnable
from campaign.continuous import refined, valued
from campaign.costs import batch_notes, payable, weighed
from campaign.describe import describe, filter_verdicts, warned
from campaign.filling import SAMPLE, spread
from campaign.filters import Tally
from campaign.kept_models import KeptModel
from campaign.pareto import measured_front
from campaign.provenance import ORIGIN, choice_notes, choice_settings, model_versions, origin
from campaign.replicates import Replicate, replicates
from campaign.reproposal import anew
from campaign.request import Request
from campaign.screen import Indices, open_sample, screen, sieve_of, unmeasured
from campaign.shared import filling, positions, settings, within
from campaign.state import (
    State,
    batch_seed,
)
from campaign.stopping import KEY, believed_left
from campaign.surroundings import code_version, reproducible
from campaign.survivors import Passed
from campaign.thompson import SAMPLED, sampled
from db.errors import InvalidInput, Problem
from db.records import Batch, Candidate, ModelVersion, Recommendation
from surrogates.fitted import Fitted


@dataclass(frozen=True)
class Proposal:
    """A batch that is computed and not yet written down."""

    batch: Batch
    recommendations: tuple[Recommendation, ...]
    notes: tuple[str, ...] = ()
    """What the reader should know of the batch as a whole."""
    models: tuple[ModelVersion, ...] = field(default=(), repr=False)
    fits: tuple[Fitted, ...] = field(default=(), repr=False)
    """The surrogates, to be kept with it."""
    payload: dict[str, Any] = field(default_factory=dict, repr=False)
    """What the batch's event says beside the batch: vetoes, and what it supersedes."""


def propose(
    state: State,
    request: Request,
    *,
    stage: Callable[[str], None] = lambda _: None,
    kept: Mapping[str, KeptModel] | None = None,
    threads: Mapping[str, int] | None = None,
) -> Proposal:
    """Compute the next batch from what was measured, around what is pending.

    The same arguments on the same machine give the same batch to the last bit.

    Args:
        state: the campaign.
        request: size and restrictions.
        stage: called with a name when a stage begins.
        kept: as for `believe`.
        threads: as for `surroundings.reproducible`.

    Raises:
        InvalidInput: every candidate of the space was tried, or a pin or veto cannot be followed.
    """
    with reproducible(threads):
        return _propose(state, request, stage, kept)


def _propose(
    state: State, request: Request, stage: Callable[[str], None], kept_models: Mapping[str, KeptModel] | None
) -> Proposal:
    whence = origin(state, request)
    asked = anew(state, request)
    state = asked.state
    number = len(state.batches) + 1
    seed = batch_seed(state, number)
    size = request.size or asked.size or state.spec.batch.size
    pinned = [Candidate(r.candidate, r.design, r.stratum) for r in asked.pinned]
    kept = len(pinned) + len(asked.replicates)  # pending already in the state as it would be
    room = size - len(asked.controls) - kept
    controls = asked.controls if room > 0 or (room == 0 and kept) else ()
    wanted = size - len(controls) - kept
    if wanted < 0 or (wanted == 0 and request.size is None):
        what, fix = f"{kept} kept in a batch of {size} leave nothing to propose", "pin fewer, or ask for more"
        raise InvalidInput(Problem(f"campaign {state.name}", what, f"{fix} with -n"))
    if learnable(state):
        picked = _choose(state, request, wanted, seed, stage, pinned, asked.replicates, controls, kept_models)
    else:
        picked = _begin(state, request, wanted, seed, stage, pinned, controls)
    for before, rationale in zip(asked.pinned, picked.rationales, strict=False):
        rationale["pinned"] = before.label or "by hand"
    if not picked.candidates:
        filtered = f"; {picked.tally.sentence()}" if picked.tally.removed else ""
        raise InvalidInput(
            Problem(
                where=f"campaign {state.name}",
                what=f"every candidate of the space is measured, pending, failed or filtered out{filtered}",
                fix="widen the space with `siteloop revise`, or record the pending results first",
            )
        )
    batch_id = f"{state.name}/b{number}"
    batch = Batch(
        id=batch_id,
        campaign=state.name,
        number=number,
        spec_revision=state.revision,
        snapshot=state.snapshot,
        code_version=code_version(),
        seed=seed,
        settings={**picked.settings, ORIGIN: whence},
    )
    entries = [(c, p, r) for c, p, r in zip(picked.candidates, picked.predictions, picked.rationales, strict=True)]
    entries += [
        (Candidate(r.candidate, r.design, r.stratum), {}, {k: v for k, v in r.rationale.items() if k != "cost"})
        for r in asked.replicates
    ]
    entries += [(c, {}, rationale) for c, rationale in picked.replicates]
    entries += [(c, {}, {"role": "control", "warnings": []}) for c in controls]
    if state.costs:
        for c, _, rationale in entries:
            cost = state.costs.of_design(c.design)
            rationale["cost"] = {"value": None if math.isnan(cost) else cost, "unit": state.costs.costs.unit}
    recommendations = tuple(
        Recommendation(
            id=f"{batch_id}-{rank:02d}",
            campaign=state.name,
            batch=batch_id,
            rank=rank,
            label=f"b{number}-{rank:02d}",
            candidate=candidate.id,
            design=candidate.design,
            stratum=candidate.stratum,
            prediction=prediction,
            rationale=rationale,
        )
        for rank, (candidate, prediction, rationale) in enumerate(entries, start=1)
    )
    notes = [*asked.notes, *picked.notes]
    if picked.tally.looked_at:
        notes.append(picked.tally.sentence())
    found = len(picked.candidates) + len(picked.replicates) - len(pinned)
    if found < wanted:
        notes.append(f"only {found} candidates are left, {wanted} were asked for")
    notes += over_budget(state, len(recommendations) - kept)
    notes += batch_notes(state, [r.design for r in recommendations])
    payload = asked.renewed(recommendations)
    return Proposal(batch, recommendations, tuple(notes), picked.models, picked.fits, payload)


def over_budget(state: State, size: int) -> list[str]:
    """What a further batch of `size` does to the spec's budget, in words; nothing while it holds."""
    budget = state.spec.budget
    made = len(state.samples) + sum(r.id not in state.sample_of for r in state.pending) + size
    counts = (("samples", budget.samples, made), ("batches", budget.batches, state.batches_spent + 1))
    return [f"over budget: {used} {word} of {limit}" for word, limit, used in counts if limit and used > limit]


@dataclass(frozen=True)
class _Picked:
    candidates: Sequence[Candidate]
    predictions: Sequence[dict[str, Any]]
    rationales: Sequence[dict[str, Any]]
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()
    models: tuple[ModelVersion, ...] = ()
    tally: Tally = field(default_factory=Tally)
    replicates: Sequence[Replicate] = ()
    fits: tuple[Fitted, ...] = ()


def _begin(
    state: State,
    request: Request,
    wanted: int,
    seed: int,
    stage: Callable[[str], None],
    pinned: Sequence[Candidate],
    controls: Sequence[Candidate],
) -> _Picked:
    """The pinned candidates, then a batch from nothing of its own: as the histories suggest, or space-filling where
    they tell nothing or all samples of a batch share a setting.
    """
    if not state.spec.history or state.spec.batch.shared:
        return _fill(state, request, wanted, seed, pinned, controls)
    told, tally = learnt(state), Tally()
    history = {"history": {name: [lesson.as_json() for lesson in lessons] for name, lessons in told.items()}}
    notes = tuple(f"{name}: {lesson.sentence()}" for name, lessons in told.items() for lesson in lessons)
    found = begin(
        state, told, wanted, seed, only=request.only, again=request.again, beside=controls, tally=tally, stage=stage
    )
    if found is None:
        picked = _fill(state, request, wanted, seed, pinned, controls)
        return replace(picked, settings=picked.settings | history, notes=picked.notes + notes)
    candidates = [*pinned, *found.candidates]
    expected = [{"role": "space-filling"} for _ in pinned] + list(found.rationales)
    filtered = filter_verdicts(state, sieve_of(state), candidates)
    why = "this batch is chosen by what earlier data tell, and its intervals wait for measurements of its own"
    return _Picked(
        candidates=candidates,
        predictions=[{} for _ in candidates],
        rationales=[warned({}, told | seen) for told, seen in zip(expected, filtered, strict=True)],
        settings={"acquisition": found.acquisition} | history,
        notes=(f"too little is measured here to learn from: {why}", *notes),
        tally=tally,
    )


def _fill(
    state: State,
    request: Request,
    wanted: int,
    seed: int,
    pinned: Sequence[Candidate],
    controls: Sequence[Candidate],
) -> _Picked:
    """A space-filling batch: nothing is learnt yet, so nothing is predicted."""
    tally = Tally()
    indices = open_sample(state, SAMPLE, seed, only=request.only, again=request.again, tally=tally)
    closed = [r.design for r in state.pending] + [s.design for s in state.samples]
    taken = np.array([state.space.x_of(design) for design in closed]).reshape(len(closed), len(state.space.columns))
    if shared := state.spec.batch.shared:
        indices = within(state.space, shared, indices, [c.design for c in pinned])
        indices = filling(state.space, shared, indices, taken, wanted)
    X = state.space.coordinates(state.space.X(indices))
    prices, purse = payable(state, indices, [c.design for c in controls]) or (None, math.inf)
    strata = state.space.stratum(indices)
    rows = spread(X, strata, wanted, taken=state.space.coordinates(taken), prices=prices, purse=purse)
    candidates = [*pinned, *(state.space.candidate(int(indices[row])) for row in rows)]
    filtered = filter_verdicts(state, sieve_of(state), candidates)
    why = "nothing is measured yet" if not state.measured else "too little is measured yet to learn from"
    return _Picked(
        candidates=candidates,
        predictions=[{} for _ in candidates],
        rationales=[warned({}, {"role": "space-filling", **found}) for found in filtered],
        settings={"acquisition": "space-filling"},
        notes=(f"{why}: this batch fills the space, stratum by stratum, and predicts nothing",),
        tally=tally,
    )


def _choose(
    state: State,
    request: Request,
    wanted: int,
    seed: int,
    stage: Callable[[str], None],
    pinned: Sequence[Candidate] = (),
    replicated: Sequence[Recommendation] = (),
    controls: Sequence[Candidate] = (),
    kept: Mapping[str, KeptModel] | None = None,
) -> _Picked:
    """The pinned candidates, then those chosen by the acquisition function on what is believed, and explained."""
    belief = believe(state, seed=seed, stage=stage, kept=kept)
    stage("screen")
    tally, passed = Tally(), Passed()
    screened = screen(
        state,
        belief,
        only=request.only,
        again=request.again,
        tally=tally,
        wanted=wanted,
        passed=passed,
        stage=stage,
    )
    indices, notes = screened, choice_notes(state, belief)
    best_of = sampled(state, belief, max(wanted, 1), seed, only=request.only, again=request.again)
    if best_of is not None:
        indices, notes = best_of, (*notes, SAMPLED)
    shared = state.spec.batch.shared
    indices = within(state.space, shared, indices, [c.design for c in pinned])
    stage("choose")
    chosen = _Chosen()
    if len(indices):
        chosen = _chosen(state, belief, indices, wanted, seed, len(replicated), controls, request.only is not None)
    candidates = [*pinned, *chosen.candidates]
    if not candidates:
        return _Picked((), (), (), {}, tally=tally)
    stage("explain")
    predictions, rationales = describe(state, belief, candidates, stage)
    for rationale, value in zip(rationales[len(pinned) :], chosen.values, strict=True):
        rationale["acquisition_value"] = value
    how, notes = choice_settings(state, belief) | passed.settings, (*notes, *passed.notes, *chosen.moves)
    how[KEY] = believed_left(state, belief, state.space.X(screened), seed=seed) if len(screened) else {}
    models = model_versions(state, belief, seed)
    fits = tuple(b.choice.fitted for b in belief.all)
    return _Picked(candidates, predictions, rationales, how, notes, models, tally, chosen.replicates, fits)


@dataclass(frozen=True)
class _Chosen:
    candidates: Sequence[Candidate] = ()
    values: Sequence[float] = ()
    moves: Sequence[str] = ()
    replicates: Sequence[Replicate] = ()


def _chosen(
    state: State,
    belief: Belief,
    indices: Indices,
    wanted: int,
    seed: int,
    replicated: int,
    controls: Sequence[Candidate],
    listed: bool,
) -> _Chosen:
    """What the acquisition function takes of the candidates at `indices`, and what is made again.

    It is refined unless the candidates are `listed`, so that there are no others.
    """
    shared = state.spec.batch.shared
    acquisition, measured = state.spec.acquisition, measured_front(state)
    pending = np.array([state.space.x_of(r.design) for r in state.awaited]).reshape(-1, len(state.space.columns))
    groups = torch.from_numpy(settings(state.space, shared, state.space.X(indices))) if shared else None
    options: dict[str, Any] = {
        "acquisition": acquisition.type,
        "goals": belief.goals,
        "X_observed": belief.observed(),
        "best_observed": belief.best_measured(),
        "seed": seed,
        "X_pending": torch.from_numpy(pending),
        "beta": getattr(acquisition, "beta", 4.0),
        "noise_variance": [b.noise_variance() for b in belief.objectives],
        "constraints": belief.bounds,
        "reference": measured.origin if measured else None,
    }
    selection = in_one_setting(choose, groups)(
        belief.model,
        torch.from_numpy(state.space.X(indices)),
        max(wanted, 1),  # of a batch of pins alone nothing of it is taken
        **options,
        late=torch.from_numpy(unmeasured(state, belief, indices)),
        **_costs(state, indices, controls),
    )
    more = min(state.spec.batch.replicates - replicated, wanted - 1)
    repeated = _replicates(state, belief, indices, selection, max(more, 0), seed, controls)
    selection = Selection(selection.rows[: wanted - len(repeated)], selection.values[: wanted - len(repeated)])
    grid = [state.space.candidate(int(indices[row])) for row in selection.rows]
    weights = weighed(state, indices)
    power = 0.0 if weights is None else weights[1]
    beside = [c.design for c in (*controls, *(repeat for repeat, _ in repeated))]
    found, moves = (grid, []) if listed else refined(state, belief, grid, pending, seed, power, beside)
    if found != grid:
        designs = np.stack([state.space.x_of(c.design) for c in found])
        values = valued(belief, state.space.X(indices), selection.rows, designs, options)
        selection = Selection(selection.rows, values)
    return _Chosen(found, selection.values, moves, repeated)


def _costs(state: State, indices: Indices, controls: Sequence[Candidate]) -> dict[str, Any]:
    """Costs of candidates as `choose` takes them; nothing where they do not weigh on the choice, nor limit it."""
    found: dict[str, Any] = {}
    if weights := weighed(state, indices):
        found |= {"costs": torch.from_numpy(weights[0]), "cost_power": weights[1]}
    if purse := payable(state, indices, [c.design for c in controls]):
        found |= {"prices": torch.from_numpy(purse[0]), "purse": purse[1]}
    return found


def _replicates(
    state: State,
    belief: Belief,
    indices: Indices,
    selection: Selection,
    n: int,
    seed: int,
    controls: Sequence[Candidate],
) -> Sequence[Replicate]:
    """At most `n` measured designs to make again beside a selection, and beside the controls of its batch.

    In the setting that the selection has, where the batch shares one.
    """
    shared = state.spec.batch.shared
    if not shared:
        return replicates(state, belief, n, seed, beside=controls)
    columns = positions(state.space, shared)
    setting = state.space.X(indices[selection.rows[:1]])[0, columns]

    def there(candidate: Candidate) -> bool:
        return bool(np.allclose(state.space.x_of(candidate.design)[columns], setting, rtol=0, atol=1e-9))

    return replicates(state, belief, n, seed, there, controls)
