"""The hash chain: what is hashed, how, and in which order.

Every event of a campaign holds the hash of the event before it, and in its payload under `rows` the hash of every row
recorded with it. So the hash of the newest event (the head) vouches for the whole campaign: whoever has written the
head down can tell whether anything before it was altered.

A hash version names the fields that are hashed. A column added later enters under a new version only, and rows hashed
under an old one keep verifying.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

HASH_VERSION = 1
"""Version under which new events and their rows are hashed."""

_PLACE = ("seq", "position")

FIELDS: Mapping[int, Mapping[str, tuple[str, ...]]] = {
    1: {
        "event": ("campaign", "seq", "kind", "payload", "by", "at", "prev_hash"),
        "source": ("sha256", "name", "content"),
        "spec_revision": ("id", "campaign", "revision", "spec", "sources", "reason", *_PLACE),
        "batch": (
            *("id", "campaign", "number", "spec_revision", "snapshot", "code_version", "seed", "settings"),
            *_PLACE,
        ),
        "recommendation": (
            *("id", "campaign", "batch", "rank", "label", "candidate", "design", "stratum", "prediction", "rationale"),
            *_PLACE,
        ),
        "sample": ("id", "campaign", "label", "candidate", "design", "stratum", "recommendation", *_PLACE),
        "measurement": (
            *("id", "campaign", "sample", "metric", "value", "unit", "sd", "qualifier", "replicate", "composition"),
            *("conditions", "source", "cell", "supersedes", "reason"),
            *_PLACE,
        ),
    }
}
"""Hash version -> table -> the columns that are hashed."""


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, floats as `repr` writes them, no spaces, nothing escaped needlessly.

    Args:
        value: mappings with text keys, lists or tuples (both become arrays), text, finite numbers, booleans, None.

    Raises:
        TypeError: a value or key that JSON cannot hold; the message says where, as in `$.effects[3]`.
        ValueError: a number that is not finite, or text that is not valid Unicode.
    """
    text = json.dumps(_plain(value, "$"), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()  # a lone surrogate can be neither stored nor hashed: UnicodeEncodeError is a ValueError
    return text


_SCALAR = frozenset((str, int, bool, type(None)))


def _flat(value: dict[Any, Any]) -> bool:
    """Whether a mapping is plain as it is, as a row of a table: its keys text, its values scalars that JSON has."""
    for key, item in value.items():
        kind = type(item)
        if type(key) is not str or not (kind in _SCALAR or (kind is float and math.isfinite(item))):
            return False
    return True


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, not a finite number")
        return value
    if type(value) is dict and _flat(value):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}, which is not text")
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise TypeError(f"{where} is of type {type(value).__name__}, which JSON does not have")


def digest(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def genesis(campaign: str) -> str:
    """What the first event of a campaign holds as the hash before it."""
    return digest(canonical({"genesis": campaign}))


def row_hash(table: str, row: Mapping[Any, Any], hash_version: int) -> str:
    """Hash of one row as it is stored: JSON columns as their TEXT, bytes by their own SHA-256.

    Args:
        table: name of the table, a key of `FIELDS[hash_version]`.
        row: stored columns by name; those that the version does not hash are ignored.
        hash_version: a key of `FIELDS`.

    Raises:
        KeyError: unknown table or version, or a hashed column is missing from the row.
        TypeError, ValueError: a column holds what `canonical` refuses.
    """
    body = {field: row[field] for field in FIELDS[hash_version][table]}
    body = {k: hashlib.sha256(v).hexdigest() if isinstance(v, bytes) else v for k, v in body.items()}
    return digest(canonical({"table": table, "hash_version": hash_version, "row": body}))


def event_hash(row: Mapping[Any, Any]) -> str:
    """Hash of one event as stored, under the version that it states; raises as `row_hash` does."""
    return row_hash("event", row, row["hash_version"])
