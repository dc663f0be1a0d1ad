"""Curves from the text files of potentiostats: told apart by content, read by one small reader per vendor."""

from __future__ import annotations

from typing import cast

from db.errors import InvalidInput
from lab_io.curves import autolab, biologic, chi, gamry, plain
from lab_io.curves.curve import Curve, Picks, curve
from lab_io.curves.external import convert, is_binary
from lab_io.curves.listing import Reader, decode
from lab_io.findings import CellError

__all__ = ["MAX_BYTES", "READERS", "Curve", "Picks", "as_text", "read_curve", "recognised"]

MAX_BYTES = 20 << 20
READERS = tuple(cast(Reader, module) for module in (biologic, gamry, chi, autolab, plain))
"""Asked in this order; the last one takes any text."""


_BEGINNING = 20_000
"""Bytes in which a vendor's format is told."""


def recognised(content: bytes) -> str | None:
    """The vendor's format of a file, told by its beginning; None for a plain table and for anything else."""
    if is_binary(content):
        return biologic.NAME
    try:
        text = decode(content[:_BEGINNING])
    except CellError:
        return None
    return next((r.NAME for r in READERS[:-1] if r.sniff(text)), None)


def as_text(content: bytes, name: str) -> bytes:
    """The bytes of a text file as they are, and of a binary .mpr as the user's own program converts them.

    Raises:
        InvalidInput: it is binary, and cannot be converted.
    """
    try:
        return convert(content) if is_binary(content) else content
    except CellError as error:
        raise InvalidInput(error.at(name).problem) from None


def read_curve(content: bytes, name: str, picks: Picks | None = None) -> Curve:
    """A polarisation curve from the bytes of a text file.

    Args:
        content: BioLogic .mpt, Gamry .DTA, CHI or Autolab text, or a plain table.
        name: what to call the file in messages.
        picks: what the user says of its columns, and which cycle to read.

    Raises:
        InvalidInput: it is no text, damaged, or not a curve; all problems at once, with line and column.
    """
    try:
        text = decode(content)
        reader = next(r for r in READERS if r.sniff(text))
        listing = reader.read(text)
    except CellError as error:
        raise InvalidInput(error.at(name).problem) from None
    return curve(listing, name, picks or Picks())
