"""A raw curve that was handed in as a table of results: told as what it is, with the command that records it."""

from __future__ import annotations

import shlex
from pathlib import PurePath

from campaign.state import State
from db.errors import InvalidInput, Problem
from lab_io.curves import read_curve, recognised

LEAST = 20
"""Points of a plain table of two columns of numbers that is taken for a curve."""
EXAMPLES = {
    "reference": "Hg/HgO 1 M NaOH",
    "offset-source": "nominal",
    "ph": "13.9",
    "compensation": "1",
    "rs": "5.1",
    "area": "0.196 cm^2",
}
"""What `siteloop curve` must be told, and how it is written."""


def refuse_curve(state: State, content: bytes, path: str) -> None:
    """Refuse what a potentiostat wrote, before it is read as a table.

    Args:
        state: the campaign.
        content: bytes of the file.
        path: of the file, as it would be typed.

    Raises:
        InvalidInput: it is such a file; the fix is the command to type.
    """
    if vendor := recognised(content):
        raise _refusal(state, path, f"a curve of a potentiostat ({vendor})")


def refuse_plain_curve(state: State, content: bytes, path: str) -> None:
    """The same of a plain table of potentials and currents, where no result could be read in it."""
    try:
        curve = read_curve(content, path)
    except InvalidInput:
        return
    if len(curve.potential) >= LEAST:
        raise _refusal(state, path, f"a curve of {len(curve.potential):,} points ({', '.join(curve.headings)})")


def _refusal(state: State, path: str, kind: str) -> InvalidInput:
    words = ["siteloop", "curve", state.name, path, "--sample", _sample(state, path)]
    words += [word for key, value in EXAMPLES.items() for word in (f"--{key}", value)]
    fix = f"type `{shlex.join([*words, '--commit'])}`, with the values of your cell in place of these"
    return InvalidInput(Problem(path, f"this is {kind}, and no table of results", fix))


def _sample(state: State, path: str) -> str:
    """The label that the name of a file holds, the longest one; a word to replace where there is none."""
    stem = PurePath(path).stem.casefold()
    known = {r.label for r in state.recommendations} | {s.label for s in state.samples}
    return max((label for label in sorted(known) if label.casefold() in stem), key=len, default="SAMPLE")
