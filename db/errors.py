"""The one root of every error a user can cause, with what, where and how to fix it.

`db.errors` and `db.records` import nothing of ours, so that every floor may speak their words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the user's input."""

    where: str
    """File, line or cell, key or column: `plate.yaml, line 4, space.divisions`."""

    what: str
    """The value found and what was expected: `'ten' is not a whole number`."""

    fix: str
    """What to do about it: `write a whole number from 1 to 1000`."""

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.what}. Fix: {self.fix}"


class SiteloopError(Exception):
    """Root of all errors that the command line reports without a traceback.

    Args:
        problems: everything that is wrong, all at once.
    """

    exit_code = 3

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class UsageError(SiteloopError):
    """The command itself is wrong: an unknown option value, a missing argument (exit code 2)."""

    exit_code = 2


class InvalidInput(SiteloopError):
    """A spec, table, address or name that cannot be used (exit code 3)."""


class Conflict(SiteloopError):
    """Somebody else wrote first, or the ledger already says otherwise (exit code 4)."""

    exit_code = 4


class Overtaken(Conflict):
    """Something was recorded between reading and writing: read again, and try again."""
