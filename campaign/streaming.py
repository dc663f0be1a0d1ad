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
"""Candidates whose leaders are one result."""
KEPT_FROM = 8
"""Pieces from which on results are kept on disk until all are there: fewer are done again in seconds."""
WORKERS = min(8, os.cpu_count() or 1)
"""Threads that look at pieces: one a core."""
FOLDER = "screens"
STALE = 86_400
"""Seconds after which what another screen of the campaign left is not gone on with any more."""


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


@dataclass(frozen=True)
class Kept:
    """Results of pieces, one file each, in a folder named by all that they depend on; derived, safe to delete."""

    folder: Path

    @classmethod
    def of(cls, artifacts: Path, campaign: str, key: str) -> Kept:
        """Those of a campaign under a key."""
        return cls(artifacts / FOLDER / campaign / key)

    def get(self, number: int) -> Leaders | None:
        """The result of a piece; None where there is none that can be read."""
        try:
            with safe_open(self._path(number), framework="numpy") as file:
                told = json.loads(file.metadata()["told"])
                arrays = [file.get_tensor(name) for name in ("indices", "scores", "late")]
        except (OSError, SafetensorError, KeyError, ValueError):
            return None
        tally = Tally(told["looked_at"], told["removed"], Counter(told["by_rule"]))
        return Leaders(arrays[0], arrays[1], arrays[2].astype(bool), told["opened"], tally)

    def put(self, number: int, found: Leaders) -> None:
        """Keep the result of a piece: written beside its place and renamed, so that no half of it is ever read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        t = found.tally
        told = {"opened": found.opened, "looked_at": t.looked_at, "removed": t.removed, "by_rule": dict(t.by_rule)}
        arrays = {"indices": found.indices, "scores": found.scores, "late": found.late}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        part = self.folder / f"{uuid4().hex}.part"
        save_file(tensors, part, metadata={"told": json.dumps(told)})
        part.replace(self._path(number))

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
    kept: Kept | None = None,
    stage: Callable[[str], None] = lambda _: None,
) -> Leaders:
    """The leaders of many candidates; the same whatever the number of workers, and however often it was interrupted.

    Workers are threads with one thread of torch's own each: nearly all the time is spent in kernels that run side by
    side, and a process would need 250 MB for its imports alone.

    Args:
        pieces: positions in the space, `PIECE` at most each.
        looks: the leaders of a piece, uncut; the same pure function for each worker, with a model of its own, for a
            kernel of GPyTorch cannot be evaluated by two threads at once.
        total: candidates in all pieces, for the progress.
        count: how many leaders are wanted.
        whole: all open candidates are, where there are no more than this.
        kept: where results are kept until all pieces are done, if there are at least `KEPT_FROM`.
        stage: told how far it is, and how long the rest takes.

    Returns:
        The first leader first. Memory is what `looks` need for a piece each, and the leaders.
    """
    kept = kept if total > (KEPT_FROM - 1) * PIECE else None
    free: SimpleQueue[Callable[[Ints], Leaders]] = SimpleQueue()
    for look in looks:
        free.put(look)

    def result(number: int, piece: Ints) -> tuple[Leaders, bool]:
        before = kept.get(number) if kept else None
        if before is not None:
            return before, True
        look = free.get()
        try:
            with torch.no_grad():
                found = look(piece).cut(count, whole)
        finally:
            free.put(look)
        if kept:
            kept.put(number, found)
        return found, False

    leaders, done, new, pace, threads = Leaders(), 0, 0, Pace(), torch.get_num_threads()
    pool = ThreadPoolExecutor(len(looks), initializer=torch.set_num_threads, initargs=(1,))
    try:
        for length, future in _ahead(pool, result, enumerate(pieces), 2 * len(looks)):
            found, known = future.result()
            leaders = leaders.joined(found).cut(count, whole)
            done, new = done + length, new + (0 if known else length)
            stage(f"screened {done:,} of {total:,} candidates{pace.more(new, total - done)}")
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # of the numerical library, which knows one number for all threads
    if kept:
        kept.clear()
    return leaders


def _ahead(
    pool: ThreadPoolExecutor,
    result: Callable[[int, Ints], tuple[Leaders, bool]],
    pieces: Iterator[tuple[int, Ints]],
    most: int,
) -> Iterator[tuple[int, Future[tuple[Leaders, bool]]]]:
    """Length and result of each piece, in order, with at most so many begun."""
    waiting: deque[tuple[int, Future[tuple[Leaders, bool]]]] = deque()
    for number, piece in pieces:
        waiting.append((len(piece), pool.submit(result, number, piece)))
        if len(waiting) >= most:
            yield waiting.popleft()
    yield from waiting
