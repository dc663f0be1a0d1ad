"""Writing beside others: what was overtaken between reading and writing is done again from what is there now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from db.errors import Overtaken

T = TypeVar("T")
ATTEMPTS = 5


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
