"""The command that replays a campaign on a finished experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.errors import InvalidInput, Problem
from flows.cli.common import Json, console, emit, note, progress, say, table

if TYPE_CHECKING:
    from campaign.backtest import Replay


def simulate(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="The YAML spec.")],
    measured: Annotated[Path, typer.Option("--table", help="The finished experiment, as CSV.")],
    columns: Annotated[
        str | None, typer.Option("--columns", help="Its columns, if it has no header: Ni,Fe,eta.")
    ] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Unit of its values, if it does not say.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many campaigns to replay.")] = 5,
    initial: Annotated[int, typer.Option("--initial", min=1, help="Random experiments to begin with.")] = 10,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Size of each batch.")] = 5,
    budget: Annotated[int, typer.Option("--budget", min=2, help="Experiments in all.")] = 100,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HTML file for the plot.")] = None,
    as_json: Json = False,
) -> None:
    """Replay a campaign on a fully measured table, through the code that runs a real one."""
    from campaign.backtest import Protocol, replay, summarise
    from campaign.files import read_file
    from campaign.plate import load_plate
    from campaign.spaces import MAX_SOURCE_BYTES, build_space, read_sources
    from campaign.spec import load_spec
    from lab_io.words import count

    loaded = load_spec(spec)
    space = build_space(loaded.space, read_sources(loaded.space, spec.parent))
    names = columns.split(",") if columns else ()
    content = read_file(measured, measured.name, MAX_SOURCE_BYTES)
    plate = load_plate(
        space,
        loaded.objectives,
        content,
        measured.name,
        columns=names,
        unit=unit,
    )
    note(
        f"{len(plate):,} candidates have a value, {plate.unmeasured:,} of the space have none"
        + (f", {count(plate.outside, 'row')} lie outside the space" if plate.outside else "")
    )
    protocol = Protocol(initial, batch, budget)
    protocol.check(loaded, plate)
    if output is not None and not output.parent.is_dir():
        raise InvalidInput(Problem(str(output), "the folder does not exist", "make it first, or choose another"))
    replays = []
    with progress("experiments", total=seeds * budget) as step:
        for seed in range(seeds):
            done = replay(
                loaded,
                spec.parent,
                plate,
                seed=seed,
                protocol=protocol,
                progress=partial(_step, step, seed * budget),
            )
            replays.append(done)
    found = summarise(plate, replays, protocol, loaded.intervals.levels[0])
    if output is not None:
        from campaign.files import write_file
        from campaign.replay_page import replay_page

        write_file(output, replay_page(replays, plate, protocol).encode(), "the replays")
        note(f"wrote {output}")
    if as_json:
        emit({**found, "protocol": asdict(protocol), "replays": [asdict(r) for r in replays]})
        return
    _show(found, replays)


def _step(step: Callable[[int], None], before: int, done: int) -> None:
    step(before + done)


def _show(found: dict[str, Any], replays: list[Replay]) -> None:
    from campaign.backtest import RANDOM_SEEDS
    from campaign.plate_volume import ENOUGH
    from campaign.words import quantity

    rows = table("", "siteloop>", "random>")
    volume = found.get("volume")
    words = (
        {
            "first": f"experiments to {100 * ENOUGH:g} % of the hypervolume",
            "found": "share of the hypervolume found in the end",
            "regret": "mean share not found after the initial ones",
        }
        if volume
        else {
            "first": "experiments to the first of the best 1 %",
            "found": "fraction of the best 1 % found",
            "regret": "mean regret after the initial ones",
        }
    )
    for name, text in words.items():
        rows.add_row(text, *(_figure(found[who][name]) for who in ("siteloop", "random")))
    curves: dict[str, list[float]] = volume["share"] if volume else {}
    for after in _moments(len(curves["random"])) if curves else ():
        shares = [f"{curves[who][after - 1]:.3g}" for who in ("siteloop", "random")]
        rows.add_row(f"share found after {after} experiments", *shares)
    console().print(rows)
    never, runs = found["never_found"]["random"], RANDOM_SEEDS
    bound = f", at least: {never} of {runs} random campaigns never came there" if never else ""
    say(f"acceleration against random: {found['acceleration']:.1f}x{bound}")
    if volume:
        counted = ", ".join(f"{name} {quantity(value, digits=4)}" for name, value in volume["reference"].items())
        say(f"hypervolume of the table: {quantity(volume['whole'], digits=4)}, counted from {counted}")
    for name, c in found["coverage"].items() if volume else [("", found["coverage"])]:
        if not c["n"]:
            continue
        held = f"{100 * c['realised']:.0f} % covered (n={c['n']}, {c['below']} below, {c['above']} above"
        told = f"{100 * c['level']:g} % intervals on the next round: {held}, {c['withheld']} withheld)"
        say(f"{name}{': ' if name else ''}{told}, Winkler score {c['winkler']:.3g}")
    used = [recipe for r in replays for recipe in r.recipes]
    say("recipes: " + ", ".join(f"{name} in {used.count(name)} of {len(used)} rounds" for name in sorted(set(used))))


def _moments(budget: int) -> list[int]:
    """Experiments after which a curve is told: each quarter of the budget."""
    return sorted({max(budget * part // 4, 1) for part in (1, 2, 3)})


def _figure(value: dict[str, float | None]) -> str:
    return f"{value['mean']:.3g}" + (f" ± {value['se']:.2g}" if value["se"] is not None else "")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(simulate)
