"""What the commands share: options, output, progress."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Db = Annotated[
    str | None,
    typer.Option("--db", help="Database, as an SQLAlchemy URL.  [default: $SITELOOP_DB, else sqlite:///siteloop.db]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
By = Annotated[str | None, typer.Option("--by", help="Who does it; kept in the ledger.  [default: your user name]")]
Name = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Name of the campaign.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="As it was then: 2026-03-01 (to its end, UTC), a time, or the number of an event."),
]
UseFlow = Annotated[bool, typer.Option("--flow", help="Run it as a Prefect flow.")]

SLOW_SECONDS = 2.0
"""Work longer than this shows its progress."""


def emit(value: Any) -> None:
    """Print one JSON object on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def say(text: str = "") -> None:
    """Print data for people on stdout, without markup."""
    print(text)


def wrote(paths: Sequence[Path], as_json: bool) -> None:
    """Say which files were written."""
    if as_json:
        emit({"wrote": [str(path) for path in paths]})
    for path in paths if not as_json else ():
        say(f"wrote {path}")


def note(text: str) -> None:
    """Print a remark on stderr."""
    print(text, file=sys.stderr)


def console() -> Console:
    """A rich console on stdout that keeps tables readable when they go to a file."""
    from rich.console import Console

    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=160)


def table(*columns: str, whole: bool = False) -> Table:
    """A plain table; columns that end in `>` are aligned to the right, and with `whole` never broken into lines."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column.endswith(">")
        made.add_column(column.rstrip(">"), justify="right" if right else "left", no_wrap=whole and right)
    return made


@contextmanager
def stages(seconds: float) -> Iterator[Callable[[str], None]]:
    """Report work that is longer than two seconds on stderr, stage by stage, with the time so far.

    How long the rest takes is said by those stages that know it.

    What an interruption has to say of it, such as what is kept, is reported too.

    Args:
        seconds: estimate for the whole; long work is reported from its first stage on.
    """
    begun = time.monotonic()
    told = begun - SLOW_SECONDS if seconds > SLOW_SECONDS else begun

    def stage(name: str) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= SLOW_SECONDS:  # at most one line in two seconds, however fine the stages are
            note(f"{name} ... ({now - begun:.0f} s so far)")
            told = now

    try:
        yield stage
    except KeyboardInterrupt as stop:
        for remark in getattr(stop, "__notes__", ()):
            note(remark)
        raise


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with the time left; on a terminal only, plain lines every tenth elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    err = Console(stderr=True)
    if err.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    begun, last = time.monotonic(), 0

    def step(done: int) -> None:
        nonlocal last
        elapsed = time.monotonic() - begun
        if done and elapsed > SLOW_SECONDS and done - last >= total / 10:
            last = done
            left = elapsed / done * (total - done)
            note(f"{title}: {done} of {total} ({elapsed:.0f} s so far, about {left:.0f} s left)")

    yield step
