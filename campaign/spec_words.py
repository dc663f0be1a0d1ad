"""A spec in words."""

from __future__ import annotations

from campaign.earlier import said
from campaign.spaces import Space
from campaign.spec import CampaignSpec, Objective
from campaign.words import listed
from lab_io.words import count


def describe(spec: CampaignSpec, space: Space) -> str:
    """The campaign in one English paragraph, with the number of candidates."""
    wishes = "; ".join(_wish(objective) for objective in spec.objectives)
    controls = sum(control.n for control in spec.batch.controls)
    batch = f"batches of {spec.batch.size}" + (f", {count(controls, 'control')} among them" if controls else "")
    batch += f", {count(spec.batch.replicates, 'replicate')} among them" if spec.batch.replicates else ""
    batch += f", one {listed(spec.batch.shared)} for all of a batch" if spec.batch.shared else ""
    limits = [f"{n:,} {word}" for n, word in ((spec.budget.samples, "samples"), (spec.budget.batches, "batches")) if n]
    limits += [f"{spec.budget.cost:g} {spec.cost.unit}"] if spec.cost and spec.budget.cost else []
    budget = f", at most {listed(limits)} in all" if limits else ""
    levels = listed([f"{level:.0%}" for level in spec.intervals.levels])
    bounds = [f"{c.name} ({c.source}) {c.limits()}" for c in spec.outcome_constraints]
    wishes += f", keeping {listed(bounds)}" if bounds else ""
    rules = [f"{rule.rule} ({rule.mode})" for rule in spec.filters]
    filters = f"filters: {listed(rules)}; " if rules else ""
    return (
        f"{wishes[0].upper()}{wishes[1:]}, over {spec.space.describe(space.count)}, in {batch}{budget}. Model: "
        f"{spec.model.type}; acquisition: {spec.acquisition.type}; {filters}intervals: {levels}; explanation: "
        f"{spec.explanation.type}; seed: {spec.seed}{said(spec.history)}."
    )


def _wish(objective: Objective) -> str:
    """`minimise overpotential (mV) at j = 10 mA/cm^2`."""
    verb = {"minimize": "minimise", "maximize": "maximise", "match": "match"}[objective.goal]
    unit = f" ({objective.unit})" if objective.unit else ""
    target = "" if objective.target is None else f" to {objective.target:g}"
    held = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else value}" for name, value in objective.at.items()
    ]
    return f"{verb} {objective.name}{unit}{target}" + (f" at {listed(held)}" if held else "")
