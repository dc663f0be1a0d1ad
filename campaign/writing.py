"""Writing beside others: what was overtaken between reading and writing is done again from what is there now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from db.errors import InvalidInput, Overtaken, Problem

T = TypeVar("T")
ATTEMPTS = 5


def stated_reason(reason: str | None, what: str, example: str) -> str:
    """A reason without the spaces around it.

    Raises:
        InvalidInput: there is none; `what` says of what, and `example` how one reads.
    """
    if not (reason or "").strip():
        raise InvalidInput(Problem("reason", f"{what} needs a reason", f'say why: --reason "{example}"'))
    return str(reason).strip()


def retried(attempt: Callable[[], T]) -> T:
    """The result of `attempt`, which reads, computes and writes; tried again when others wrote in between.

    Raises:
        Overtaken: others wrote in between `ATTEMPTS` times.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except Overtaken:
            continue
    return attempt()
