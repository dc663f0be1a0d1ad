"""Values and lists as a reader of messages can take them in; single words are helped by `lab_io.words`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from lab_io.words import choices, count, lookalike


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to write instead of `word`: it in Latin letters, the nearest known word, or the known words."""
    known = list(known)
    latin = lookalike(word)
    return f"type it again in Latin letters: {latin}" if latin in known else choices(word, known)


def listed(words: Sequence[str], last: str = "and") -> str:
    """`Ni, Fe and Co`."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def shown(value: Any) -> str:
    """A value from a spec as one short phrase, never longer than some 60 characters."""
    if value is None:
        return "an empty value"
    if isinstance(value, dict):
        return f"a mapping of {count(len(value), 'key')}"
    if isinstance(value, list | tuple):
        return f"a list of {count(len(value), 'item')}"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def quantity(value: float, unit: str | None = None, *, digits: int = 3) -> str:
    """A number to three significant digits, or to whole units above a thousand: `352 mV`."""
    text = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    return f"{text} {unit}" if unit else text


def plus_minus(value: float, sd: float, unit: str | None = None) -> str:
    """A value with its sd, to the first digit of the sd: `5.1 ± 0.4 mV`."""
    return signed(value, sd, unit).lstrip("+")


def signed(value: float, sd: float, unit: str | None) -> str:
    """A change with the sd of the paired difference, to the first digit of the sd: `+28 ± 9 mV`, `+0.03 ± 0.06 eV`."""
    places = max(0, -math.floor(math.log10(sd))) if sd > 0 else 2
    text = f"{value:+.{places}f} ± {sd:.{places}f}"
    return f"{text} {unit}" if unit else text
