"""Checks of what was measured: variation, repeats, contradictions, failures, constraints, and the size of the space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from campaign.health.base import Finding, Look
from campaign.health.significance import pooled_sd
from campaign.spec import Objective
from campaign.state import Observation, State
from campaign.words import listed, quantity
from lab_io.words import count

ENOUGH_TO_JUDGE = 8
"""Measured samples from which their variation, repeats and failures can be judged."""
CONTRADICTION = 4.0
"""Noise sds by which two samples of one design differ when something other than noise is at work."""
FAILING = 0.25
"""Share of failed samples that is worth a warning."""
MOST = 0.5
"""Share of the space that a budget may cover before a search is not worth its trouble."""


def exact(state: State, objective: Objective) -> list[Observation]:
    """Observations that are no bounds."""
    return [o for o in state.observations(objective.name) if o.censor == 0]


def repeats(state: State, objective: Objective) -> tuple[float, int]:
    """Sd of one measurement of an objective over all that was measured or made more than once; degrees of freedom.

    What was made twice counts with the scatter of making it; what batches, operators and labs add is taken off.
    """
    noise = state.noise(objective.name)
    shifts = noise.shifts if noise else {}
    values = {o.sample.id: o for o in exact(state, objective)}
    groups: dict[str, list[float]] = {}
    for (sample, metric), rows in state.measured.items():
        if metric == objective.name and sample in values:
            found = [float(m.value) - shifts.get(m.id, 0.0) for m in rows if m.qualifier == "=" and m.value is not None]
            groups.setdefault(values[sample].sample.candidate, []).extend(found)
    return pooled_sd(list(groups.values()))


def variation(look: Look) -> Iterator[Finding]:
    """Whether an objective varies by more than its noise floor; where it does not, there is nothing to learn."""
    for objective in look.state.objectives:
        values = [o.value for o in exact(look.state, objective)]
        if len(values) < ENOUGH_TO_JUDGE:
            continue
        spread, floor = max(values) - min(values), objective.noise_floor_value or 0.0
        told = f"{len(values)} samples span {quantity(spread, objective.unit)}"
        name, numbers = f"variation of {objective.name}", {"span": spread, "n": float(len(values))}
        if spread > 2 * floor:
            yield Finding(name, "ok", told, numbers=numbers)
            continue
        beside = f", with a noise floor of {quantity(floor, objective.unit)}" if floor else ""
        fix = (
            f"check that the column {objective.name} and its unit are what you mean; if they are, widen the space, or "
            "choose a property that varies in it"
        )
        yield Finding(name, "warn", told + beside, fix, numbers)


def repeated(look: Look) -> Iterator[Finding]:
    """Whether anything was measured twice: without it noise and signal can only be told apart by the surrogate."""
    for objective in look.state.objectives:
        found = exact(look.state, objective)
        if len(found) < ENOUGH_TO_JUDGE:
            continue
        sd, free = repeats(look.state, objective)
        name = f"repeats of {objective.name}"
        if free:
            told = f"one measurement scatters by {quantity(sd, objective.unit, digits=2)} (from {free} repeats)"
            yield Finding(name, "ok", told, numbers={"sd": sd, "repeats": float(free)})
            continue
        fix = "make two or three samples again, the best among them, or add `batch: {controls: ...}` to the next spec"
        yield Finding(name, "note", f"none of {len(found)} samples was measured or made twice", fix, {"repeats": 0.0})


def contradictions(look: Look) -> Iterator[Finding]:
    """Samples of one design whose values differ by more than noise."""
    for objective in look.state.objectives:
        sd, free = repeats(look.state, objective)
        believed = look.believed(objective.name)
        noise = believed.noise_variance() ** 0.5 if believed else objective.noise_floor_value or (sd if free else 0.0)
        made: dict[str, list[Observation]] = {}
        for o in exact(look.state, objective):
            made.setdefault(o.sample.candidate, []).append(o)
        for same in made.values():
            low, high = min(same, key=lambda o: o.value), max(same, key=lambda o: o.value)
            apart = high.value - low.value
            if not noise or apart <= CONTRADICTION * noise:
                continue
            values = [f"{o.sample.label} {quantity(o.value, objective.unit, digits=4)}" for o in (low, high)]
            told = f"{listed(values)} are of one design, with a noise of {quantity(noise, objective.unit, digits=2)}"
            fix = f"look for a mix-up; `siteloop void {look.state.name} SAMPLE` sets a wrong one aside"
            yield Finding(f"contradiction in {objective.name}", "warn", told, fix, {"apart": apart, "noise": noise})


def failures(look: Look) -> Iterator[Finding]:
    """Whether many samples fail, and how."""
    state = look.state
    failed = [s for s in state.samples if state.status(s.id) == "failed"]
    finished = [s for s in state.samples if state.status(s.id) != "void" and state.finished(s)]
    if not failed:
        return
    share = len(failed) / len(finished)
    modes = Counter(str(state.statuses[s.id].get("mode") or "no reason given") for s in failed)
    told = f"{len(failed)} of {len(finished)} samples failed ({modes.most_common(1)[0][0]}: {max(modes.values())})"
    numbers = {"failed": float(len(failed)), "finished": float(len(finished)), "share": share}
    if len(failed) < 3 or share < FAILING:
        yield Finding("failures", "ok", told, numbers=numbers)
        return
    kinds = Counter(name for s in failed for name in state.space.constituents(state.space.x_of(s.design)))
    common = [name for name, n in kinds.most_common(3) if n == len(failed)]
    shared = f"all of them hold {listed(common)}; " if common else ""
    fix = f"{shared}change the synthesis, or start a campaign whose space or hard filters leave out what cannot be made"
    yield Finding("failures", "warn", told, fix, numbers)


def constraints(look: Look) -> Iterator[Finding]:
    """Whether the outcome constraints are ever met."""
    for c in look.state.constraints:
        values = [o.value for o in look.state.observations(c.name) if o.censor == 0]
        if len(values) < 3:
            continue
        met = sum(c.met(v) for v in values)
        nearest = min(values) if c.min is None else max(values)
        told = f"{met} of {len(values)} samples have {c.name} {c.limits()}"
        numbers, name = {"met": float(met), "known": float(len(values))}, f"constraint {c.name}"
        if met:
            yield Finding(name, "ok", told, numbers=numbers)
            continue
        if c.boolean:
            fix = f"check that {c.answer} is the answer you want; if so, move the space to where it may be found"
            yield Finding(name, "warn", told, fix, numbers)
            continue
        ends = "" if c.min is not None and c.max is not None else f"; the nearest has {quantity(nearest, c.unit)}"
        fix = f"check its unit and limits; if they are right, widen the space towards what lowers or raises {c.name}"
        yield Finding(name, "warn", told + ends, fix, numbers)


def space_size(look: Look) -> Iterator[Finding]:
    """Whether the space is so small that all of it can be made, or so wide that the budget cannot explore it."""
    state = look.state
    size, budget = state.space.count, state.spec.budget
    planned = min(
        [n for n in (budget.samples, budget.batches and budget.batches * state.spec.batch.size) if n], default=None
    )
    used = planned or len(state.samples)
    variables = len(state.space.columns)
    word = "budget of" if planned else "so far"
    told = f"{size:,} candidates in {count(variables, 'column')}, {word} {count(used, 'sample')}"
    numbers = {"candidates": float(size), "columns": float(variables), "samples": float(used)}
    if used >= MOST * size:
        fix = "make all of it in an order that suits the lab, or widen the space: a search saves little here"
        yield Finding("space", "warn" if planned else "note", f"{told}: most of the space", fix, numbers)
    elif planned and planned < 2 * variables:
        fix = "use fewer elements or columns, tighter bounds, or more samples: there are less than two a column"
        yield Finding("space", "warn", f"{told}: too few to explore it", fix, numbers)
    else:
        yield Finding("space", "ok", told, numbers=numbers)
