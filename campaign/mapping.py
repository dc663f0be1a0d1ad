"""Saved column mappings: how tables of one origin are read, as a small YAML file that is kept in the ledger.

A mapping names columns, units, the rows that are meant, and the fixes that are consented to; nothing in it is ever
evaluated. It is recorded in a campaign with its hash; `ingest --mapping` reads it from there, or from a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, ValidationError, WithJsonSchema, field_validator

from campaign import yaml
from campaign.files import read_file
from campaign.grammar import Frozen, Whole, fault, faults, problems
from campaign.words import shown, suggestion
from db.errors import InvalidInput, Problem
from db.records import Event, Source
from db.store import Store
from lab_io.filtering import Wanted
from lab_io.fixes import Fixes

MAPPING_SAVED = "mapping.saved"
"""Kind of the event; its payload holds `name` and `sha256`."""

_BOUNDS = ("min", "max", "not", "filled")


def _scalar(value: Any) -> str | float:
    if isinstance(value, bool):  # as a spreadsheet shows it
        return str(value).upper()
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        return value
    raise fault(f"{shown(value)} is not a word or a number", "write what the cell must be: T, 25 or 'as cast'")


def _scalars(value: Any) -> tuple[str | float, ...]:
    return tuple(map(_scalar, value)) if isinstance(value, list | tuple) else (_scalar(value),)


def _wanted(value: Any) -> Wanted:
    """`T`, `[C, T]`, `{min: 20, max: 30}`, `{not: C}` or `{filled: true}`."""
    if isinstance(value, Wanted):
        return value
    if not isinstance(value, Mapping):
        return Wanted(values=_scalars(value))
    if unknown := [key for key in value if key not in _BOUNDS]:
        raise fault(f"the key {shown(unknown[0])} is unknown here", suggestion(str(unknown[0]), _BOUNDS))
    low, high, filled = value.get("min"), value.get("max"), value.get("filled")
    for number in (low, high):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
            raise fault(f"{shown(number)} is not a number", "write a number, in the unit of the column")
    if filled is not None and not isinstance(filled, bool):
        raise fault(f"{shown(filled)} is not true or false", "write true or false")
    if not value:
        raise fault("a mapping of 0 keys says nothing", "write what the cell must be")
    return Wanted(
        unlike=_scalars(value["not"]) if "not" in value else (),
        least=None if low is None else float(low),
        most=None if high is None else float(high),
        filled=filled,
    )


_VALUE = {"type": ["string", "number", "boolean"]}
Condition = Annotated[
    Wanted,
    PlainValidator(_wanted),
    WithJsonSchema({"anyOf": [_VALUE, {"type": "array", "items": _VALUE}, {"type": "object"}]}),
]
"""What a cell must be for its row to be read: a value, a list of values, or `{min: 20, max: 30}`."""

Words = Annotated[dict[str, str], Field(max_length=500)]


class Header(Frozen):
    """Where the column names stand."""

    row: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    """Their first row, as the spreadsheet counts; the first that is not blank if left out."""
    rows: Annotated[Whole, Field(ge=1, le=5)] = 1
    """How many rows they take; 1 if left out. Names below each other are joined: `composition (at.%): Ni`."""


class TableMapping(Frozen):
    """How tables of one origin are read."""

    mapping_version: Literal[1]
    """Version of this grammar: 1."""
    description: Annotated[str, Field(max_length=1000)] = ""
    """What the tables are and where they come from."""
    sheet: str | None = None
    """Sheet of a workbook; the only visible one with cells if left out."""
    header: Header = Header()
    """Where the column names stand."""
    columns: Words = Field(default_factory=dict)
    """Column of the file -> what it is: sample_id, formula, status, a fraction, a metric, `measured Ni`, `keep`,
    `ignore`."""
    units: Words = Field(default_factory=dict)
    """Column of the file -> its unit, where the file does not say or is wrong."""
    where: dict[str, Condition] = Field(default_factory=dict, max_length=50)
    """Column of the file -> what its cells must be; rows that differ are skipped, and say why."""
    accept: tuple[str, ...] = ()
    """Fixes that are consented to, as for `--accept-fix`."""

    @field_validator("accept")
    @classmethod
    def _known(cls, accept: tuple[str, ...]) -> tuple[str, ...]:
        try:
            Fixes.parse(accept)
        except InvalidInput as error:
            faults(((), p.what, p.fix) for p in error.problems)
        return accept

    def fixes(self) -> tuple[str, ...]:
        """The accepted fixes, with where the header stands."""
        rows = (f"header-rows={self.header.rows}",) if self.header.rows > 1 else ()
        return (*self.accept, *rows, *((f"header-row={self.header.row}",) if self.header.row else ()))


@dataclass(frozen=True)
class SavedMapping:
    """A mapping with the bytes that it was read from."""

    name: str
    content: bytes
    spec: TableMapping
    by: str = ""
    at: str = ""
    """Who saved it and when; empty for one that is not saved."""

    @property
    def source(self) -> Source:
        """The bytes as the ledger keeps them."""
        return Source(hashlib.sha256(self.content).hexdigest(), f"{self.name}.yaml", self.content)


def read_mapping(content: bytes, name: str) -> SavedMapping:
    """A mapping from its YAML.

    Raises:
        InvalidInput: it has problems; all of them at once.
    """
    document = yaml.load(content, name)
    if not isinstance(document.value, dict):
        what = f"a mapping file is keys and values, not {shown(document.value)}"
        raise InvalidInput(Problem(document.where(()), what, "begin with `mapping_version: 1`"))
    try:
        return SavedMapping(Path(name).stem, content, TableMapping.model_validate(document.value))
    except ValidationError as error:
        raise InvalidInput(problems(error, document, _schema())) from None


@cache
def _schema() -> dict[str, Any]:
    return TableMapping.model_json_schema()


def saved_mappings(store: Store, campaign: str) -> dict[str, SavedMapping]:
    """The newest mapping of each name in a campaign.

    Raises:
        InvalidInput: there is no such campaign.
    """
    store.require(campaign)
    found = {}
    for event in store.events(campaign, kinds=[MAPPING_SAVED]):
        source = store.source(event.payload["sha256"])
        if source is not None:
            name = event.payload["name"]
            spec = read_mapping(source.content, f"{name}.yaml").spec
            found[name] = SavedMapping(name, source.content, spec, event.by, event.at)
    return found


def find_mapping(store: Store, campaign: str, given: str) -> SavedMapping:
    """A mapping by the name under which it was saved, else from the YAML file of that path.

    Raises:
        InvalidInput: there is neither, or the file has problems.
    """
    saved = saved_mappings(store, campaign)
    if given in saved:
        return saved[given]
    if Path(given).suffix.casefold() in (".yaml", ".yml"):
        return read_mapping(read_file(Path(given), given, yaml.MAX_BYTES), given)
    fix = suggestion(given, list(saved)) if saved else "save one first, or name a .yaml file"
    raise InvalidInput(Problem("mapping", f"no mapping {shown(given)} is saved in campaign {campaign}", fix))


def save_mapping(store: Store, campaign: str, mapping: SavedMapping, *, by: str) -> Event | None:
    """Record a mapping under its name; the same bytes under the same name are a no-op.

    Returns:
        The event, or None.

    Raises:
        InvalidInput: the name cannot be used, or there is no such campaign.
    """
    if not mapping.name.replace("-", "").replace("_", "").isalnum() or len(mapping.name) > 64:
        raise InvalidInput(
            Problem("mapping", f"{shown(mapping.name)} cannot be its name", "use letters, digits, - and _, at most 64")
        )
    known = saved_mappings(store, campaign).get(mapping.name)
    if known is not None and known.content == mapping.content:
        return None
    source = mapping.source
    payload = {"name": mapping.name, "sha256": source.sha256}
    return store.append(campaign, MAPPING_SAVED, payload, rows=[source], by=by)


def combined(
    saved: SavedMapping | None,
    columns: Mapping[str, str],
    units: Mapping[str, str],
    sheet: str | None,
    fixes: Sequence[str],
) -> tuple[dict[str, str], dict[str, str], str | None, Fixes, dict[str, Wanted]]:
    """Columns, units, sheet, fixes and conditions of a mapping and of single answers, which win.

    Raises:
        InvalidInput: a fix is unknown.
    """
    if saved is None:
        return dict(columns), dict(units), sheet, Fixes.parse(fixes), {}
    spec = saved.spec
    given = {text.partition("=")[0] for text in fixes}
    kept = [fix for fix in spec.fixes() if fix.partition("=")[0] not in given]
    accepted = Fixes.parse([*kept, *fixes])
    return {**spec.columns, **columns}, {**spec.units, **units}, sheet or spec.sheet, accepted, dict(spec.where)
