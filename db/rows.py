"""Records to rows and back: the one place that knows which column of which table holds what."""

from __future__ import annotations

import dataclasses
import json
import math
import operator
from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Column, Double, LargeBinary, Table

from db import tables
from db.chain import canonical
from db.errors import InvalidInput, Problem
from db.records import (
    Batch,
    Candidate,
    Event,
    Measurement,
    ModelVersion,
    Prediction,
    Recommendation,
    Sample,
    Source,
    SpecRevision,
)

Record = Source | Candidate | SpecRevision | Batch | Recommendation | Sample | Measurement
"""What an event can record with it."""

Stored = TypeVar("Stored", bound=Record | Event | ModelVersion | Prediction)

TABLES: Mapping[type, Table] = {
    Source: tables.source,
    Candidate: tables.candidate,
    SpecRevision: tables.spec_revision,
    Batch: tables.batch,
    Recommendation: tables.recommendation,
    Sample: tables.sample,
    Measurement: tables.measurement,
    Event: tables.event,
    ModelVersion: tables.model_version,
    Prediction: tables.prediction,
}
"""Record type -> its table; the order is one in which rows can be inserted."""


_NAMES = {kind: tuple(field.name for field in dataclasses.fields(kind)) for kind in TABLES}
_FIELDS = {
    kind: (names, tuple(n for n in names if TABLES[kind].c[n].info.get("json"))) for kind, names in _NAMES.items()
}
"""Record type -> its fields, and those of them that are JSON: found once, for there may be a million rows."""


def encode(record: Record | Event | ModelVersion | Prediction) -> dict[str, Any]:
    """The columns of a record as they will be stored, and hashed.

    Raises:
        InvalidInput: values that cannot be stored and come back equal: numbers that are not finite or do not fit in
            64 bits, text with a NUL character, JSON that `db.chain.canonical` refuses. All of them at once.
    """
    table = TABLES[type(record)]
    row: dict[str, Any] = {}
    problems = []
    for field in dataclasses.fields(record):
        try:
            row[field.name] = _cell(table.c[field.name], getattr(record, field.name))
        except (TypeError, ValueError, OverflowError) as error:
            problems.append(Problem(f"{table.name}.{field.name}", str(error), "give a value that can be kept"))
    if problems:
        raise InvalidInput(problems)
    return row


def decode(kind: type[Stored], row: Mapping[Any, Any]) -> Stored:
    """The record of a stored row, equal to the one that was encoded."""
    names, in_json = _FIELDS[kind]
    values = {name: row[name] for name in names}
    for name in in_json:
        if values[name] is not None:
            values[name] = json.loads(values[name])
    return kind(**values)


def _cell(column: Column[Any], value: Any) -> Any:
    if value is None:
        if not column.nullable:
            raise ValueError("a value is missing")
        return None
    if column.info.get("json"):
        return canonical(value)
    if isinstance(column.type, Double):
        number = float(value) + 0.0  # SQLite forgets the sign of -0.0, and the hash must not depend on it
        if not math.isfinite(number):
            raise ValueError(f"{number} is not a finite number")
        return number
    if isinstance(column.type, BigInteger):
        whole = int(operator.index(value))
        if not -(2**63) <= whole < 2**63:
            raise ValueError(f"{whole} does not fit in 64 bits")
        return whole
    if isinstance(column.type, LargeBinary):
        return bytes(value)
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    if "\x00" in value:
        raise ValueError(f"{value!r} holds a NUL character")
    value.encode()
    return value
