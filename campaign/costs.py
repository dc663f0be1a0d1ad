"""What each candidate costs, what was spent, and what a batch would cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from acquisition.cost import cooled
from campaign.prices import Costs, Price
from campaign.spaces import Space, TableSpace
from campaign.spaces.base import ELEMENTS, Floats, Ints
from campaign.spaces.columns import read_columns
from campaign.words import listed, quantity, suggestion
from db.errors import InvalidInput, Problem
from db.records import Design

if TYPE_CHECKING:
    from campaign.spec import CampaignSpec
    from campaign.state import State

CHEAPEST = 1e-3
"""Least cost that a candidate is weighed by, as a share of the dearest: what is free must not win at any price."""


@dataclass(frozen=True)
class CostModel:
    """The costs of a spec on its space.

    Fractions of chemical elements are amounts, so that a sample of mass m holds m x_i M_i / sum_j x_j M_j grams of
    element i; fractions of other components are of mass.
    """

    costs: Costs
    space: Space
    files: Mapping[str, bytes]

    def of(self, X: Floats, listed_costs: Floats | None = None) -> Floats:
        """Cost of one sample of each design `n x d`, `n`, in the unit of the spec; nan where it is unknown.

        Args:
            X: designs.
            listed_costs: what the candidate table says of each, `n`; unknown if left out.
        """
        total = np.full(len(X), self.costs.sample) + X @ self._per_column
        if self.costs.precursors:
            k = len(self.space.components)
            mass = X[:, :k] * self._masses
            prices = np.array([_per_gram(self.costs.precursors[name], name) for name in self.space.components])
            total += (self.costs.sample_mass or 0.0) * (mass @ prices) / mass.sum(axis=1)
        if self.costs.table_column is not None:
            total += np.full(len(X), np.nan) if listed_costs is None else listed_costs
        return total

    def of_candidates(self, indices: Ints) -> Floats:
        """Cost of one sample of each candidate, `n`."""
        listed_costs = None if self.costs.table_column is None else self._table[indices]
        return self.of(self.space.X(indices), listed_costs)

    def of_design(self, design: Design) -> float:
        """Cost of one sample of a design; nan where only the candidate table could say."""
        index = self.space.locate(design) if self.costs.table_column is not None else None
        if index is not None:
            return float(self.of_candidates(np.array([index]))[0])
        return float(self.of(self.space.x_of(design)[None])[0])

    @cached_property
    def _masses(self) -> Floats:
        names = self.space.components
        if not ELEMENTS.issuperset(names):
            return np.ones(len(names))
        from pymatgen.core import Element

        return np.array([float(Element(name).atomic_mass) for name in names])

    @cached_property
    def _per_column(self) -> Floats:
        per = dict.fromkeys(self.space.columns, 0.0)
        for name, given in self.costs.columns.items():
            per |= {f"{name}={word}": c for word, c in given.items()} if isinstance(given, dict) else {name: given}
        return np.array([per[name] for name in self.space.columns])

    @cached_property
    def _table(self) -> Floats:
        column = self.costs.table_column or ""
        assert isinstance(self.space, TableSpace)  # `problems` has said so
        spec = self.space.spec
        found = read_columns(self.files[spec.file], spec.file, {column: "number"}, {}).numbers[column]
        if (found < 0).any():
            row = int((found < 0).argmax())
            what = f"{column} is {found[row]:g} in row {row + 1} of the candidates, and no cost is below zero"
            raise InvalidInput(Problem("cost.table_column", what, "correct the table"))
        return found

    def problems(self) -> Iterator[Problem]:
        """What can only be known once the space is built."""
        costs, space = self.costs, self.space
        names = list(costs.precursors)
        for name in names:
            if name not in space.components:
                fix = suggestion(name, space.components) if space.components else "remove it"
                yield Problem(f"cost.precursors.{name}", f"{name} is no component of the space", fix)
            try:
                _per_gram(costs.precursors[name], name)
            except ValueError:
                what = f"{costs.precursors[name].formula} is no formula with {name} in it"
                yield Problem(f"cost.precursors.{name}.formula", what, "write it like Ni(NO3)2(H2O)6")
        if names and (missing := [name for name in space.components if name not in names]):
            yield Problem("cost.precursors", f"there is no price of {listed(missing)}", "add it, 0 if it is free")
        sides = {column.name: column for column in space.side_columns()}
        for name, given in costs.columns.items():
            side = sides.get(name)
            if side is None:
                fix = suggestion(name, sides) if sides else "remove it"
                yield Problem(f"cost.columns.{name}", f"{name} is no design column", fix)
            elif isinstance(given, dict) != (side.kind == "category"):
                fix = "write a cost for each word" if side.kind == "category" else "write one cost per unit of it"
                yield Problem(f"cost.columns.{name}", f"{name} is a {side.kind}", fix)
            elif isinstance(given, dict):
                wrong = [word for word in given if f"{name}={word}" not in space.columns]
                for word in wrong:
                    yield Problem(f"cost.columns.{name}.{word}", f"{name} is never {word}", "remove it")
            elif min((low for n, low, _ in space.numeric_ranges() if n == name), default=0.0) < 0:
                what = f"{name} goes below zero, where a cost per unit would be one too"
                yield Problem(f"cost.columns.{name}", what, "state the column in another unit, such as K")
        if costs.table_column is not None and not isinstance(space, TableSpace):
            yield Problem("cost.table_column", "the space is no candidate table", "remove it")


def _per_gram(price: Price, element: str) -> float:
    """Price of what is weighed in for one gram of an element.

    Raises:
        ValueError: the formula is none, or has nothing of the element.
    """
    if price.formula is None:
        return price.price
    from pymatgen.core import Composition

    formula = Composition(price.formula)
    held = formula.get_el_amt_dict().get(element, 0.0)
    if not held:
        raise ValueError(f"{price.formula} has no {element}")
    own = Composition({element: held})
    return price.price * float(formula.weight) / float(own.weight)


def cost_model(spec: CampaignSpec, space: Space, files: Mapping[str, bytes]) -> CostModel | None:
    """The costs of a campaign, checked; None where the spec states none.

    Raises:
        InvalidInput: they do not fit the space, or the candidate table cannot be read.
    """
    if spec.cost is None:
        return None
    model = CostModel(spec.cost, space, files)
    found = list(model.problems())
    if found:
        raise InvalidInput(found)
    if spec.cost.table_column is not None:
        model.of_candidates(np.arange(1))
    return model


@dataclass(frozen=True)
class Account:
    """What a campaign has cost."""

    unit: str
    spent: float
    """On samples that were made for recommendations, whatever became of them, and on their batches."""
    pending: float
    """On recommendations that are not made yet, and on batches of which nothing is made."""
    initial: float
    """That part of both that no acquisition chose."""
    budget: float | None
    unknown: int
    """Samples and recommendations whose cost is not known; they count nothing."""
    taken_over: float = 0.0
    """On what the batch that is being proposed has already; it is in none of the others."""

    @property
    def left(self) -> float:
        """Of the budget; infinite without one."""
        return math.inf if self.budget is None else self.budget - self.spent - self.pending - self.taken_over

    def power(self, weight: str | float) -> float:
        """Power of the cost in the next choice."""
        if not isinstance(weight, str):
            return weight
        return (
            1.0
            if self.budget is None
            else cooled(self.budget, self.spent + self.pending + self.taken_over, self.initial)
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values for the status."""
        found = {"unit": self.unit, "spent": self.spent, "pending": self.pending}
        return found | ({} if self.budget is None else {"budget": self.budget, "left": self.left})


def account(state: State) -> Account | None:
    """What was spent, and what is on its way; None where the spec states no costs.

    Samples that were not made for a recommendation, such as a history, were paid for before and count nothing.
    """
    model = state.costs
    if model is None:
        return None
    fixed, filled = model.costs.batch, {b.id for b in state.batches if b.settings.get("acquisition") == "space-filling"}
    made: dict[str, list[float]] = {b.id: [] for b in state.batches}
    due: dict[str, list[float]] = {b.id: [] for b in state.batches}
    waiting = {r.id for r in state.pending}
    for r in state.recommendations:
        if r.batch in made and r.id in state.sample_of:
            made[r.batch].append(model.of_design(state.sample_of[r.id].design))
        elif r.batch in made and r.id in waiting:
            due[r.batch].append(model.of_design(r.design))
    new = math.fsum(_known([model.of_design(r.design) for r in state.pending if not r.batch]))
    totals = {True: 0.0, False: 0.0}
    initial = 0.0
    for batch in made:
        paid, owed = math.fsum(_known(made[batch])), math.fsum(_known(due[batch]))
        if made[batch] or due[batch]:
            paid, owed = (paid + fixed, owed) if made[batch] else (paid, owed + fixed)
        totals[True] += paid
        totals[False] += owed
        initial += paid + owed if batch in filled else 0.0
    unknown = sum(math.isnan(c) for several in (*made.values(), *due.values()) for c in several)
    return Account(model.costs.unit, totals[True], totals[False], initial, state.spec.budget.cost, unknown, new)


def _known(costs: Sequence[float]) -> list[float]:
    return [cost for cost in costs if not math.isnan(cost)]


def weighed(state: State, indices: Ints, dearest: float | None = None) -> tuple[Floats, float] | None:
    """Costs of candidates to choose by, `n`, all above zero, and their power; None for a choice that ignores them.

    Args:
        state: the campaign.
        indices: of the candidates.
        dearest: cost of the dearest, which says what counts as free; by default of `indices`, whose parts would then
            not be comparable.
    """
    model, told = state.costs, account(state)
    if model is None or told is None or model.costs.weight == 0:
        return None
    costs = model.of_candidates(indices)
    dearest = float(costs.max(initial=0.0)) if dearest is None else dearest
    if dearest <= 0:
        return None
    return np.maximum(costs, CHEAPEST * dearest), told.power(model.costs.weight)


def payable(state: State, indices: Ints, beside: Sequence[Design] = ()) -> tuple[Floats, float] | None:
    """Costs of candidates, `n`, nan where unknown, and what the next batch may cost in all; None without a budget.

    Args:
        state: the campaign.
        indices: of the candidates.
        beside: what else the batch has, its controls; what it takes over is counted by itself.
    """
    limit = purse(state, beside)
    return None if limit is None or state.costs is None else (state.costs.of_candidates(indices), limit)


def purse(state: State, beside: Sequence[Design] = ()) -> float | None:
    """What the next batch may cost in all, with `beside` paid; None without a budget. Arguments as `payable`."""
    model, told = state.costs, account(state)
    if model is None or told is None or told.budget is None:
        return None
    return told.left - model.costs.batch - math.fsum(_known([model.of_design(design) for design in beside]))


def batch_notes(state: State, designs: Sequence[Design]) -> list[str]:
    """What a batch of further designs would cost, in words, and whether the budget bears it."""
    model, told = state.costs, account(state)
    if model is None or told is None:
        return []
    each = [model.of_design(design) for design in designs]
    total = math.fsum(_known(each)) + model.costs.batch
    before = f"{quantity(told.spent, told.unit)} spent, {quantity(told.pending, told.unit)} pending"
    lines = [f"this batch costs {quantity(total, told.unit)} ({before}{_of(told)})"]
    if unknown := len(each) - len(_known(each)):
        lines.append(f"the cost of {unknown} of its items is not known and not counted")
    if told.budget is not None and total > told.left + told.taken_over:  # which the total holds as well
        used = quantity(told.spent + told.pending + total)
        lines.append(f"over budget: {used} of {quantity(told.budget, told.unit)}")
    return lines


def _of(told: Account) -> str:
    return "" if told.budget is None else f", of a budget of {quantity(told.budget, told.unit)}"
