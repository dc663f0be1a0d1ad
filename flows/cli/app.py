"""The application: its commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from db.errors import SiteloopError, UsageError
from flows.cli import campaigns, curves, insights, keeping, lab, mappings, memory, replays, specs, weighing

app = typer.Typer(
    name="siteloop",
    help="Closed-loop campaigns for materials discovery: start from a spec, ingest results, get recommendations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """Closed-loop campaigns for materials discovery: start from a spec, ingest results, get recommendations."""


for module in (specs, campaigns, insights, lab, weighing, mappings, memory, curves, replays, keeping):
    module.register(app)


def _is_text(argument: str) -> bool:
    """Whether an argument came as UTF-8, so that it can be shown and kept."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def run(arguments: Sequence[str]) -> int:
    """Run one command. Data goes to stdout, everything else to stderr.

    Returns:
        0 done, 2 usage, 3 invalid input, 4 conflict; anything else is a bug or an interruption.
    """
    debug = "--debug" in arguments
    if wrong := [a for a in arguments if not _is_text(a)]:
        what = "an argument is not UTF-8 text. Fix: type it again, or rename the file"
        print(f"error: {wrong[0]!a}: {what}", file=sys.stderr)
        return UsageError.exit_code
    try:
        app(args=[a for a in arguments if a != "--debug"], prog_name="siteloop")  # it may stand anywhere
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(bool(done.code))
    except SiteloopError as error:
        if debug:
            raise
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return error.exit_code
    return 0
