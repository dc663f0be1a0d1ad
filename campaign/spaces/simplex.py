"""Compositions on the continuous simplex: a coarse grid to choose from, and all that lies between its points."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from campaign.constraints import HalfSpace
from campaign.grammar import Whole
from campaign.spaces.base import Floats
from campaign.spaces.grid import CompositionGrid, GridSpace
from db.records import Design
from lab_io.words import count

Row = tuple[Floats, float]
"""(c, b) of c x >= b."""


class CompositionSimplex(CompositionGrid):
    """All compositions of some elements within limits, in steps as fine as they can be weighed in.

    A batch is chosen on a grid of 1/divisions, and each of its compositions is then moved by the gradient of the
    acquisition, without changing which elements are present. Takes the keys of `composition_grid`.
    """

    type: Literal["composition_simplex"]  # type: ignore[assignment]  # the tag is what tells the two apart
    divisions: Annotated[Whole, Field(ge=1, le=1000)] = 10
    """Steps from 0 to 1 of the grid that a batch is chosen on; 10 if left out."""
    resolution: Annotated[Whole, Field(ge=10, le=10_000)] = 1000
    """Steps from 0 to 1 that fractions can be weighed in; 1000, a tenth of a percent, if left out."""

    def build(self, sources: Mapping[str, bytes]) -> SimplexSpace:
        """The space; it reads no files.

        Raises:
            InvalidInput: no composition of the grid satisfies all limits, or they are too many to count.
        """
        return SimplexSpace(self)

    def describe(self, size: int) -> str:
        """`compositions of Ni and Fe in steps of 1/1000, begun on 11 in steps of 1/10`."""
        grid = super().describe(size)
        words = f"compositions of {len(self.elements)} elements weighed in steps of 1/{self.resolution}"
        return f"{words}, chosen from {grid}, and refined between them"


class SimplexSpace(GridSpace):
    """The compositions of a `CompositionSimplex`: numbered as on its grid, and free to move between the grid points."""

    spec: CompositionSimplex

    def bounds(self, x: Floats) -> tuple[Floats, Floats]:
        """Least and greatest fractions, each [d], of designs with the elements of a design [d]."""
        present = x > 0
        lower = np.where(present, 1 / self.spec.resolution, 0.0)
        upper = np.where(present, 1.0, 0.0)
        for j, name in enumerate(self.columns):
            bound = self.spec.bounds.get(name)
            if bound and present[j]:
                lower[j] = max(lower[j], bound.min or 0.0)
                upper[j] = min(upper[j], 1.0 if bound.max is None else bound.max)
        return lower, upper

    def at_least(self, x: Floats) -> list[Row]:
        """The linear constraints as c x >= b; of alternatives the first one that a design [d] satisfies."""
        point = {name: Fraction(float(v)).limit_denominator(10_000) for name, v in zip(self.columns, x, strict=True)}
        rows = []
        for limit in self.spec.limits():
            if limit.constraint is None:
                continue
            holding = next((a for a in limit.constraint.alternatives if all(h.holds(point) for h in a)), ())
            rows += [self._row(half) for half in holding]
        return rows

    def _row(self, half: HalfSpace) -> Row:
        slack = 0.5 / self.spec.resolution if half.strict else 0.0
        c = np.array([float(half.coefficients.get(name, 0)) for name in self.columns])
        return -c, slack - float(half.bound)

    def weighable(self, x: Floats) -> Design | None:
        """The composition nearest to fractions [d] that can be weighed in; None where the limits forbid it.

        Rounded down, and what is missing given to the elements that lost most.
        """
        steps = np.clip(x, 0.0, 1.0) * self.spec.resolution
        whole = np.floor(steps + 1e-9).astype(np.int64)
        missing = self.spec.resolution - int(whole.sum())
        if not 0 <= missing <= len(whole):
            return None
        whole[np.argsort(-(steps - whole), kind="stable")[:missing]] += 1
        exact = {name: Fraction(int(n), self.spec.resolution) for name, n in zip(self.columns, whole, strict=True)}
        return {name: float(v) for name, v in exact.items() if v} if self._allows(exact) else None

    def _allows(self, exact: Mapping[str, Fraction]) -> bool:
        present = sum(v > 0 for v in exact.values())
        if not self.spec.min_elements <= present <= (self.spec.max_elements or len(exact)):
            return False
        for limit in self.spec.limits():
            if limit.lower and exact[limit.lower[0]] < Fraction(str(limit.lower[1])):
                return False
            if limit.upper and exact[limit.upper[0]] > Fraction(str(limit.upper[1])):
                return False
            if limit.constraint and not limit.constraint.holds(exact):
                return False
        return True

    def notes(self) -> tuple[str, ...]:
        """That the numbered candidates are not all."""
        steps = f"1/{self.spec.divisions}"
        return (f"batches are chosen from {count(self.count, 'composition')} in steps of {steps}, then refined",)
