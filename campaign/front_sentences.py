"""Which part of the front a recommendation is for, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from campaign.words import listed, quantity


def front_sentences(place: Mapping[str, Any] | None) -> list[str]:
    """One sentence, from a part of a rationale as `campaign.pareto.places` stores it; nothing without.

    `It extends the front towards high elongation: expected 45 %, the best measured is 38 % (b2-01), with UTS 620 MPa.`
    """
    if not place or place["part"] == "first":
        return []
    units, mean = place["units"], place["mean"]
    expected = {name: f"{name} {quantity(value, units[name])}" for name, value in mean.items()}
    beside = [
        f"{n['sample']} ({', '.join(f'{name} {quantity(v, units[name])}' for name, v in n['values'].items())})"
        for n in place["neighbours"]
    ]
    chance = f"probability {100 * place['probability']:.0f} % that nothing measured is as good in all"
    if place["part"] == "end":
        name = place["objective"]
        best = place["neighbours"][0]
        rest = [text for other, text in expected.items() if other != name]
        return [
            f"It extends the front towards {place['wanted'][name]}: expected {quantity(mean[name], units[name])}, "
            f"the best on the front is {quantity(best['values'][name], units[name])} ({best['sample']}), "
            f"with {listed(rest)}; {chance}."
        ]
    where = f"between {listed(beside)}" if place["part"] == "between" else f"near {beside[0]}"
    verb = "It moves the front outwards" if place["beyond"] else "It tries the front"
    behind = "" if place["beyond"] else ", as yet expected behind it"
    return [f"{verb} {where}: expected {listed(list(expected.values()))}{behind}; {chance}."]
