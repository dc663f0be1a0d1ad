"""What a spec says of making samples: which precursors there are, how much is made, and on which balance."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from campaign.files import stays_inside
from campaign.filters.elements import known_elements
from campaign.grammar import Frozen, Number, fault, faults
from campaign.prices import amount
from campaign.quantities import NUMBER_OR_QUANTITY
from campaign.words import shown
from lab_io.findings import CellError
from lab_io.precursors import BALANCE, PIPETTE, Device

Positive = Annotated[Number, Field(gt=0), NUMBER_OR_QUANTITY]


def _in(unit: str, value: Any) -> Any:
    try:
        return amount(value, unit) if isinstance(value, str) else value
    except CellError as error:
        raise fault(f"{shown(value)} is not a quantity in {unit}", f"write it like 2 {unit}") from error


def _unusable(device: Device) -> list[tuple[tuple[str, ...], str, str]]:
    if device.minimum >= device.readability:
        return []
    what = f"{device.minimum:g} is below the readability, {device.readability:g}"
    return [(("minimum",), what, "write a larger minimum")]


class Balance(Frozen):
    """What masses are weighed on."""

    readability: Positive = BALANCE.readability
    """The step of its display, in mg: a number, or `0.1 mg`; 0.1 mg if left out."""
    minimum: Positive = BALANCE.minimum
    """The least that is worth weighing on it, in mg; below it a solution is suggested; 5 mg if left out."""

    @field_validator("readability", "minimum", mode="before")
    @classmethod
    def _mass(cls, value: Any) -> Any:
        return _in("mg", value)

    @model_validator(mode="after")
    def _consistent(self) -> Balance:
        faults(_unusable(self.device))
        return self

    @property
    def device(self) -> Device:
        """The same in mg."""
        return Device(self.readability, self.minimum)


class Pipette(Frozen):
    """What volumes of solutions are taken with."""

    readability: Positive = PIPETTE.readability
    """The step of what it delivers, in uL: a number, or `1 uL`; 1 uL if left out."""
    minimum: Positive = PIPETTE.minimum
    """The least that it takes well, in uL; 10 uL if left out."""

    @field_validator("readability", "minimum", mode="before")
    @classmethod
    def _volume(cls, value: Any) -> Any:
        return _in("uL", value)

    @model_validator(mode="after")
    def _consistent(self) -> Pipette:
        faults(_unusable(self.device))
        return self

    @property
    def device(self) -> Device:
        """The same in µL."""
        return Device(self.readability, self.minimum)


class Synthesis(Frozen):
    """What is weighed for a sample. With it, worksheets say what to weigh, and take back what was weighed."""

    inventory: str
    """A CSV or spreadsheet file with a column precursor (`Co(NO3)2·6H2O`) and, as far as known, element, assay (%),
    supplier, lot, stock (g), price (EUR/g), hazards, counter-ion, incompatible_with and concentration (mol/L)."""
    amount: Positive
    """Metal in one sample, in mmol: a number, or `2 mmol`."""
    balance: Balance = Balance()
    """What masses are weighed on; 0.1 mg and 5 mg if left out."""
    pipette: Pipette = Pipette()
    """What volumes of solutions are taken with; 1 uL and 10 uL if left out."""
    rules: str | None = None
    """A table of the lab's own rules about counter-ions, with the columns counter_ion, written_as, not_with and reason;
    those of the package if left out."""
    free: tuple[str, ...] = ("H", "O")
    """Elements that are not weighed; H and O if left out, which come from water and air."""

    _known = field_validator("free")(known_elements)

    @field_validator("amount", mode="before")
    @classmethod
    def _mmol(cls, value: Any) -> Any:
        return _in("mmol", value)

    @model_validator(mode="after")
    def _inside(self) -> Synthesis:
        faults(
            ((key,), f"{shown(name)} is not a file in the folder of the spec", "copy it there and write its name")
            for key, name in (("inventory", self.inventory), ("rules", self.rules))
            if name is not None and not stays_inside(name)
        )
        return self

    def files(self) -> tuple[str, ...]:
        """Names of the files that are read, relative to the spec."""
        return (self.inventory, *([self.rules] if self.rules else []))
