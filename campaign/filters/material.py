"""What a filter sees of a candidate: its elements and amounts, and what stands in for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np

from campaign.spaces import Space
from campaign.spaces.base import ELEMENTS, Floats


@runtime_checkable
class FormulaSpace(Protocol):
    """What a structure space offers to filters."""

    def formula(self, x: int) -> str:
        """Full formula of one structure of the candidate with this X, all atoms: `Co10 Ti1 Zn1 O24 H24`."""

    def substitutions(self, x: int) -> Sequence[tuple[str, str]]:
        """(host, dopant) of each substitution in the candidate with this X; empty for a space without a host."""


@dataclass(frozen=True)
class Material:
    """A candidate as filters see it."""

    amounts: tuple[tuple[str, float], ...]
    """(element, amount) above zero, by symbol: fractions, or the atoms of a full formula."""
    substitutions: tuple[tuple[str, str], ...] = ()
    """(host, dopant) of each kind of substitution."""
    has_host: bool = False
    """Whether it is made by substitution in a host, rather than composed."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols, sorted."""
        return tuple(element for element, _ in self.amounts)


def composition_of(space: Space, x: Floats) -> Material:
    """The composition of a candidate, whichever kind of space it is of.

    Args:
        space: a structure space is asked for its formula; of any other the fractions of elements are the composition.
        x: design vector, `d`.
    """
    if isinstance(space, FormulaSpace):
        number = int(x[0])
        pairs = tuple(sorted(set(space.substitutions(number))))
        return Material(_parsed(space.formula(number)), pairs, has_host=True)
    found = [(name, float(v)) for name, v in zip(space.components, x, strict=False) if v > 0 and name in ELEMENTS]
    return Material(tuple(sorted(found)))


@lru_cache(maxsize=100_000)
def _parsed(formula: str) -> tuple[tuple[str, float], ...]:
    from pymatgen.core import Composition

    amounts: Mapping[str, float] = Composition(formula).get_el_amt_dict()
    return tuple(sorted((element, float(n)) for element, n in amounts.items() if n > 0))


def materials(space: Space, X: Floats) -> tuple[list[Material], list[int]]:
    """The different materials among designs `n x d`, and which of them each design is, `n`.

    Designs of one composition are one material, so that a rule looks at each composition once.
    """
    if isinstance(space, FormulaSpace):
        seen: dict[Material, int] = {}
        which = [seen.setdefault(composition_of(space, x), len(seen)) for x in X]
        return list(seen), which
    rows, inverse = np.unique(X[:, : len(space.components)], axis=0, return_inverse=True)
    return [composition_of(space, row) for row in rows], inverse.reshape(-1).tolist()
