"""The front of two objectives as a picture: what was measured, the front, and the latest batch with its intervals."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from acquisition.hypervolume import front
from campaign.belief import stored_interval
from campaign.figures import BLUE, GREY, ORANGE, blank, piece
from campaign.pareto import Front, Point, measured_front, scores_of
from campaign.spec import Objective
from campaign.state import State

DPI = 110


@dataclass(frozen=True)
class FrontFigure:
    """One pair of objectives, twice."""

    title: str
    png: str
    """A PNG, as a data URL."""
    interactive: str
    """A piece of HTML that leaves Plotly's JavaScript to the page."""


@dataclass(frozen=True)
class Expected:
    """A recommendation that is not measured yet: per axis its median and the ends of its interval."""

    label: str
    medians: tuple[float, float]
    ends: tuple[tuple[float, float], tuple[float, float]]
    """The median itself where no interval is given."""


@dataclass(frozen=True)
class Panel:
    """What a picture of two objectives shows, in their units."""

    axes: tuple[Objective, Objective]
    measured: tuple[Point, ...]
    places: tuple[tuple[float, float], ...]
    """Of the measured points."""
    steps: tuple[tuple[float, float], ...]
    """Corners of the front of these two objectives, from end to end."""
    batch: tuple[Expected, ...]
    level: float

    @property
    def names(self) -> tuple[str, str]:
        """Titles of the axes."""
        x, y = (f"{o.name} ({o.unit})" if o.unit else o.name for o in self.axes)
        return x, y


def panel(state: State, measured: Front, pair: tuple[int, int]) -> Panel:
    """What is known of two objectives, by their positions in the spec."""
    axes = (measured.objectives[pair[0]], measured.objectives[pair[1]])
    level = state.spec.intervals.levels[0]
    places = tuple((p.values[pair[0]], p.values[pair[1]]) for p in measured.points)
    batch = []
    for r in state.pending:
        if all(o.name in r.prediction for o in axes):
            x, y = (float(r.prediction[o.name]["median"]) for o in axes)
            ends = [stored_interval(r.prediction, o.name, level) or (m, m) for o, m in zip(axes, (x, y), strict=True)]
            batch.append(Expected(r.label, (x, y), (ends[0], ends[1])))
    return Panel(axes, measured.points, places, _steps(axes, places), tuple(batch), level)


def _steps(
    axes: tuple[Objective, Objective], places: tuple[tuple[float, float], ...]
) -> tuple[tuple[float, float], ...]:
    """Corners of the border of what is matched or beaten; empty for a matched objective, which has no such border."""
    if any(o.target is not None for o in axes):
        return ()
    kept = front(scores_of(axes, np.array(places))).tolist()
    best = sorted({p for p, on in zip(places, kept, strict=True) if on})
    corners = best[:1]
    for before, after in pairwise(best):
        corner = (before[0], after[1]) if axes[0].goal == "maximize" else (after[0], before[1])
        corners += [corner, after]
    return tuple(corners)


def front_figures(state: State) -> list[FrontFigure]:
    """A picture for each pair of objectives; none for one objective, and while nothing is measured of all."""
    measured = measured_front(state)
    if measured is None:
        return []
    found = []
    for i, j in combinations(range(len(state.objectives)), 2):
        shown = panel(state, measured, (i, j))
        title = f"{shown.axes[1].name} against {shown.axes[0].name}"
        url = f"data:image/png;base64,{b64encode(front_png(shown)).decode()}"
        found.append(FrontFigure(title, url, front_html(shown, f"front-{i}-{j}")))
    return found


def front_png(shown: Panel) -> bytes:
    """The picture as a PNG; equal input gives equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(6.4, 4.2), dpi=DPI, layout="constrained")
    FigureCanvasAgg(drawn)
    axis = drawn.add_subplot()
    x, y = zip(*shown.places, strict=True)
    axis.scatter(x, y, s=22, color=BLUE, label="measured", zorder=3)
    if shown.steps:
        axis.plot(*zip(*shown.steps, strict=True), color=BLUE, linewidth=1.2, label="front", zorder=2)
    for i, e in enumerate(shown.batch):
        bars = [[[m - low], [high - m]] for m, (low, high) in zip(e.medians, e.ends, strict=True)]
        label = f"recommended, {100 * shown.level:g} % interval" if i == 0 else None
        x_bar, y_bar = bars
        centre = [e.medians[0]], [e.medians[1]]
        axis.errorbar(
            centre[0], centre[1], xerr=x_bar, yerr=y_bar, fmt="D", ms=5, color=ORANGE, elinewidth=0.9, label=label
        )
        axis.annotate(e.label, e.medians, xytext=(4, 4), textcoords="offset points", fontsize=7.5, parse_math=False)
    axis.set_xlabel(shown.names[0], parse_math=False)
    axis.set_ylabel(shown.names[1], parse_math=False)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    written = io.BytesIO()
    drawn.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()


def front_html(shown: Panel, name: str) -> str:
    """The same as a Plotly figure, with the labels of the samples on hovering."""
    figure = blank(*shown.names)
    x, y = zip(*shown.places, strict=True)
    labels = [p.sample for p in shown.measured]
    figure.add_scatter(x=x, y=y, text=labels, mode="markers", name="measured", marker={"color": BLUE})
    if shown.steps:
        x, y = zip(*shown.steps, strict=True)
        figure.add_scatter(x=x, y=y, mode="lines", name="front", line={"color": BLUE})
    if shown.batch:
        bars = [
            {
                "type": "data",
                "symmetric": False,
                "array": [e.ends[j][1] - e.medians[j] for e in shown.batch],
                "arrayminus": [e.medians[j] - e.ends[j][0] for e in shown.batch],
                "color": GREY,
                "thickness": 1,
            }
            for j in range(2)
        ]
        x, y = zip(*(e.medians for e in shown.batch), strict=True)
        figure.add_scatter(
            x=x,
            y=y,
            text=[e.label for e in shown.batch],
            error_x=bars[0],
            error_y=bars[1],
            mode="markers",
            name=f"recommended, {100 * shown.level:g} % interval",
            marker={"color": ORANGE, "symbol": "diamond"},
        )
    return piece(figure, name)
