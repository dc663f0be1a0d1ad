"""What is believed of any design that somebody asks about; nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from campaign.belief import Belief, believe, learnable
from campaign.cards import card
from campaign.decisions import candidate_of
from campaign.describe import describe
from campaign.formulas import example
from campaign.outcomes import OutcomeConstraint
from campaign.spec import Objective
from campaign.state import State, batch_seed
from campaign.status import best
from campaign.words import quantity
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design, Recommendation
from lab_io.words import answer

MOST = 200
"""Designs that are looked at in one go."""


def whatif(
    state: State, designs: Sequence[str | Design], stage: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """What is believed of designs, beside the best that is measured.

    Args:
        state: the campaign.
        designs: in the columns of the space, values as typed, or lines (`Ni0.3 Fe0.7`, a label) as for pins; they need
            not be candidates.
        stage: called with a name when a stage begins.

    Returns:
        `best`, per objective the best measured sample; `designs`, one each: the card of a recommendation (prediction,
        intervals, domain, feasibility, filters, rationale, `text`), `in_space`, `known` (what became of it, if it was
        recommended or made), `beside_best` per objective and `notes`.

    Raises:
        InvalidInput: too little is measured to predict anything, or a design is none of the space's columns; all
            problems at once.
    """
    if not learnable(state):
        fix = "ingest results first; `siteloop recommend` gives a batch that fills the space"
        raise InvalidInput(Problem(f"campaign {state.name}", "too little is measured to predict anything", fix))
    candidates = _candidates(state, designs)
    belief = believe(state, seed=batch_seed(state, len(state.batches) + 1), stage=stage)
    stage("predict")
    predictions, rationales = describe(state, belief, candidates, stage)
    tops = {o.name: top for o in state.objectives if (top := best(state, o)) is not None}
    found = [
        _told(state, belief, candidate, prediction, rationale, rank)
        for rank, (candidate, prediction, rationale) in enumerate(
            zip(candidates, predictions, rationales, strict=True), start=1
        )
    ]
    return {
        "campaign": state.name,
        "best": {name: {"sample": top.sample.label, "value": top.value, "n": top.n} for name, top in tops.items()},
        "designs": found,
    }


def _candidates(state: State, designs: Sequence[str | Design]) -> list[Candidate]:
    if not 0 < len(designs) <= MOST:
        what = "there is no design" if not designs else f"{len(designs)} designs are more than {MOST}"
        fix = "ask in parts" if designs else f"write one like {example(state.space)}"
        raise InvalidInput(Problem("designs", what, fix))
    found, wrong, space = [], list[Problem](), state.space
    for number, design in enumerate(designs, start=1):
        try:
            found.append(candidate_of(state, design) if isinstance(design, str) else space.design_candidate(design))
        except InvalidInput as error:
            where = "" if isinstance(design, str) else f"design {number}, " if len(designs) > 1 else "design, "
            wrong += [Problem(where + p.where, p.what, p.fix) for p in error.problems]
    if wrong:
        raise InvalidInput(wrong)
    return found


def _told(
    state: State,
    belief: Belief,
    candidate: Candidate,
    prediction: dict[str, Any],
    rationale: dict[str, Any],
    rank: int,
) -> dict[str, Any]:
    as_if = Recommendation(
        id="",
        campaign=state.name,
        batch="",
        rank=rank,
        label="",
        candidate=candidate.id,
        design=candidate.design,
        stratum=candidate.stratum,
        prediction=prediction,
        rationale=rationale,
    )
    told = card(as_if, state.space)
    for key in ("sample_id", "recommendation_id", "acquisition_value"):
        del told[key]
    in_space = state.space.locate(candidate.design) is not None
    known = _known(state, candidate)
    notes = [f"known: {line}" for line in known]
    if not in_space:
        notes.append("not a candidate of this campaign's space, so it is never recommended; predicted all the same")
    beside = {
        b.objective.name: _beside(state, b.objective.name, prediction[b.objective.name]) for b in belief.objectives
    }
    lines = [each["text"] for each in beside.values() if each]
    return {
        **told,
        "in_space": in_space,
        "known": known,
        "beside_best": beside,
        "notes": notes,
        "text": lines + told["text"],
    }


def _known(state: State, candidate: Candidate) -> list[str]:
    """What became of a design: `old-07: 341 mV`, `b1-03: pending`, `b1-04: failed`."""
    values = {(o.sample.id, m.name): o for m in state.metrics for o in state.observations(m.name)}
    found = []
    for sample in (s for s in state.samples if s.candidate == candidate.id):
        said = [
            f"{m.name} {_value(m, values[sample.id, m.name].value)}"
            for m in state.metrics
            if (sample.id, m.name) in values
        ]
        status = state.status(sample.id)
        found.append(f"{sample.label}: {', '.join(said) or ('not measured yet' if status == 'ok' else status)}")
    made = {s.recommendation for s in state.samples}
    waiting = [r for r in state.pending if r.candidate == candidate.id and r.id not in made]
    return found + [f"{r.label}: pending" for r in waiting]


def _value(metric: Objective | OutcomeConstraint, value: float) -> str:
    if isinstance(metric, OutcomeConstraint) and metric.boolean:
        return "yes and no" if value == 0.5 else answer(value > 0.5)
    return quantity(value, metric.unit, digits=4)


def _beside(state: State, name: str, expected: Mapping[str, Any]) -> dict[str, Any] | None:
    """A predicted median beside the best measured value; None where nothing counts as measured."""
    objective = next(o for o in state.objectives if o.name == name)
    top = best(state, objective)
    if top is None:
        return None
    worse = objective.loss(expected["median"]) - objective.loss(top.value)
    size = quantity(abs(worse), objective.unit)
    than = f"the best measured, {top.sample.label} ({quantity(top.value, objective.unit, digits=4)})"
    text = f"Predicted {size} {'worse' if worse > 0 else 'better'} in {name} than {than}."
    return {"sample": top.sample.label, "value": top.value, "worse_by": worse, "text": text}
