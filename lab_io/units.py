"""Units at the door: names as labs write them, conversion by pint, and units in column headers.

Unit text goes through a small grammar of our own (names, powers, `*`, `/`, blanks) before pint looks the names up, so
that nothing a user types is evaluated. `dec` (a decade of current) is a dimension of its own: mV/dec is not mV.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from lab_io.findings import CellError
from lab_io.words import nearest, normalise, shown

if TYPE_CHECKING:
    from pint import Unit

MAX_UNIT = 40
"""Longest text that is looked at as a unit."""

# fmt: off
_COMMON = (
    "mV", "V", "eV", "meV", "mV/dec", "mA/cm^2", "A/cm^2", "mA", "A", "mg/cm^2", "mF/cm^2", "cm^2", "ohm", "kOhm",
    "S/cm", "mS/cm", "MPa", "GPa", "Pa", "nm", "µm", "mm", "cm", "angstrom", "K", "°C", "h", "min", "s", "mol/L",
    "mmol", "g", "mg", "kg", "g/cm^3", "W/m/K", "kJ/mol", "eV/atom", "%", "at.%", "HV",
)
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SPELLING = {
    "at%": "percent", "at.%": "percent", "at. %": "percent", "at %": "percent", "mol%": "percent", "mol %": "percent",
    "%": "percent", "percent": "percent", "atomic %": "percent", "atom%": "percent",
    "mass%": "weightpercent",
    "wt%": "weightpercent", "wt.%": "weightpercent", "wt. %": "weightpercent", "wt %": "weightpercent",
    "fraction": "", "at. fraction": "", "at.fraction": "", "atomic fraction": "", "mole fraction": "", "1": "",
    "℃": "degC", "oC": "degC", "℉": "degF",
}
# fmt: on
_OFFSET = {"degree_Celsius": "delta_degree_Celsius", "degree_Fahrenheit": "delta_degree_Fahrenheit"}
_FACTOR = re.compile(r"(?P<name>[^\W\d_]+|[%°][^\W\d_]*)(?:\^|\*\*)?(?P<power>[+-]?\d)?")
_HEADER = re.compile(r"(?P<name>[^()\[\]]*[^()\[\]\s])\s*(?:\((?P<round>[^()]*)\)|\[(?P<square>[^\[\]]*)\])")


def same_dimension(one: str, other: str) -> bool:
    """Whether two units measure the same kind of quantity.

    Raises:
        CellError: one of them is not a unit.
    """
    return bool(parse_unit(one).dimensionality == parse_unit(other).dimensionality)


def convert(value: float, from_unit: str, to_unit: str) -> float:
    """A value in another unit; temperatures with their offset.

    Raises:
        CellError: one of the units is unknown, or they are not of the same dimension.
    """
    factor, offset = _affine(from_unit, to_unit)
    return value * factor + offset


def convert_sd(sd: float, from_unit: str, to_unit: str) -> float:
    """A standard deviation in another unit: scaled, never shifted.

    Raises:
        CellError: as `convert`.
    """
    return sd * abs(_affine(from_unit, to_unit)[0])


def is_unit(text: str) -> bool:
    """Whether `parse_unit` knows it, and it is not empty."""
    try:
        parse_unit(text)
    except CellError:
        return False
    return bool(text.strip())


@lru_cache(maxsize=1024)
def parse_unit(text: str) -> Unit:
    """A unit such as `mV`, `mA cm⁻²`, `mV/dec`, `at.%`; empty text is dimensionless.

    Raises:
        CellError: it is not a unit, with the nearest common one.
    """
    plain = _typeset(normalise(text)).translate(_SUPERSCRIPT)
    plain = _SPELLING.get(plain, plain)
    registry = _registry()
    if re.search(r"\bvs\b", plain):
        fix = "write the bare unit, such as V, in a column whose name says what it is measured against"
        raise CellError(f"the unit {shown(text)} is a potential against a reference electrode", fix)
    powers: dict[str, int] = {}
    rest, sign = plain.removeprefix("1/") if plain.startswith("1/") else plain, -1 if plain.startswith("1/") else 1
    while rest:
        factor = _FACTOR.match(rest) if len(plain) <= MAX_UNIT else None
        name = _name(registry, factor["name"]) if factor else None
        if not factor or not name:
            near = nearest_unit(plain)
            fix = (
                f"did you mean {near}?"
                if near
                else "write a unit such as mV, mA/cm^2, MPa or %, or none for a plain number"
            )
            raise CellError(f"{shown(text)} is not a known unit", fix)
        powers[name] = powers.get(name, 0) + sign * int(factor["power"] or 1)
        rest = rest[factor.end() :]
        if separator := re.match(r"\s*[/*·.]\s*|\s+", rest):
            sign = -1 if "/" in separator[0] else 1
            rest = rest[separator.end() :] or "?"
        elif rest:
            rest = "?" + rest
    if len(powers) > 1 or any(p != 1 for p in powers.values()):  # a temperature in a product is a difference
        powers = {_OFFSET.get(name, name): power for name, power in powers.items()}
    return registry.Unit(registry.UnitsContainer(powers))


def _typeset(text: str) -> str:
    r"""A unit as a journal's table may have it, in plain letters: `$\mu$m`, `g/cm$^3$`, `$^\circ$C`, `cm^{-2}`."""
    if not re.search(r"[$\\{]", text):
        return text
    text = re.sub(r"\^?\s*\\circ\b\s*", "°", re.sub(r"[${}]", "", text))
    return re.sub(r"\\(?:mu|micro)\b\s*", "µ", re.sub(r"\\(?:mathrm|text|rm)\b\s*", "", text)).strip()


def nearest_unit(text: str) -> str | None:
    """The common unit that `text` was probably meant to be, in its usual case, or None."""
    return nearest(text.replace(" ", ""), _COMMON)


def split_header(header: str) -> tuple[str, str | None]:
    """The name and the unit of a column header.

    `overpotential (mV)` and `overpotential [mV]` are split whatever the brackets hold; `overpotential / mV` and
    `overpotential_mV` only when the last part is a unit.

    Returns:
        The name, and the unit as written or None.
    """
    text = normalise(header)
    if found := _HEADER.fullmatch(text):
        return found["name"], (found["round"] or found["square"] or "").strip() or None
    for sign in ("/", "_"):
        head, _, tail = text.partition("/") if sign == "/" else text.rpartition("_")
        if head.strip() and is_unit(tail):
            return head.strip(), tail.strip()
    return text, None


@lru_cache(maxsize=1024)
def _affine(from_unit: str, to_unit: str) -> tuple[float, float]:
    """Factor and offset from one unit to another."""
    one, other = parse_unit(from_unit), parse_unit(to_unit)
    if one == other:
        return 1.0, 0.0
    if one.dimensionality != other.dimensionality:
        fix = f"give the values in {to_unit or 'plain numbers'}, or in a unit that converts to it"
        raise CellError(f"the unit {shown(from_unit)} does not convert to {shown(to_unit)}", fix)
    registry = _registry()
    zero, unit = (float(registry.Quantity(x, one).to(other).magnitude) for x in (0.0, 1.0))
    return unit - zero, zero


def _name(registry: Any, text: str) -> str | None:
    from pint.errors import UndefinedUnitError

    name = {"%": "percent", "°": "degree"}.get(text, text)
    try:
        return str(registry.get_name(name)) or None
    except UndefinedUnitError:
        return None


@cache
def _registry() -> Any:
    """Pint's registry with the words of electrochemistry and metallurgy; built on first use."""
    from pint import UnitRegistry

    registry: Any = UnitRegistry()
    registry.define("dec = [decade]")
    registry.define("weightpercent = [weight_fraction]")
    registry.define("atom = []")
    for scale in ("HV", "HB", "HRC"):  # hardness numbers; no scale converts into another
        registry.define(f"{scale} = [hardness_{scale}]")
    return registry
