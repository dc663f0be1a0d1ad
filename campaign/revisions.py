"""Revisions of a spec: what changed, whether it may, and the campaign from then on.

Nothing recorded is rewritten. Samples, pending items and caches follow because all of them are known by their designs:
a design has the same identity in a wider space, its row of X is made anew, and what was kept of another space is never
looked at. Every batch stays with the revision that it was computed from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from campaign.history import check_histories
from campaign.labels import check_files
from campaign.spaces import Space, build_space, read_sources, variables
from campaign.spec import CampaignSpec, load_spec
from campaign.state import BATCH_RECOMMENDED, RESULT_KINDS, SPEC_REVISED, State, load_state
from campaign.words import listed, shown
from campaign.writing import retried, stated_reason
from db.errors import InvalidInput, Problem
from db.records import Event, Recommendation, Sample, Source, SpecRevision
from db.store import Store

MOST_TOLD = 20
"""Designs that are named one by one where they do not fit."""


@dataclass(frozen=True)
class Ready:
    """A spec with its files read and its space built, all of it checked."""

    spec: CampaignSpec
    contents: Mapping[str, bytes]
    """Of the files that the spec names."""
    space: Space

    def sources(self) -> list[Source]:
        """The files, as they are kept."""
        return [Source(sha256(content).hexdigest(), name, content) for name, content in self.contents.items()]

    def revision(self, number: int, reason: str | None = None) -> SpecRevision:
        """The spec as it is kept."""
        name = self.spec.campaign
        sources = {source.name: source.sha256 for source in self.sources()}
        return SpecRevision(f"{name}/spec{number}", name, number, self.spec.resolved(), sources, reason)


def ready(spec: str | Path | CampaignSpec, folder: Path | None = None) -> Ready:
    """Read and check a spec and the files that it names, before anything is written.

    Args:
        spec: path of the YAML spec, or the spec itself.
        folder: where the files lie; None for the folder of the spec file.

    Raises:
        InvalidInput: the spec, or a file it names, cannot be used; all problems at once.
    """
    loaded = spec if isinstance(spec, CampaignSpec) else load_spec(Path(spec))
    place = folder or (Path() if isinstance(spec, CampaignSpec) else Path(spec).parent)
    loaded = loaded.anchored(place)
    contents = read_sources(loaded, place)
    space = build_space(loaded.space, contents)
    check_files(loaded, space, contents)
    check_histories(None, loaded, space, contents)
    return Ready(loaded, contents, space)


@dataclass(frozen=True)
class Revision:
    """What a revision changes."""

    number: int
    changes: tuple[str, ...]
    """`batch.size: 8 -> 12`; none where nothing does."""
    notes: tuple[str, ...]
    """What follows, in words."""
    event: Event | None = None
    """As recorded; None for a dry run, or where nothing changes."""


def revise(
    store: Store,
    name: str,
    spec: str | Path | CampaignSpec,
    *,
    folder: Path | None = None,
    reason: str | None,
    by: str,
    commit: bool,
) -> Revision:
    """Compare a spec with the one in force, and with `commit` let it take its place.

    Args:
        store: where the campaign is.
        name: of the campaign.
        spec: as for `ready`.
        folder: as for `ready`.
        reason: of the revision; needed to record it.
        by: who revises.
        commit: whether to record it; the spec in force again is a no-op.

    Raises:
        InvalidInput: the spec cannot be used, changes what may not change, or no longer holds a recorded design; or
            there is no reason. All problems of a kind at once.
        Overtaken: others kept recording at the same moment.
    """
    if commit:
        reason = stated_reason(reason, "a revision of the spec", "cobalt is in stock again")
    store.require(name)
    new = ready(spec, folder)
    if new.spec.history:
        check_histories(store, new.spec, new.space, new.contents)

    def attempt() -> Revision:
        with store.reading():
            state = load_state(store, name)
            before = store.spec(name)
        problems = [*_kept(state.spec, new.spec), *_unfit(state, new)]
        if problems:
            raise InvalidInput(problems)
        number = before.revision + 1
        revision = new.revision(number, reason)
        changes = tuple(_changes(before, revision))
        found = Revision(number, changes, tuple(_notes(state, new)) if changes else ())
        if not changes or not commit:
            return found
        event = store.append(
            name,
            SPEC_REVISED,
            {"revision": number, "reason": reason, "changes": list(changes)},
            rows=[*new.sources(), revision],
            by=by,
            after=state.head.seq,
            unless={SPEC_REVISED, BATCH_RECOMMENDED, *RESULT_KINDS},
        )
        return replace(found, event=event)

    return retried(attempt)


def _kept(before: CampaignSpec, after: CampaignSpec) -> Iterator[Problem]:
    """What a revision may not change: the names of things, and what recorded values mean."""
    anew = "start a new campaign, which may learn from this one under `history`"
    if after.campaign != before.campaign:
        yield Problem("campaign", f"{after.campaign} is not {before.campaign}, which is revised", "keep the name")
    objectives = {o.name: o for o in after.objectives}
    for old in before.objectives:
        if (new := objectives.pop(old.name, None)) is None:
            yield Problem("objectives", f"the objective {old.name} is gone", f"keep it, or {anew}")
            continue
        for key in ("unit", "goal"):
            was, now = getattr(old, key), getattr(new, key)
            if was != now:
                what = f"the {key} of {old.name} is {shown(was)}, and recorded values rest on it; not {shown(now)}"
                yield Problem(f"objectives, {old.name}.{key}", what, f"keep it, or {anew}")
    for name in objectives:
        yield Problem("objectives", f"the objective {name} is new: no earlier sample has it", anew)
    constraints = {c.name: c for c in after.outcome_constraints}
    for held in before.outcome_constraints:
        for key in ("unit", "source") if held.name in constraints else ():
            was, now = getattr(held, key), getattr(constraints[held.name], key)
            if was != now:
                what = f"the {key} of {held.name} is {shown(was)}, and recorded values rest on it; not {shown(now)}"
                yield Problem(f"outcome_constraints, {held.name}.{key}", what, "keep it, or give it another name")


def _unfit(state: State, new: Ready) -> Iterator[Problem]:
    """Recorded designs that the space no longer has words for, or would call another design."""
    moved = replace(state, space=new.space)
    wrong: list[Problem] = []
    everything: list[Recommendation | Sample] = [*state.recommendations, *state.samples]
    for known in {d.candidate: d for d in everything}.values():
        try:
            same = new.space.design_candidate(known.design).id == known.candidate
            wrong += [] if same else [Problem(known.label, "it would be another design", "keep the units of the space")]
        except InvalidInput as error:
            wrong += [Problem(f"{known.label}, {p.where}", p.what, "keep what it is made of") for p in error.problems]
    for sample in state.samples:
        composition = moved.composition(sample)
        if composition is not sample.design:
            try:
                new.space.design_candidate(composition)
            except InvalidInput as error:
                wrong += [Problem(f"{sample.label} as measured, {p.where}", p.what, p.fix) for p in error.problems]
    yield from wrong[:MOST_TOLD]
    if len(wrong) > MOST_TOLD:
        yield Problem("space", f"so do {len(wrong) - MOST_TOLD} more", "keep what recorded samples are made of")


def _notes(state: State, new: Ready) -> Iterator[str]:
    """What follows from a revision."""
    was, now = state.space, new.space
    if was.count != now.count:
        yield f"{was.count:,} candidates become {now.count:,}"
    for word, names in (
        ("new", [n for n in variables(now) if n not in variables(was)]),
        ("gone", [n for n in variables(was) if n not in variables(now)]),
    ):
        if names:
            yield f"{word} in a design: {listed(names)}"
    if was.fingerprint() != now.fingerprint():
        yield "surrogates are fitted anew on the new space with the next batch; what was measured counts as before"
    if state.pending:
        yield f"pending as before: {listed([r.label for r in state.pending])}"


def _changes(before: SpecRevision, after: SpecRevision) -> Iterator[str]:
    yield from _differences(dict(before.spec), dict(after.spec), "")
    for name in sorted({*before.sources, *after.sources}):
        was, now = before.sources.get(name), after.sources.get(name)
        if was != now:
            word = "gone" if now is None else "new" if was is None else "other content"
            yield f"file {name}: {word}"


def _differences(was: Any, now: Any, where: str) -> Iterator[str]:
    """One line for each leaf that differs; lists of plain values by what came and went."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*now, *(k for k in was if k not in now)]:
            yield from _differences(was.get(key), now.get(key), f"{where}.{key}" if where else key)
    elif _named(was) and _named(now):
        yield from _differences({o["name"]: o for o in was}, {o["name"]: o for o in now}, where)
    elif was != now and _plain(was) and _plain(now):
        came, went = [x for x in now if x not in was], [x for x in was if x not in now]
        told = [f"{sign}{shown(x)}" for sign, some in (("+", came), ("-", went)) for x in some]
        yield f"{where}: {', '.join(told)}" if told else f"{where}: another order"
    elif was != now:
        yield f"{where}: {shown(was)} -> {shown(now)}"


def _named(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, dict) and "name" in x for x in value)


def _plain(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(x, dict | list) for x in value)
