"""Where a campaign stands, in plain values and in one line."""

from __future__ import annotations

from typing import Any

from campaign.costs import account
from campaign.failures import LearnedFeasibility
from campaign.formulas import formula
from campaign.noise import lab_notes, shift_notes
from campaign.outcomes import OutcomeConstraint
from campaign.overdue import overdue, question
from campaign.spaces import ordered
from campaign.spec import Objective
from campaign.state import Observation, State
from campaign.stopping import stopping
from campaign.syntheses import syntheses
from campaign.waiting import waiting
from campaign.words import quantity


def best(state: State, objective: Objective) -> Observation | None:
    """The best measured sample of an objective that violates no constraint; censored values do not count.

    A sample whose constraints are not all known yet counts.
    """
    exact = [o for o in state.observations(objective.name) if o.censor == 0 and not state.violated(o.sample.candidate)]
    if not exact:
        return None
    return min(exact, key=lambda o: objective.loss(o.value))


def beyond(state: State, objective: Objective) -> list[str]:
    """What is known only as a limit and is at least as good as the best: `b1-06 (<300)`. It counts nowhere."""
    top = best(state, objective)
    side = {"minimize": -1, "maximize": 1, "match": 0}[objective.goal]
    return [
        f"{o.sample.label} ({'<' if o.censor < 0 else '>'}{quantity(o.value)})"
        for o in state.observations(objective.name)
        if o.censor
        and o.censor == side
        and not state.violated(o.sample.candidate)
        and (top is None or objective.loss(o.value) <= objective.loss(top.value))
    ]


def coverage(state: State, objective: Objective, level: float) -> dict[str, Any]:
    """How many measured recommendations fell inside, below and above the interval stored before they were made."""
    from campaign.belief import stored_interval

    values = {o.sample.id: o.value for o in state.observations(objective.name) if o.censor == 0}
    inside = below = above = 0
    for r in state.recommendations:
        sample = state.sample_of.get(r.id)
        interval = stored_interval(r.prediction, objective.name, level)
        if sample is None or sample.id not in values or interval is None:
            continue
        below += values[sample.id] < interval[0]
        above += values[sample.id] > interval[1]
        inside += interval[0] <= values[sample.id] <= interval[1]
    n = inside + below + above
    return {"level": level, "n": n, "realised": inside / n if n else None, "below": below, "above": above}


def status(state: State) -> dict[str, Any]:
    """State of a campaign as plain values; `next` is the next thing to do."""
    late = overdue(state)
    found: dict[str, Any] = {
        "campaign": state.name,
        "spec_revision": state.revision,
        "batches": len(state.batches),
        "samples": len(state.samples),
        "measured": len({seen.sample.id for o in state.objectives for seen in state.observations(o.name)}),
        "failed": sum(state.status(s.id) == "failed" for s in state.samples),
        "void": sum(state.status(s.id) == "void" for s in state.samples),
        "pending": [r.label for r in state.pending],
        "waiting": [w.as_json() for w in waiting(state)],
        "overdue": [item.as_json() for item in late],
        "vetoes": [
            {
                "design": dict(v.design),
                "formula": formula(v.design, state.space),
                "reason": v.reason,
                "by": v.by,
                "at": v.at,
            }
            for v in state.decisions.vetoes.values()
        ],
        "budget": state.spec.budget.model_dump(mode="json", exclude_none=True),
        "objectives": {},
        "constraints": {c.name: _constraint(state, c) for c in state.constraints},
        "shifts": [*lab_notes(state), *shift_notes(state)],
        "syntheses": _syntheses(state),
        "head": {"seq": state.head.seq, "hash": state.head.hash},
    }
    if told := account(state):
        found["cost"] = told.as_json()
    for objective in state.objectives:
        top = best(state, objective)
        made = ordered(state.composition(top.sample), state.space) if top else {}
        found["objectives"][objective.name] = {
            "goal": objective.goal,
            "unit": objective.unit,
            "best": top
            and {
                "sample": top.sample.label,
                "value": top.value,
                "sd": top.sd,
                "n": top.n,
                "shift": top.shift,
                "design": made,
                "formula": formula(made, state.space),
            },
            "beyond": beyond(state, objective),
            "coverage": [coverage(state, objective, level) for level in state.spec.intervals.levels],
        }
    found["stopping"] = stopping(state)
    found["front"] = _front(state)
    found["next"] = question(late, state.name, state.spec.batch.due_days) or _next(state, found)
    return found


def _front(state: State) -> dict[str, Any] | None:
    """The measured front of several objectives; None for one."""
    if len(state.objectives) < 2:
        return None
    from campaign.pareto import measured_front

    measured = measured_front(state)
    return None if measured is None else measured.as_json(len(state.batches))


def _constraint(state: State, constraint: OutcomeConstraint) -> dict[str, Any]:
    values = [o.value for o in state.observations(constraint.name) if o.censor == 0]
    return {
        "source": constraint.source,
        "limits": constraint.limits(),
        "known": len(values),
        "met": sum(constraint.met(value) for value in values),
    }


def _syntheses(state: State) -> dict[str, Any] | None:
    """What success is learned from; None where it is not to be learned."""
    settings = state.spec.feasibility
    return syntheses(state, settings).as_json() if isinstance(settings, LearnedFeasibility) else None


def _next(state: State, found: dict[str, Any]) -> str:
    if found["pending"]:
        names = ", ".join(found["pending"][:4]) + (" ..." if len(found["pending"]) > 4 else "")
        return f"measure {names} and run `siteloop ingest {state.name} FILE`"
    for word, used in (("samples", found["samples"]), ("batches", state.batches_spent)):
        limit = found["budget"].get(word)
        if limit is not None and used >= limit:
            return f"the budget of {limit} {word} is spent: read `siteloop report {state.name}`"
    cost = found.get("cost", {})
    if cost.get("left", 1.0) <= 0:
        spent = f"{quantity(cost['budget'], cost['unit'])} is spent"
        return f"the budget of {spent}: read `siteloop report {state.name}`"
    if not found["measured"]:
        return f"run `siteloop recommend {state.name}` for a first batch, or ingest what is measured already"
    return f"run `siteloop recommend {state.name}`"


def state_line(found: dict[str, Any]) -> str:
    """One line: `batch 3, 24 measured, 8 pending, best overpotential 341 mV (n=1), 80 % intervals held 76 % (n=21)`."""
    parts = [
        f"batch {found['batches']}" if found["batches"] else "no batch yet",
        f"{found['measured']} measured",
        f"{len(found['pending'])} pending",
    ]
    if found["overdue"]:
        parts.append(f"{len(found['overdue'])} of them overdue")
    parts += [f"{found[kind]} {kind}" for kind in ("failed", "void") if found[kind]]
    if found["vetoes"]:
        parts.append(f"{len(found['vetoes'])} vetoed")
    if cost := found.get("cost"):
        limit = f" of {quantity(cost['budget'])}" if "budget" in cost else ""
        due = f" and {quantity(cost['pending'])} pending" if cost["pending"] else ""
        parts.append(f"{quantity(cost['spent'])}{limit} {cost['unit']} spent{due}")
    for name, objective in found["objectives"].items():
        top = objective["best"]
        if top:
            spread = f" ± {quantity(top['sd'], digits=2)}" if top["sd"] else ""
            value = quantity(top["value"], digits=4) + spread
            off = f", {quantity(-top['shift'], digits=2)} of it a correction" if top["shift"] else ""
            unit = " " + objective["unit"] if objective["unit"] else ""
            parts.append(f"best {name} {value}{unit} (n={top['n']}{off})")
        seen = [c for c in objective["coverage"] if c["n"]]
        if seen:
            c = seen[0]
            parts.append(f"{100 * c['level']:g} % intervals held {100 * c['realised']:.0f} % (n={c['n']})")
    if front := found["front"]:
        parts.append(f"front of {len(front['front'])}, hypervolume {quantity(front['hypervolume'], digits=4)}")
    parts += [f"{name} met by {c['met']} of {c['known']}" for name, c in found["constraints"].items()]
    return ", ".join(parts)
