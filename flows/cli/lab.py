"""Commands at the door to the lab: ingest, fail, void."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.errors import InvalidInput, Problem, UsageError
from flows.cli.common import By, Db, Json, Name, UseFlow, console, emit, note, say, table, wrote

if TYPE_CHECKING:
    from campaign import Campaign
    from lab_io.schema import Check, Result

Pairs = list[str]
MANY = 60
"""A table with more rows is shown without those that are skipped, which are counted by reason."""


def ingest(
    campaign: Name,
    file: Annotated[Path, typer.Argument(help="Table of results: CSV or a spreadsheet.")],
    commit: Annotated[bool, typer.Option("--commit", help="Record it: all rows or nothing.")] = False,
    column: Annotated[Pairs | None, typer.Option("--map", help="HEADER=NAME: what a column is; repeat.")] = None,
    unit: Annotated[Pairs | None, typer.Option("--unit", help="HEADER=UNIT: where the file does not say.")] = None,
    sheet: Annotated[str | None, typer.Option("--sheet", help="Sheet of a workbook.")] = None,
    mapping: Annotated[str | None, typer.Option("--mapping", help="A saved mapping, or a YAML file.")] = None,
    fix: Annotated[
        Pairs | None, typer.Option("--accept-fix", help="Consent to what a question offers; repeat.")
    ] = None,
    flow: UseFlow = False,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Check a table of results row by row; with --commit, record it. Nothing is repaired silently."""
    from campaign import Campaign
    from campaign.record import read
    from campaign.words import listed

    opened = Campaign.open(campaign, db=db, by=by)
    reading = read(
        file,
        mapping=pairs("--map", column),
        units=pairs("--unit", unit),
        sheet=sheet,
        fixes=fix or (),
        saved=opened.find_mapping(mapping) if mapping else None,
    )
    before = opened.recorded(reading)
    checked = opened.check(reading)
    if commit and checked.ok and not before:
        if flow:
            from flows.record import record_flow

            record_flow(campaign, reading, db=db, by=by)
        else:
            opened.ingest(reading, commit=True)
    if as_json:
        done = commit and checked.ok and bool(checked.results) and not before
        emit(check_json(checked) | {"committed": done, "recorded_before": before})
    elif before:
        say("these very bytes were recorded before; there is nothing to do")
    else:
        show_check(checked)
    if not checked.ok and not before:
        note("nothing was recorded: put right what is listed, or answer by --map, --unit and --accept-fix")
        raise typer.Exit(InvalidInput.exit_code)
    if checked.blank and not before:
        wanted = listed([metric.name for metric in opened.state.metrics], "or")
        note(f"nothing was measured, so nothing is recorded: fill in {wanted}, or write failed as status")
        raise typer.Exit(InvalidInput.exit_code)
    if not commit:
        note("nothing was recorded: this was a dry run, `--commit` records it")
    elif not as_json:
        say(f"next: {opened.status()['next']}")


def pairs(option: str, given: Pairs | None, *, typed: bool = False) -> dict[str, str]:
    """`NAME=VALUE` pairs of an option or argument as a mapping.

    Args:
        option: what they are given to, for messages.
        given: the pairs.
        typed: whether the value may hold a `=` of its own, rather than the name, which is a header of a file.

    Raises:
        UsageError: a pair has no `=`, or a name is given twice.
    """
    bad = [pair for pair in given or () if "=" not in pair]
    if bad:
        raise UsageError(
            [Problem(option, f"{pair!r} is no HEADER=VALUE", f'write {option} "eta=overpotential"') for pair in bad]
        )
    found = [(pair.partition("=") if typed else pair.rpartition("="))[::2] for pair in given or ()]
    if twice := [name for name, n in Counter(name for name, _ in found).items() if n > 1]:
        raise UsageError([Problem(option, f"{name!r} is given more than once", "give it once") for name in twice])
    return dict(found)


def check_json(checked: Check) -> dict[str, Any]:
    """A checked table as plain values."""
    from dataclasses import asdict

    return {
        "ok": checked.ok,
        "summary": checked.summary(),
        "problems": [asdict(p) for p in checked.problems],
        "notices": [asdict(p) for p in checked.notices],
        "still_pending": list(checked.still_pending),
        "rows": [
            {
                "row": row.number,
                "status": str(row.status),
                "problems": [asdict(p) for p in row.problems],
                "notes": list(row.notes),
                "result": asdict(row.result) if row.result else None,
            }
            for row in checked.rows
        ],
    }


def show_check(checked: Check) -> None:
    """Print what became of every row of a checked table, and all problems."""
    rows = table("row>", "verdict", "sample_id", "recorded as; or what, where, and what to do")
    many = len(checked.rows) > MANY
    for row in checked.rows:
        if many and row.status == "skipped":
            continue
        brings = [_brings(row.result)] if row.result else []
        said = "\n".join([*map(str, row.problems), *brings, *row.notes])
        rows.add_row(str(row.number), str(row.status), (row.result.label or "") if row.result else "", said)
    console().print(rows)
    reasons = Counter(n for row in checked.rows if many and row.status == "skipped" for n in row.notes)
    for reason, n in reasons.most_common():
        say(f"skipped {n:>5} x {reason}")
    for finding in checked.table:
        say(f"{finding.status}: {finding.problem}")
    for notice in checked.notices:
        note(f"note: {notice}")
    if checked.still_pending:
        note(f"still pending: {', '.join(checked.still_pending)}")
    say(", ".join(f"{n} {status}" for status, n in checked.summary().items() if n) or "no rows")


def _brings(result: Result) -> str:
    """What a row will record, in the units of the spec."""
    said = []
    for name, v in result.values.items():
        text = v.text if not v.unit or v.text.endswith(v.unit) else f"{v.text} {v.unit}"
        given = f" (given as {text})" if v.unit and v.converted else ""
        spread = f" ± {v.sd:.4g}" if v.sd is not None else ""
        said.append(f"{name} {v.told}{spread}{given}")
    if result.composition:
        said.append("measured " + " ".join(f"{name}{x:.4g}" for name, x in result.composition.items()))
    if result.weighed is not None:
        made = " ".join(f"{name}{x:.4g}" for name, x in result.weighed.composition.items())
        said.append(f"weighed {made}, from {len(result.weighed.masses)} amounts")
    if result.status in ("failed", "void"):
        said.append(f"{result.status}{': ' + result.failure_mode if result.failure_mode else ''}")
    return ", ".join(said) or "nothing yet"


def worksheet(
    campaign: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: .csv, .xlsx or .json.")],
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Its number.  [default: the latest]")] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Write the worksheet of a batch, to fill in and hand back to ingest."""
    from campaign import Campaign

    wrote([Campaign.open(campaign, db=db).worksheet(output, number=batch)], as_json)


def fail(
    campaign: Name,
    sample_id: Annotated[str, typer.Argument(help="The sample that failed.")],
    mode: Annotated[str, typer.Option("--mode", help="What went wrong: 'no precipitate'.")],
    reason: Annotated[str | None, typer.Option("--reason", help="A remark to keep.")] = None,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """State that a sample failed: no longer pending, not proposed again."""
    from campaign import Campaign

    opened = Campaign.open(campaign, db=db, by=by)
    aside = _aside(opened, sample_id)
    opened.fail(sample_id, mode=mode, reason=reason)
    _stated(opened.status(), f"{sample_id} failed: {mode}{aside}", as_json)


def _aside(opened: Campaign, sample_id: str) -> str:
    """What a sample's values were that no longer count, in words; nothing where it has none."""
    from campaign.words import listed

    state = opened.state
    metrics = [*(o.name for o in state.objectives), *(c.name for c in state.constraints)]
    held = [name for name in metrics if any(o.sample.label == sample_id for o in state.observations(name))]
    return f"; its {listed(held)} no longer counts" if held else ""


def void(
    campaign: Name,
    sample_id: Annotated[str, typer.Argument(help="What does not count: a sample, or b1-03/overpotential.")],
    reason: Annotated[str, typer.Option("--reason", help="Why: 'spilt', 'mislabelled'.")],
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """State that a sample does not count: its values are set aside, its design is free again; or one measurement."""
    from campaign import Campaign
    from campaign.corrections import told

    opened = Campaign.open(campaign, db=db, by=by)
    if ("/" in sample_id or sample_id.startswith("m-")) and not opened.knows(sample_id):
        voided = opened.void_measurement(sample_id, reason=reason)
        was = told(voided, boolean=voided.metric in opened.state.questions)
        _stated(opened.status(), f"{sample_id} ({was}) is void: {reason}", as_json)
        return
    aside = _aside(opened, sample_id)
    opened.void(sample_id, reason=reason)
    _stated(opened.status(), f"{sample_id} is void: {reason}{aside}", as_json)


def veto(
    campaign: Name,
    design: Annotated[list[str], typer.Argument(help="Labels (b1-03) or designs ('Ni0.5 Fe0.5').")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why: 'precursor is out of stock'.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Lift the veto.")] = False,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """State that designs are not to be proposed until the veto is lifted."""
    from campaign import Campaign

    opened = Campaign.open(campaign, db=db, by=by)
    if lift:
        opened.lift(*design)
    else:
        opened.veto(*design, reason=reason or "")
    done = "may be proposed again" if lift else f"will not be proposed: {reason}"
    _stated(opened.status(), f"{', '.join(design)} {done}", as_json)


def _stated(status: dict[str, object], line: str, as_json: bool) -> None:
    if as_json:
        emit(status)
        return
    say(line)
    say(f"next: {status['next']}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(ingest)
    app.command()(worksheet)
    app.command()(fail)
    app.command()(void)
    app.command()(veto)
