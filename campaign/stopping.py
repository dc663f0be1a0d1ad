"""When to stop: where the campaign stands beside what the spec asks for, with the number behind each rule.

Advice only. What needs a belief is computed when a batch is recommended and kept with the batch, so that asking for the
status fits nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from campaign.sentences import percent
from campaign.spec import Objective
from campaign.state import State
from campaign.words import listed, quantity
from lab_io.words import count

if TYPE_CHECKING:
    from campaign.belief import Array, Belief

KEY = "stopping"
"""Where a batch's settings keep what `believed_left` computed."""


def believed_left(state: State, belief: Belief, X: Array, *, seed: int) -> dict[str, Any]:
    """What the open candidates may still bring, as plain values to keep with a batch; empty where nothing can be said.

    Args:
        state: the campaign.
        belief: what is believed of it.
        X: open candidates, `n x d`.
        seed: of the joint samples.

    Returns:
        The numbers of `acquisition.stopping.Left`, the margin of each objective in its unit, and the incumbent's
        sample. Empty if the spec asks for neither rule, or nothing measured meets the constraints.
    """
    import torch

    from acquisition.stopping import what_is_left

    rules = state.spec.stop
    incumbents = _incumbents(belief)
    if (rules.probability_of_improvement is None and rules.expected_regret is None) or not incumbents:
        return {}
    margins = {b.objective.name: _margin(b) for b in belief.objectives}
    left = what_is_left(
        belief.model,
        torch.as_tensor(X, dtype=torch.float64),
        torch.as_tensor(np.stack(list(incumbents.values())), dtype=torch.float64),
        belief.goals,
        list(margins.values()),
        constraints=belief.bounds,
        seed=seed,
    )
    return {
        "probability": left.probability,
        "best_probability": left.best_probability,
        "regret": left.regret,
        "regret_sd": left.regret_sd,
        "candidates": left.candidates,
        "margins": margins,
        "incumbents": list(incumbents),
    }


def _margin(belief: Any) -> float:
    """The noise floor, above zero: a belief without noise counts a thousandth of the spread of its data."""
    from campaign.rationale import noise_floor

    value = belief.data.exact.targets.value
    spread = float(value.std()) if len(value) > 1 else 0.0
    return max(noise_floor(belief), 1e-3 * spread, 1e-12)


def _incumbents(belief: Belief) -> dict[str, Array]:
    """Sample -> design of what is to be beaten: the best believed of the measured, of several objectives the front."""
    import torch
    from botorch.utils.multi_objective.pareto import is_non_dominated

    from campaign.belief import belief_score

    found: dict[str, Array] = {}
    for b in belief.objectives:
        data = b.data.exact
        found |= {label: x for label, x in zip(data.labels, data.X, strict=True) if label not in found}
    labels = sorted(found)
    X = np.stack([found[label] for label in labels])
    allowed = belief.eligible(X)
    labels, X = [label for label, ok in zip(labels, allowed, strict=True) if ok], X[allowed]
    if not labels:
        return {}
    scores = np.stack([belief_score(b, b.joint(X)[0]) for b in belief.objectives], axis=1)
    if scores.shape[1] == 1:
        best = int(scores[:, 0].argmax())
        return {labels[best]: X[best]}
    front = is_non_dominated(torch.from_numpy(scores)).tolist()
    return {label: x for label, x, first in zip(labels, X, front, strict=True) if first}


def stopping(state: State) -> dict[str, Any]:
    """Where a campaign stands beside each rule, as plain values; what was believed before the latest results is told
    and counts for no advice.

    Returns:
        `stop`, whether any rule says so; `advice` in one phrase; and `rules`, each with its name, whether it is met
        (None where nothing can be said yet), the value, the limit, and both in words.
    """
    rules = [*_budget(state), *_no_gain(state), *_believed(state)]
    met = [rule for rule in rules if rule["met"]]
    advice = "nothing speaks for stopping" if rules else "no rule is set"
    if met:
        advice = "think of stopping: " + "; ".join(rule["reason"] for rule in met)
    return {"stop": bool(met), "advice": advice, "rules": rules}


def _rule(name: str, value: float | None, limit: float, met: bool | None, text: str, reason: str) -> dict[str, Any]:
    return {"rule": name, "met": met, "value": value, "limit": limit, "text": text, "reason": reason}


def _budget(state: State) -> list[dict[str, Any]]:
    budget = state.spec.budget
    counts = (("samples", budget.samples, len(state.samples)), ("batches", budget.batches, state.batches_spent))
    return [
        _rule("budget", used, limit, used >= limit, f"{used} of {limit} {word}", f"the {word} are spent")
        for word, limit, used in counts
        if limit is not None
    ]


def margins(state: State) -> dict[str, float]:
    """Smallest difference that counts, by objective: as the spec says, else as last believed, else none."""
    believed: Mapping[str, float] = _latest(state)[1].get("margins", {})
    stated = {o.name: o.noise_floor_value for o in state.objectives}
    return {name: believed.get(name, 0.0) if floor is None else floor for name, floor in stated.items()}


def _no_gain(state: State) -> list[dict[str, Any]]:
    limit = state.spec.stop.batches_without_gain
    if limit is None:
        return []
    since, measured = batches_without_gain(state)
    floor = _floors(state.objectives, margins(state))
    name = "no gain"
    if not measured:
        return [_rule(name, None, limit, None, "no batch is measured yet", "")]
    text = f"{count(since, 'batch').replace('batchs', 'batches')} without a gain{floor}; stop at {limit}"
    return [_rule(name, since, limit, since >= limit, text, f"no gain{floor} in {since} batches")]


def batches_without_gain(state: State) -> tuple[int, int]:
    """Measured batches since the last one with a gain, and measured batches in all.

    A gain is a sample that is better than every one before the last gain, by more than the noise floor in at least one
    objective; so many small steps are a gain once they add up. What was measured outside batches counts as before them.
    """
    floors = margins(state)
    points = _losses(state)
    batch_of = {r.id: r.batch for r in state.recommendations}
    rounds: dict[str, list[Sequence[float]]] = {batch.id: [] for batch in state.batches}
    beaten: list[Sequence[float]] = []
    for sample in state.samples:
        if sample.id in points:
            rounds.get(batch_of.get(sample.recommendation or "", ""), beaten).append(points[sample.id])
    since, waiting = 0, list[Sequence[float]]()
    measured = [found for found in rounds.values() if found]
    for found in measured:
        waiting += found
        since += 1
        if any(_gains(point, beaten, list(floors.values())) for point in found):
            since, beaten, waiting = 0, beaten + waiting, []
    return since, len(measured)


def _gains(point: Sequence[float], others: Sequence[Sequence[float]], floors: Sequence[float]) -> bool:
    return all(any(o - p > f for p, o, f in zip(point, other, floors, strict=True)) for other in others)


def _losses(state: State) -> dict[str, tuple[float, ...]]:
    """Sample id -> its losses, of samples whose objectives are all exact and which violate no constraint."""
    seen = [
        {o.sample.id: objective.loss(o.value) for o in state.observations(objective.name) if o.censor == 0}
        for objective in state.objectives
    ]
    allowed = {s.id for s in state.samples if not state.violated(s.candidate)}
    return {key: tuple(each[key] for each in seen) for key in seen[0] if key in allowed and all(key in s for s in seen)}


def _latest(state: State) -> tuple[int, Mapping[str, Any]]:
    """Number of the latest batch that was computed from a belief, and what it kept; 0 and nothing where there is none.

    It is the belief at that moment: results recorded since are not in it.
    """
    for batch in reversed(state.batches):
        if batch.settings.get(KEY):
            return batch.number, batch.settings[KEY]
    return 0, {}


def _believed(state: State) -> list[dict[str, Any]]:
    asked = state.spec.stop
    number, kept = _latest(state)
    found = []
    floor = _floors(state.objectives, kept.get("margins", {}))
    stale = state.last_result > state.last_batch
    since = f" (with batch {number}, before the latest results; told anew with the next batch)" if stale else ""
    if (limit := asked.probability_of_improvement) is not None:
        p = kept.get("probability")
        if p is None:
            found.append(_rule("improvement", None, limit, None, "told with the next batch that is predicted", ""))
        else:
            who = kept["incumbents"][0] if len(kept["incumbents"]) == 1 else "the front"
            chance = f"chance that anything open beats {who}{floor}: {percent(p)}"
            text = f"{chance}{since}; stop below {percent(limit)}"
            found.append(_rule("improvement", p, limit, None if stale else p < limit, text, chance))
    if (limit := asked.expected_regret) is not None:
        regret = kept.get("regret")
        if regret is None:
            found.append(_rule("regret", None, limit, None, "told with the next batch that is predicted", ""))
        else:
            left = f"gain expected to be left: {_amount(state, kept, regret)}"
            text = f"{left}{since}; stop below {_amount(state, kept, limit)}"
            found.append(_rule("regret", regret, limit, None if stale else regret < limit, text, left))
    return found


def _amount(state: State, kept: Mapping[str, Any], regret: float) -> str:
    """A regret in the unit of the objective; of several, in their noise floors."""
    if len(state.objectives) > 1:
        return f"{regret:.2g} noise floors"
    objective = state.objectives[0]
    return quantity(regret * kept["margins"][objective.name], objective.unit, digits=2)


def _floors(objectives: Sequence[Objective], floors: Mapping[str, float]) -> str:
    """` by more than 4 mV`; nothing where there is no floor."""
    told = [quantity(floors[o.name], o.unit, digits=2) for o in objectives if floors.get(o.name)]
    return f" by more than {listed(told, 'or')}" if told else ""
