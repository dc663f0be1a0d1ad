"""Commands that keep data safe, and give them away: backup, restore, doctor, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from db.errors import InvalidInput, Problem, UsageError
from flows.cli.common import Db, Json, Name, console, emit, say, table, wrote


def backup(
    target: Annotated[
        Path | None, typer.Argument(metavar="[TARGET]", help="File or folder.  [default: beside the database]")
    ] = None,
    artifacts: Annotated[bool, typer.Option("--artifacts", help="Put in what can be computed again, too.")] = False,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Write the whole database to one file, as it is at one moment, while others go on working."""
    from db.store import Store

    with Store.open(db) as store:
        path, manifest = store.backup(target, artifacts=artifacts)
    if as_json:
        emit({"backup": str(path), "campaigns": manifest.campaigns, "artifacts": len(manifest.artifacts)})
        return
    say(f"wrote {path}")
    for name, head in manifest.campaigns.items():
        say(f"{name}: {head['seq']} events, head {head['hash']}")
    say(f"check: siteloop restore {path} --to sqlite:///elsewhere.db")


def restore(
    file: Annotated[Path, typer.Argument(metavar="BACKUP", help="A file that `siteloop backup` wrote.")],
    to: Annotated[str, typer.Option("--to", help="Database to make: an SQLAlchemy URL. Nothing is ever overwritten.")],
    as_json: Json = False,
) -> None:
    """Make a database of a backup, of either kind, and verify every hash in it."""
    from db.restore import restore as run

    manifest = run(file, to)
    rows = sum(found["rows"] for found in manifest.tables.values())
    if as_json:
        emit({"made_at": manifest.made_at, "campaigns": manifest.campaigns, "rows": rows})
        return
    say(f"restored {rows} rows as of {manifest.made_at}; every chain verified")
    for name, head in manifest.campaigns.items():
        say(f"{name}: {head['seq']} events, head {head['hash']}")


def doctor(db: Db = None, as_json: Json = False) -> None:
    """Ask whether all is well with the database and the machine; each line says what to do next."""
    from dataclasses import asdict

    from db.doctor import examine

    found = examine(db)
    failed = any(answer.state == "fail" for answer in found)
    if as_json:
        emit({"ok": not failed, "answers": [asdict(answer) for answer in found]})
    else:
        rows = table("", "", "what was found", "next")
        for answer in found:
            rows.add_row(answer.state.upper() if answer.state != "ok" else "OK", answer.name, answer.said, answer.next)
        console().print(rows)
    if failed:
        raise typer.Exit(InvalidInput.exit_code)


def export(
    campaign: Name,
    csv: Annotated[Path | None, typer.Option("--csv", help="File for the results, to hand in again.")] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", help="The same as a workbook.")] = None,
    ro_crate: Annotated[
        Path | None, typer.Option("--ro-crate", help="New folder for data, spec, models, ledger and report.")
    ] = None,
    licence: Annotated[str | None, typer.Option("--license", help="Of the crate: an address, or its name.")] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Write results that a spreadsheet opens and `ingest` reads back, or the whole campaign as an RO-Crate."""
    from campaign import Campaign

    tables = {option: path for option, path in (("--csv", csv), ("--xlsx", xlsx)) if path is not None}
    if not tables and ro_crate is None:
        raise UsageError(Problem("export", "nothing says what to write", "add --csv, --xlsx or --ro-crate"))
    if odd := [(option, path) for option, path in tables.items() if path.suffix.lower() != f".{option[2:]}"]:
        raise UsageError([Problem(o, f"{path} ends otherwise", f"end the name with .{o[2:]}") for o, path in odd])
    opened = Campaign.open(campaign, db=db)
    paths = [opened.export(path) for path in tables.values()]
    paths += [opened.crate(ro_crate, licence=licence)] if ro_crate is not None else []
    wrote(paths, as_json)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(backup)
    app.command()(restore)
    app.command()(doctor)
    app.command()(export)
