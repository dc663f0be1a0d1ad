"""Text as people type it: one spelling for one meaning, look-alike letters, and the word that was probably meant."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

_LOOKALIKE = str.maketrans(
    "АВСЕНІЈКМОРЅТХУасеіјорѕхуυνοκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "ABCEHIJKMOPSTXYaceijopsxyuvokABEZHIKMNOPTYX",
)


def normalise(text: str) -> str:
    """NFKC with outer blanks removed: full-width digits become plain ones, no-break spaces plain spaces.

    Superscripts and fractions stay as they are, for NFKC would turn 5² into 52.
    """
    if text.isascii():
        return text.strip()
    folded = (c if unicodedata.category(c) == "No" else unicodedata.normalize("NFKC", c) for c in text)
    return unicodedata.normalize("NFC", "".join(folded)).replace("\N{MINUS SIGN}", "-").strip()


def fold(text: str) -> str:
    """A name without case, and with blanks, underscores and hyphens alike: `Sample_ID` is `sample id`."""
    return re.sub(r"[\s_\-]+", " ", normalise(text).casefold()).strip()


def lookalike(text: str) -> str | None:
    """The Latin spelling of a text in which Cyrillic or Greek letters stand for Latin ones, else None."""
    latin = text.translate(_LOOKALIKE)
    return latin if latin != text and latin.isascii() else None


def script(text: str) -> str:
    """The script of the first letter that is not Latin: `CYRILLIC`."""
    names = (unicodedata.name(c, "UNKNOWN").split()[0] for c in text if c.isalpha() and not c.isascii())
    return next((n for n in names if n != "LATIN"), "LATIN")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be, or None."""
    by_fold = {fold(k): k for k in known}
    near = get_close_matches(fold(word)[:80], by_fold, n=1, cutoff=0.7)
    return by_fold[near[0]] if near else None


def choices(word: str, known: Iterable[str]) -> str:
    """What to write instead of `word`: the nearest known word, or all of them (at most twenty)."""
    known = list(known)
    if near := nearest(word, known):
        return f"did you mean {near}?"
    return f"use one of {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}" if known else "leave it out"


def shown(value: object) -> str:
    """A value in quotes, never longer than some 40 characters."""
    text = repr(str(value))
    return text if len(text) <= 40 else text[:36] + "...'"


def answer(value: float) -> str:
    """`yes` or `no`, of a value that is 1 or 0."""
    return "yes" if value else "no"


def count(n: int, noun: str) -> str:
    """`1 row`, `3,003 rows`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
