"""Predictions and rationales in words. The stored data is the truth; these are renderings of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from campaign.front_sentences import front_sentences
from campaign.routes import step_sentence
from campaign.site_sentences import site_effects
from campaign.words import quantity, signed
from db.records import Recommendation
from lab_io.words import count

LIMITS = (("at least", "min"), ("at most", "max"))
"""How the ends of a constraint are said."""


def interval_text(interval: Mapping[str, Any], unit: str | None) -> str:
    """`80 %: 340 to 365 mV`, or why there is none."""
    level = f"{100 * interval['level']:g} %"
    if "withheld" in interval:
        return f"{level}: {interval['withheld']}"
    return f"{level}: {quantity(interval['lower'])} to {quantity(interval['upper'], unit)}"


def prediction_text(name: str, prediction: Mapping[str, Any]) -> str:
    """`overpotential 352 mV (80 %: 340 to 365 mV; 95 %: needs 7 more measurements)`."""
    unit = prediction["unit"]
    intervals = "; ".join(interval_text(i, unit) for i in prediction["intervals"].values())
    return f"{name} {quantity(prediction['median'], unit)} ({intervals})"


def warnings_about(prediction: Mapping[str, Any], rationale: Mapping[str, Any]) -> list[str]:
    """What a reader should not take on trust, in words."""
    found = list(rationale.get("labs", ()))
    domain = rationale.get("domain")
    if domain:
        if domain["never_measured"]:
            found.append(f"outside the data: {', '.join(domain['never_measured'])} was never measured in this campaign")
        if not domain["measured_in_stratum"]:
            found.append(f"outside the data: nothing with {domain['stratum']} was measured")
        if domain["beyond_measured_range"]:
            found.append(f"beyond the measured range of {', '.join(domain['beyond_measured_range'])}")
        elif domain["where"] == "edge":
            found.append("at the edge of the data: farther from the measured samples than they are from each other")
    found += [f"{v['rule']}: {v['reason']}" for v in rationale.get("filters", ()) if v["passed"] is False]
    found += [f"{v['rule']} cannot tell: {v['reason']}" for v in rationale.get("filters", ()) if v["passed"] is None]
    feasibility = rationale.get("feasibility", {"late": ()})
    for name in feasibility["late"]:
        c = feasibility["constraints"][name]
        asked = f"below the {100 * c['min_probability']:g} % asked for, so it comes after all others"
        found.append(f"P(feasible) of {name} is {percent(c['probability'])}, {asked}")
    success = rationale.get("success")
    if success and success["late"]:
        asked = f"below the {100 * success['min_probability']:g} % asked for, so it comes after all others"
        found.append(f"it is made successfully with probability {percent(success['probability'])} only, {asked}")
    return found + [
        f"{name}: no {100 * interval['level']:g} % interval yet, it {interval['withheld']}"
        for name, expected in prediction.items()
        for interval in expected["intervals"].values()
        if "withheld" in interval
    ]


def sentences(recommendation: Recommendation) -> list[str]:
    """The rationale of a recommendation in plain sentences, most important first."""
    rationale, lines = recommendation.rationale, []
    if pinned := rationale.get("pinned"):
        lines = ["Pinned by hand." if pinned == "by hand" else f"Pinned: it was {pinned} in the batch before."]
    if rationale.get("role") == "space-filling":
        lines = lines or ["Chosen to fill the space: nothing is predicted yet."]
        lines += cost_sentence(rationale)
        return lines + [f"Mind: {warning}." for warning in rationale.get("warnings", ())]
    if rationale.get("role") == "history":
        lines = ["Chosen by what earlier data tell: nothing is measured here yet, and no interval can be given."]
        for name, e in rationale["history"].items():
            expected = f"{quantity(e['mean'])} ± {quantity(e['sd'], e['unit'], digits=2)}"
            lines.append(f"They expect {name} {expected}, on the scale of {e['source']}.")
        return lines + [f"Mind: {warning}." for warning in rationale.get("warnings", ())]
    if rationale.get("role") == "control":
        return ["A control: measured again so that batches can be compared."]
    if rationale.get("role") == "replicate":
        share = percent(rationale["variance_reduction"])
        told = f"one more measurement is expected to take {share} off the variance of the best value"
        return [f"A replicate of {' and '.join(rationale['repeats'])}: {told}.", *cost_sentence(rationale)]
    for name, expected in recommendation.prediction.items():
        incumbent, unit = expected["incumbent"], expected["unit"]
        lines.append(f"Predicted {prediction_text(name, expected)}.")
        best = f"{quantity(incumbent['mean'])} ± {quantity(incumbent['sd'], unit, digits=2)}"
        floor = quantity(expected["noise_floor"], unit, digits=2)
        lines.append(
            f"Probability {100 * expected['probability_of_beating']:.0f} % of beating the incumbent "
            f"{incumbent['sample']} ({best}) by at least {floor}{_whose(expected)}; it {expected['role']}s."
        )
    lines += front_sentences(rationale.get("front"))
    lines += _feasibility(rationale.get("feasibility"))
    if success := rationale.get("success"):
        known = f"learned from {success['made']} made and {success['failed']} failed"
        lines.append(f"Made successfully with probability {percent(success['probability'])}, {known}.")
    lines += cost_sentence(rationale)
    for name, why in rationale.get("objectives", {}).items():
        lines += _why(name, why)
    if rationale.get("neighbours"):
        lines.append(f"Nearest measured: {'; '.join(_neighbour(n) for n in rationale['neighbours'])}.")
    return lines + [f"Mind: {warning}." for warning in rationale.get("warnings", ())]


def _whose(expected: Mapping[str, Any]) -> str:
    """Where a noise floor is from; nothing where an older batch does not say."""
    source, repeated = expected.get("noise_source"), expected.get("repeats", 0)
    if source != "surrogate":
        return ", the noise floor of the spec" if source else ""
    known = f"with {count(repeated, 'repeat')} measured" if repeated else "for nothing was measured twice"
    return f", the surrogate's own estimate of the noise, {known}"


def cost_sentence(rationale: Mapping[str, Any]) -> list[str]:
    """`It costs 12 EUR.`; nothing where costs are not counted."""
    cost = rationale.get("cost")
    if cost is None:
        return []
    return ["Its cost is not known." if cost["value"] is None else f"It costs {quantity(cost['value'], cost['unit'])}."]


def percent(probability: float) -> str:
    """`35 %`, and `below 1 %` or `above 99 %` where rounding would claim certainty."""
    if 0 < probability < 0.01:
        return "below 1 %"
    return "above 99 %" if 0.99 < probability < 1 else f"{100 * probability:.0f} %"


def _feasibility(feasibility: Mapping[str, Any] | None) -> list[str]:
    """One sentence a constraint, and one for all of them where there are several."""
    if not feasibility:
        return []
    lines = []
    for name, c in feasibility["constraints"].items():
        if "wanted" in c:
            chance = f"P(feasible) {percent(c['probability'])}: {name} ({c['source']}) {c['wanted']}"
            lines.append(f"{chance}; learned from {c['yes']} yes and {c['no']} no.")
            continue
        ends = [f"{word} {quantity(c[key], c['unit'])}" for word, key in LIMITS if c[key] is not None]
        value = f"{quantity(c['mean'])} ± {quantity(c['sd'], c['unit'], digits=2)}"
        chance = f"P(feasible) {percent(c['probability'])}: {name} ({c['source']}) {' and '.join(ends)}"
        lines.append(f"{chance}; believed {value}.")
    if len(feasibility["constraints"]) > 1:
        lines.append(f"P(meets all constraints) {percent(feasibility['all'])}.")
    return lines


def _why(name: str, why: Mapping[str, Any]) -> list[str]:
    unit, lines = why["unit"], []
    if "gate" in why:
        lines += site_effects(name, why)
    elif why["effects"]:
        lines.append(_effects(name, why["effects"], unit))
    if why.get("steps"):
        lines.append(step_sentence(name, why["steps"], unit))
    if why["substitutions"]:
        better = why["substitutions"][0]["better"]
        told = [s for s in why["substitutions"] if s["better"] or not better]
        options = "; ".join(_substitution(s, unit) for s in told)
        lead = (
            "Substitutions to try next" if better else "No single substitution is predicted to be better; the nearest"
        )
        lines.append(f"{lead}: {options} in {name}. ± is the sd of the paired difference.")
    shown = why["attention"]
    if shown["gate"] != "withheld":
        weights = ", ".join(f"{n} {w['weight']:.2f}" for n, w in shown["weights"].items())
        lines.append(f"Attention ({shown['gate']}: {shown['reason']}): {weights}.")
    return lines


def _effects(name: str, effects: Sequence[Mapping[str, Any]], unit: str | None) -> str:
    """What the prediction hangs on, largest first; an effect within its own uncertainty is not called one."""
    top, step = effects[0], _step(effects[0])
    if abs(top["change"]) <= top["sd"]:
        largest = signed(top["change"], top["sd"], unit)
        what = "variable" if any("step_unit" in e for e in effects) else "element"
        lead = f"No single {what} changes the predicted {name} by more than its uncertainty"
        return f"{lead}; the largest change is {largest} {step}."
    verb = "rises" if top["change"] > 0 else "falls"
    size = signed(abs(top["change"]), top["sd"], unit).lstrip("+")
    rest = ", ".join(f"{e['name']} {signed(e['change'], e['sd'], None)}" for e in effects[1:4])
    then = f" (then {rest})" if rest else ""
    return f"The prediction changes most with {top['name']}: {step}, the predicted {name} {verb} by {size}{then}."


def _step(effect: Mapping[str, Any]) -> str:
    """`at +0.1 Ni, the others in proportion`, `at T +30 K`."""
    if "step_unit" not in effect:
        return f"at {effect['step']:+.2g} {effect['name']}, the others in proportion"
    return f"at {effect['name']} {effect['step']:+.3g} {effect['step_unit']}".rstrip()


def _substitution(option: Mapping[str, Any], unit: str | None) -> str:
    outside = "" if option.get("in_space", True) else ", not in the space"
    return f"{option['swap']} ({signed(option['change'], option['sd'], unit)}{outside})"


def _neighbour(neighbour: Mapping[str, Any]) -> str:
    several = len(neighbour["values"]) > 1
    values = ", ".join(
        (f"{name} " if several else "") + quantity(v["value"], v["unit"], digits=4)
        for name, v in neighbour["values"].items()
    )
    away = f"at {neighbour['distance']:.2g}" if neighbour["distance"] > 1e-9 else "of the same composition"
    return f"{neighbour['sample']} {away} ({values})"
