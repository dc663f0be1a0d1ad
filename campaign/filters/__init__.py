"""Filters: rules about candidates that annotate by default and drop only with `mode: hard`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from campaign.filters.base import Facts, Filter, Finding, Verdict
from campaign.filters.charge import ChargeBalance
from campaign.filters.elements import ExcludedElements
from campaign.filters.energy import FormationEnergyProxy, proxies
from campaign.filters.inventory import PrecursorAvailable
from campaign.filters.material import FormulaSpace, Material, composition_of
from campaign.filters.radii import IonicRadiusMismatch
from campaign.filters.sieve import Sieve, Tally, preview
from campaign.grammar import Choice

__all__ = [
    "AnyFilter",
    "ChargeBalance",
    "ExcludedElements",
    "Facts",
    "Filter",
    "Finding",
    "FormationEnergyProxy",
    "FormulaSpace",
    "IonicRadiusMismatch",
    "Material",
    "PrecursorAvailable",
    "Sieve",
    "Tally",
    "Verdict",
    "composition_of",
    "preview",
    "proxies",
]

AnyFilter = Annotated[
    ExcludedElements | ChargeBalance | IonicRadiusMismatch | PrecursorAvailable | FormationEnergyProxy,
    Field(discriminator="rule"),
    Choice("rule"),
]
"""What can stand in the list under `filters:`, told apart by `rule`."""
