"""What a ledger tells beside its results: corrections with their reasons, and what became of each measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from campaign.corrections import name_of, told
from campaign.decisions import decisions
from campaign.sharing import SAMPLE_SHARED, references
from campaign.state import MEASUREMENT_AMENDED, MEASUREMENT_VOIDED, PENDING_EXPIRED, SPEC_REVISED, STATUS_STATED
from db.records import Event, Measurement
from db.store import Store


def about(store: Store, campaign: str, events: Sequence[Event]) -> dict[int, list[str]]:
    """Event number -> what it corrects or decides, in words, of those that do."""
    kinds = {e.kind for e in events}
    known: dict[str, Measurement] = {}
    if kinds & {MEASUREMENT_AMENDED, MEASUREMENT_VOIDED}:
        known = {m.id: m for m in store.measurements(campaign, current=False)}
    label = _labels(store, campaign, events) if kinds & {STATUS_STATED, *_KINDS} else {}
    asked = _questions(store, campaign) if known else frozenset()
    return {e.seq: list(lines) for e in events if (lines := _lines(e, known, label, asked))}


_KINDS = (MEASUREMENT_AMENDED, MEASUREMENT_VOIDED, PENDING_EXPIRED, SPEC_REVISED)


def _labels(store: Store, campaign: str, events: Sequence[Event], until: int | None = None) -> dict[str, str]:
    """Sample id -> label, with those that are shared."""
    shared = {key: f"{said['campaign']}:{said['label']}" for key, said in references(events).items()}
    return {s.id: s.label for s in store.samples(campaign, until=until)} | shared


def _questions(store: Store, campaign: str) -> frozenset[str]:
    """Metrics that are answered with yes or no."""
    wanted = store.spec(campaign).spec.get("outcome_constraints", ())
    return frozenset(c["name"] for c in wanted if c.get("type") == "boolean")


def _lines(
    event: Event, known: Mapping[str, Measurement], label: Mapping[str, str], asked: frozenset[str]
) -> list[str]:
    said = event.payload
    if event.kind == MEASUREMENT_AMENDED:
        pairs = [(known[old], known[new]) for new, old in said["amended"].items()]
        return [
            f"{_named(old, label)}: {_told(old, asked)} -> {_told(new, asked)} ({said['reason']})" for old, new in pairs
        ]
    if event.kind == MEASUREMENT_VOIDED:
        voided = [(known[m], why) for m, why in said["voided"].items()]
        return [f"{_named(m, label)}: {_told(m, asked)} is void ({why})" for m, why in voided]
    if event.kind == PENDING_EXPIRED:
        return [f"no longer waited for: {', '.join(said['expired'])} ({said['reason']})"]
    if event.kind == SPEC_REVISED:
        return [f"revision {said['revision']} ({said['reason']})", *said["changes"]]
    if event.kind == SAMPLE_SHARED:
        return [f"shared: {one['campaign']}:{one['label']}" for one in said["shared"].values()]
    if event.kind == STATUS_STATED:
        stated = said["statuses"].items()
        return [f"{label[s]} {st['status']}: {st.get('mode') or st.get('reason') or ''}" for s, st in stated]
    return []


def _told(m: Measurement, asked: frozenset[str]) -> str:
    return told(m, boolean=m.metric in asked)


def _named(m: Measurement, label: Mapping[str, str]) -> str:
    return name_of(label[m.sample], m)


def measured(store: Store, campaign: str, until: int | None = None) -> dict[int, list[dict[str, Any]]]:
    """Event number -> the measurements that it recorded, in order, each with its name, value and fate."""
    events = store.events(campaign, until=until)
    voided = decisions(events).voided
    label = _labels(store, campaign, events, until)
    rows = store.measurements(campaign, current=False, until=until)
    later = {m.supersedes: m.id for m in rows if m.supersedes}
    recorded = {key: e.seq for e in events for key in e.payload["rows"].get("measurement", {})}
    found: dict[int, list[dict[str, Any]]] = {}
    asked = _questions(store, campaign)
    for m in rows:
        fate = f"superseded by {later[m.id]}" if m.id in later else ""
        fate = f"void: {voided[m.id]}" if m.id in voided else fate
        said = {"name": name_of(label[m.sample], m), "value": _told(m, asked)}
        entry = {"id": m.id, **said, "counts": not fate, "fate": fate}
        found.setdefault(recorded[m.id], []).append(entry | {"supersedes": m.supersedes, "reason": m.reason})
    return found
