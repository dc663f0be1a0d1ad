"""Plots of a campaign and of replays, as pieces of offline HTML."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from campaign.belief import stored_interval
from campaign.spec import Objective
from campaign.state import State

if TYPE_CHECKING:
    import plotly.graph_objects as go


BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#8a8a8a"
"""Told apart by everybody (Okabe and Ito 2008)."""


@cache
def environment() -> Any:
    """The jinja2 environment of the templates, which escapes whatever a user wrote."""
    import jinja2

    loader = jinja2.PackageLoader("campaign", "templates")
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def plotly_javascript() -> str:
    """Plotly's own JavaScript, so that a page needs no network."""
    return files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")


def blank(x: str, y: str) -> go.Figure:
    """An empty plot with titled axes, in the look of all plots."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template="plotly_white",
        xaxis_title=x,
        yaxis_title=y,
        height=340,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        legend={"orientation": "h", "y": 1.12, "x": 0},
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    return figure


def piece(figure: go.Figure, name: str) -> str:
    """A plot as a piece of HTML that leaves Plotly's JavaScript to the page."""
    return str(
        figure.to_html(
            full_html=False, include_plotlyjs=False, div_id=name, config={"displayModeBar": False, "responsive": True}
        )
    )


def _axis(objective: Objective) -> str:
    return f"{objective.name} ({objective.unit})" if objective.unit else objective.name


def history(state: State, objective: Objective) -> str:
    """Every measured value in the order of the ledger, and the best so far."""
    batch_of = {r.id: r.batch.rpartition("/b")[2] for r in state.recommendations}
    order = {m.sample: i for i, m in enumerate(state.measurements)}
    seen = sorted((o for o in state.observations(objective.name) if o.censor == 0), key=lambda o: order[o.sample.id])
    values = [o.value for o in seen]
    best = [min(values[: i + 1], key=lambda v: objective.loss(v)) for i in range(len(values))]
    labels = [f"{o.sample.label}, batch {batch_of.get(o.sample.recommendation or '', 'none')}" for o in seen]
    figure = blank("sample", _axis(objective))
    x = list(range(1, len(seen) + 1))
    figure.add_scatter(x=x, y=values, text=labels, mode="markers", name="measured", marker={"color": BLUE})
    figure.add_scatter(x=x, y=best, mode="lines", name="best so far", line={"color": ORANGE, "shape": "hv"})
    return piece(figure, f"history-{objective.name}")


def parity(state: State, objective: Objective) -> str:
    """Predicted before against measured after, with the interval at the spec's first level; empty before the first."""
    level = state.spec.intervals.levels[0]
    values = {o.sample.id: o.value for o in state.observations(objective.name) if o.censor == 0}
    points = []
    for r in state.recommendations:
        sample, ends = state.sample_of.get(r.id), stored_interval(r.prediction, objective.name, level)
        if sample is not None and sample.id in values and objective.name in r.prediction:
            points.append((r.label, r.prediction[objective.name]["median"], values[sample.id], ends))
    if not points:
        return ""
    figure = blank(f"predicted {_axis(objective)}", "measured")
    labels, predicted, measured, intervals = zip(*points, strict=True)
    half = [(e[1] - p, p - e[0]) if e else (0.0, 0.0) for p, e in zip(predicted, intervals, strict=True)]
    bars = {"type": "data", "symmetric": False, "array": [h[0] for h in half], "arrayminus": [h[1] for h in half]}
    low, high = min(*predicted, *measured), max(*predicted, *measured)
    figure.add_scatter(
        x=predicted,
        y=measured,
        text=labels,
        error_x=bars | {"color": GREY, "thickness": 1},
        mode="markers",
        name=f"with {100 * level:g} % interval",
        marker={"color": BLUE},
    )
    figure.add_scatter(x=[low, high], y=[low, high], mode="lines", name="equal", line={"color": ORANGE, "dash": "dot"})
    return piece(figure, f"parity-{objective.name}")
