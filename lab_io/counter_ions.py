"""Which precursors do not go together: rules about counter-ions, in a table that the lab may replace by its own.

The rules warn of what precipitates before it is wanted. They are no statement about safety.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from db.errors import InvalidInput, Problem
from lab_io.cells import cell_text
from lab_io.inventory import Precursor
from lab_io.tables import read_table
from lab_io.words import fold, shown

OWN = Path(__file__).with_name("precursor_rules.csv")
"""The rules that come with the package."""
_COLUMNS = ("counter_ion", "written_as", "not_with", "reason")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table."""

    ion: str
    """Its name: `sulfate`."""
    written_as: tuple[str, ...]
    """How formulas write it: `SO4`."""
    not_with: tuple[str, ...]
    """Elements that must not be in one solution with it; none for an ion that is only named."""
    reason: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two precursors of one sample that do not go together."""

    one: Precursor
    other: Precursor
    reason: str

    def __str__(self) -> str:
        return f"{self.one.name} with {self.other.name}: {self.reason}"


@lru_cache(maxsize=16)
def read_rules(content: bytes | None = None, name: str = OWN.name) -> tuple[Rule, ...]:
    """Rules from a table with the columns counter_ion, written_as, not_with and reason; lists are parted by blanks.

    Args:
        content: of the lab's own table; None for the rules of the package.
        name: what to call the table in messages.

    Raises:
        InvalidInput: a column is missing, or what is written there is no element; all problems at once.
    """
    from pymatgen.core import Element

    table = read_table(OWN.read_bytes() if content is None else content, name)
    at = {fold(header).replace(" ", "_"): j for j, header in enumerate(table.header) if header}
    if absent := [c for c in _COLUMNS if c not in at]:
        raise InvalidInput([Problem(name, f"the rules have no column {c}", f"add a column {c}") for c in absent])
    wrong, rules = [], []
    for row in table.rows:
        ion, written, elements, reason = (cell_text(row.cells[at[c]]) for c in _COLUMNS)
        not_with = tuple(w for w in re.split(r"[\s,;]+", elements) if w)
        wrong += [
            Problem(table.where(row.number, at["not_with"]), f"{shown(e)} is no chemical element", "write its symbol")
            for e in not_with
            if not Element.is_valid_symbol(e)
        ]
        if not ion:
            wrong.append(Problem(table.where(row.number, at["counter_ion"]), "the counter-ion is missing", "name it"))
        rules.append(Rule(_name(ion), tuple(written.split()), not_with, reason or f"the rules of {name}"))
    if wrong:
        raise InvalidInput(wrong)
    return tuple(rules)


def counter_ions(precursor: Precursor, rules: Sequence[Rule]) -> tuple[str, ...]:
    """The counter-ions of a precursor: as its row states them, else as its formula is written; none where unknown."""
    if precursor.counter_ion:
        return tuple(dict.fromkeys(_name(word) for word in re.split(r"[,;+/]+", precursor.counter_ion) if word.strip()))
    assert precursor.formula is not None
    rest, found = precursor.formula.salt, []
    written = {text: rule.ion for rule in rules for text in rule.written_as}
    for text in sorted(written, key=len, reverse=True):  # ClO4 before Cl
        rest, n = re.subn(rf"{re.escape(text)}(?![a-z])", "\0", rest)
        found += [written[text]] * bool(n)
    return tuple(dict.fromkeys(found))


def conflicts(used: Sequence[Precursor], rules: Sequence[Rule]) -> Iterator[Conflict]:
    """What does not go together among the precursors of one sample, each pair and reason once."""
    ions = {p: counter_ions(p, rules) for p in used}
    told = set()
    for one in used:
        for other in used:
            found = [
                f"{rule.ion} with {other.element}: {rule.reason}"
                for rule in rules
                if rule.ion in ions[one] and other.element in rule.not_with
            ]
            named = {other.element, *ions[other], fold(other.name)}
            found += [
                f"{one.where} says not with {word}"
                for word in one.incompatible_with
                if one is not other and ({word, _name(word), fold(word)} & named)
            ]
            for reason in found:
                if reason not in told:
                    told.add(reason)
                    yield Conflict(one, other, reason)


def _name(text: str) -> str:
    """Sulphate and Sulfate are one ion."""
    return fold(text).replace("sulph", "sulf")
