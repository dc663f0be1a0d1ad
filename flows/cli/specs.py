"""Commands about specs: init, validate, schema, and the version of the database."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.common import Db, Json, emit, note, say, wrote

if TYPE_CHECKING:
    from campaign.spaces import Estimate


def init(
    template: Annotated[str, typer.Option("--template", "-t", help="plate, table, alloy or coooh.")] = "plate",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; never overwritten.")] = None,
    as_json: Json = False,
) -> None:
    """Write a commented spec to start from."""
    from campaign.templates import write_template

    wrote(write_template(template, output), as_json)


def validate(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="The YAML spec.")],
    count: Annotated[bool, typer.Option("--count", help="Print the exact number of candidates only.")] = False,
    as_json: Json = False,
) -> None:
    """Check a spec, count its space without building it, and say what a round will cost."""
    from campaign.encoding import encoder_notes
    from campaign.filters import Sieve, preview
    from campaign.history import check_histories
    from campaign.labels import check_files
    from campaign.spaces import build_space, read_sources
    from campaign.spaces import estimate as estimate_of
    from campaign.spec import load_spec
    from campaign.spec_words import describe
    from campaign.yaml import dump

    loaded = load_spec(spec)
    files = read_sources(loaded, spec.parent)
    space = build_space(loaded.space, files)
    check_files(loaded, space, files)
    check_histories(None, loaded, space, files)
    cost, notes = estimate_of(space), (*space.notes(), *encoder_notes(space, loaded.encoder))
    if as_json:
        emit(
            {
                "valid": True,
                "count": space.count,
                "strata": space.strata(),
                "notes": notes,
                "estimate": asdict(cost),
                "filters": preview(Sieve(loaded.filters, space, files)),
                "spec": loaded.resolved(),
            }
        )
        return
    if count:
        say(f"{space.count}")
        note(_price(cost))
        return
    say(describe(loaded, space))
    say()
    for stratum, size in space.strata().items():
        say(f"  {stratum}: {size:,} candidates")
    for line in (*notes, *preview(Sieve(loaded.filters, space, files)), _price(cost)):
        say(f"  {line}")
    say()
    say("In full, with defaults:")
    say(dump(loaded.resolved()).rstrip())


def _price(cost: Estimate) -> str:
    once = f"encoding its structures takes about {cost.encoding_seconds / 60:.0f} min, once; "
    each = f"a recommendation takes about {cost.seconds:.0f} s and {cost.memory_mb:.0f} MB"
    return (once if cost.encoding_seconds > 30 else "") + each


def schema() -> None:
    """Print the JSON Schema of a spec, for completion in an editor."""
    from campaign.spec import json_schema

    emit(json_schema())


def db_upgrade(
    db: Db = None,
    backup: Annotated[
        Path | None, typer.Option("--backup", help="Where to write the backup.  [default: beside the database]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring a database of an older siteloop up to this one; a backup is written first."""
    from db.store import Store

    before, after, saved = Store.upgrade(db, backup=backup)
    if as_json:
        emit({"before": before, "after": after, "backup": saved and str(saved)})
        return
    say(f"schema {before} -> {after}" if saved else f"schema {after} is current")
    if saved:
        say(f"as it was before: {saved}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(init)
    app.command()(validate)
    app.command()(schema)
    app.command("db-upgrade")(db_upgrade)
