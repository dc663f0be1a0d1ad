"""Earlier campaigns and prior data in a spec: what a new campaign may learn from before anything of it is measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from campaign import yaml
from campaign.files import stays_inside
from campaign.grammar import Frozen, fault, faults
from campaign.outcomes import MetricName
from campaign.quantities import known_unit
from campaign.words import listed, shown, suggestion


class EarlierData(Frozen):
    """An earlier campaign, or a table of prior data: exactly one of `campaign` and `file`."""

    campaign: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] | None = None
    """Name of a campaign in the same database."""
    file: str | None = None
    """A CSV or XLSX table with design columns like those of the space, in the folder of the spec or below: `prior.csv`.
    It may lack elements of the space, and have others."""
    metrics: dict[MetricName, str] = Field(default_factory=dict)
    """Which of its metrics or columns holds an objective: `{overpotential: eta}`; the one of the same name if left
    out."""
    units: dict[MetricName, str] = Field(default_factory=dict)
    """Unit of an objective in the table where its header does not say: `{overpotential: V}`."""

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str | None) -> str | None:
        if file is not None and not stays_inside(file):
            raise fault(f"{shown(file)} is not a file in the folder of the spec", "copy it there and write its name")
        return file

    @field_validator("units")
    @classmethod
    def _units_known(cls, units: dict[str, str]) -> dict[str, str]:
        for unit in units.values():
            known_unit(unit)
        return units

    @model_validator(mode="after")
    def _one_source(self) -> EarlierData:
        if (self.campaign is None) == (self.file is None):
            what = "found both" if self.campaign else "found neither"
            faults([((), f"a history is a campaign or a file, {what}", "write `campaign: NAME` or `file: prior.csv`")])
        if self.campaign is not None and self.units:
            faults([(("units",), "a campaign knows the units of its metrics", "remove it")])
        return self

    @property
    def name(self) -> str:
        """`campaign plate-a` or `prior.csv`."""
        return f"campaign {self.campaign}" if self.campaign else str(self.file)


def history_faults(
    histories: tuple[EarlierData, ...], campaign: str, objectives: tuple[str, ...], space: str, model: str
) -> list[tuple[yaml.Path, str, str]]:
    """(path, what, fix) of each history that cannot be learnt from.

    Args:
        histories: of the spec.
        campaign: name of the campaign.
        objectives: names of its objectives.
        space: type of its space.
        model: type of its model.
    """
    found: list[tuple[yaml.Path, str, str]] = []
    if histories and space in ("doped_slab", "structure_files"):
        what = f"histories are learnt from on compositions, tables and processes, not yet on {space}"
        found.append((("history",), what, "remove it"))
    if histories and model not in ("auto", "gp"):
        found.append((("history",), f"{model} has no use for a history", "write `model: auto` or `model: gp`"))
    for i, history in enumerate(histories):
        if history.campaign == campaign:
            what = "a campaign learns from its own measurements in any case"
            found.append((("history", i, "campaign"), what, "remove it, or name an earlier one"))
        if history.name in [other.name for other in histories[:i]]:
            found.append((("history", i), f"{history.name} is listed twice", "keep one of the two"))
        for key in ("metrics", "units"):
            found += [
                (("history", i, key, name), f"{shown(name)} is not an objective", suggestion(name, objectives))
                for name in getattr(history, key)
                if name not in objectives
            ]
    return found


def said(histories: tuple[EarlierData, ...]) -> str:
    """`; learning from campaign plate-a and prior.csv`; nothing without histories."""
    return f"; learning from {listed([h.name for h in histories])}" if histories else ""
