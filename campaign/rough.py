"""What can be told of a structure without building it: its elements, and which dopants are neighbours.

The shares of a candidate are a composition whose components are the elements and, where each candidate is one
decoration, names such as `Ti-Zn` for pairs of dopants on neighbouring sites and `Ti in layer 1` where the sublattice
has several layers. They take microseconds a candidate, where an interatomic potential takes a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Protocol

import numpy as np
from torch import Tensor

from campaign.spaces import StructureSpace
from campaign.spaces.base import Floats, Ints
from campaign.spaces.slab.decorated import DecorationSpace
from surrogates.bags import Bags


class Rough(Protocol):
    """The shares of the candidates of a space."""

    names: tuple[str, ...]
    """Components, `k`."""
    tables: tuple[int, ...]
    """How many of them tell of each kind of thing: elements, dopants in layers, pairs of neighbours."""

    def shares(self, X: Floats) -> Floats:
        """Shares [n, k] of candidates [n, 1]; rows sum to 1.

        Raises:
            ValueError: there is no such candidate.
        """


def rough(space: StructureSpace) -> Rough:
    """The shares that a space has."""
    return RoughDecorations(space) if isinstance(space, DecorationSpace) else RoughCompositions(space)


class RoughCompositions:
    """Shares of the elements."""

    def __init__(self, space: StructureSpace) -> None:
        self.names = space.elements
        self.tables: tuple[int, ...] = (len(self.names),)
        self._space = space

    def shares(self, X: Floats) -> Floats:
        """As of `Rough`."""
        return 2 * self._space.coordinates(X)


class RoughDecorations:
    """Shares of the elements on the sublattice, of the dopants in its layers, and of pairs of neighbouring dopants.

    Each of the three weighs alike. Layers count where there are several, and pairs where sites have neighbours.
    """

    def __init__(self, space: DecorationSpace) -> None:
        host, dopants = space.host, space.dopants
        self._space, self._dopants = space, len(dopants)
        self._edges: Ints = np.argwhere(np.triu(host.adjacent))
        self._layer: Ints = np.unique(host.layers[list(host.sites)], return_inverse=True)[1].reshape(-1)
        self._layers = int(self._layer.max()) + 1
        tables = [list(space.elements)]
        if self._layers > 1:
            tables.append(["other sites", *(f"{d} in layer {i + 1}" for i in range(self._layers) for d in dopants)])
        if len(self._edges):
            tables.append(["other pairs", *(f"{a}-{b}" for a, b in combinations_with_replacement(dopants, 2))])
        self.names = tuple(name for table in tables for name in table)
        self.tables = tuple(len(table) for table in tables)

    def shares(self, X: Floats) -> Floats:
        """As of `Rough`."""
        occupied, d = self._space.occupied(X), self._dopants
        parts = [_shares(occupied, 1 + d)]
        if self._layers > 1:
            number = np.where(occupied > 0, self._layer * d + occupied, 0)
            parts.append(_shares(number, 1 + self._layers * d))
        if len(self._edges):
            ends = np.sort(occupied[:, self._edges], axis=-1)
            low, high = ends[..., 0], ends[..., 1]
            number = (low - 1) * (2 * d - low + 2) // 2 + high - low + 1  # in the order of the names
            parts.append(_shares(np.where(low > 0, number, 0), 1 + d * (d + 1) // 2))
        return np.hstack(parts) / len(parts)


@dataclass(frozen=True)
class ShareEncoder:
    """Designs that are shares, `... x k`, as bags of named components without features."""

    names: tuple[str, ...]

    def __call__(self, X: Tensor, stratum: Sequence[str] | None = None) -> Bags:
        """The bags of shares, leading dimensions flattened."""
        shares = X.reshape(-1, len(self.names))
        features, stratum = shares.unsqueeze(-1), stratum or ("",) * len(shares)
        return Bags.of(features, shares > 0, shares, labels=self.names, stratum=stratum, kind="composition")

    def designs(self, bags: Bags) -> Tensor:
        """The shares that these bags hold, `n x k`."""
        return bags.weights


def _shares(numbers: Ints, kinds: int) -> Floats:
    """How much of each row of [n, m] is each of 0..kinds-1, [n, kinds]."""
    n, m = numbers.shape
    flat = (np.arange(n)[:, None] * kinds + numbers).ravel()
    return np.bincount(flat, minlength=n * kinds).reshape(n, kinds) / m
