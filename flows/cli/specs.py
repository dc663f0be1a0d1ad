"""Commands about specs: init, validate, schema, and the version of the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.common import Db, Json, emit, note, say, wrote


def init(
    template: Annotated[str, typer.Option("--template", "-t", help="plate, table or alloy.")] = "plate",
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
    from campaign.spaces import build_space, read_sources
    from campaign.spaces import estimate as estimate_of
    from campaign.spec import check_space, describe, load_spec
    from campaign.yaml import dump

    loaded = load_spec(spec)
    space = build_space(loaded.space, read_sources(loaded.space, spec.parent))
    check_space(loaded, space)
    cost = estimate_of(space)
    if as_json:
        emit(
            {
                "valid": True,
                "count": space.count,
                "strata": space.strata(),
                "estimate": {"seconds": cost.seconds, "memory_mb": cost.memory_mb},
                "spec": loaded.resolved(),
            }
        )
        return
    if count:
        say(f"{space.count}")
        note(f"about {cost.seconds:.0f} s and {cost.memory_mb:.0f} MB for a recommendation")
        return
    say(describe(loaded, space))
    say()
    for stratum, size in space.strata().items():
        say(f"  {stratum}: {size:,} candidates")
    say(f"  a recommendation takes about {cost.seconds:.0f} s and {cost.memory_mb:.0f} MB")
    say()
    say("In full, with defaults:")
    say(dump(loaded.resolved()).rstrip())


def schema() -> None:
    """Print the JSON Schema of a spec, for completion in an editor."""
    from campaign.spec import json_schema

    emit(json_schema())


def db_upgrade(db: Db = None, as_json: Json = False) -> None:
    """Bring a database of an older siteloop up to this one."""
    from db.store import Store

    before, after = Store.upgrade(db)
    if as_json:
        emit({"before": before, "after": after})
        return
    say(f"schema {before} -> {after}" if before != after else f"schema {after} is current")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(init)
    app.command()(validate)
    app.command()(schema)
    app.command("db-upgrade")(db_upgrade)
