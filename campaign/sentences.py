"""Predictions and rationales in words. The stored data is the truth; these are renderings of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from campaign.spaces.base import ELEMENTS
from db.records import Recommendation


def formula(design: Mapping[str, float | str]) -> str:
    """A design on one line, richest component first: `Ni0.5 Fe0.3 Ce0.2`, other columns as `T=300`."""
    numbers = {name: value for name, value in design.items() if not isinstance(value, str)}
    fractions = {name: value for name, value in numbers.items() if name in ELEMENTS}
    parts = [f"{n}{v:.4g}" for n, v in sorted(fractions.items(), key=lambda item: (-item[1], item[0])) if v]
    parts += [f"{n}={v:.4g}" for n, v in sorted(numbers.items()) if n not in fractions and v]
    parts += [f"{n}={v}" for n, v in sorted(design.items()) if isinstance(v, str)]
    return " ".join(parts)


def quantity(value: float, unit: str | None = None, *, digits: int = 3) -> str:
    """A number to three significant digits, or to whole units above a thousand: `352 mV`."""
    text = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    return f"{text} {unit}" if unit else text


def signed(value: float, sd: float, unit: str | None) -> str:
    """A change with the sd of the paired difference: `+28 ± 9 mV`."""
    text = f"{value:+.0f} ± {sd:.0f}" if sd >= 1 else f"{value:+.2g} ± {sd:.1g}"
    return f"{text} {unit}" if unit else text


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
    found = []
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
    return found + [
        f"{name}: no {100 * interval['level']:g} % interval yet, it {interval['withheld']}"
        for name, expected in prediction.items()
        for interval in expected["intervals"].values()
        if "withheld" in interval
    ]


def sentences(recommendation: Recommendation) -> list[str]:
    """The rationale of a recommendation in plain sentences, most important first."""
    rationale, lines = recommendation.rationale, []
    if rationale.get("role") == "space-filling":
        return ["Chosen to fill the space: nothing is predicted yet."]
    if rationale.get("role") == "control":
        return ["A control: measured again so that batches can be compared."]
    for name, expected in recommendation.prediction.items():
        incumbent, unit = expected["incumbent"], expected["unit"]
        lines.append(f"Predicted {prediction_text(name, expected)}.")
        best = f"{quantity(incumbent['mean'])} ± {quantity(incumbent['sd'], unit, digits=2)}"
        floor = quantity(expected["noise_floor"], unit, digits=2)
        lines.append(
            f"Probability {100 * expected['probability_of_beating']:.0f} % of beating the incumbent "
            f"{incumbent['sample']} ({best}) by at least {floor}; it {expected['role']}s."
        )
    for name, why in rationale.get("objectives", {}).items():
        lines += _why(name, why)
    if rationale.get("neighbours"):
        lines.append(f"Nearest measured: {'; '.join(_neighbour(n) for n in rationale['neighbours'])}.")
    return lines + [f"Mind: {warning}." for warning in rationale.get("warnings", ())]


def _why(name: str, why: Mapping[str, Any]) -> list[str]:
    unit, lines = why["unit"], []
    if why["effects"]:
        lines.append(_effects(name, why["effects"], unit))
    if why["substitutions"]:
        options = "; ".join(f"{s['swap']} ({signed(s['change'], s['sd'], unit)})" for s in why["substitutions"])
        better = why["substitutions"][0]["better"]
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
    top, step = effects[0], f"at {effects[0]['step']:+.2g} {effects[0]['name']}, the others in proportion"
    if abs(top["change"]) <= top["sd"]:
        largest = signed(top["change"], top["sd"], unit)
        lead = f"No single element changes the predicted {name} by more than its uncertainty"
        return f"{lead}; the largest change is {largest} {step}."
    verb = "rises" if top["change"] > 0 else "falls"
    size = signed(abs(top["change"]), top["sd"], unit).lstrip("+")
    rest = ", ".join(f"{e['name']} {signed(e['change'], e['sd'], None)}" for e in effects[1:4])
    then = f" (then {rest})" if rest else ""
    return f"The prediction changes most with {top['name']}: {step}, the predicted {name} {verb} by {size}{then}."


def _neighbour(neighbour: Mapping[str, Any]) -> str:
    several = len(neighbour["values"]) > 1
    values = ", ".join(
        (f"{name} " if several else "") + quantity(v["value"], v["unit"], digits=4)
        for name, v in neighbour["values"].items()
    )
    return f"{neighbour['sample']} at {neighbour['distance']:.2g} ({values})"
