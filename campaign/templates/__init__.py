"""Commented specs to begin from; every one is valid as it stands."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from campaign.words import listed, suggestion
from db.errors import Conflict, InvalidInput, Problem, UsageError

TEMPLATES = {
    "plate": ("plate.yaml",),
    "table": ("table.yaml", "template_candidates.csv"),
    "alloy": ("alloy.yaml",),
    "coooh": ("coooh.yaml",),
}
"""Template -> its files, the spec first."""


def write_template(name: str, output: Path | None = None) -> list[Path]:
    """Write a template, and the table it refers to beside it.

    Args:
        name: plate (oxides on a grid), table (candidates in a table), alloy (two objectives) or coooh (doped slabs).
        output: the spec to write; `<name>.yaml` in the current folder if None.

    Returns:
        The files written, the spec first.

    Raises:
        UsageError: there is no such template.
        Conflict: one of the files exists; nothing is written.
        InvalidInput: the folder cannot be written to.
    """
    if name not in TEMPLATES:
        fix = suggestion(name, TEMPLATES)
        raise UsageError(Problem("--template", f"{name!r} is none of {listed([*TEMPLATES])}", fix))
    spec = output or Path(f"{name}.yaml")
    targets = {spec if n.endswith(".yaml") else spec.parent / n: n for n in TEMPLATES[name]}
    present = [Problem(str(path), "exists already", "choose another --output") for path in targets if path.exists()]
    if present:
        raise Conflict(present)
    for path, source in targets.items():
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(files(__package__).joinpath(source).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InvalidInput(Problem(str(path), f"cannot be written: {reason}", "choose another folder")) from None
    return list(targets)
