"""The curves of samples for the report: small interactive plots, each with what was read and on which sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from campaign.curve_record import curves_on_record
from campaign.curve_spec import Parameters
from campaign.curve_targets import Target
from campaign.curves import read
from campaign.figures import BLUE, GREY, ORANGE, blank, piece
from campaign.state import State
from campaign.words import listed
from db.errors import InvalidInput
from db.store import Store
from lab_io.curve_checks import shown_density
from lab_io.polarisation import Polarisation, Reading
from lab_io.sweeps import Sweep

if TYPE_CHECKING:
    import plotly.graph_objects as go

POINTS = 150
"""Points that are drawn of a sweep, evenly spaced in potential."""
MOST = 200
"""Curves that a report shows, the latest ones."""


@dataclass(frozen=True)
class CurvePlot:
    """The curves of one sample."""

    plot: str
    """A piece of HTML that leaves Plotly's JavaScript to the page."""
    text: tuple[str, ...]
    """What was read, one sentence a curve."""


def curve_plots(store: Store, state: State) -> dict[str, CurvePlot]:
    """The plots of the curves whose values count, by label of the sample.

    Curves that were corrected, are void or cannot be read any more are left out, and so are all but the latest 200.
    """
    counts = {m.id for m in state.measurements}
    told = [c for c in curves_on_record(store, state.name) if counts & set(c["measurements"])]
    found: dict[str, list[tuple[str, Polarisation]]] = {}
    for one in told[-MOST:]:
        curve = _again(store, one)
        if curve is not None:
            found.setdefault(one["sample"], []).append((one["name"], curve))
    return {label: _plot(f"curve-{n}", curves) for n, (label, curves) in enumerate(found.items())}


def _again(store: Store, told: dict[str, Any]) -> Polarisation | None:
    kept = store.source(told["read_from"])
    if kept is None:
        return None
    wanted = [Target(*target) for target in told["targets"]]
    try:
        return read(kept.content, told["name"], Parameters.model_validate(told["parameters"]), wanted)[1]
    except InvalidInput:
        return None


def _plot(name: str, curves: Sequence[tuple[str, Polarisation]]) -> CurvePlot:
    setup = curves[0][1].setup
    unit = "A/g" if setup.basis == "mass" else "mA/cm²" + ("" if setup.basis == "geometric" else " ECSA")
    figure = blank("overpotential (mV)", f"current density ({unit})")
    figure.update_layout(height=250, margin={"l": 55, "r": 10, "t": 10, "b": 45}, font={"size": 12})
    for n, (file, found) in enumerate(curves):
        _draw(figure, found, file, first=n == 0)
    several = len(curves) > 1
    return CurvePlot(
        piece(figure, name),
        tuple(f"{file}: {sentence(found)}" if several else sentence(found) for file, found in curves),
    )


def _draw(figure: go.Figure, found: Polarisation, file: str, *, first: bool) -> None:
    factor = 1.0 if found.setup.basis == "mass" else 1e3
    mine, back = _directions(found)
    shown: dict[str, Any] = {"mode": "lines", "hoverinfo": "skip", "showlegend": first}
    if found.other is not None:
        x, y = _line(found, found.other, factor)
        figure.add_scatter(x=x, y=y, name=f"{back} sweep, not used", line={"color": GREY, "width": 1}, **shown)
    x, y = _line(found, found.sweep, factor)
    figure.add_scatter(x=x, y=y, name=f"{mine} sweep", line={"color": BLUE, "width": 1.5}, **shown)
    at = [(round(r.eta * 1e3, 2), j * factor) for j, r in found.readings.items() if r is not None]
    if at:
        figure.add_scatter(
            x=[eta for eta, _ in at],
            y=[j for _, j in at],
            text=[file] * len(at),
            mode="markers",
            name="read",
            marker={"color": ORANGE, "size": 7},
            showlegend=first,
        )


def _line(found: Polarisation, sweep: Sweep, factor: float) -> tuple[list[float], list[float]]:
    """Overpotential in mV and current density of some points of a sweep."""
    grid = np.linspace(sweep.x[0], sweep.x[-1], POINTS)
    rows = np.unique(np.clip(np.searchsorted(sweep.x, grid), 0, len(sweep) - 1))
    eta, j = found.eta(sweep.x[rows], sweep.i[rows]) * 1e3, sweep.i[rows] / found.norm * factor
    return [round(v, 2) for v in eta.tolist()], [float(f"{v:.4g}") for v in j.tolist()]


def _directions(found: Polarisation) -> tuple[str, str]:
    return ("reverse", "forward") if found.setup.reverse else ("forward", "reverse")


def sentence(found: Polarisation) -> str:
    """What was read on a curve, on which sweep, and what the other sweep would have given."""
    mine, back = _directions(found)
    which = f" {found.swept[0]} of {found.swept[1]}" if found.swept[1] > 1 else ""
    said = [f"{_value(r)} at {shown_density(j, found.setup)}" for j, r in found.readings.items() if r is not None]
    if found.slope:
        said.append(f"{found.slope.value * 1e3:.1f} ± {found.slope.sd * 1e3:.1f} mV/dec")
    free = f"free of {found.setup.compensation * 100:.0f} % of iR"
    text = f"Read on the {mine} sweep{which}, {free}: {listed(said) or 'nothing'}."
    others = [
        f"{r.eta * 1e3:.1f} mV at {shown_density(j, found.setup)}" for j, r in found.back.items() if r is not None
    ]
    if found.other is None:
        return f"{text} There is no {back} sweep."
    would = f" there: {listed(others)}" if others else ""
    return f"{text} The {back} sweep is not used, nor averaged with it{would}."


def _value(reading: Reading) -> str:
    spread = f" ± {reading.sd * 1e3:.1f}" if reading.sd is not None else ""
    return f"{reading.eta * 1e3:.1f}{spread} mV"
