"""Which curves are handed in, and whose they are: one file, or a folder with its `curves.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from campaign import yaml
from campaign.curve_spec import Parameters
from campaign.files import read_file, read_inside, stays_inside
from campaign.grammar import Frozen, fault, problems
from campaign.words import shown, suggestion
from db.errors import InvalidInput, Problem
from lab_io.curves import MAX_BYTES

MANIFEST = ("curves.yaml", "curves.yml")
"""What the list is called that lies beside the curves of a folder."""
MAX_CURVES = 500


def _name(text: str) -> str:
    if not stays_inside(text):
        raise fault(f"{shown(text)} lies outside the folder", "name a file in the folder of the list, or below")
    return text


class Entry(Parameters):
    """One curve: a file, whose it is, and how to read it."""

    file: Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_name)]
    """The file, in the folder of the list or below."""
    sample: Annotated[str, Field(min_length=1, max_length=120)]
    """The sample_id: `b1-03`."""
    design: str | None = None
    """What the sample is, where the campaign does not know it yet: `Ni0.5 Fe0.5`."""
    replicate: str | None = None
    """A name for a repeated measurement of the same sample: `2`."""
    correct: str | None = None
    """Why this reading takes the place of the one on record: `pH was 13.6`; none does if left out."""

    def parameters(self) -> dict[str, Any]:
        """How it is read, as plain values, defaults included."""
        return self.model_dump(mode="json", exclude={"file", "sample", "design", "replicate", "correct"})


class Manifest(Frozen):
    """A list of curves, `curves.yaml`, that lies beside them."""

    defaults: dict[str, Any] = Field(default_factory=dict)
    """What holds for every curve that does not say otherwise."""
    curves: Annotated[tuple[Entry, ...], Field(min_length=1, max_length=MAX_CURVES)]
    """The curves: `- {file: b1-03.mpt, sample: b1-03, rs: 5.1}`."""


@dataclass(frozen=True)
class Handed:
    """A curve as it was handed in: what is said of it, and its bytes."""

    entry: Entry
    content: bytes

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.entry.file


class _Options(yaml.Document):
    """Values of a command line: a key is an option."""

    def where(self, path: yaml.Path) -> str:
        """`--offset-source`."""
        return f"--{str(path[0]).replace('_', '-')}" if path else self.name


def handed_in(path: Path, options: Mapping[str, Any]) -> list[Handed]:
    """The curves that a path names.

    Args:
        path: a curve; or a list of curves, or a folder that holds one as `curves.yaml`.
        options: how to read a single curve, and whose it is, with None for what was not given.

    Raises:
        InvalidInput: something is missing, cannot be, or cannot be read; all problems at once.
    """
    given = {key: value for key, value in options.items() if value not in (None, [], (), {})}
    found = next((path / name for name in MANIFEST if (path / name).is_file()), None) if path.is_dir() else path
    if found is None:
        fix = f"write a {MANIFEST[0]} beside the curves: a list of `- {{file: ..., sample: ...}}`, and defaults"
        raise InvalidInput(Problem(str(path), f"there is no {MANIFEST[0]} in the folder", fix))
    if found.suffix.lower() not in (".yaml", ".yml"):
        return [Handed(from_options(found.name, given), read_file(found, found.name, MAX_BYTES))]
    if given:
        what = f"{', '.join(f'--{k}' for k in given)} cannot be given for a list of curves".replace("_", "-")
        raise InvalidInput(Problem(found.name, what, "write it in the list: under defaults, or for one curve"))
    read, wrong = list[Handed](), list[Problem]()
    for entry in read_manifest(found):
        try:
            read.append(Handed(entry, read_inside(found.parent, entry.file, MAX_BYTES)))
        except InvalidInput as error:
            wrong += error.problems
    if wrong:
        raise InvalidInput(wrong)
    return read


def from_options(name: str, given: Mapping[str, Any]) -> Entry:
    """One curve as stated on the command line.

    Raises:
        InvalidInput: something is missing or cannot be; all problems at once.
    """
    try:
        return Entry.model_validate({**given, "file": name})
    except ValidationError as error:
        raise InvalidInput(problems(error, _Options(name, dict(given)), _schema())) from None


def read_manifest(path: Path) -> tuple[Entry, ...]:
    """The curves of a list, each with the defaults that it does not overrule.

    Raises:
        InvalidInput: it cannot be read, or something is missing or cannot be; all problems at once, with lines.
    """
    document = yaml.load(read_file(path, path.name, yaml.MAX_BYTES), path.name)
    if not isinstance(document.value, dict):
        what = f"a list of curves is a mapping with the key `curves`, not {shown(document.value)}"
        raise InvalidInput(Problem(path.name, what, "write `curves:` and below it `- {file: ..., sample: ...}`"))
    value = dict(document.value)
    defaults, listed = value.get("defaults") or {}, value.get("curves")
    if isinstance(defaults, dict) and isinstance(listed, list):
        strange = [key for key in defaults if key not in Parameters.model_fields]
        if strange:
            known = list(Parameters.model_fields)
            what = "is no parameter that holds for all curves"
            wheres = [(document.where(("defaults", key)), key) for key in strange]
            raise InvalidInput([Problem(w, f"{shown(key)} {what}", suggestion(key, known)) for w, key in wheres])
        value["curves"] = [{**defaults, **entry} if isinstance(entry, dict) else entry for entry in listed]
    try:
        curves = Manifest.model_validate(value).curves
    except ValidationError as error:
        stated = yaml.Document(path.name, value, document.marks)
        raise InvalidInput(problems(error, stated, Manifest.model_json_schema())) from None
    twice = sorted({e.file for i, e in enumerate(curves) if e.file in [other.file for other in curves[:i]]})
    if twice:
        fix = "name each file once: one file for two samples is a mistake"
        raise InvalidInput([Problem(path.name, f"{shown(file)} is listed twice", fix) for file in twice])
    return curves


@cache
def _schema() -> dict[str, Any]:
    return Entry.model_json_schema()
