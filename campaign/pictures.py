"""Pictures of a slab with its sites coloured by their signed effect on the prediction."""

from __future__ import annotations

import html
import io
import re
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from campaign import views
from campaign.figures import piece
from campaign.scene import Atom, Effect, Look, Scene, scene
from campaign.spaces.base import Floats
from campaign.views import CHARACTER, FONT, INK, SOFT

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = list[tuple[Atom | None, str]]
"""A row of the legend: a disc, or none for a remark, and its words."""

WIDTH, DPI = 7.2, 200
"""Inches and dots per inch of a PNG."""
_BAR, _EDGE, _HEADING, _ROW, _RULER = 0.95, 0.15, 0.24, 0.24, 1.3
"""Inches kept for the colour bar, the margin, a heading, a row of the legend and its ruler."""
_PIXELS = 340
"""So many pixels show the longest side of an interactive picture; sizes of its markers follow."""


def picture_png(structure: Any, effects: Mapping[str, Effect], *, unit: str, title: str) -> bytes:
    """A slab from above and from the side, as a PNG 7.2 inches wide; equal input gives equal bytes.

    Args:
        structure: A pymatgen Structure with the site properties that `campaign.scene.scene` asks for.
        effects: Signed change and sd of the prediction in `unit` and whether they may be shown, by site label.
        unit: Unit of the effects, written at the colour bar; may be empty.
        title: Written above the picture, as it is.

    Raises:
        ValueError: As `campaign.scene.scene`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shot = scene(structure, effects, unit=unit)
    direction = views.side_direction(shot)
    frames = [np.eye(3), views.side_axes(shot, direction)]
    sizes = [np.ptp(views.extent(shot, axes), axis=0) for axes in frames]
    bar = _BAR if shot.limit else 0.0
    longest = max((len(views.cut(text)) for a in shot.named for text in (views.name_of(a), a.effect)), default=0)
    room = WIDTH - bar - 2 * (views.BOLD * longest + 0.25)
    inches = min(room / max(s[0] for s in sizes), 3.6 / max(s[1] for s in sizes), 0.36)  # per angstrom
    rows = (len(shot.named) + 1) // 2
    heights = [max(s[1] * inches, p * rows) + 0.2 for s, p in zip(sizes, (views.PITCH, views.SIDE_PITCH), strict=True)]
    heights[1] += 0.3 * views.above(shot, frames[1])
    lines = textwrap.wrap(title, 72)
    legend = _legend_rows(shot)
    top = total = 0.15 + 0.18 * len(lines) + sum(heights) + 2 * _HEADING + _ROW * len(legend) + 0.15
    figure = Figure(figsize=(WIDTH, total), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    text = {"x": _EDGE / WIDTH, "va": "top", **FONT}
    figure.text(y=1 - 0.1 / total, s="\n".join(lines), fontsize=9.5, weight="bold", color=INK, **text)
    top -= 0.15 + 0.18 * len(lines)
    if shot.limit:
        tall = min(2.4, sum(heights))
        _colour_bar(figure, shot.limit, unit, (WIDTH - bar + 0.1, top - 0.2 - tall, 0.13, tall))
    headings = "a   seen from above", f"b   seen from the side, along [{direction[0]} {direction[1]} 0]"
    for axes, height, heading in zip(frames, heights, headings, strict=True):
        figure.text(y=(top - 0.06) / total, s=heading.replace("-", "−"), fontsize=8, color=SOFT, **text)
        top -= _HEADING + height
        panel = _panel(figure, (0, top, WIDTH - bar, height), views.extent(shot, axes).mean(axis=0), inches)
        views.draw(panel, shot, axes)
        views.name_sites(panel, shot, axes, inches, effects=axes is frames[0])
    _legend(_panel(figure, (0, 0, WIDTH, top), np.array([WIDTH, top]) / 2, 1.0), shot, legend, inches)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


def picture_html(structure: Any, effects: Mapping[str, Effect], *, unit: str, name: str) -> str:
    """The same slab to turn and to point at, as a piece of HTML that leaves Plotly's JavaScript to the page.

    Args:
        structure: As for `picture_png`.
        effects: As for `picture_png`.
        unit: Unit of the effects; may be empty.
        name: The piece's own name on its page; other names give other ids.

    Raises:
        ValueError: As `campaign.scene.scene`.
    """
    import plotly.graph_objects as go

    shot = scene(structure, effects, unit=unit)
    figure = go.Figure()
    bonds = [point for a, b in shot.bonds if not b.image for point in (a.position, b.position, [None] * 3)]
    for path, colour, width in ((list(shot.box), INK, 2), (bonds, "#9a9a9a", 4)):
        x, y, z = zip(*path, strict=True) if path else ((), (), ())
        line = {"color": colour, "width": width}
        figure.add_scatter3d(x=x, y=y, z=z, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    pixels = _PIXELS / max(np.ptp(np.array([a.position for a in (*shot.atoms, *shot.images)]), axis=0).max(), 8.0)
    for group in _groups(shot):
        _add_atoms(figure, group, unit, shot.limit, pixels)
    if shot.named:
        x, y, z = zip(*(a.position + np.array([0, 0, a.radius]) for a in shot.named), strict=True)
        names = [_bold(a) for a in shot.named]
        figure.add_scatter3d(
            x=x, y=y, z=z, mode="text", text=names, textposition="top center", hoverinfo="skip", showlegend=False
        )
    hidden = {"visible": False}
    figure.update_layout(
        template="plotly_white",
        height=480,
        margin={"l": 0, "r": 0, "t": 10, "b": 10},
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "y": 0, "x": 0, "itemsizing": "constant"},
        scene={
            "xaxis": hidden,
            "yaxis": hidden,
            "zaxis": hidden,
            "aspectmode": "data",
            "camera": {"projection": {"type": "orthographic"}, "eye": {"x": 0.5, "y": -1.5, "z": 1.1}},
        },
    )
    return piece(figure, "structure-" + re.sub("[^A-Za-z0-9-]", lambda c: f"_{ord(c[0]):x}_", name))


def _groups(shot: Scene) -> list[tuple[list[Atom], str, str]]:
    """The atoms of each trace, what the legend calls them, and their symbol."""
    plain = sorted({a.element for a in shot.atoms if a.look is Look.PLAIN})
    groups = [([a for a in shot.atoms if a.look is Look.PLAIN and a.element == e], e, "circle") for e in plain]
    symbols = {Look.EFFECT: "circle", Look.UNCLEAR: "circle-open", Look.WITHHELD: "x"}
    groups += [([a for a in shot.atoms if a.look is look], look.value, symbol) for look, symbol in symbols.items()]
    return [group for group in [*groups, (list(shot.images), "periodic image", "circle")] if group[0]]


def _add_atoms(figure: go.Figure, group: tuple[list[Atom], str, str], unit: str, limit: float, pixels: float) -> None:
    atoms, title, symbol = group
    image = atoms[0].image
    marker = {
        "size": [2 * a.radius * pixels for a in atoms],
        "symbol": symbol,
        "color": [SOFT if a.look in views.HATCH else views.grey(a) for a in atoms],
        "line": {"color": [INK if a.dopant else "#8a8a8a" for a in atoms], "width": 1 if image else 3},
        "opacity": 0.2 if image else 1.0,
    }
    if atoms[0].look is Look.EFFECT and not image:
        bar = {"title": {"text": html.escape(_scale_title(unit)), "side": "right"}, "thickness": 12, "len": 0.7}
        marker |= {"color": [a.change for a in atoms], "cmin": -limit, "cmax": limit, "colorbar": bar}
        marker["colorscale"] = list(zip((0, 0.5, 1), views.SCALE, strict=True))
    x, y, z = zip(*(a.position.round(4).tolist() for a in atoms), strict=True)
    words = ["<br>".join(filter(None, [_bold(a), a.words, html.escape(a.effect)])) for a in atoms]
    figure.add_scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, name=title, hovertext=words, hoverinfo="text")


def _bold(atom: Atom) -> str:
    return f"<b>{html.escape(views.name_of(atom))}</b>"


def _panel(figure: Figure, place: tuple[float, float, float, float], centre: Floats, scale: float) -> Axes:
    """Axes at `place` (left, bottom, width, height in inches) with `scale` inches to a unit in x and in y."""
    panel = figure.add_axes(tuple(np.asarray(place) / np.tile(figure.get_size_inches(), 2)))
    half = np.asarray(place[2:]) / scale / 2
    panel.set(xlim=(centre[0] - half[0], centre[0] + half[0]), ylim=(centre[1] - half[1], centre[1] + half[1]))
    panel.set_axis_off()
    return panel


def _colour_bar(figure: Figure, limit: float, unit: str, place: tuple[float, float, float, float]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes = figure.add_axes(tuple(np.asarray(place) / np.tile(figure.get_size_inches(), 2)))
    bar = figure.colorbar(ScalarMappable(Normalize(-limit, limit), views.colours()), cax=axes)
    bar.outline.set_linewidth(0.6)
    bar.locator, bar.formatter = MaxNLocator(5), FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−"))
    bar.update_ticks()
    axes.tick_params(labelsize=7, width=0.6, length=2.5, colors=INK)
    axes.set_ylabel(_scale_title(unit), fontsize=7.5, color=INK, **FONT)


def _scale_title(unit: str) -> str:
    return f"change of the prediction ({unit})" if unit else "change of the prediction"


def _legend_rows(shot: Scene) -> list[Row]:
    """What the discs mean, in rows that fit the width."""
    plain = {a.element: a for a in sorted(shot.atoms, key=lambda a: -a.layer) if not a.marked}
    items: Row = [(a, element) for element, a in sorted(plain.items(), key=lambda item: item[1].covalent)]
    model = replace(shot.atoms[0], element="H", covalent=1.2, look=Look.PLAIN, dopant=False, image=False, layer=0)
    if any(a.dopant for a in shot.atoms):
        items.append((replace(model, dopant=True), "dopant"))
    items += [
        (replace(model, look=look), look.value) for look in views.HATCH if any(a.look is look for a in shot.atoms)
    ]
    if shot.images:
        items.append((replace(model, element="Pt", image=True), "periodic image"))
    if shot.unnamed:
        items.append((None, f"{shot.unnamed} weaker effects drawn, not named"))
    rows: list[Row] = [[]]
    used = _RULER
    for item in items:
        if used + _legend_width(item[1]) > WIDTH - 2 * _EDGE:
            rows, used = [*rows, []], 0.0
        rows[-1].append(item)
        used += _legend_width(item[1])
    return rows


def _legend_width(words: str) -> float:
    return 0.45 + CHARACTER * len(words)


def _legend(panel: Axes, shot: Scene, rows: list[Row], inches: float) -> None:
    """Draws the ruler and the rows on axes in inches."""
    from matplotlib.patches import Circle

    ruler = 2 * inches
    top = panel.get_ylim()[1]
    panel.plot([_EDGE, _EDGE + ruler], [top - _ROW / 2] * 2, color=INK, linewidth=1.8, solid_capstyle="butt")
    for i, row in enumerate(rows):
        x, y = _EDGE, top - _ROW * (i + 0.5)
        if i == 0:
            x = _write(panel, x + ruler + 0.06, y, "2 Å")
        for atom, words in row:
            if atom:
                panel.add_patch(Circle((x + 0.1, y), 0.02 + 0.05 * atom.covalent, **views.style_of(atom, shot.limit)))
            x = _write(panel, x + (0.25 if atom else 0.0), y, words)


def _write(panel: Axes, x: float, y: float, words: str) -> float:
    """Writes words of the legend and returns where the next entry begins."""
    text = panel.text(x, y, words, va="center_baseline", fontsize=7.5, color=INK, **FONT)
    return float(x + text.get_window_extent().width / DPI + 0.2)
