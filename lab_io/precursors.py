"""What to weigh for a batch: precursors, masses, what rounding makes of them, and what stands in the way.

A composition with fractions x_i of n mmol of metal needs m_i = x_i n M_i / (a_i z_i) of each precursor: molar mass M of
the hydrate, assay a, and z atoms of the element in a formula unit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lab_io.counter_ions import Conflict, Rule, conflicts
from lab_io.inventory import Inventory, Precursor

FLASKS = (5, 10, 25, 50, 100, 250, 500, 1000, 2000)
"""Volumes in mL that solutions are made up to."""


@dataclass(frozen=True, slots=True)
class Device:
    """A balance, in mg, or a pipette, in µL."""

    readability: float
    """The step of what it shows or delivers."""
    minimum: float
    """The least that is worth weighing or taking with it."""

    def rounded(self, value: float) -> float:
        """The nearest value that it can show."""
        steps = math.floor(value / self.readability + 0.5)
        return round(steps * self.readability, max(0, 2 - math.floor(math.log10(self.readability))))


BALANCE, PIPETTE = Device(0.1, 5.0), Device(1.0, 10.0)


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution of a precursor to make, of which samples take volumes in place of masses that are too small."""

    precursor: Precursor
    mass: float
    """To dissolve, in mg."""
    volume: float
    """To make up to, in mL."""
    portions: Mapping[str, float] = field(default_factory=dict)
    """Sample -> volume to take, in µL."""

    @property
    def concentration(self) -> float:
        """Of formula units, in mol/L."""
        p = self.precursor
        assert p.formula is not None
        return self.mass * p.assay / p.formula.molar_mass / self.volume

    @property
    def liquid(self) -> Precursor:
        """The precursor as this solution."""
        return replace(self.precursor, concentration=self.concentration)

    def __str__(self) -> str:
        return f"{self.mass:g} mg of {self.precursor.name} in {self.volume:g} mL ({self.concentration:.4g} mol/L)"


@dataclass(frozen=True, slots=True)
class Portion:
    """What one sample takes of one precursor."""

    precursor: Precursor
    fraction: float
    """Of the element in the sample."""
    exact: float
    """In mg, or µL of a solution."""
    rounded: float
    """The same as the device shows it."""
    small: bool
    """Whether it is below the least that the device is good for."""
    solution: Solution | None = None
    """What to take a volume of, in place of a mass that is too small."""
    volume: float | None = None
    """Of that solution, in µL."""

    @property
    def source(self) -> Precursor:
        """What is really taken from: the bottle, or the solution made of it."""
        return self.precursor if self.solution is None else self.solution.liquid

    @property
    def taken(self) -> float:
        """How much of it, in its unit."""
        return self.rounded if self.volume is None else self.volume

    @property
    def cost(self) -> float | None:
        """Of it, in the currency of the inventory."""
        return None if self.precursor.price is None else self.rounded * self.precursor.price


@dataclass(frozen=True, slots=True)
class Weighing:
    """What to weigh for one sample."""

    label: str
    target: Mapping[str, float]
    """Fractions of the elements that are weighed, which add up to 1."""
    portions: tuple[Portion, ...]
    conflicts: tuple[Conflict, ...] = ()
    missing: tuple[str, ...] = ()
    """Elements without a precursor."""

    @property
    def obtained(self) -> dict[str, float]:
        """The composition that the rounded amounts really make."""
        return composed((p.source, p.taken) for p in self.portions)

    @property
    def cost(self) -> float | None:
        """Of all portions, in the currency of the inventory; None where a price is not known."""
        costs = [p.cost for p in self.portions]
        return None if None in costs else math.fsum(c for c in costs if c is not None)


@dataclass(frozen=True, slots=True)
class Shortage:
    """A precursor of which the batch takes more than there is."""

    precursor: Precursor
    needed: float
    """In mg, or µL."""

    def __str__(self) -> str:
        p = self.precursor
        return f"{p}: the batch takes {self.needed:.6g} {p.unit}, in stock are {p.stock or 0:.6g} {p.unit}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to weigh for a batch."""

    weighings: tuple[Weighing, ...]
    chosen: Mapping[str, Precursor]
    """Element -> the precursor that all samples take."""
    inventory: str
    """What the file is called."""
    amount: float
    """Metal in each sample, in mmol."""
    currency: str | None
    shortages: tuple[Shortage, ...] = ()
    solutions: tuple[Solution, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Elements without a precursor."""
        return tuple(dict.fromkeys(e for w in self.weighings for e in w.missing))

    @property
    def cost(self) -> float | None:
        """Of all samples; None where a price is not known."""
        costs = [w.cost for w in self.weighings]
        return None if None in costs else math.fsum(c for c in costs if c is not None)


def composed(amounts: Iterable[tuple[Precursor, float]]) -> dict[str, float]:
    """Fractions of elements from what was weighed, in mg or µL; empty where nothing was."""
    mmol: dict[str, float] = {}
    for precursor, value in amounts:
        mmol[precursor.element] = mmol.get(precursor.element, 0.0) + value / precursor.per_mmol
    total = math.fsum(mmol.values())
    return {element: n / total for element, n in mmol.items()} if total > 0 else {}


def plan(
    targets: Mapping[str, Mapping[str, float]],
    amount: float,
    inventory: Inventory,
    rules: Sequence[Rule],
    *,
    balance: Device = BALANCE,
    pipette: Device = PIPETTE,
) -> Plan:
    """What to weigh for a batch.

    Every element comes from one precursor in the whole batch, so that samples differ by nothing else. Where there are
    several, it is the one with the fewest conflicts in the batch, then enough in stock, then the cheapest, then the
    first in the sheet; a bottle that is empty, or brings a second element of the batch, is passed over.

    Args:
        targets: label -> amounts of the elements to weigh, in any proportion.
        amount: of metal in each sample, mmol.
        inventory: what there is.
        rules: about counter-ions.
        balance: in mg.
        pipette: in µL.
    """
    fractions = {label: _shares(target) for label, target in targets.items()}
    elements = list(dict.fromkeys(e for target in fractions.values() for e in target))
    needed = {e: amount * math.fsum(t.get(e, 0.0) for t in fractions.values()) for e in elements}
    chosen = _choose(elements, needed, fractions, inventory, rules)
    weighings = []
    for label, target in fractions.items():
        portions = []
        for element, fraction in target.items():
            if (precursor := chosen.get(element)) is not None:
                device = balance if precursor.concentration is None else pipette
                exact = fraction * amount * precursor.per_mmol
                small = exact < device.minimum
                portions.append(Portion(precursor, fraction, exact, device.rounded(exact), small))
        used = [p.precursor for p in portions]
        missing = tuple(e for e in target if e not in chosen)
        weighings.append(Weighing(label, target, tuple(portions), tuple(conflicts(used, rules)), missing))
    solutions = [s for p in chosen.values() if (s := _solution(p, weighings, balance, pipette)) is not None]
    weighings = [replace(w, portions=tuple(_drawn(p, w.label, solutions) for p in w.portions)) for w in weighings]
    taken = dict.fromkeys(chosen.values(), 0.0) | {s.precursor: s.mass for s in solutions}
    for portion in (p for w in weighings for p in w.portions if p.solution is None):
        taken[portion.precursor] += portion.rounded
    shortages = [Shortage(p, total) for p, total in taken.items() if p.stock is not None and total > p.stock]
    return Plan(
        tuple(weighings), chosen, inventory.name, amount, inventory.currency, tuple(shortages), tuple(solutions)
    )


def _shares(target: Mapping[str, float]) -> dict[str, float]:
    total = math.fsum(target.values())
    return {element: x / total for element, x in target.items() if x > 0} if total > 0 else {}


def _choose(
    elements: Sequence[str],
    needed: Mapping[str, float],
    targets: Mapping[str, Mapping[str, float]],
    inventory: Inventory,
    rules: Sequence[Rule],
) -> dict[str, Precursor]:
    """One precursor for each element, exchanged one by one as long as that lessens what speaks against them."""
    options = {e: [p for p in inventory.of(e) if p.in_stock and _alone(p, elements)] for e in elements}
    options = {e: found for e, found in options.items() if found}
    chosen = {e: found[0] for e, found in options.items()}

    mixed = Counter(frozenset(target) for target in targets.values())

    def against(picked: Mapping[str, Precursor]) -> tuple[int, int, int, float, int]:
        """Conflicts, bottles with too little, bottles without a price, cost, places in the sheet."""
        together = {several: [picked[e] for e in elements if e in several and e in picked] for several in mixed}
        clashes = sum(n * len(list(conflicts(together[several], rules))) for several, n in mixed.items())
        takes = {e: needed[e] * p.per_mmol for e, p in picked.items()}
        short = sum(p.stock is not None and takes[e] > p.stock for e, p in picked.items())
        cost = math.fsum(p.price * takes[e] for e, p in picked.items() if p.price is not None)
        unpriced = sum(p.price is None for p in picked.values())
        return clashes, short, unpriced, cost, sum(options[e].index(p) for e, p in picked.items())

    best = against(chosen)
    better = True
    while better:
        better = False
        for element, found in options.items():
            for other in found:
                tried = {**chosen, element: other}
                if (worth := against(tried)) < best:
                    chosen, best, better = tried, worth, True
    return chosen


def _alone(precursor: Precursor, elements: Sequence[str]) -> bool:
    """Whether it brings one element of the batch only."""
    assert precursor.formula is not None
    return not any(e in elements and e != precursor.element for e in precursor.formula.atoms)


def _drawn(portion: Portion, label: str, solutions: Sequence[Solution]) -> Portion:
    """The portion as it is taken: from a solution, where it is too small to weigh."""
    for s in solutions if portion.small else ():
        if s.precursor is portion.precursor:
            return replace(portion, solution=s, volume=s.portions[label])
    return portion


def _solution(precursor: Precursor, weighings: Sequence[Weighing], balance: Device, pipette: Device) -> Solution | None:
    """A solution of which about 1 mL holds the largest of the masses that are too small; None where none helps."""
    small = {w.label: p.exact for w in weighings for p in w.portions if p.small and p.precursor is precursor}
    if precursor.concentration is not None or not small:
        return None
    dense = max(small.values())  # mg in 1 mL
    enough = 1.1 * math.fsum(small.values()) / dense
    flask = next((v for v in FLASKS if v >= enough and v * dense >= balance.minimum), FLASKS[-1])
    mass = balance.rounded(flask * dense)
    if mass < balance.minimum:
        return None
    volumes = {label: pipette.rounded(1e3 * x * flask / mass) for label, x in small.items()}
    return Solution(precursor, mass, float(flask), volumes)
