"""What people decided about a campaign beside its results: vetoes, and batches that were proposed anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from campaign.formulas import example, formula, parsed
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design, Event, Recommendation, Sample
from lab_io.findings import CellError

if TYPE_CHECKING:
    from campaign.state import State

VETO_STATED = "veto.stated"


@dataclass(frozen=True)
class Veto:
    """A design that is not to be proposed until the veto is lifted."""

    design: Design
    reason: str
    by: str
    at: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class Decisions:
    """What follows from the decisions in a ledger."""

    vetoes: Mapping[str, Veto] = field(default_factory=dict)
    """Candidate id -> the veto in force, in the order of the ledger."""
    superseded: frozenset[str] = frozenset()
    """Recommendation ids that are no longer wanted; for good, even where a veto is lifted."""
    renewed: Mapping[str, str] = field(default_factory=dict)
    """Recommendation id -> id of the earlier recommendation that it repeats under a new label."""
    closed: frozenset[str] = frozenset()
    """Sample ids of which nothing more is awaited, though not everything is measured."""
    voided: Mapping[str, str] = field(default_factory=dict)
    """Measurement id -> why it does not count."""

    def names(self, recommendation: str) -> Iterator[str]:
        """Its id, then those of the earlier ones that it repeats, back to the first."""
        known: str | None = recommendation
        while known is not None:
            yield known
            known = self.renewed.get(known)


def decisions(events: Iterable[Event]) -> Decisions:
    """The decisions that a ledger tells of, from the payloads of its events, whatever their kind."""
    vetoes: dict[str, Veto] = {}
    superseded: set[str] = set()
    renewed: dict[str, str] = {}
    closed: set[str] = set()
    voided: dict[str, str] = {}
    for event in events:
        for lifted in event.payload.get("lifted", ()):
            vetoes.pop(lifted, None)
        for key, veto in event.payload.get("vetoes", {}).items():
            vetoes[key] = Veto(veto["design"], veto["reason"], event.by, event.at)
        superseded.update(event.payload.get("superseded", ()))
        renewed.update(event.payload.get("renewed", {}))
        closed.update(event.payload.get("closed", ()))
        voided.update(event.payload.get("voided", {}))
    return Decisions(vetoes, frozenset(superseded), renewed, frozenset(closed), voided)


def candidate_of(state: State, text: str | Design) -> Candidate:
    """What a person means by a label (`b1-03`), an id, or a design, as it is shown (`Ni0.5 Fe0.5 T=300`) or itself.

    Raises:
        InvalidInput: it is neither, or no design of the space.
    """
    everything: list[Recommendation | Sample] = [*state.recommendations, *state.samples]
    for known in everything:
        if isinstance(text, str) and text in (known.label, known.id, known.candidate):
            return Candidate(known.candidate, known.design, known.stratum)
    try:
        return state.space.design_candidate(parsed(state.space, text) if isinstance(text, str) else text)
    except CellError as error:
        what = f"{text!r} is no label of this campaign and no design of its space: {error.what}"
        fix = f"{error.fix}; a design of this space is {example(state.space)}"
        raise InvalidInput(Problem(f"campaign {state.name}", what, fix)) from None
    except InvalidInput as error:
        raise InvalidInput([Problem(f"{text}: {p.where}", p.what, p.fix) for p in error.problems]) from None


def veto_payload(state: State, texts: Iterable[str], reason: str | None) -> dict[str, Any]:
    """What an event must hold to veto designs: the vetoes, and the recommendations that they end.

    Raises:
        InvalidInput: a text names nothing, a design is a control of the spec, or there is no reason.
    """
    found = {c.id: c for c in (candidate_of(state, text) for text in texts)}
    if not found:
        return {}
    if not (reason or "").strip():
        raise InvalidInput(Problem("veto", "a veto needs a reason", 'say why: --reason "precursor is out of stock"'))
    if refused := [c for c in state.controls() if c.id in found]:
        what = "a control of the spec is made in every batch and cannot be vetoed"
        raise InvalidInput([Problem(_veto_of(state, c), what, "veto another design") for c in refused])
    unmade = [r.id for r in state.pending if r.candidate in found and r.id not in state.sample_of]
    vetoes = {key: {"design": dict(c.design), "reason": reason} for key, c in found.items()}
    return {"vetoes": vetoes} | ({"superseded": unmade} if unmade else {})


def lift_payload(state: State, texts: Iterable[str]) -> dict[str, Any]:
    """What an event must hold to lift vetoes.

    Raises:
        InvalidInput: a text names nothing, or a design that is not vetoed.
    """
    found = [candidate_of(state, text) for text in texts]
    free = [c for c in found if c.id not in state.decisions.vetoes]
    if free:
        what = "there is no veto on this design"
        fix = "`siteloop status` lists the vetoes in force"
        raise InvalidInput([Problem(_veto_of(state, c), what, fix) for c in free])
    return {"lifted": [c.id for c in found]}


def _veto_of(state: State, candidate: Candidate) -> str:
    return f"veto of {formula(candidate.design, state.space)}"
