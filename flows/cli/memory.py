"""Commands of the campaign's memory: record, amend, expire, replay, revise and share."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from db.errors import InvalidInput
from flows.cli.common import By, Db, Json, Name, emit, note, say, stages
from flows.cli.lab import check_json, pairs, show_check

Commit = Annotated[bool, typer.Option("--commit", help="Record it; without, it is checked only.")]
Unit = Annotated[str | None, typer.Option("--unit", help="Unit of the value, where it does not say.")]
Sd = Annotated[str | None, typer.Option("--sd", help="Standard deviation, in the same unit.")]
DIFFERENT = 5
"""Exit code of a replay that does not give the recorded batch."""
SHOWN = 20
"""Differences that are listed."""
DRY = "nothing was recorded: this was a dry run, `--commit` records it"


def record(
    campaign: Name,
    sample_id: Annotated[str, typer.Argument(help="The sample: b1-03, or a name of your own.")],
    values: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE...", help="As in a table: overpotential='263 mV' operator=mk.")
    ],
    unit: Unit = None,
    sd: Sd = None,
    commit: Commit = False,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Check one result typed by hand, as if it stood in a table; with --commit, record it."""
    from campaign import Campaign

    opened = Campaign.open(campaign, db=db, by=by)
    given = pairs("NAME=VALUE", values, typed=True)
    checked = opened.record(sample_id, given, unit=unit, sd=sd)
    if commit and checked.ok:
        opened.record(sample_id, given, unit=unit, sd=sd, commit=True)
    if as_json:
        emit(check_json(checked) | {"committed": commit and checked.ok})
    else:
        show_check(checked)
    if not checked.ok:
        note("nothing was recorded: put right what is listed")
        raise typer.Exit(InvalidInput.exit_code)
    if not commit:
        note(DRY)
    elif not as_json:
        say(f"next: {opened.status()['next']}")


def amend(
    campaign: Name,
    measurement: Annotated[str, typer.Argument(help="b1-03/overpotential, with /2 for a replicate, or its id.")],
    value: Annotated[str, typer.Option("--value", help="The right one: '251 mV', '0.251 V', '<10 mV'.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the old one is wrong; kept in the ledger.")],
    unit: Unit = None,
    sd: Sd = None,
    commit: Commit = False,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Correct a measurement: the new value counts, the old one stays in the ledger. A dry run unless --commit."""
    from campaign import Campaign

    opened = Campaign.open(campaign, db=db, by=by)
    found = opened.amend(measurement, value, unit=unit, sd=sd, reason=reason)
    if commit and found.new is not None:
        found = opened.amend(measurement, value, unit=unit, sd=sd, reason=reason, commit=True)
    if as_json:
        new = asdict(found.new) if found.new else None
        done = {"committed": found.event is not None, "same": found.same}
        emit({"sample": found.sample, "old": asdict(found.old), "new": new, **done} | check_json(found.checked))
    else:
        say(found.sentence())
    if found.new is None:
        for problem in found.checked.problems:
            note(f"error: {problem}")
        raise typer.Exit(InvalidInput.exit_code)
    if found.same and found.event is None:
        note("it says so already; there is nothing to do")
    elif not commit:
        note(DRY)
    elif not as_json:
        say(f"next: {opened.status()['next']}")


def expire(
    campaign: Name,
    sample_ids: Annotated[list[str] | None, typer.Argument(help="Labels of pending items: b1-03 b1-04.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why they will not come; kept in the ledger.")] = "",
    older_than: Annotated[int | None, typer.Option("--older-than", min=0, help="All that wait so many days.")] = None,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Close pending items that will not come: their designs may be proposed again, what was measured stays."""
    from campaign import Campaign
    from campaign.waiting import closed_line

    opened = Campaign.open(campaign, db=db, by=by)
    closed = opened.expire(*(sample_ids or ()), older_than=older_than, reason=reason)
    if as_json:
        emit({"expired": list(closed)} | opened.status())
        return
    say(closed_line(closed, reason))
    say(f"next: {opened.status()['next']}")


def replay(
    campaign: Name,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Its number.")],
    from_model: Annotated[
        bool, typer.Option("--from-model", help="Take the surrogates kept with it, instead of fitting them again.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="Relative, on other code or another machine only.")
    ] = 1e-3,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Compute an earlier batch again from the ledger as it was, and compare: exit code 0 if the same, 5 if not.

    On the same machine, with the same code and packages, it is the same to the last bit. On others, numbers are
    compared with a tolerance, and what differs is listed.
    """
    from campaign import Campaign
    from campaign.spaces import estimate

    opened = Campaign.open(campaign, db=db)
    with stages(estimate(opened.state.space).seconds) as stage:
        found = opened.replay(batch, from_model=from_model, tolerance=tolerance, stage=stage)
    if as_json:
        emit(found.as_json())
    else:
        how = "with the surrogates that were kept" if from_model else "fitted again"
        say(f"batch {batch} of {campaign}, {how}: {found.verdict}")
        for d in found.surroundings:
            say(f"other surroundings: {d.where}: {d.recorded} then, {d.now} now")
        for d in found.differences[:SHOWN]:
            say(f"differs: {d.where}: {d.recorded} recorded, {d.now} now")
        if len(found.differences) > SHOWN:
            say(f"... and {len(found.differences) - SHOWN} more; --json lists all")
    if found.verdict == "different":
        raise typer.Exit(DIFFERENT)


def revise(
    campaign: Name,
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="The YAML spec that is to be in force.")],
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; needed with --commit, kept in the ledger.")
    ] = None,
    commit: Commit = False,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Show what another spec changes; with --commit it is in force from now on. The space may be widened."""
    from campaign import Campaign

    found = Campaign.open(campaign, db=db, by=by).revise(spec, reason=reason, commit=commit)
    if as_json:
        done = {"committed": found.event is not None, "revision": found.number if found.changes else found.number - 1}
        emit({"changes": list(found.changes), "notes": list(found.notes), **done})
        return
    for line in (*found.changes, *(f"note: {n}" for n in found.notes)):
        say(line)
    if not found.changes:
        note("nothing changes: this spec is in force already")
    elif found.event is None:
        note(DRY)
    else:
        say(f"revision {found.number} is in force")


def share(
    campaign: Name,
    sample_ids: Annotated[list[str], typer.Argument(help="Labels of the samples in the other campaign.")],
    other: Annotated[str, typer.Option("--from", help="The campaign that they belong to, in the same database.")],
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Let samples of another campaign count in this one too, by reference: a correction there is one here."""
    from campaign import Campaign

    opened = Campaign.open(campaign, db=db, by=by)
    done = opened.share(other, *sample_ids)
    if as_json:
        emit({"shared": done is not None} | opened.status())
        return
    say(f"shared with {campaign}: {', '.join(sample_ids)} of {other}" if done else "they are shared already")
    say(f"next: {opened.status()['next']}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(record)
    app.command()(amend)
    app.command()(expire)
    app.command()(replay)
    app.command()(revise)
    app.command()(share)
