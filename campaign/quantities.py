"""Quantities in a spec: a number in the objective's unit, or text such as `8 mV` or `100 mA/cm^2`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from campaign.grammar import fault
from campaign.words import shown
from lab_io.findings import CellError
from lab_io.units import convert, convert_sd, parse_unit

_QUANTITY = re.compile(
    r"\s*(?P<number>[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?)(?:\s+|(?=[^\W\d]|[%°]|$))(?P<unit>.*)"
)


def split(text: str) -> tuple[float, str] | None:
    """`100 mA/cm^2` -> (100.0, "mA/cm^2"); None when it does not begin with a number."""
    match = _QUANTITY.fullmatch(text)
    return (float(match["number"]), match["unit"].strip()) if match else None


def known_unit(unit: str) -> str:
    """The unit itself.

    Raises:
        PydanticCustomError: no such unit is known.
    """
    try:
        parse_unit(unit)
    except CellError as error:
        raise fault(error.what, error.fix) from None
    return unit


def difference(quantity: float | str, unit: str) -> float:
    """A difference, such as a noise floor, as a number in `unit`: 8 K are 8 degC, and 8 are 8 of the unit.

    Raises:
        CellError: it is no quantity, or not of the dimension of `unit`.
    """
    value, own = _parts(quantity, unit)
    return convert_sd(value, own, unit) if own else value


def in_unit(quantity: float | str, unit: str) -> float:
    """A value, such as a target, as a number in `unit`: 300 K are 26.85 degC, and 300 are 300 of the unit.

    Raises:
        CellError: it is no quantity, or not of the dimension of `unit`.
    """
    value, own = _parts(quantity, unit)
    return convert(value, own, unit) if own else value


def _parts(quantity: float | str, unit: str) -> tuple[float, str]:
    given = split(quantity) if isinstance(quantity, str) else (quantity, "")
    if given is None:
        raise CellError(f"{shown(quantity)} is not a quantity", f"write a number in {unit or 'plain numbers'}")
    return given


def _quantity(value: Any) -> float | str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value in (float("inf"), float("-inf")):
        raise fault(f"{shown(value)} is not a quantity", "write a number, or a number and a unit: 8 mV")
    if not isinstance(value, str):
        return float(value)
    given = split(value)
    if given is None:
        raise fault(f"{shown(value)} is not a quantity", "write a number, or a number and a unit: 8 mV")
    known_unit(given[1])
    return value


def _condition(value: Any) -> float | str | bool:
    if isinstance(value, bool) or (isinstance(value, str) and value.strip() and split(value) is None):
        return value
    return _quantity(value)


Quantity = Annotated[float | str, PlainValidator(_quantity), WithJsonSchema({"type": ["number", "string"]})]
"""A number, or a number and its unit."""

Condition = Annotated[
    float | str | bool, PlainValidator(_condition), WithJsonSchema({"type": ["number", "string", "boolean"]})
]
"""What was held: a quantity (`100 mA/cm^2`), true or false, or a word (`geometric`)."""


class _NumberOrQuantity:
    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"type": ["number", "string"]}


NUMBER_OR_QUANTITY = _NumberOrQuantity()
"""Marks a number, within limits or not, that may also be written with its unit."""
