"""What the owner of a table may consent to, each by name; without consent nothing is changed, and what is, is told.

A question names the fixes that would answer it. One that is accepted holds for every row that asks that question; each
row says what was done to it, and the words go into the ledger beside its values.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from db.errors import InvalidInput, Problem
from lab_io.words import choices, fold, shown

FIXES = {
    "V->mV": "overpotentials from 0.1 to 1.0 mV were written in V",
    "RHE->overpotential": "potentials against RHE become overpotentials: 1.229 V is subtracted",
    "swapped": "the values of two metrics stand in each other's column",
    "as-stated": "values that look swapped, or masses far from their targets, are right as they stand",
    "wt%": "measured fractions are by weight, and become fractions of atoms",
    "renormalise": "fractions that do not add up to 1 are divided by their sum",
    "approximate": "~270 is read as 270",
    "replicates": "rows of one sample with other values are its replicates, numbered as they stand",
    "own-samples": "every row without a label is a sample of its own",
    "drop-averages": "rows of averages and sums are left out",
    "drop-notes": "notes below the table are left out",
    "drop-hidden": "hidden rows are left out",
    "read-hidden": "hidden rows are read",
    "fill-merged": "a merged cell holds for every cell that it covers",
    "leave-out-questions": "rows in question are not recorded",
    "leave-out-rejected": "rejected rows are not recorded",
}
"""Name -> what it says of the table."""
VALUED = {
    "balance": (r"\w{1,64}", "balance=Co: the rest up to 1 is Co"),
    "ignore": (r"[A-Z][a-z]?(,[A-Z][a-z]?)*", "ignore=O,H: elements of formulas that the space does not mix"),
    "decimal": (r"[.,]", "decimal=,: the decimal sign of the file"),
    "header-row": (r"[1-9]\d{0,5}", "header-row=3: the row with the column names"),
    "header-rows": (r"[1-5]", "header-rows=2: the column names take two rows"),
}
"""Name -> what its value looks like, and an example with its meaning."""


@dataclass(frozen=True, slots=True)
class Fixes:
    """The fixes that were accepted for one table."""

    accepted: tuple[str, ...] = ()
    """Sorted, each once: `balance=Co`, `V->mV`."""

    @classmethod
    def parse(cls, texts: Iterable[str], where: str = "--accept-fix") -> Fixes:
        """The fixes as a user names them; `V-to-mV` is `V->mV`, for a shell takes the arrow for its own.

        Raises:
            InvalidInput: an unknown name or an impossible value; all of them at once.
        """
        found, wrong = set(), []
        known = {fold(spelling): name for name in FIXES for spelling in (name, name.replace("->", "-to-"))}
        for text in texts:
            name, equals, value = text.strip().partition("=")
            form = VALUED.get(fold(name).replace(" ", "-"))
            if form and equals and re.fullmatch(form[0], value.strip(), re.ASCII if name != "balance" else 0):
                found.add(f"{fold(name).replace(' ', '-')}={value.strip()}")
            elif form:
                wrong.append(Problem(where, f"{shown(text)} has no usable value", f"write {form[1]}"))
            elif not equals and (plain := known.get(fold(text))):
                found.add(plain)
            else:
                names = [*FIXES, *(f"{name}=" for name in VALUED)]
                wrong.append(Problem(where, f"{shown(text)} is not the name of a fix", choices(text, names)))
        if wrong:
            raise InvalidInput(wrong)
        return cls(tuple(sorted(found)))

    def __contains__(self, name: str) -> bool:
        return name in self.accepted

    def value(self, name: str) -> str | None:
        """The value of `balance=Co`, or None."""
        return next((f.partition("=")[2] for f in self.accepted if f.partition("=")[:2] == (name, "=")), None)

    def whole(self, name: str) -> int | None:
        """A value that is a whole number, or None."""
        value = self.value(name)
        return int(value) if value else None

    @property
    def ignored(self) -> tuple[str, ...]:
        """The elements of `ignore=O,H`."""
        return tuple((self.value("ignore") or "").split(",")) if self.value("ignore") else ()


NO_FIXES = Fixes()


def offered(*names: str) -> str:
    """How to consent to one of some fixes: `answer --accept-fix renormalise`."""
    return "answer " + " or ".join(f"--accept-fix {shlex.quote(name)}" for name in names)
