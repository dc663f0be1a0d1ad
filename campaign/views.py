"""One view of a scene, drawn with matplotlib: discs, bonds, the cell, and the names beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from campaign.figures import BLUE, ORANGE
from campaign.leaders import led
from campaign.scene import Atom, Look, Scene
from campaign.spaces.base import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

SCALE = (BLUE, "#f7f7f7", ORANGE)
"""Lowers the prediction, leaves it, raises it; told apart by everybody."""
INK, SOFT = "#1c1c1c", "#6a6a6a"
HATCH = {Look.UNCLEAR: "/////", Look.WITHHELD: "xxxxx"}
FONT: dict[str, Any] = {"family": "DejaVu Sans", "parse_math": False}
LONGEST = 24
"""Characters of the longest text beside a site."""
PITCH, SIDE_PITCH = 0.34, 0.17
"""Inches between names with their effects, and between bare names."""
WIDER = (1.5, 2.0, 3.0)
"""How much farther apart names may be, so that their lines run beside the sites that are in their way."""
CHARACTER, BOLD = 0.066, 0.076
"""Width of a character in inches at 7.5 points and in bold at 8, on the safe side."""
_DIRECTIONS = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2))


def grey(atom: Atom) -> str:
    """The colour of a site without an effect: lighter for a lighter element and for a deeper layer."""
    from ase.data import atomic_numbers

    level = 0.97 - 0.3 * min(atomic_numbers[atom.element] / 50, 1.0) ** 0.6
    level += (0.97 - level) * min(0.15 * atom.layer, 0.6)
    return "#" + f"{round(255 * level):02x}" * 3


def colours() -> Colormap:
    """The diverging scale, from 0 to 1."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("effect", SCALE)


def side_axes(shot: Scene, direction: tuple[int, int]) -> Floats:
    """Right, up and towards the reader, [3, 3], of a view along `direction` in the plane of the cell."""
    along = np.asarray(direction) @ shot.cell[:2]
    along = along / np.linalg.norm(along)
    up = np.array([0.0, 0.0, 1.0])
    return np.array([np.cross(along, up), up, -along])


def side_direction(shot: Scene) -> tuple[int, int]:
    """The lattice direction along which the named sites hide one another least."""

    def separation(direction: tuple[int, int]) -> float:
        flat = np.array([side_axes(shot, direction)[:2] @ a.position for a in shot.named])
        apart = np.linalg.norm(flat[:, None] - flat[None], axis=-1)[np.triu_indices(len(flat), 1)]
        return round(min(float(apart.min()), 1.5), 1)  # farther apart is no clearer

    return max(_DIRECTIONS, key=separation) if len(shot.named) > 1 else _DIRECTIONS[0]


def extent(shot: Scene, axes: Floats) -> Floats:
    """Lower left and upper right corner of what a view draws, [2, 2], angstrom."""
    flat = np.array([axes[:2] @ a.position for a in (*shot.atoms, *shot.images)])
    radii = np.array([[a.radius] for a in (*shot.atoms, *shot.images)])
    box = shot.box @ axes[:2].T
    return np.array([np.vstack([flat - radii, box]).min(axis=0), np.vstack([flat + radii, box]).max(axis=0)])


def style_of(atom: Atom, limit: float) -> dict[str, Any]:
    """Face, edge and hatch of a disc; those of a periodic image are nearly white."""
    from matplotlib.colors import to_rgb

    face: Any = {Look.UNCLEAR: "#ffffff", Look.WITHHELD: "#d9d9d9"}.get(atom.look, grey(atom))
    if atom.look is Look.EFFECT:
        face = colours()(0.5 + 0.5 * atom.change / limit)
    edge = INK if atom.marked else "#8a8a8a" if atom.sublattice else "#b0b0b0"
    width = 1.9 if atom.dopant else 0.8 if atom.marked or atom.sublattice else 0.5
    white = 0.75 if atom.image else 0.0
    tones = {"facecolor": face, "edgecolor": edge, "hatchcolor": SOFT}
    style = {name: tuple(white + (1 - white) * np.array(to_rgb(tone))) for name, tone in tones.items()}
    return style | {"linewidth": width, "hatch": HATCH.get(atom.look), "hatch_linewidth": 0.6}


def draw(panel: Axes, shot: Scene, axes: Floats) -> None:
    """Cell, bonds and discs of a view; marked sites lie in front so that none is hidden."""
    from matplotlib.patches import Circle

    def front(atom: Atom) -> tuple[bool, bool, float]:
        return not atom.image, atom.marked, float(axes[2] @ atom.position)

    panel.plot(*(shot.box @ axes[:2].T).T, color=INK, linewidth=0.6, zorder=1.8)
    for a, b in shot.bonds:
        ends = np.array([axes[:2] @ a.position, axes[:2] @ b.position])
        panel.plot(*ends.T, color="#dedede" if b.image else "#9a9a9a", linewidth=1.1, zorder=1 if b.image else 1.9)
    for order, atom in enumerate(sorted((*shot.images, *shot.atoms), key=front)):
        centre = tuple(axes[:2] @ atom.position)
        panel.add_patch(
            Circle(centre, atom.radius, zorder=(1.1 if atom.image else 2) + 1e-4 * order, **style_of(atom, shot.limit))
        )


def _slots(wanted: Floats, step: float, low: float, high: float) -> Floats:
    """The ascending places nearest to `wanted` that lie `step` apart, half a step inside `low` and `high`."""
    from scipy.optimize import isotonic_regression

    steps = step * (np.arange(len(wanted)) + 0.5)
    fitted = isotonic_regression(np.sort(wanted) - steps).x
    return np.asarray(np.clip(fitted, low, max(low, high - steps[-1] - step / 2)) + steps)


def above(shot: Scene, axes: Floats) -> bool:
    """Whether the names go into a row above a view, because its sites differ more in width than in height."""
    flat = np.array([axes[:2] @ a.position for a in shot.named]).reshape(-1, 2)
    return bool(len(flat) and axes[2, 2] == 0 and np.ptp(flat[:, 0]) > np.ptp(flat[:, 1]))


def name_sites(panel: Axes, shot: Scene, axes: Floats, inches: float, *, effects: bool) -> None:
    """Names, with effects where asked for, beside or above a view, joined to their sites over no other if possible."""
    named = sorted(shot.named, key=lambda a: float(axes[0] @ a.position))
    centres = np.array([axes[:2] @ a.position for a in named]).reshape(-1, 2)
    radii = np.array([a.radius for a in named])
    for group, layouts, align, most in _columns(panel, shot, axes, inches, PITCH if effects else SIDE_PITCH):
        for i, start in zip(group, led(centres, radii, group, layouts), strict=True):
            atom, line = named[i], start - centres[i]
            end = centres[i] + line / np.linalg.norm(line) * atom.radius
            for colour, width in (("white", 2.0), (INK, 0.7)):
                panel.plot(*np.array([start, end]).T, color=colour, linewidth=width, zorder=3)
            both = effects and bool(atom.effect)
            out = {"left": 0.04, "right": -0.04, "center": 0.0}[align] / inches
            text = {"x": start[0] + out, "y": start[1], "ha": align, "color": INK, **FONT}
            va = "bottom" if both or align == "center" else "center_baseline"
            panel.text(s=cut(name_of(atom), most), va=va, fontsize=8, weight="bold", **text)
            if both:
                panel.text(s=cut(atom.effect.replace("-", "−", int(atom.change < 0))), va="top", fontsize=7.5, **text)


def _columns(
    panel: Axes, shot: Scene, axes: Floats, inches: float, pitch: float
) -> Iterator[tuple[list[int], list[Floats], str, int]]:
    """Sites named together, from left to right, where their lines may end, how names are aligned, and how long."""
    named = sorted(shot.named, key=lambda a: float(axes[0] @ a.position))
    edges = extent(shot, axes) + np.array([[-0.1], [0.1]]) / inches
    if above(shot, axes):
        wide = BOLD / inches
        step = wide * (2 + max(len(cut(name_of(a))) for a in named))
        step = min(step, float(np.ptp(panel.get_xlim())) / len(named))
        rows = _choices(np.array([axes[0] @ a.position for a in named]), step, *panel.get_xlim())
        places = [np.column_stack([x, np.full(len(x), edges[1, 1])]) for x in rows]
        yield list(range(len(named))), places, "center", int(step / wide) - 1
        return
    half = (len(named) + 1) // 2
    numbers = list(range(len(named)))
    for group, x, align in ((numbers[:half], edges[0, 0], "right"), (numbers[half:], edges[1, 0], "left")):
        if group:
            columns = _choices(
                np.array([axes[1] @ named[i].position for i in group]), pitch / inches, *panel.get_ylim()
            )
            yield group, [np.column_stack([np.full(len(y), x), y]) for y in columns], align, LONGEST


def _choices(wanted: Floats, step: float, low: float, high: float) -> list[Floats]:
    """Several ways to place names: near `wanted`, and farther apart or to one side as far as there is room."""
    steps = [step, *(wider for more in WIDER if (wider := more * step) * len(wanted) <= high - low)]
    return [_slots(wanted + aside * each, each, low, high) for each in steps for aside in (0.0, -0.5, 0.5)]


def name_of(atom: Atom) -> str:
    """The label, with the element where the label does not begin with it."""
    return atom.label if atom.label.startswith(atom.element) else f"{atom.element} {atom.label}"


def cut(text: str, most: int = LONGEST) -> str:
    """A text that fits beside a site."""
    return text if len(text) <= most else text[: most - 1] + "…"
