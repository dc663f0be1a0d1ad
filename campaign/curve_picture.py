"""A polarisation curve with what was read on it, as a PNG: the curve, its readings, and the Tafel line."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from lab_io.curve_checks import Flag, shown_density
from lab_io.polarisation import Polarisation, Setup
from lab_io.sweeps import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _SOFT, _MARK, _LINE = "#222222", "#9a9a9a", "#c44e00", "#0b5fa5"
_MOST = 20_000
"""Points that are drawn of a sweep."""


def curve_png(found: Polarisation, flags: tuple[Flag, ...], *, title: str) -> bytes:
    """The curve and its Tafel plot side by side; equal input gives equal bytes.

    Args:
        found: what was read.
        flags: doubts, written below.
        title: written above, as it is.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    doubts = [line for flag in flags for line in textwrap.wrap(f"- {flag.problem.what}", 125)]
    foot = 0.16 * len(doubts)
    figure = Figure(figsize=(9.0, 4.0 + foot), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(
        left=0.075, right=0.985, top=1 - 0.4 / (4.0 + foot), bottom=(0.6 + foot) / (4.0 + foot), wspace=0.22
    )
    figure.text(
        0.01, 1 - 0.06 / (4.0 + foot), title, va="top", weight="bold", fontsize=9.5, color=_INK, parse_math=False
    )
    figure.text(
        0.01,
        0.05 / (4.0 + foot),
        "\n".join(doubts),
        va="bottom",
        fontsize=7.5,
        color=_INK,
        linespacing=1.25,
        parse_math=False,
    )
    _curve(left, found)
    _tafel(right, found)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _scale(setup: Setup) -> tuple[float, str]:
    """From A/cm^2 or A/g to what is drawn, and its unit."""
    if setup.basis == "mass":
        return 1.0, "A g$^{-1}$"
    return 1e3, "mA cm$^{-2}$" + ("" if setup.basis == "geometric" else " (ECSA)")


def _curve(axes: Axes, found: Polarisation) -> None:
    """Overpotential across, current density up: as measured, and free of iR."""
    factor, unit = _scale(found.setup)

    def drawn(sweep: Sweep, share: float | None, **style: Any) -> None:
        step = max(len(sweep) // _MOST, 1)
        x, i = sweep.x[::step], sweep.i[::step]
        axes.plot(found.eta(x, i, share) * 1e3, i / found.norm * factor, **style)

    forward, back = ("reverse", "forward") if found.setup.reverse else ("forward", "reverse")
    if found.setup.software > 0 and found.setup.rs:
        drawn(found.sweep, 0.0, color=_SOFT, lw=1.0, ls=":", label="as measured")
    if found.other is not None:
        drawn(found.other, None, color=_SOFT, lw=0.9, label=back)
    drawn(found.sweep, None, color=_LINE, lw=1.4, label=f"{forward}, {found.setup.compensation * 100:.0f} % iR-free")
    for j, reading in found.readings.items():
        if reading is None:
            axes.axhline(j * factor, color=_SOFT, lw=0.6, ls="--")
            continue
        eta = reading.eta * 1e3
        spread = f" ± {reading.sd * 1e3:.1f}" if reading.sd is not None and reading.sd >= 0.5e-4 else ""
        axes.plot([eta], [j * factor], "o", color=_MARK, ms=4.5, zorder=4)
        axes.annotate(f"{eta:.1f}{spread} mV ", (eta, j * factor), ha="right", va="bottom", fontsize=8, color=_MARK)
    axes.set_xlabel("overpotential (mV)")
    axes.set_ylabel(f"current density ({unit})")
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")
    _plain(axes)


def _tafel(axes: Axes, found: Polarisation) -> None:
    """Logarithm of current density across, overpotential up: the averaged points and the line through its window."""
    factor, unit = _scale(found.setup)
    eta, u = found.tafel_points
    axes.plot(
        10**u * factor,
        eta * 1e3,
        ".",
        color=_SOFT,
        ms=4,
        label="averaged",
    )
    if slope := found.slope:
        low, high = slope.low / found.norm, slope.high / found.norm
        inside = (u >= np.log10(low) - 1e-9) & (u <= np.log10(high) + 1e-9)
        middle = (u[inside].mean(), eta[inside].mean())
        ends = np.log10([low, high])
        words = f"{slope.value * 1e3:.1f} ± {slope.sd * 1e3:.1f} mV/dec, r² = {slope.r2:.4f}"
        axes.plot(
            10**ends * factor, (middle[1] + slope.value * (ends - middle[0])) * 1e3, color=_MARK, lw=1.8, label=words
        )
        axes.axvspan(low * factor, high * factor, color=_MARK, alpha=0.07, lw=0)
        axes.set_title(
            f"window {shown_density(low, found.setup)} to {shown_density(high, found.setup)},"
            f" {'searched for' if slope.chosen else 'as stated'}",
            fontsize=8,
            color=_INK,
        )
    axes.set_xscale("log")
    axes.set_xlabel(f"current density ({unit})")
    axes.set_ylabel("overpotential, iR-free (mV)" if found.slope_resistance else "overpotential (mV)")
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.15)
