"""Column headings of curves: `Ewe/V`, `<I>/mA`, `WE(1).Current (A)`, `E vs. Ag/AgCl (V)`, `j (mA cm-2)`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab_io.words import normalise

POTENTIALS = (
    "we(1).potential", "vf", "ewe", "<ewe>", "potential", "e", "e we", "electrode potential", "voltage", "u",
    "potential applied", "applied potential",
)  # fmt: skip
"""Names of the measured potential of the working electrode, the surest first."""
CURRENTS = (
    "we(1).current", "im", "<i>", "i", "current", "i we", "j", "current density", "i density", "specific current",
)  # fmt: skip
"""Names of the current or its density, the surest first."""
CYCLES = ("cycle number", "scan", "cycle")
"""Names of a column that counts cycles."""

_AGAINST = re.compile(r"\s*\bvs\.?\s*(?P<ref>[^()\[\]]+?)(?=\s*(?:[()\[\]]|/\s*m?V\s*$|$))", re.IGNORECASE)
_BRACKETS = re.compile(r"(?P<name>.*\S)\s*[(\[](?P<unit>[^()\[\]]*)[)\]]")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading taken apart."""

    text: str
    """As written."""
    name: str
    """Without unit, lower case: `ewe`."""
    unit: str
    """As written; empty where there is none."""
    against: str
    """The reference that it names: `Ag/AgCl`; empty where there is none."""


def heading(text: str) -> Heading:
    """Take a heading apart into its name, its unit and what its potential is measured against."""
    plain = normalise(text)
    found = _AGAINST.search(plain)
    against = found["ref"].strip() if found else ""
    if found:
        plain = (plain[: found.start()] + plain[found.end() :]).strip()
    if inner := _BRACKETS.fullmatch(plain):
        name, unit = inner["name"], inner["unit"]
    elif "/" in plain:
        name, _, unit = plain.partition("/")
    else:
        name, unit = plain, ""
    name = re.sub(r"[\s_]+", " ", name.casefold()).strip(" ,;")
    if not against and name.endswith((" rhe", " she")):  # E_RHE
        name, against = name[:-4], name[-3:].upper()
    return Heading(text, name, unit.strip(), against)
