"""Values and lists as a reader of messages can take them in; single words are helped by `lab_io.words`."""

from __future__ import annotations

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
