"""A batch proposed anew: what of it stays, what of it goes, and what is not to come again.

Nothing in the ledger changes: the batch that is replaced stays in it, and the event of the new batch says which of its
items are superseded and which are repeated under a new label. An item that was made already is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from campaign.decisions import Decisions, Veto, candidate_of, veto_payload
from campaign.formulas import formula
from campaign.request import Request
from campaign.shared import positions
from campaign.state import State
from campaign.words import listed
from db.errors import InvalidInput, Problem
from db.records import Candidate, Recommendation


@dataclass(frozen=True)
class Anew:
    """A campaign as it would be with the items that go gone, the pinned ones pending, and the vetoes in force."""

    state: State
    pinned: tuple[Recommendation, ...] = ()
    """Items to take over: of the batch that is replaced, or made up for a design that was pinned by itself."""
    controls: tuple[Candidate, ...] = ()
    """Controls of the new batch."""
    replicates: tuple[Recommendation, ...] = ()
    """Replicates that are taken over."""
    carried: tuple[Recommendation, ...] = ()
    """The items of the batch that is replaced which are taken over without a pin."""
    size: int | None = None
    """As many as are replaced; None where none are."""
    payload: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def renewed(self, recommendations: Sequence[Recommendation]) -> dict[str, Any]:
        """The payload of the new batch's event, its items (the pinned ones first) being known."""
        pairs = list(zip(recommendations, self.pinned, strict=False))
        for role in ("replicate", "control"):
            new, before = ([r for r in some if _role(r) == role] for some in (recommendations, self.carried))
            pairs += zip(new, before, strict=False)
        old = {new.id: before.id for new, before in pairs if before.batch}
        return self.payload | ({"renewed": old} if old else {})


def anew(state: State, request: Request) -> Anew:
    """What a request asks of the batch that is open.

    With a pin or a veto, what is pending of the latest batch and not made yet is proposed anew, unless a further batch
    is asked for. Its unmade controls are taken over, and its unmade replicates, but for those that are vetoed; where a
    batch shares a setting, only the replicates in the setting of what is pinned.

    Raises:
        InvalidInput: a pin or veto names nothing, a pinned item was made already, or a design is pinned and vetoed.
    """
    if not request.pin and not request.veto:
        return Anew(state, controls=state.controls(), notes=_told(state, state.decisions))
    payload = veto_payload(state, request.veto, request.reason)
    latest = state.batches[-1].id if state.batches and not request.more else None
    replaced = [r for r in state.pending if r.batch == latest and r.id not in state.sample_of]
    controls = [r for r in replaced if _role(r) == "control"]
    repeated = [r for r in replaced if _role(r) == "replicate"]
    free = [r for r in replaced if r not in controls and r not in repeated]
    vetoed = payload.get("vetoes", {})
    pinned = _pinned(state, request, free, vetoed)
    kept = [r for r in repeated if free and r.candidate not in vetoed and _fits(state, r, pinned)]
    gone = {r.id for r in replaced} | set(payload.get("superseded", ()))
    if gone:
        payload["superseded"] = sorted(gone)
    vetoes = {key: Veto(v["design"], v["reason"], "", "") for key, v in payload.get("vetoes", {}).items()}
    before = state.decisions
    decided = replace(before, vetoes={**before.vetoes, **vetoes}, superseded=before.superseded | gone)
    provisional = [replace(r, id=f"pinned-{i}", batch="") for i, r in enumerate([*pinned, *kept])]
    labels = [r.label for r in replaced if r not in pinned and r not in controls and r not in kept]
    notes = [f"proposed anew in place of {', '.join(labels)}, no longer pending"] if labels else []
    if pinned:
        notes.append(f"pinned: {listed([r.label or formula(r.design, state.space) for r in pinned])}")
    return Anew(
        state=replace(state, decisions=decided, recommendations=(*state.recommendations, *provisional)),
        pinned=tuple(pinned),
        controls=tuple(Candidate(r.candidate, r.design, r.stratum) for r in controls) if replaced else state.controls(),
        replicates=tuple(kept),
        carried=(*controls, *kept),
        size=len(replaced) or None,
        payload=payload,
        notes=(*notes, *_told(state, decided)),
    )


def _role(recommendation: Recommendation) -> Any:
    return recommendation.rationale.get("role")


def _fits(state: State, replicate: Recommendation, pinned: Sequence[Recommendation]) -> bool:
    """Whether a replicate may stay in a batch with the pinned items, given what the items of a batch share."""
    if not state.spec.batch.shared:
        return True
    columns = positions(state.space, state.spec.batch.shared)
    here, *there = (state.space.x_of(r.design)[columns] for r in (replicate, *pinned))
    return bool(there) and all(np.abs(x - here).max() <= 1e-9 for x in there)


def _told(state: State, decided: Decisions) -> tuple[str, ...]:
    return tuple(f"vetoed: {formula(v.design, state.space)} ({v.reason})" for v in decided.vetoes.values())


def _pinned(
    state: State, request: Request, replaced: Sequence[Recommendation], vetoed: dict[str, Any]
) -> list[Recommendation]:
    """The items that pins name, each once, in the order of the pins."""
    found: dict[str, Recommendation] = {}
    problems = []
    for text in request.pin:
        wanted = candidate_of(state, text)
        item = next((r for r in replaced if r.candidate == wanted.id), None)
        waiting = next((r for r in state.pending if r.candidate == wanted.id), None)
        where = f"pin {text}"
        if wanted.id in vetoed or wanted.id in state.decisions.vetoes:
            problems.append(Problem(where, "it is vetoed", "lift the veto, or do not pin it"))
        elif item is None and waiting is not None:
            why = "it was made, is a control or replicate, or is of a batch that stays"
            what = f"{waiting.label} is pending and stays so: {why}"
            problems.append(Problem(where, what, "leave the pin out"))
        else:
            by_hand = Recommendation(
                "", state.name, "", 0, "", wanted.id, wanted.design, wanted.stratum, prediction={}, rationale={}
            )
            found[wanted.id] = item or by_hand
    if problems:
        raise InvalidInput(problems)
    return list(found.values())
