"""The command that reads polarisation curves into a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.errors import InvalidInput, Problem, UsageError
from flows.cli.common import By, Db, Json, Name, console, emit, note, say, table

if TYPE_CHECKING:
    from campaign.curve_record import Again
    from campaign.curves import CheckedCurve

_Text = str | None


def curve(
    context: typer.Context,
    campaign: Name,
    file: Annotated[
        Path | None, typer.Argument(help="A curve (.mpt, .DTA, text, CSV), or a folder or list: curves.yaml.")
    ] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Record it: all curves or nothing.")] = False,
    sample: Annotated[_Text, typer.Option("--sample", help="Whose curve it is: b1-03.")] = None,
    design: Annotated[_Text, typer.Option("--design", help="What a new sample is: 'Ni0.5 Fe0.5'.")] = None,
    replicate: Annotated[_Text, typer.Option("--replicate", help="Name of a repeated measurement.")] = None,
    correct: Annotated[_Text, typer.Option("--correct", help="Why it replaces the value on record.")] = None,
    reference: Annotated[_Text, typer.Option("--reference", help="'Hg/HgO 1 M NaOH', 'SCE', 'RHE'.")] = None,
    offset_source: Annotated[_Text, typer.Option("--offset-source", help="calibrated or nominal.")] = None,
    offset: Annotated[_Text, typer.Option("--offset", help="'0.924 ± 0.002 V vs RHE', '0.098 V vs SHE'.")] = None,
    ph: Annotated[_Text, typer.Option("--ph", help="'13.9 ± 0.05'.")] = None,
    temperature: Annotated[_Text, typer.Option("--temperature", help="In °C.  [default: 25]")] = None,
    compensation: Annotated[
        float | None, typer.Option("--compensation", help="Share of Rs to be free of: 0, 0.85, 1.")
    ] = None,
    by_instrument: Annotated[
        float | None, typer.Option("--by-instrument", help="Share the file is free of already.  [default: 0]")
    ] = None,
    rs: Annotated[_Text, typer.Option("--rs", help="'5.1 ± 0.2', in ohm.")] = None,
    area: Annotated[_Text, typer.Option("--area", help="'0.196 cm^2'; '0.05 mg' with --basis mass.")] = None,
    basis: Annotated[_Text, typer.Option("--basis", help="geometric, ECSA or mass.")] = None,
    reaction: Annotated[_Text, typer.Option("--reaction", help="OER or HER.  [default: OER]")] = None,
    equilibrium: Annotated[_Text, typer.Option("--equilibrium", help="V vs RHE.  [default: 1.229 or 0]")] = None,
    sweep: Annotated[_Text, typer.Option("--sweep", help="forward or reverse.  [default: forward]")] = None,
    anodic: Annotated[_Text, typer.Option("--anodic", help="Sign of oxidation: positive or negative.")] = None,
    cycle: Annotated[int | None, typer.Option("--cycle", help="Its number.  [default: the last]")] = None,
    columns: Annotated[_Text, typer.Option("--columns", help="Headings in order: 'E/V, I/mA'.")] = None,
    potential: Annotated[_Text, typer.Option("--potential", help="Heading of the potential.")] = None,
    current: Annotated[_Text, typer.Option("--current", help="Heading of the current.")] = None,
    window: Annotated[_Text, typer.Option("--window", help="Of the slope: '1 mA/cm^2, 20 mA/cm^2'.")] = None,
    at: Annotated[list[str] | None, typer.Option("--at", help="METRIC='10 mA/cm^2'; repeat.")] = None,
    not_reached: Annotated[_Text, typer.Option("--not-reached", help="refuse, censor or skip.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a PNG of each curve into this folder.")] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Compute every recorded value again from what is stored.")
    ] = False,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Read polarisation curves: overpotentials and Tafel slopes, with every doubt; with --commit, record them."""
    from campaign import Campaign
    from campaign.curve_list import handed_in

    stated = {key: value for key, value in context.params.items() if key not in _OTHER}
    opened = Campaign.open(campaign, db=db, by=by)
    if recompute:
        _say_again(opened.recompute_curves(), as_json)
        return
    if file is None:
        raise UsageError(Problem("siteloop curve", "no file is named", "name a curve, a folder, or use --recompute"))
    handed = handed_in(file, stated | {"columns": _list(columns), "window": _list(window), "at": _pairs(at)})
    checked = opened.check_curves(handed)
    pictures = _pictures(checked, plot)
    ok = not any(c.problems for c in checked)
    fresh = ok and any(not c.before for c in checked)
    if commit and fresh:
        opened.record_curves(handed)
    if as_json:
        emit({"ok": ok, "committed": commit and fresh, "wrote": pictures, "curves": [_as_json(c) for c in checked]})
    else:
        _show(checked)
        for path in pictures:
            say(f"wrote {path}")
    if not ok:
        note("nothing was recorded: put right what is listed")
        raise typer.Exit(InvalidInput.exit_code)
    if not fresh:
        note("on record already, read in this very way: there is nothing to do")
    elif not commit:
        note("nothing was recorded: this was a dry run, `--commit` records it")
    elif not as_json:
        say(f"next: {opened.status()['next']}")


_OTHER = {"campaign", "file", "commit", "columns", "window", "at", "plot", "recompute", "db", "by", "as_json"}
"""What is not handed on as it was typed."""


def _list(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _pairs(given: list[str] | None) -> dict[str, str]:
    if bad := [pair for pair in given or () if "=" not in pair]:
        fix = 'write --at "overpotential=10 mA/cm^2"'
        raise UsageError([Problem("--at", f"{pair!r} is no METRIC=DENSITY", fix) for pair in bad])
    return {name.strip(): value.strip() for name, _, value in (pair.partition("=") for pair in given or ())}


def _pictures(checked: list[CheckedCurve], folder: Path | None) -> list[str]:
    if folder is None:
        return []
    from campaign.curve_picture import curve_png

    wrote = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in checked:
            if one.read is not None:
                path = folder / f"{one.entry.file}.png".replace("/", "_").replace("\\", "_")
                path.write_bytes(curve_png(one.read, one.flags, title=f"{one.entry.sample}: {one.entry.file}"))
                wrote.append(str(path))
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise InvalidInput(Problem(str(folder), what, "choose a folder that may be written to")) from None
    return wrote


def _as_json(one: CheckedCurve) -> dict[str, Any]:
    from dataclasses import asdict

    from campaign.curves import summary

    return {
        "file": one.entry.file,
        "sample": one.entry.sample,
        "recorded_before": one.before,
        "values": [
            {
                "metric": d.target.metric,
                "value": d.value,
                "unit": d.target.unit,
                "reading_sd": d.sd,
                "qualifier": d.qualifier,
                "where": d.where,
            }
            for d in one.values
        ],
        "read": summary(one.read) if one.read else None,
        "flags": [{"code": f.code, "blocks": f.blocks, **asdict(f.problem)} for f in one.flags],
        "problems": [asdict(p) for p in one.problems],
    }


def _show(checked: list[CheckedCurve]) -> None:
    from lab_io.curve_checks import shown_density

    rows = table("sample_id", "file", "metric", "value>", "read", "verdict")
    for one in checked:
        verdict = "refused" if one.problems else "on record" if one.before else "accepted"
        for d in one.values:
            spread = f" ± {d.sd:.2g}" if d.sd is not None else ""
            value = f"{'' if d.qualifier == '=' else d.qualifier + ' '}{d.value:.5g}{spread} {d.target.unit}"
            rows.add_row(one.entry.sample, one.entry.file, d.target.metric, value, d.where, verdict)
        if not one.values:
            rows.add_row(one.entry.sample, one.entry.file, "", "", "", verdict)
    console().print(rows)
    for one in checked:
        if one.read and (slope := one.read.slope) and all(d.target.j is not None for d in one.values):
            low, high = (i / one.read.norm for i in (slope.low, slope.high))
            window = f"{shown_density(low, one.read.setup)} to {shown_density(high, one.read.setup)}"
            fitted = f"{slope.value * 1e3:.1f} ± {slope.sd * 1e3:.1f} mV/dec, r2 {slope.r2:.4f}, {window}"
            say(f"{one.entry.sample}: Tafel slope {fitted}")
        for problem in one.problems:
            say(f"refused: {problem}")
        for flag in one.flags:
            if flag.problem not in one.problems:
                note(f"doubt ({flag.code}): {flag.problem}")


def _say_again(found: list[Again], as_json: bool) -> None:
    differ = [a for a in found if not a.same]
    if as_json:
        emit({"values": len(found), "differ": [vars(a) for a in differ]})
    else:
        for a in differ:
            again = "cannot be read any more" if a.again is None else f"is {a.again:.6g} {a.unit} now"
            say(f"{a.sample}: {a.metric} is {a.stored:.6g} {a.unit} on record, and {again}")
        say(f"{len(found)} values computed again from what is stored; {len(found) - len(differ)} are the same")
    if differ:
        raise typer.Exit(InvalidInput.exit_code)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(curve)
