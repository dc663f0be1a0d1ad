"""How a curve is to be read, as a lab states it; what is missing or cannot be is said in its own words."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from campaign import yaml
from campaign.grammar import Frozen, Number, Whole, fault, faults
from campaign.words import shown, suggestion
from lab_io.curves.curve import Picks
from lab_io.electrodes import OXYGEN, electrode, named
from lab_io.findings import CellError
from lab_io.numbers import parse_number
from lab_io.polarisation import PER, Exact, Setup
from lab_io.units import convert, convert_sd, same_dimension

_SCALE = re.compile(r"(?P<number>.*?)\s*(?:\bvs\.?\s*)(?P<scale>SHE|NHE|RHE)\s*", re.IGNORECASE)


def measured(text: Any, unit: str) -> Exact:
    """A number in `unit`, or `5.0 ± 0.2 ohm`, with its standard deviation.

    Raises:
        CellError: it is no such thing, or of another dimension.
    """
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise CellError(f"{shown(text)} is not a quantity", f"write a number in {unit or 'plain numbers'}")
    found = parse_number(repr(float(text)) if not isinstance(text, str) else text, decimal=".")
    if found is None or found.qualifier != "=":
        raise CellError(f"{shown(text)} is not a quantity", f"write a number in {unit or 'plain numbers'}")
    own = found.unit or unit
    return Exact(convert(found.value, own, unit), convert_sd(found.sd or 0.0, own, unit))


def _quantity(unit: str, low: float = float("-inf"), high: float = float("inf")) -> Any:
    """A validator of `measured` text within limits; the text itself is kept."""

    def check(value: Any) -> float | str:
        try:
            found = measured(value, unit)
        except CellError as error:
            raise fault(error.what, error.fix) from None
        if not low < found.value < high:
            limits = f"between {low:g} and {high:g} {unit}".rstrip()
            raise fault(f"{shown(value)} is not possible here", f"write a value {limits}")
        return value if isinstance(value, str) else float(value)

    return PlainValidator(check)


_SCHEMA = WithJsonSchema({"type": ["number", "string"]})
_Rs = Annotated[float | str, _quantity("ohm", -1e-12, 1e6), _SCHEMA]
_PH = Annotated[float | str, _quantity("", -2, 16), _SCHEMA]
_Celsius = Annotated[float | str, _quantity("degC", -50, 300), _SCHEMA]
_Volts = Annotated[float | str, _quantity("V", -3, 3), _SCHEMA]
Share = Annotated[Number, Field(ge=0, le=1)]


class Parameters(Frozen):
    """Everything that turns a curve into overpotentials; what matters most has no default."""

    reference: Annotated[str, Field(min_length=1, max_length=80)]
    """The reference electrode: `Hg/HgO 1 M NaOH`, `Ag/AgCl sat. KCl`, `SCE`, `RHE`; any name with an `offset`."""
    offset_source: Literal["calibrated", "nominal"]
    """`calibrated`: measured by the lab, and stated as `offset`. `nominal`: the value from a table."""
    offset: str | None = None
    """Its potential and against what: `0.098 V vs SHE`, or `0.924 ± 0.002 V vs RHE`; the nominal one if left out."""
    ph: _PH | None = None
    """Of the electrolyte, `13.9 ± 0.05`; needed unless the offset is against RHE."""
    temperature: _Celsius = 25.0
    """In °C; 25 if left out."""
    compensation: Share
    """The share of Rs that overpotentials are to be free of: 0 for none, 0.85, 1."""
    by_instrument: Share = 0.0
    """The share of it that the potentials in the file are already free of; 0 if left out."""
    rs: _Rs | None = None
    """Series resistance in ohm, `5.1 ± 0.2`; needed where more is to be compensated than the instrument has."""
    area: str | None = None
    """What currents are divided by: `0.196 cm^2`, or `0.05 mg` with basis mass; not needed for a file of densities."""
    basis: Literal["geometric", "ECSA", "mass"] = "geometric"
    """Which area it is, or mass; geometric if left out."""
    reaction: Literal["OER", "HER"] = "OER"
    """Oxygen evolution, the default, or hydrogen evolution."""
    equilibrium: _Volts | None = None
    """Equilibrium potential in V against RHE; 1.229 for OER and 0 for HER if left out."""
    sweep: Literal["forward", "reverse"] = "forward"
    """Which sweep to read; forward, towards higher currents, if left out."""
    anodic: Literal["positive", "negative"] = "positive"
    """The sign of oxidation currents in the file; positive if left out."""
    cycle: Annotated[Whole, Field(ge=0)] | None = None
    """Which cycle to read; the last whole one if left out."""
    columns: tuple[str, ...] = ()
    """Headings to take instead of the file's, in order: `[E/V, I/mA]`; the file's own if left out."""
    potential: str | None = None
    """The heading of the potential, where several could be meant."""
    current: str | None = None
    """The heading of the current, where several could be meant."""
    window: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)] | None = None
    """Current densities between which the Tafel slope is read: `[1 mA/cm^2, 20 mA/cm^2]`; searched for if left out."""
    at: dict[str, str] = Field(default_factory=dict)
    """Metric -> current density, for objectives that do not state one: `{overpotential: 10 mA/cm^2}`."""
    not_reached: Literal["refuse", "censor", "skip"] = "refuse"
    """What to do with a current density that the curve does not reach: refuse, the default; `censor`, record that the
    overpotential is larger than at the end of the curve; or `skip` that metric."""

    @model_validator(mode="after")
    def _complete(self) -> Parameters:
        found: list[tuple[yaml.Path, str, str]] = []
        offset = self._offset(found)
        if offset and not offset[1] and self.ph is None:
            found.append((("ph",), "the pH is missing", "state it: potentials against SHE become RHE by 59 mV per pH"))
        if self.by_instrument > self.compensation:
            what = f"the instrument compensated {self.by_instrument:g}, more than the {self.compensation:g} asked for"
            found.append((("by_instrument",), what, "state the total as compensation"))
        if self.compensation > self.by_instrument and self.rs is None:
            what = f"{self.compensation:g} of Rs cannot be compensated without Rs"
            found.append((("rs",), what, "state Rs in ohm, or compensation 0"))
        for key, read in (("area", self._area), ("window", self._window)):
            try:
                read()
            except CellError as error:
                found.append(((key,), error.what, error.fix))
        for metric, text in self.at.items():
            try:
                self.density(text)
            except CellError as error:
                found.append((("at", metric), error.what, error.fix))
        faults(found)
        return self

    def _offset(self, found: list[tuple[yaml.Path, str, str]]) -> tuple[Exact, bool] | None:
        """The offset in V, and whether it is against RHE; what is wrong with it goes to `found`."""
        known = electrode(self.reference)
        if self.offset is None:
            if known is None:
                fix = f"{suggestion(self.reference, list(named()))}; or state offset: 0.098 V vs SHE"
                found.append((("reference",), f"{shown(self.reference)} is no reference electrode that is known", fix))
            elif self.offset_source == "calibrated" and known.name not in ("RHE", "SHE"):
                fix = "state it as offset: 0.924 V vs RHE; or offset_source nominal, for the value of a table"
                found.append((("offset",), "a calibrated electrode needs its calibrated offset", fix))
            return None if known is None else (Exact(known.offset), known.name == "RHE")
        scale = _SCALE.fullmatch(self.offset)
        try:
            if not scale:
                raise CellError(
                    f"{shown(self.offset)} does not say against what", "write 0.098 V vs SHE, or ... vs RHE"
                )
            value = measured(scale["number"], "V")
            if abs(value.value) > 3:
                raise CellError(f"{shown(self.offset)} is not possible here", "check its unit: V or mV")
            return value, scale["scale"].upper() == "RHE"
        except CellError as error:
            found.append((("offset",), error.what, error.fix))
        return None

    def _area(self) -> Exact | None:
        if self.area is None:
            return None
        unit = "g" if self.basis == "mass" else "cm^2"
        given = parse_number(self.area, decimal=".")
        if given is None or given.unit is None:
            raise CellError(f"{shown(self.area)} has no unit", "write 0.196 cm^2, or 0.05 mg with basis mass")
        if not same_dimension(given.unit, unit):
            fix = f"with basis {self.basis} write it in {'mg' if self.basis == 'mass' else 'cm^2'}, or change the basis"
            raise CellError(f"{shown(self.area)} is not {'a mass' if self.basis == 'mass' else 'an area'}", fix)
        found = measured(self.area, unit)
        if not 0 < found.value < 1e6:
            raise CellError(f"{shown(self.area)} is not possible here", "write a value above zero")
        return found

    def _window(self) -> tuple[float, float] | None:
        if self.window is None:
            return None
        low, high = (self.density(text) for text in self.window)
        if not low < high:
            raise CellError(f"{self.window[0]} is not below {self.window[1]}", "exchange them")
        return low, high

    def density(self, text: Any) -> float:
        """A current density in A/cm^2, or A/g with basis mass.

        Raises:
            CellError: it is none, or has no unit.
        """
        unit = PER[self.basis]
        given = parse_number(text, decimal=".") if isinstance(text, str) else None
        example = "10 A/g" if self.basis == "mass" else "10 mA/cm^2"
        if given is None or given.unit is None or given.qualifier != "=" or given.value <= 0:
            raise CellError(f"{shown(text)} is not a current density", f"write {example}")
        return convert(given.value, given.unit, unit)

    def setup(self) -> Setup:
        """The same as numbers."""
        offset, against_rhe = self._offset([]) or (Exact(0.0), True)
        cathodic = self.reaction == "HER"
        nominal = 0.0 if cathodic else OXYGEN
        return Setup(
            offset=offset,
            ph=None if against_rhe or self.ph is None else measured(self.ph, ""),
            temperature=measured(self.temperature, "degC").value,
            equilibrium=nominal if self.equilibrium is None else measured(self.equilibrium, "V").value,
            cathodic=cathodic,
            positive=self.anodic == "positive",
            rs=None if self.rs is None else measured(self.rs, "ohm"),
            compensation=self.compensation,
            by_instrument=self.by_instrument,
            area=self._area(),
            basis=self.basis,
            reverse=self.sweep == "reverse",
            cycle=self.cycle,
            window=self._window(),
        )

    def picks(self) -> Picks:
        """Which columns and cycle of the file."""
        return Picks(self.columns, self.potential, self.current, self.cycle)
