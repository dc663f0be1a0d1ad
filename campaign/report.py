"""The report: one HTML file that opens without a network and says where a campaign stands."""

from __future__ import annotations

from pathlib import Path

from campaign.cards import card
from campaign.curve_plots import curve_plots
from campaign.figures import environment, history, parity, plotly_javascript
from campaign.files import write_file
from campaign.pareto_figures import front_figures
from campaign.state import State
from campaign.status import state_line, status
from campaign.structure_picture import structure_picture
from campaign.weighing import makings
from campaign.words import quantity
from db.store import Store

WISHES = {"minimize": "smaller is better", "maximize": "larger is better", "match": "near its target is better"}


def write_report(state: State, path: Path, *, verified: bool, store: Store | None = None) -> Path:
    """Write the report of a campaign.

    Args:
        state: the campaign.
        path: of the file; replaced if it exists.
        verified: whether the hash chain was found whole.
        store: where the files of its polarisation curves are; without, no curve is shown.

    Raises:
        InvalidInput: the file cannot be written.
    """
    found = status(state)
    values = {
        (o.sample.id, objective.name): o for objective in state.objectives for o in state.observations(objective.name)
    }
    curves = curve_plots(store, state) if store is not None else {}
    batches = []
    for batch in reversed(state.batches):
        cards = []
        latest = [r for r in state.recommendations if r.batch == batch.id] if batch is state.batches[-1] else []
        make = makings(state, latest)
        for r in (r for r in state.recommendations if r.batch == batch.id):
            sample = state.sample_of.get(r.id)
            measured = {
                o.name: quantity(values[sample.id, o.name].value, o.unit, digits=4)
                for o in state.objectives
                if sample is not None and (sample.id, o.name) in values
            }
            outcome = state.status(sample.id) if sample is not None else "pending"
            shown = {"measured": measured, "outcome": "" if measured else outcome.replace("ok", "pending")}
            picture = structure_picture(state, r) if batch is state.batches[-1] else None
            curve = curves.pop(sample.label, None) if sample is not None else None
            beside = {"picture": picture, "curve": curve, "make": make.get(r.label, [])}
            cards.append({**card(r, state.space), **shown, **beside})
        batches.append({"number": batch.number, "settings": batch.settings, "cards": cards})
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            name=state.name,
            line=state_line(found),
            status=found,
            budget=state.spec.budget,
            objectives=[
                {
                    "spec": o,
                    "wish": WISHES[o.goal],
                    "history": history(state, o),
                    "parity": parity(state, o),
                    **found["objectives"][o.name],
                }
                for o in state.objectives
            ],
            fronts=front_figures(state),
            batches=batches,
            curves=curves,
            head=state.head,
            verified=verified,
            javascript=plotly_javascript(),
            quantity=quantity,
        )
    )
    return write_file(path, page.encode(), "the report")
