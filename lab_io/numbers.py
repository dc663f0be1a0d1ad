"""Numbers as labs write them: `2,63`, `1 234.5`, `<5`, `270±5`, `263 mV`, `n.d.`; nothing is guessed per cell.

Whether the comma or the point is the decimal sign is settled once for a whole file, from cells that leave no doubt.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lab_io.findings import CellError, Status
from lab_io.fixes import offered
from lab_io.words import normalise, shown

Decimal = Literal[".", ","]

MAX_NUMBER = 80
"""Longest text that is looked at as a number."""

_FIGURES = r"[+-]?(?:[0-9][0-9.,' ]*|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
_NUMBER = re.compile(
    rf"(?P<sign><=|>=|≤|≥|<|>|~|≈)?\s*(?P<value>{_FIGURES})"
    rf"(?:\s*(?:±|\+/-|\+-)\s*(?P<sd>{_FIGURES}))?"
    r"\s*(?P<unit>[^\W\d_].*|[%°].*)?"
)
_MISSING = {"", "-", "--", "–", "—", "n.d.", "nd", "n.d", "na", "n.a.", "n/a", "none", "null", "missing"}
_QUALIFIER = {"<": "<", "<=": "<", "≤": "<", ">": ">", ">=": ">", "≥": ">"}
_MONTH = r"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-z]{0,6}\.?"
_DATE = re.compile(
    rf"\d{{1,2}}[-. /]{{1,2}}{_MONTH}(?:[-. /]{{1,2}}\d{{2,4}})?|{_MONTH}[-. /]{{1,2}}\d{{2,4}}"
    r"|\d{1,4}[-./]\d{1,2}[-./]\d{2,4}(?:[ T]\d{1,2}:\d{2}.*)?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands in a cell, in the unit of that cell."""

    value: float
    sd: float | None = None
    """Standard deviation stated behind ±, in the same unit."""
    qualifier: str = "="
    """`=`, or `<` / `>` for a censored value."""
    unit: str | None = None
    """Unit written in the cell, not yet checked."""


def parse_number(text: str, *, decimal: Decimal, approximate: bool = False) -> Number | None:
    """Read one cell as a number.

    Args:
        text: the cell.
        decimal: the decimal sign of the file; the other sign may group thousands only where that is certain.
        approximate: whether `~270` is 270.

    Returns:
        The number, or None for an empty cell and its spellings (`n.d.`, `NA`, `-`).

    Raises:
        CellError: it is not a finite number; a question for `~270` and for `1,234` in a file with decimal points.
    """
    text = normalise(text)
    if text.casefold() in _MISSING:
        return None
    found = _NUMBER.fullmatch(text) if len(text) <= MAX_NUMBER else None
    if not found or unicodedata.category((found["unit"] or "a")[0]) == "No":  # a superscript is not a unit
        raise _not_a_number(text)
    if found["sign"] in ("~", "≈") and not approximate:
        fix = f"write it without the sign, with ± if you know how exact it is, or {offered('approximate')}"
        raise CellError(f"{shown(text)} is an approximate value", fix, Status.QUESTION)
    value = _figures(found["value"], decimal, text)
    sd = _figures(found["sd"], decimal, text) if found["sd"] else None
    if sd is not None and sd < 0:
        raise CellError(f"{shown(text)} has a negative uncertainty", "write it as a positive number behind ±")
    return Number(value, sd, _QUALIFIER.get(found["sign"], "="), found["unit"])


def detect_decimal(cells: Mapping[str, str], *, hint: Decimal | None = None) -> Decimal:
    """The decimal sign of a file.

    Args:
        cells: address -> text, of the cells in which numbers are expected; others are passed over.
        hint: what to take where only cells like `1,234` are left, that could mean either.

    Raises:
        CellError: both signs are used, or a question when the cells could mean either and there is no hint.
    """
    first: dict[str, tuple[str, str]] = {}
    for address, text in cells.items():
        if len(text) > MAX_NUMBER or not (found := _NUMBER.fullmatch(normalise(text))):
            continue
        for figures in (found["value"], found["sd"]):
            first.setdefault(_style(figures or ""), (address, text))
    points = first.get(".") or first.get("1.234")
    commas = first.get(",") or first.get("1,234")
    if points and commas and not ("." in first and "1,234" in first and "," not in first):
        what = f"mixed decimal signs: {shown(points[1])} in {points[0]} and {shown(commas[1])} in {commas[0]}"
        raise CellError(what, "use one decimal sign in the whole file, and nothing between thousands")
    if points or "," in first:
        return "." if points else ","
    if commas and hint is None:
        what = f"{shown(commas[1])} in {commas[0]} has a decimal comma or a comma between thousands"
        raise CellError(what, "write decimals with a point, and nothing between thousands", Status.QUESTION)
    return hint or "."


def _style(figures: str) -> str:
    """Which sign is the decimal one: `.`, `,`, the undecided `1,234` and `1.234`, or nothing."""
    mantissa = re.split("[eE]", figures)[0].strip("+- ")
    for sign, other in ((",", "."), (".", ",")):
        if mantissa.count(sign) > 1:  # can only group thousands
            return other
        if sign in mantissa and other in mantissa:
            return sign if mantissa.rindex(sign) > mantissa.rindex(other) else other
        if sign in mantissa:
            undecided = re.fullmatch(rf"[1-9]\d{{0,2}}{re.escape(sign)}\d{{3}}", mantissa, re.ASCII)
            return f"1{sign}234" if undecided else sign
    return ""


def _figures(text: str, decimal: Decimal, cell: str) -> float:
    """A token of digits and signs as a finite float."""
    group = "," if decimal == "." else "."
    mantissa, _, exponent = text.replace("E", "e").partition("e")
    if exponent and mantissa.endswith(" "):  # `5 e3` may be a unit gone wrong
        raise _not_a_number(cell)
    whole, _, fraction = mantissa.strip().partition(decimal)
    bare = whole.lstrip("+-")
    if _style(text) == f"1{group}234":
        what = (
            f"{shown(cell)} has a decimal sign or a sign between thousands, and the file uses {decimal!r} for decimals"
        )
        raise CellError(what, f"write {whole.replace(group, decimal)} or {whole.replace(group, '')}", Status.QUESTION)
    if not re.fullmatch(rf"\d*|[1-9]\d{{0,2}}(?P<group>[{group}' ])\d{{3}}(?:(?P=group)\d{{3}})*", bare, re.ASCII):
        raise _not_a_number(cell)
    if not re.fullmatch(r"\d*", fraction, re.ASCII) or not (bare or fraction):
        raise _not_a_number(cell)
    digits = re.sub(rf"[{group}' ]", "", whole)
    number = float(f"{digits or '0'}.{fraction or '0'}e{exponent or '0'}") if bare else float(f"{digits}0.{fraction}")
    if not math.isfinite(number):
        raise CellError(f"{shown(cell)} is not a finite number", "check the exponent")
    return number


def _not_a_number(text: str) -> CellError:
    if _DATE.fullmatch(text):
        fix = "the spreadsheet probably turned a number into a date: type the number into a cell formatted as text"
        return CellError(f"{shown(text)} is a date, not a number", fix)
    if text.startswith("#"):
        return CellError(f"{shown(text)} is a spreadsheet error", "mend the formula, or paste its value")
    if text.casefold().strip("+-") in ("nan", "inf", "infinity", "∞"):
        return CellError(f"{shown(text)} is not a finite number", "leave the cell empty when there is no value")
    if text.startswith("="):
        return CellError(f"{shown(text)} is a formula", "paste the value instead of the formula")
    fix = "write a plain number such as 263, 270±5 or <5, or leave the cell empty"
    return CellError(f"{shown(text)} is not a number", fix)
