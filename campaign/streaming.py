"""A space in pieces: looked at on all cores with bounded memory, and gone on with where it was interrupted."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, Protocol, Self, TypeVar
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from acquisition.shortlist import leading
from campaign.filters import Tally
from campaign.pace import Pace
from campaign.spaces.base import Ints

PIECE = 65_536
"""Candidates whose result is kept as one."""
KEPT_FROM = 8
"""Pieces from which on results are kept on disk until all are there: fewer are done again in seconds."""
WORKERS = min(8, os.cpu_count() or 1)
"""Threads that look at pieces: one a core."""
FOLDER = "screens"
STALE = 86_400
"""Seconds after which what another screen of the campaign left is not gone on with any more."""


class Result(Protocol):
    """What is found in a piece, as it is kept on disk."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays of numbers, by name."""

    def about(self) -> dict[str, Any]:
        """The rest, as plain values."""

    @classmethod
    def restored(cls, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> Self:
        """The same result again."""


R = TypeVar("R", bound=Result)


@dataclass(frozen=True, eq=False)
class Leaders:
    """The best of the candidates looked at: those that come late after all others, then by score, then by position."""

    indices: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Their positions in the space, `n`."""
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Larger is better, `n`."""
    late: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))
    """Whether each comes after all others, `n`."""
    opened: int = 0
    """Open candidates among those looked at."""
    tally: Tally = field(default_factory=Tally)
    """What hard filters took out of them."""

    def cut(self, count: int, whole: int) -> Leaders:
        """The first `count`; all, where no more than `whole` are open."""
        promise, late = torch.from_numpy(self.scores), torch.from_numpy(self.late)
        keep = leading(promise, late, self.opened if self.opened <= whole else count).numpy()
        return replace(self, indices=self.indices[keep], scores=self.scores[keep], late=self.late[keep])

    def joined(self, other: Leaders) -> Leaders:
        """Both, in this order, uncut."""
        tally = Tally()
        tally.add(self.tally)
        tally.add(other.tally)
        return Leaders(
            np.concatenate([self.indices, other.indices]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.late, other.late]),
            self.opened + other.opened,
            tally,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As `Result`."""
        return {"indices": self.indices, "scores": self.scores, "late": self.late}

    def about(self) -> dict[str, Any]:
        """As `Result`."""
        t = self.tally
        return {"opened": self.opened, "looked_at": t.looked_at, "removed": t.removed, "by_rule": dict(t.by_rule)}

    @classmethod
    def restored(cls, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> Self:
        """As `Result`."""
        tally = Tally(about["looked_at"], about["removed"], Counter(about["by_rule"]))
        return cls(arrays["indices"], arrays["scores"], arrays["late"].astype(bool), about["opened"], tally)


@dataclass(frozen=True)
class Kept(Generic[R]):
    """Results of pieces, one file each, in a folder named by all that they depend on; derived, safe to delete."""

    folder: Path
    kind: type[R]

    @classmethod
    def of(cls, kind: type[R], artifacts: Path, campaign: str, key: str) -> Kept[R]:
        """Those of a campaign under a key."""
        return cls(artifacts / FOLDER / campaign / key, kind)

    def get(self, number: int) -> R | None:
        """The result of a piece; None where there is none that can be read."""
        try:
            with safe_open(self._path(number), framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping
                return self.kind.restored(arrays, json.loads(file.metadata()["told"]))
        except (OSError, SafetensorError, KeyError, ValueError):
            return None

    def put(self, number: int, found: R) -> None:
        """Keep the result of a piece: written beside its place and renamed, so that no half of it is ever read.

        Where it cannot be written, as on a full disk or because another screen has just cleared the folder, it is not.
        """
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in found.arrays().items()}
        part = self.folder / f"{uuid4().hex}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file(tensors, part, metadata={"told": json.dumps(found.about())})
            part.replace(self._path(number))
        except (OSError, SafetensorError):
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget these results, and those under other keys that nobody has added to for `STALE` seconds."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for other in self.folder.parent.glob("*"):
            with suppress(OSError):
                if time.time() - other.stat().st_mtime > STALE:
                    shutil.rmtree(other, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.safetensors"


def lead(
    pieces: Iterable[Ints],
    looks: Sequence[Callable[[Ints], Leaders]],
    *,
    total: int,
    count: int,
    whole: int = 0,
    kept: Kept[Leaders] | None = None,
    stage: Callable[[str], None] = lambda _: None,
) -> Leaders:
    """The leaders of many candidates.

    Args:
        pieces: positions in the space, `PIECE` at most each.
        looks: the leaders of a piece, uncut; see `each`.
        total: candidates in all pieces, for the progress.
        count: how many leaders are wanted.
        whole: all open candidates are, where there are no more than this.
        kept: as for `each`; forgotten when all pieces are done.
        stage: told how far it is, and how long the rest takes.

    Returns:
        The first leader first. Memory is what `looks` need for a piece each, and the leaders.
    """

    def cut(look: Callable[[Ints], Leaders]) -> Callable[[Ints], Leaders]:
        return lambda piece: look(piece).cut(count, whole)

    leaders = Leaders()
    for found in each(pieces, [cut(look) for look in looks], total=total, kept=kept, stage=stage):
        leaders = leaders.joined(found).cut(count, whole)
    if kept:
        kept.clear()
    return leaders


def each(
    pieces: Iterable[Ints],
    looks: Sequence[Callable[[Ints], R]],
    *,
    total: int,
    kept: Kept[R] | None = None,
    stage: Callable[[str], None] = lambda _: None,
) -> Iterator[R]:
    """What is found in each piece, in order; the same whatever the number of workers, and however often interrupted.

    Workers are threads with one thread of torch's own each: nearly all the time is spent in kernels that run side by
    side, and a process would need 250 MB for its imports alone.

    Args:
        pieces: positions in the space, `PIECE` at most each.
        looks: what is found in a piece; the same pure function for each worker, with a model of its own, for a kernel
            of GPyTorch cannot be evaluated by two threads at once.
        total: candidates in all pieces, for the progress.
        kept: where results are kept, if there are at least `KEPT_FROM`; whoever asked forgets them at the end.
        stage: told how far it is, and how long the rest takes.
    """
    kept = kept if total > (KEPT_FROM - 1) * PIECE else None
    free: SimpleQueue[Callable[[Ints], R]] = SimpleQueue()
    for look in looks:
        free.put(look)

    def result(number: int, piece: Ints) -> tuple[R, bool]:
        before = kept.get(number) if kept else None
        if before is not None:
            return before, True
        look = free.get()
        try:
            with torch.no_grad():
                found = look(piece)
        finally:
            free.put(look)
        if kept:
            kept.put(number, found)
        return found, False

    done, new, pace, threads = 0, 0, Pace(), torch.get_num_threads()
    pool = ThreadPoolExecutor(len(looks), initializer=torch.set_num_threads, initargs=(1,))
    try:
        for length, future in _ahead(pool, result, enumerate(pieces), 2 * len(looks)):
            found, known = future.result()
            yield found
            done, new = done + length, new + (0 if known else length)
            stage(f"screened {done:,} of {total:,} candidates{pace.more(new, total - done)}")
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # of the numerical library, which knows one number for all threads


def _ahead(
    pool: ThreadPoolExecutor,
    result: Callable[[int, Ints], tuple[R, bool]],
    pieces: Iterator[tuple[int, Ints]],
    most: int,
) -> Iterator[tuple[int, Future[tuple[R, bool]]]]:
    """Length and result of each piece, in order, with at most so many begun."""
    waiting: deque[tuple[int, Future[tuple[R, bool]]]] = deque()
    for number, piece in pieces:
        waiting.append((len(piece), pool.submit(result, number, piece)))
        if len(waiting) >= most:
            yield waiting.popleft()
    yield from waiting
