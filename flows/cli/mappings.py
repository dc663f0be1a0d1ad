"""Commands about saved column mappings: how tables of one origin are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.common import By, Db, Json, Name, emit, note, say, wrote

mapping = typer.Typer(no_args_is_help=True, help="Saved column mappings, for tables that nobody prepared.")


@mapping.command("list")
def list_mappings(campaign: Name, db: Db = None, as_json: Json = False) -> None:
    """List the mappings that are saved in a campaign."""
    from campaign import Campaign

    found = Campaign.open(campaign, db=db).mappings
    if as_json:
        told = [{"name": m.name, "sha256": m.source.sha256, "by": m.by, "at": m.at} for m in found.values()]
        emit({"campaign": campaign, "mappings": told})
        return
    for m in found.values():
        say(f"{m.name:<20} {m.source.sha256[:12]}  {m.at}  {m.by}  {m.spec.description}".rstrip())
    if not found:
        note("no mapping is saved; `siteloop mapping draft` writes a first one")


@mapping.command()
def show(
    campaign: Name,
    name: Annotated[str, typer.Argument(help="Its name, or a YAML file to check.")],
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Show a mapping as it was saved, with its hash."""
    from campaign import Campaign

    found = Campaign.open(campaign, db=db).find_mapping(name)
    if as_json:
        emit({"name": found.name, "sha256": found.source.sha256, "yaml": found.content.decode("utf-8-sig")})
        return
    say(found.content.decode("utf-8-sig").rstrip())
    note(f"sha256 {found.source.sha256}")


@mapping.command()
def save(
    campaign: Name,
    file: Annotated[Path, typer.Argument(help="The mapping, a YAML file.")],
    name: Annotated[str | None, typer.Option("--name", help="Its name.  [default: the file's]")] = None,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Check a mapping and record it in a campaign; an earlier one of the same name stays in the ledger."""
    from dataclasses import replace

    from campaign import Campaign, yaml
    from campaign.files import read_file
    from campaign.mapping import read_mapping

    read = read_mapping(read_file(file, str(file), yaml.MAX_BYTES), file.name)
    named = replace(read, name=name or read.name)
    event = Campaign.open(campaign, db=db, by=by).save_mapping(named)
    if as_json:
        emit({"name": named.name, "sha256": named.source.sha256, "saved": event is not None})
        return
    say(
        f"{named.name} {named.source.sha256[:12]} {'is saved' if event else 'was saved before; there is nothing to do'}"
    )
    say(f"next: siteloop ingest {campaign} TABLE --mapping {named.name}")


@mapping.command()
def draft(
    campaign: Name,
    table: Annotated[Path, typer.Argument(help="The table that is to be read.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; never overwritten.")],
    sheet: Annotated[str | None, typer.Option("--sheet", help="Sheet of a workbook.")] = None,
    fixes: Annotated[list[str] | None, typer.Option("--accept-fix", help="header-row=3, header-rows=2.")] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Write a first mapping for a table: what each column is taken for, and what stands in the others."""
    from campaign import Campaign
    from campaign.mapping_draft import draft as drafted
    from campaign.mapping_draft import write_draft
    from campaign.record import as_table, expectation, read

    expect = expectation(Campaign.open(campaign, db=db).state)
    write_draft(output, drafted(as_table(read(table, sheet=sheet, fixes=fixes or ())), expect, fixes or ()))
    wrote([output], as_json)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(mapping, name="mapping")
