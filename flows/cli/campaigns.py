"""Commands about campaigns: start, status, list, recommend, explain, report, log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from db.errors import Problem, UsageError
from flows.cli.common import AsOf, By, Db, Json, Name, UseFlow, console, emit, note, say, stages, table, wrote

if TYPE_CHECKING:
    from campaign.cards import RecommendedBatch


def start(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="The YAML spec.")],
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Start a campaign from a spec."""
    from campaign import Campaign

    campaign = Campaign.start(spec, db=db, by=by)
    if as_json:
        emit(campaign.status())
        return
    say(f"started {campaign.name}")
    say(f"next: {campaign.status()['next']}")


def status(campaign: Name, as_of: AsOf = None, db: Db = None, as_json: Json = False) -> None:
    """Say in one line where a campaign stands, what it waits for, and what to do next."""
    from campaign import Campaign
    from campaign.status import state_line
    from campaign.waiting import ages

    found = Campaign.open(campaign, db=db, as_of=as_of).status()
    if as_json:
        emit(found)
        return
    say(f"{campaign}: {state_line(found)}")
    for veto in found["vetoes"]:
        say(f"vetoed: {veto['formula']} ({veto['reason']})")
    for name, objective in found["objectives"].items():
        if objective["beyond"]:
            those = ", ".join(objective["beyond"])
            say(f"{name} known as a limit only, as good as the best or better, and not counted: {those}")
    for line in (*found["shifts"], *ages(found["waiting"])):
        say(line)
    if found["proposing"]:
        say(f"now: {found['proposing']}")
    say(f"next: {found['next']}" if as_of is None else f"next, as of event {found['head']['seq']}: {found['next']}")
    say(f"stop: {found['stopping']['advice']}")
    for rule in found["stopping"]["rules"]:
        say(f"  {rule['rule']:<12} {rule['text']}")
    say(f"ledger: {found['head']['seq']} events, head {found['head']['hash']}")


def list_campaigns(db: Db = None, as_json: Json = False) -> None:
    """List the campaigns of a database."""
    from campaign import Campaign
    from campaign.status import state_line
    from db.store import Store

    with Store.open(db) as store:
        found = {name: Campaign.open(name, db=store).status() for name in store.campaigns()}
    if as_json:
        emit({"campaigns": list(found.values())})
    for name, one in found.items() if not as_json else ():
        say(f"{name}: {state_line(one)}")
    if not found:
        note("no campaigns yet: `siteloop init` writes a spec, `siteloop start SPEC` starts one")


def recommend(
    campaign: Name,
    n: Annotated[int | None, typer.Option("-n", min=1, max=1000, help="How many.  [default: as in the spec]")] = None,
    more: Annotated[bool, typer.Option("--more", help="A further batch around the pending one.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute, and record nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Allow candidates whose samples failed.")] = False,
    pin: Annotated[
        list[str] | None, typer.Option("--pin", help="A label or design that the batch must hold; repeat.")
    ] = None,
    veto: Annotated[
        list[str] | None, typer.Option("--veto", help="A label or design that is not to come again; repeat.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why it is vetoed.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the worksheet: .csv, .xlsx or .json.")
    ] = None,
    flow: UseFlow = False,
    db: Db = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Recommend what to make next. The batch is recorded and its items are pending.

    With --pin or --veto the open batch is proposed anew: what is neither made nor pinned is no longer pending.
    """
    from campaign import Campaign
    from campaign.recommend import BatchConflict
    from campaign.spaces import estimate
    from campaign.worksheet import check_target

    if output is not None:
        if dry_run:
            raise UsageError(Problem("--output", "a dry run has no worksheet", "leave out --dry-run or --output"))
        check_target(output)
    opened = Campaign.open(campaign, db=db, by=by)
    options: dict[str, Any] = {"n": n, "more": more, "dry_run": dry_run, "again": again}
    options |= {"pin": pin or (), "veto": veto or (), "reason": reason}
    try:
        with stages(estimate(opened.state.space).seconds) as stage:
            if flow:
                from flows.propose import propose_flow

                batch = propose_flow(campaign, db=db, by=by, **options)
            else:
                batch = opened.recommend(**options, stage=stage)
    except BatchConflict:
        first = opened.batch()
        emit(first.to_json()) if as_json else _show(first)
        raise
    emit(batch.to_json()) if as_json else _show(batch)
    if output is not None:
        note(f"wrote {opened.worksheet(output, number=batch.batch.number)}")


def _show(batch: RecommendedBatch) -> None:
    from campaign.formulas import formula
    from campaign.sentences import interval_text
    from campaign.words import quantity
    from flows.cli.predictions import front_cells, front_heads, short

    what = "open since before" if batch.repeated else "recorded" if batch.recorded else "not recorded"
    say(f"batch {batch.batch.number} of {batch.batch.campaign} ({what})")
    for line in batch.notes:
        say(f"  {line}")
    names = list(dict.fromkeys(name for r in batch for name in r.prediction))
    several = len(names) > 1
    columns = front_heads(next(r.prediction for r in batch if r.prediction)) if several else []
    for name in () if several else names:
        expected = next(r.prediction[name] for r in batch if name in r.prediction)
        levels = [f"{100 * float(level):g} %>" for level in expected["intervals"]]
        columns += [f"{name} ({expected['unit']})>" if expected["unit"] else f"{name}>", *levels, "P(better)>"]
    costs = [r.rationale.get("cost") for r in batch]
    priced = [f"cost\n({c['unit']})>" for c in costs[:1] if c]
    rows = table("sample_id", "design", *columns, *priced, "", whole=several)
    for r in batch:
        cells = front_cells(r.prediction, r.rationale.get("front"), len(names)) if several else []
        for name in () if several else names:
            expected = r.prediction.get(name, {"intervals": {}})
            if "median" not in expected:
                cells += [""] * (len(columns) // len(names))
                continue
            cells.append(quantity(expected["median"], digits=4))
            cells += [short(interval_text(interval, None)) for interval in expected["intervals"].values()]
            cells.append(f"{100 * expected['probability_of_beating']:.0f} %")
        paid = r.rationale.get("cost", {}).get("value")
        cells += ["" if paid is None else quantity(paid) for _ in priced]
        rows.add_row(r.label, formula(r.design, batch.space), *cells, str(r.rationale.get("role", "")))
    console().print(rows)
    if batch.recorded and batch.items:
        say(f"why: siteloop explain {batch.batch.campaign} {batch.items[0].label}")


def explain(
    campaign: Name,
    sample_id: Annotated[str, typer.Argument(help="Of the recommendation: b1-03.")],
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Say why a candidate was recommended, as stored when it was."""
    from campaign import Campaign
    from campaign.cards import card
    from campaign.weighing import makings

    opened = Campaign.open(campaign, db=db)
    found = opened.explain(sample_id)
    state = opened.state
    shown: dict[str, Any] = card(found, state.space)
    shown["make"] = makings(state, [r for r in state.recommendations if r.batch == found.batch]).get(found.label, [])
    if as_json:
        emit(shown)
        return
    say(f"{found.label}  {shown['formula']}  ({found.stratum})")
    for line in (*shown["text"], *shown["make"]):
        say(f"- {line}")


def report(
    campaign: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("report.html"),
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Write the report: one HTML file that needs no network."""
    from campaign import Campaign

    wrote([Campaign.open(campaign, db=db).report(output)], as_json)


def log(
    campaign: Name,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute every hash of the ledger.")] = False,
    rows: Annotated[bool, typer.Option("--rows", help="Show every measurement, and what became of it.")] = False,
    as_of: AsOf = None,
    db: Db = None,
    as_json: Json = False,
) -> None:
    """Show the ledger with its corrections and their reasons, or verify that nothing in it was changed."""
    from campaign.ledger_words import about, measured
    from campaign.moments import moment
    from db.errors import InvalidInput
    from db.store import Store

    with Store.open(db) as store, store.reading():
        store.require(campaign)
        until = moment(store, campaign, as_of).seq if as_of is not None else None
        events = store.events(campaign, until=until)
        problems = store.verify(campaign) if verify else []
        corrected = about(store, campaign, events)
        entries = measured(store, campaign, until) if rows else {}
    if problems:
        raise InvalidInput(problems)
    if as_json:
        known = [
            {"seq": e.seq, "at": e.at, "by": e.by, "kind": e.kind, "hash": e.hash}
            | {"corrections": corrected.get(e.seq, [])}
            | ({"measurements": entries.get(e.seq, [])} if rows else {})
            for e in events
        ]
        emit({"campaign": campaign, "verified": verify or None, "events": known})
        return
    for e in events:
        say(f"{e.seq:>5}  {e.at}  {e.by:<12} {e.kind:<20} {e.hash[:12]}")
        for line in corrected.get(e.seq, []):
            say(f"       {line}")
        for m in entries.get(e.seq, []):
            fate = "" if m["counts"] else f"  [{m['fate']}]"
            say(f"       {m['id']}  {m['name']}  {m['value']}{fate}")
    if verify:
        say(f"verified: {len(events)} events, head {events[-1].hash}")
    elif events:
        say(f"head {events[-1].hash}")


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(start)
    app.command()(status)
    app.command("list")(list_campaigns)
    app.command()(recommend)
    app.command()(explain)
    app.command()(report)
    app.command()(log)
