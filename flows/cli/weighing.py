"""The command that says what to weigh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.common import Db, Json, Name, console, emit, note, say, table

if TYPE_CHECKING:
    from lab_io.precursors import Plan


def weigh(
    campaign: Name,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Sheet to print and fill in: .xlsx, .csv or .html.")
    ] = None,
    worklist: Annotated[Path | None, typer.Option("--worklist", help="Worklist of a robot: .csv.")] = None,
    plate: Annotated[int, typer.Option("--plate", help="Wells of its plate: 6, 24, 48, 96 or 384.")] = 96,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Its number.  [default: the latest]")] = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", help="Another inventory, such as that of today.")
    ] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Say what to weigh for a batch, from the inventory of the spec; ingest takes the filled sheet back."""
    from campaign import Campaign
    from campaign.files import write_file
    from campaign.weighing import check_complete, plan_of, weighing_json, write_weighing
    from lab_io.weighing_sheets import worklist as transfers

    opened = Campaign.open(campaign, db=db)
    items = opened.batch(batch)
    state = opened.state
    made = plan_of(state, items.items, inventory)
    wrote = [write_weighing(state, items, made, output)] if output else []
    wrote += [write_file(worklist, transfers(made, plate), "the worklist")] if worklist else []
    if as_json:
        emit(weighing_json(made) | {"batch": items.batch.number, "wrote": [str(path) for path in wrote]})
        return
    _show(made)
    for path in wrote:
        say(f"wrote {path}")
    check_complete(made)


def _show(made: Plan) -> None:
    from lab_io.weighing_sheets import weighing_table

    full = weighing_table(made)
    rows = table(
        "sample_id", "precursor", "lot", "target>", "fraction>", "as rounded>", "hazards", "remarks", whole=True
    )
    at = {name: full.header.index(name) for name in full.header}
    last: object = None
    for row in full.rows:
        mass, volume = (
            row[at["target mass (mg)"]],
            row[at["target volume (µL)"]] if "target volume (µL)" in at else None,
        )
        target = f"{volume:g} µL" if volume is not None else f"{mass:.6g} mg" if mass is not None else ""
        shares = [
            f"{x:.4f}" if x is not None else "" for x in (row[at["target fraction"]], row[at["fraction as rounded"]])
        ]
        texts = [str(row[at[name]] or "") for name in ("precursor", "lot")]
        sample = "" if row[0] == last else str(row[0])
        rows.add_row(sample, *texts, target, *shares, *(str(row[at[name]] or "") for name in ("hazards", "remarks")))
        last = row[0]
    console().print(rows)
    for line in full.notes:
        note(f"note: {line}")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(weigh)
