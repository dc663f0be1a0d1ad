"""Commands that ask a campaign what it makes of itself, of a design and of its space: diagnose, whatif, screen.

They record nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.common import Db, Json, Name, console, emit, say, stages, table

WORST = 5
"""Samples shown with the largest out-of-fold errors."""
DETAILS = 3
"""Designs up to which every reason is shown, not only the table."""


def diagnose(campaign: Name, db: Db = None, as_json: Json = False) -> None:
    """Check a campaign's health, and how its surrogates predict samples they have not seen."""
    from campaign import Campaign
    from campaign.spaces import estimate

    opened = Campaign.open(campaign, db=db)
    with stages(estimate(opened.state.space).seconds) as stage:
        found = opened.diagnose(stage=stage)
    if as_json:
        emit(found)
        return
    _show_health(found["health"])
    for name, noise in found["noise"].items():
        _show_noise(name, noise)
    for name, model in found["models"].items():
        _show_model(name, model)
    if not found["models"]:
        say("no surrogate yet: too little is measured to learn from")


def _show_health(findings: Sequence[Mapping[str, Any]]) -> None:
    from lab_io.words import count

    rows = table("", "check", "what was seen, and the next thing to do")
    for f in findings:
        rows.add_row(f["level"], f["name"], f["seen"] + (f"\nnext: {f['next']}" if f["next"] else ""))
    console().print(rows)
    wrong = sum(f["level"] == "warn" for f in findings)
    many = f"{count(wrong, 'warning')} in {count(len(findings), 'check')}"
    say(many if findings else "nothing to check yet; checks appear as results come in")


NOISES = {
    "reading": "within a sample, or between samples of one design",
    "making": "of making a sample again",
    "batch": "between batches",
    "operator": "between operators",
}
"""Components of noise in words."""


def _show_noise(name: str, noise: Mapping[str, Any]) -> None:
    from campaign.words import plus_minus, quantity, signed

    unit = noise["unit"] or None
    rows = table(f"noise of {name}", "sd>", "degrees of freedom>")
    for c in noise["components"]:
        rows.add_row(NOISES[c["name"]], plus_minus(c["sd"], c["error"], unit), str(c["freedom"]))
    for e in noise["effects"]:
        rows.add_row(f"{e['factor']} {e['level']} lies", signed(e["shift"], e["sd"], unit), "")
    if noise["floor"]:
        rows.add_row("noise floor, as stated", quantity(noise["floor"], unit), "")
    console().print(rows)
    for what, why in noise["unidentified"].items():
        say(f"  {NOISES[what]}: not known, {why}" if what != "reading" else f"  {why}")


def _show_model(name: str, model: Mapping[str, Any]) -> None:
    from campaign.words import quantity

    unit, fold, calibration = model["unit"] or None, model["out_of_fold"], model["calibration"]
    say()
    say(f"surrogate of {name}: {model['recipe']}, {model['measured']} samples")
    say(f"  {model['reason']}")
    if len(model["losses"]) > 1:
        say(f"  out-of-fold losses: {', '.join(f'{tag} {each:.4f}' for tag, each in model['losses'].items())}")
    if not fold["n"]:
        return
    rank = "" if fold["rank_correlation"] is None else f", rank correlation {fold['rank_correlation']:.2f}"
    told = "" if fold["r2"] is None else f"R2 {fold['r2']:.2f}, "
    errors = f"error {quantity(fold['rmse'], unit, digits=2)} (rms), {quantity(fold['mae'], unit, digits=2)} (mean)"
    say(f"  unseen samples: {told}{errors}{rank}, n={fold['n']}")
    held = [f"{100 * c['level']:g} % held {100 * c['realised']:.0f} % (n={c['n']})" for c in model["forward"] if c["n"]]
    say(f"  intervals on next measurements: {', '.join(held) or 'none measured yet'}")
    levels = [f"{100 * level:.3g} %>" for level in calibration["nominal"]]
    rows = table("quantile, before calibration", *levels, "mean miss>")
    shares = [f"{100 * share:.0f} %" for share in calibration["observed"]]
    rows.add_row("unseen samples below it", *shares, f"{100 * calibration['error']:.0f} %")
    console().print(rows)
    if model["importance"]:
        rows = table("moved", "by>", f"prediction changes by{f' ({unit})' if unit else ''}>", "upwards it")
        for each in model["importance"]:
            clear = abs(each["direction"]) > each["change"] / 2
            way = ("rises" if each["direction"] > 0 else "falls") if clear else "rises and falls"
            by = quantity(each["step"], each["unit"])
            rows.add_row(each["name"], by, f"{each['change']:.3g}", way if each["change"] else "")
        console().print(rows)
    rows = table("worst predicted", "measured>", "predicted unseen>", "interval")
    for each in model["scatter"][:WORST]:
        ends = "none yet" if each["interval"] is None else " to ".join(quantity(end) for end in each["interval"])
        missed = "" if each["inside"] is not False else ", missed"
        rows.add_row(
            each["sample"], quantity(each["measured"], digits=4), quantity(each["predicted"], digits=4), ends + missed
        )
    console().print(rows)


def whatif(
    campaign: Name,
    designs: Annotated[
        list[str],
        typer.Argument(
            metavar="DESIGN...",
            help="Ni0.3Fe0.7 or Ni=0.3 Fe=0.7, further columns as T=300; on slabs decoration='Ti@M1 Zn@M2';"
            " several: 'Ni0.3 Fe0.7' 'Ni0.5 Fe0.5'; or a label (b1-03), or a .csv, .xlsx or .json file.",
        ),
    ],
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Say what is believed of a design, in the space or not, beside the best measured. Nothing is recorded."""
    from campaign import Campaign
    from campaign.spaces import estimate
    from campaign.typed import read_designs

    opened = Campaign.open(campaign, db=db)
    space = opened.state.space
    typed = read_designs(designs, space)
    with stages(estimate(space).seconds) as stage:
        found = opened.whatif(typed, stage=stage)
    if as_json:
        emit(found)
        return
    if len(found["designs"]) > 1:
        _compare(found["designs"])
    for one in found["designs"] if len(found["designs"]) <= DETAILS else ():
        say(f"{one['formula']}  ({one['stratum']})")
        for line in (*one["notes"], *one["text"]):
            say(f"- {line}")
    say("nothing was recorded")


def _compare(designs: Sequence[Mapping[str, Any]]) -> None:
    from campaign.sentences import interval_text, percent
    from campaign.words import quantity
    from flows.cli.predictions import front_cells, front_heads

    first: Mapping[str, Any] = designs[0]["predictions"]
    several = len(first) > 1
    columns = [f"{n} ({u})>" if (u := e["unit"]) else f"{n}>" for n, e in first.items()]
    heads = front_heads(first) if several else [*columns, "interval", "P(better)>"]
    feasible = bool(designs[0]["feasibility"])
    rows = table(">", "design", *heads, *(["P(feasible)>"] if feasible else []), "where", "known", whole=several)
    for one in designs:
        cells = front_cells(one["predictions"], one["front"], len(first)) if several else []
        for expected in () if several else one["predictions"].values():
            interval = next(iter(expected["intervals"].values()))
            cells += [quantity(expected["median"], digits=4), interval_text(interval, None)]
            cells.append(percent(expected["probability_of_beating"]))
        if feasible:
            cells.append(percent(one["feasibility"]["all"]))
        where = (one["domain"] or {}).get("where", "")
        place = where if one["in_space"] else f"{where}, not a candidate".lstrip(", ")
        rows.add_row(str(one["rank"]), one["formula"], *cells, place, "; ".join(one["known"]))
    console().print(rows)


def screen(
    campaign: Name,
    top: Annotated[int, typer.Option("--top", min=1, max=10_000, help="How many of the best to show.")] = 20,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the prediction of every open candidate: .csv.")
    ] = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Predict the whole space and rank it by what is predicted. Nothing is pending afterwards.

    Interrupted, it goes on where it was when it is asked for again.
    """
    from campaign import Campaign
    from campaign.formulas import formula
    from campaign.sentences import interval_text, percent
    from campaign.spaces import estimate
    from campaign.words import quantity
    from flows.cli.predictions import short

    opened = Campaign.open(campaign, db=db)
    space = opened.state.space
    with stages(estimate(space).seconds) as stage:
        found = opened.screen(top, table=output, stage=stage)
    if as_json:
        emit({"campaign": campaign, "ranked": found, "wrote": None if output is None else str(output)})
        return
    columns = []
    for name, expected in found[0]["predictions"].items() if found else ():
        columns.append(f"{name} ({expected['unit']})>" if expected["unit"] else f"{name}>")
        columns += [f"{100 * float(level):g} %>" for level in expected["intervals"]]
    chances = [key for key in ("feasibility", "success") if found and key in found[0]]
    rows = table(">", "design", *columns, *({"feasibility": "P(feasible)>", "success": "P(made)>"}[c] for c in chances))
    for rank, one in enumerate(found, 1):
        cells = []
        for expected in one["predictions"].values():
            cells.append(quantity(expected["median"], digits=4))
            cells += [short(interval_text(interval, None)) for interval in expected["intervals"].values()]
        likely = {"feasibility": lambda told: told["all"], "success": lambda told: told["probability"]}
        cells += [percent(likely[key](one[key])) for key in chances]
        rows.add_row(str(rank), formula(one["design"], space), *cells)
    console().print(rows)
    if output is not None:
        say(f"wrote {output}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(diagnose)
    app.command()(screen)
    app.command()(whatif)
