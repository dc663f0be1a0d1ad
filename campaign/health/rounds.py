"""Checks of how the rounds go: coverage of intervals, shifts of batches, gains beside noise, skill of the surrogate."""

from __future__ import annotations

import math
from collections.abc import Iterator

from campaign.belief import misses, sign
from campaign.health.base import FALSE_ALARM, Finding, Look
from campaign.health.data import exact, repeats
from campaign.health.significance import batch_shift, coverage_drift
from campaign.noise import raw
from campaign.spec import Objective
from campaign.state import State
from campaign.status import best
from campaign.words import quantity, signed
from surrogates.explain import skill
from surrogates.quantiles import MEDIAN

RECENT = 3
"""Measured batches whose gain is compared with the noise."""
ENOUGH_TO_COVER = 5
"""Measured recommendations from which coverage is tested."""
ENOUGH_TO_PREDICT = 10
"""Measured samples from which a surrogate should beat the mean."""
SKILL_MARGIN = 1.64
"""Standard errors by which the surrogate should beat the mean: one in twenty without skill does."""


def coverage(look: Look) -> Iterator[Finding]:
    """Whether intervals hold as many of the next measurements as they say, in all and lately."""
    level = look.state.spec.intervals.levels[0]
    for objective in look.state.objectives:
        held = [not missed for batch in misses(look.state, objective, level) for missed in batch]
        name = f"coverage of {objective.name}"
        if len(held) < ENOUGH_TO_COVER:
            continue
        found = coverage_drift(held, level)
        told = f"{level:.0%} intervals held {found.share:.0%} of {found.n} next measurements, "
        told = f"{told}{found.recent:.0%} of the last {found.recent_n}".replace("%", " %")
        numbers = {
            "level": level,
            "n": float(found.n),
            "realised": found.share,
            "recent": found.recent,
            "p_low": found.p_low,
            "p_high": found.p_high,
        }
        if found.p_low < FALSE_ALARM:
            widening = "they are being widened by it" if look.state.spec.intervals.adaptive else "set `adaptive: true`"
            fix = (
                f"trust the ranking more than the intervals for now ({widening}); measure a control or an old sample "
                "again to see whether the lab has shifted, and look at the misses under scatter"
            )
            yield Finding(name, "warn", f"{told} (chance of so few: {_chance(found.p_low)})", fix, numbers)
        elif found.p_high < FALSE_ALARM:
            fix = "nothing is wrong: intervals are wider than they need be, and narrow as more is measured"
            yield Finding(name, "note", f"{told} (chance of so many: {_chance(found.p_high)})", fix, numbers)
        else:
            yield Finding(name, "ok", told, numbers=numbers)


def shift(look: Look) -> Iterator[Finding]:
    """Whether the controls say that a batch was measured differently."""
    state = look.state
    number = {batch.id: batch.number for batch in state.batches}
    for objective in state.objectives:
        values = raw(state, objective.name)
        rows = [
            (values[sample.id], number[r.batch], r.candidate)
            for r in state.recommendations
            if r.rationale.get("role") == "control"
            and (sample := state.sample_of.get(r.id)) is not None
            and sample.id in values
        ]
        name = f"batch shift in {objective.name}"
        if not rows:
            measured = {number[r.batch] for r in state.recommendations if r.id in state.sample_of}
            if len(measured) > 1:
                fix = "name a known sample under `batch: {controls: ...}`, or remake the best one with each batch"
                yield Finding(name, "note", f"{len(measured)} batches without a control: a shift would not show", fix)
            continue
        found = batch_shift(*(list(column) for column in zip(*rows, strict=True)))
        if found is None:
            told = f"{len(rows)} controls measured: too few to tell batches apart"
            yield Finding(name, "ok", told, numbers={"controls": float(len(rows))})
            continue
        told = f"controls of batch {found.batch} lie {signed(found.shift, found.sd, objective.unit)} from the others"
        told += _taken_off(state, objective, found.batch)
        numbers = {
            "batch": float(found.batch),
            "shift": found.shift,
            "sd": found.sd,
            "p": found.p,
            "controls": float(len(rows)),
        }
        if found.p >= FALSE_ALARM:
            yield Finding(name, "ok", told, numbers=numbers)
            continue
        fix = (
            f"check electrode, electrolyte, calibration and operator of batch {found.batch}: a shift may differ within "
            "it; void what was measured wrongly and measure it again"
        )
        yield Finding(name, "warn", f"{told} (chance: {_chance(found.p)})", fix, numbers)


def _taken_off(state: State, objective: Objective, batch: int) -> str:
    """What the noise model takes off the values of a batch."""
    effects = noise.model.effects if (noise := state.noise(objective.name)) else ()
    effect = next((e for e in effects if (e.factor, e.level) == ("batch", str(batch))), None)
    return f"; its values are corrected by {signed(-effect.shift, effect.sd, objective.unit)}" if effect else ""


def gains(look: Look) -> Iterator[Finding]:
    """Whether the last batches gained more than the noise of one measurement."""
    for objective in look.state.objectives:
        gained = recent_gain(look.state, objective)
        top = best(look.state, objective)
        if gained is None or top is None:
            continue
        sd, free = repeats(look.state, objective)
        believed = look.believed(objective.name)
        if not free:
            sd = believed.noise_variance() ** 0.5 if believed else 0.0
        whose = f"from {free} repeats" if free else "as the surrogate estimates it"
        gain, batches = gained
        lately = f"the last {batches} batches" if batches > 1 else "the last batch"
        told = f"{lately} gained {quantity(gain, objective.unit, digits=2)}"
        told += f"; one measurement scatters by {quantity(sd, objective.unit, digits=2)} ({whose})"
        name, numbers = f"gains in {objective.name}", {"gain": gain, "noise": sd, "batches": float(batches)}
        if gain > sd:
            yield Finding(name, "ok", told, numbers=numbers)
        elif gain <= 0:
            fix = f"read the rules for stopping under `siteloop status {look.state.name}`"
            yield Finding(name, "note", told, fix, numbers)
        else:
            fix = f"measure {top.sample.label} again, three times or more, before it is called the best"
            yield Finding(name, "warn", told, fix, numbers)


def lead(look: Look) -> Iterator[Finding]:
    """Whether the best measured is told from the second best: of many readings the best one is often a lucky one."""
    for objective in look.state.objectives:
        allowed = [o for o in exact(look.state, objective) if not look.state.violated(o.sample.candidate)]
        believed = look.believed(objective.name)
        if believed is None or len(allowed) < ENOUGH_TO_PREDICT:
            continue
        first, *others = sorted(allowed, key=lambda o: objective.loss(o.value))
        second = next((o for o in others if o.sample.candidate != first.sample.candidate), None)
        if second is None:
            continue
        sd, free = repeats(look.state, objective)
        noise = (sd if free else believed.noise_variance() ** 0.5) * math.sqrt(1 / first.n + 1 / second.n)
        gap = objective.loss(second.value) - objective.loss(first.value)
        names = f"{first.sample.label} leads {second.sample.label}"
        told = f"{names} by {quantity(gap, objective.unit, digits=2)} ± {quantity(noise, objective.unit, digits=2)}"
        name, numbers = f"lead in {objective.name}", {"lead": gap, "sd": noise}
        if gap > 2 * noise:
            yield Finding(name, "ok", told, numbers=numbers)
        else:
            fix = f"measure {first.sample.label} and {second.sample.label} again before one is called the best"
            yield Finding(name, "note", told, fix, numbers)


def recent_gain(state: State, objective: Objective) -> tuple[float, int] | None:
    """How much better the best became with the last measured batches, `RECENT` at most; how many they are.

    None where nothing was measured before them.
    """
    losses = {
        o.sample.id: objective.loss(o.value)
        for o in state.observations(objective.name)
        if o.censor == 0 and not state.violated(o.sample.candidate)
    }
    batch_of = {r.id: r.batch for r in state.recommendations}
    of = {s.id: batch_of.get(s.recommendation or "", "") for s in state.samples}
    measured = [b.id for b in state.batches if any(of.get(key) == b.id for key in losses)]
    last = set(measured[-RECENT:])
    new = [value for key, value in losses.items() if of.get(key) in last]
    old = [value for key, value in losses.items() if of.get(key) not in last]
    return (max(min(old) - min(new), 0.0), len(last)) if new and old else None


def surrogate(look: Look) -> Iterator[Finding]:
    """Whether the surrogate predicts unseen samples better than their mean does."""
    for b in look.belief.all if look.belief else ():
        quantiles, value, _ = b.choice.fitted.out_of_fold.of(0)
        found = skill(quantiles[:, MEDIAN], value)
        if found.count < ENOUGH_TO_PREDICT or not math.isfinite(found.score):
            continue
        name = f"surrogate of {b.objective.name}"
        error = float((sign(b.objective) * (quantiles[:, MEDIAN] - value)).square().mean().sqrt())
        told = (
            f"{b.choice.recipe.type} explains {100 * max(found.score, 0):.0f} % of the variance of {found.count} unseen"
        )
        told += f" samples (error {quantity(error, b.objective.unit, digits=2)})"
        numbers = {"skill": found.score, "margin": found.margin, "n": float(found.count), "rmse": error}
        if found.margin >= SKILL_MARGIN:
            yield Finding(name, "ok", told, numbers=numbers)
            continue
        fix = (
            "until it does, batches are little better than random: measure more different samples, check for mix-ups "
            "and units, or add what matters to the space (temperature, time, substrate)"
        )
        yield Finding(name, "warn", f"{told}: no better than the mean", fix, numbers)


def _chance(p: float) -> str:
    return f"{100 * p:.2g} %" if p >= 1e-4 else "below 0.01 %"
