"""A design on one line, as it is shown and as it may be typed: `Ni0.5 Fe0.5 T=300 K`, or `Ni=0.5 Fe=0.5 T=300`."""

from __future__ import annotations

import re

from campaign.quantities import in_unit, split
from campaign.spaces import Space, units, variables
from campaign.spaces.base import ELEMENTS
from campaign.spaces.settings import level_text
from campaign.words import shown
from db.records import Design
from lab_io.compositions import parse_formula
from lab_io.findings import CellError

_NESTED = re.compile(r"\([^()]*\)")
_SIGNS = re.compile(r"[\s,;]+")


def formula(design: Design, space: Space) -> str:
    """A design in the order of the spec, without its zero fractions; numbers with their units, a lone text as it is."""
    if len(design) == 1 and isinstance(text := next(iter(design.values())), str):
        return text
    unit, sides = units(space), [column.name for column in space.side_columns()]
    fractions = {name: float(design[name]) for name in space.components if design.get(name)}
    parts = [f"{name}{'' if name in ELEMENTS else '='}{value:.4g}" for name, value in fractions.items()]
    return " ".join([*parts, *(f"{n}={setting(design[n], unit.get(n, ''))}" for n in sides if n in design)])


def setting(value: float | str, unit: str) -> str:
    """`700 K`, `water`: a number to six digits with its unit, which reads back."""
    return level_text(value if isinstance(value, str) else float(f"{value:.6g}"), unit)


def example(space: Space) -> str:
    """What a design of a space may look like, for messages: one of its candidates."""
    design = space.candidate(space.count // 2).design
    line, name = formula(design, space), next(iter(design))
    return f"`{line}`" if f"{name}=" in line or name in space.components else f"`{name}={line}`, or `{line}`"


def parsed(space: Space, text: str) -> dict[str, float | str]:
    """A design from one line: a formula of the components, and COLUMN=VALUE for any column.

    A number or fraction ends at a comma, so that the formula may also come last; one with a unit is converted.

    Raises:
        CellError: a column is given twice, the rest is no formula, or a unit does not convert.
    """
    names, unit = variables(space), units(space)
    numbers = {*space.components, *(column.name for column in space.side_columns() if column.kind == "number")}
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    key = re.compile(rf"(?<![^\s,;])({known}|[^\s,;=>]+)\s*=")
    pairs = list(key.finditer(_NESTED.sub(lambda nested: "_" * len(nested[0]), text)))  # a route has its own `=`
    if len(names) == 1 and not space.components and names[0] not in [pair[1] for pair in pairs]:
        pairs, text = list(key.finditer(f"{names[0]}=")), f"{names[0]}={text}"
    rest, given = text[: pairs[0].start()] if pairs else text, list[tuple[str, float | str]]()
    ends = [*(pair.start() for pair in pairs[1:]), len(text)]
    for pair, end in zip(pairs, ends, strict=False):
        name, value = pair[1], text[pair.end() : end].strip(" \t\n,;")
        if name in numbers:
            value, *more = re.split("[,;]", value, maxsplit=1)
            rest += " ".join(["", *more])
        given.append((name, _in(unit.get(name, ""), value) if name in numbers else value))
    if line := _SIGNS.sub(" ", rest).strip():
        if not space.components:
            raise CellError(f"{shown(line)} is not COLUMN=VALUE", "write COLUMN=VALUE for each column")
        given += parse_formula(line, space.components).items()
    if twice := [name for i, (name, _) in enumerate(given) if name in dict(given[:i])]:
        raise CellError(f"{twice[0]} is given twice", "give each column once")
    return dict(given)


def _in(unit: str, text: str) -> float | str:
    """What is typed with a unit as a number in `unit`; any other text as it is."""
    quantity = split(text)
    return in_unit(text, unit) if quantity and quantity[1] else text
