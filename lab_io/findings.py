"""What a check finds: a problem of the user's table, and how much it weighs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from db.errors import Problem


class Status(StrEnum):
    """What becomes of a row; ordered from light to heavy, so that the worst finding of a row decides."""

    ACCEPTED = "accepted"
    FIXED = "fixed"
    """Accepted with something changed, to which its owner consented."""
    SKIPPED = "skipped"
    """On record already, twice in the file, or left out as its owner wished: nothing is written."""
    PENDING = "pending"
    """Nothing was measured yet: nothing is written."""
    QUESTION = "question"
    """Could be read in more than one way: the user decides, nothing is guessed."""
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem, and whether it asks (`question`) or refuses (`rejected`)."""

    status: Status
    problem: Problem


def worst(statuses: Iterable[Status]) -> Status:
    """The heaviest of some statuses; accepted when there are none."""
    return max(statuses, key=list(Status).index, default=Status.ACCEPTED)


class CellError(ValueError):
    """A piece of text that cannot be read, before anybody knows in which cell it stands.

    Args:
        what: the text and what is wrong with it.
        fix: what to write instead.
        status: `question` when the user can answer it, else `rejected`.
    """

    def __init__(self, what: str, fix: str, status: Status = Status.REJECTED) -> None:
        super().__init__(f"{what}. Fix: {fix}")
        self.what = what
        self.fix = fix
        self.status = status

    def at(self, where: str) -> Finding:
        """The same as a finding in a cell, such as `results.csv, D4`."""
        return Finding(self.status, Problem(where, self.what, self.fix))
