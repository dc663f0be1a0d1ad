"""What experiments cost, as a spec states it: money, days or grams."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from campaign.grammar import Frozen, Number, fault, faults
from campaign.quantities import NUMBER_OR_QUANTITY, split
from campaign.words import shown
from lab_io.findings import CellError
from lab_io.units import convert, is_unit, same_dimension

Amount = Annotated[Number, Field(ge=0), NUMBER_OR_QUANTITY]


def amount(quantity: float | str, unit: str, per: str = "") -> float:
    """A number in `unit`, or in `unit / per`, from a number or from text such as `30 EUR/kg`.

    Units that pint knows are converted (`90 min` for a unit of h); any other, such as a currency, must be the same.

    Raises:
        CellError: it is no quantity, or its unit is another one.
    """
    if not isinstance(quantity, str):
        return quantity
    given = split(quantity)
    wanted = f"{unit}/{per}" if per else unit
    if given is None:
        raise CellError(f"{shown(quantity)} is not a cost", f"write a number in {wanted}")
    value, text = given
    if not text:
        return value
    own, _, below = text.partition("/")
    other = CellError(f"{shown(quantity)} is not in {wanted}", f"write it in {wanted}")
    if bool(per) != bool(below.strip()):
        raise other
    if per:
        value /= _factor(below.strip(), per, other)
    return value * _factor(own.strip(), unit, other)


def _factor(own: str, unit: str, other: CellError) -> float:
    if own == unit:
        return 1.0
    if not (is_unit(own) and is_unit(unit) and same_dimension(own, unit)):
        raise other
    return convert(1.0, own, unit)


class Price(Frozen):
    """Of a precursor."""

    price: Amount
    """Per gram of the precursor, in the unit of costs: a number, or `30 EUR/kg`."""
    formula: str | None = None
    """What is weighed in for the element, such as `Ni(NO3)2(H2O)6`; the element itself if left out."""


class Costs(Frozen):
    """What an experiment costs: the precursors of a sample, its settings, and what every sample and batch costs."""

    unit: Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[^\s/0-9]+$")]
    """Unit of all costs: a currency or another word of your own (EUR), or a unit such as h, day or g."""
    sample_mass: Annotated[Number, Field(gt=0), NUMBER_OR_QUANTITY] | None = None
    """Mass of the components of one sample, a number in grams or `250 mg`; needed for `precursors`."""
    precursors: dict[str, Price] = Field(default_factory=dict)
    """Component -> price per gram: `{Ni: 0.4, Pt: 32 EUR/g, Co: {price: 1.1, formula: "Co(NO3)2(H2O)6"}}`."""
    columns: dict[str, Amount | dict[str, Amount]] = Field(default_factory=dict)
    """Design column -> cost per unit of a number, or of each word of a category: `{T: 0.02, solvent: {DMF: 3}}`; words
    that are left out cost nothing."""
    table_column: str | None = None
    """Column of the candidate table with the cost of each row, named as in the file; none if left out."""
    sample: Amount = 0.0
    """Of every sample, whatever it is; 0 if left out."""
    batch: Amount = 0.0
    """Of every batch; 0 if left out."""
    weight: Literal["cooling"] | Annotated[Number, Field(ge=0)] = "cooling"
    """Power of the cost that the acquisition is divided by; 0 only counts costs. `cooling`, the default, falls from 1
    to 0 as the budget is spent (Lee et al. 2020), and is 1 without a budget."""

    @field_validator("sample", "batch", mode="before")
    @classmethod
    def _amounts(cls, value: Any, info: ValidationInfo) -> Any:
        return _read(value, info)

    @field_validator("sample_mass", mode="before")
    @classmethod
    def _mass(cls, value: Any) -> Any:
        try:
            return amount(value, "g") if isinstance(value, str) else value
        except CellError as error:
            raise fault(error.what, error.fix) from None

    @field_validator("precursors", mode="before")
    @classmethod
    def _prices(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        priced = {name: given if isinstance(given, dict) else {"price": given} for name, given in value.items()}
        return {
            name: given | {key: _read(given[key], info, "g") for key in ("price",) if key in given}
            for name, given in priced.items()
        }

    @field_validator("columns", mode="before")
    @classmethod
    def _columns(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: {w: _read(c, info) for w, c in given.items()} if isinstance(given, dict) else given
            for name, given in value.items()
        }

    @model_validator(mode="after")
    def _mass_is_known(self) -> Costs:
        if self.precursors and self.sample_mass is None:
            what = "prices are per gram, and the mass of a sample is not stated"
            faults([(("sample_mass",), what, "add `sample_mass: 1 g`")])
        return self


def _read(value: Any, info: ValidationInfo, per: str = "") -> Any:
    if not isinstance(value, str) or "unit" not in info.data:
        return value
    try:
        return amount(value, info.data["unit"], per)
    except CellError as error:
        raise fault(error.what, error.fix) from None
