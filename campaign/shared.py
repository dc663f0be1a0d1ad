"""Design columns that all items of a batch share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from campaign.filling import spread
from campaign.spaces import Space
from campaign.spaces.base import Floats, Ints
from db.errors import InvalidInput, Problem
from db.records import Design


def positions(space: Space, names: Sequence[str]) -> list[int]:
    """Columns of X that hold the design columns `names`: the number itself, or each word of a category."""
    return [j for j, c in enumerate(space.columns) if any(c == name or c.startswith(f"{name}=") for name in names)]


def settings(space: Space, names: Sequence[str], X: Floats) -> Ints:
    """Number of the setting of each design `n x d`: equal where all columns `names` are equal."""
    shared = X[:, positions(space, names)].round(9)
    return np.unique(shared, axis=0, return_inverse=True)[1].reshape(len(X))


def held(space: Space, names: Sequence[str], designs: Iterable[Design]) -> Floats | None:
    """The setting that designs have already, as columns of X; None without designs.

    Raises:
        InvalidInput: they have different ones.
    """
    found = np.array([space.x_of(d)[positions(space, names)] for d in designs])
    if not len(found):
        return None
    if np.abs(found - found[0]).max() > 1e-9:
        what = f"the pinned items differ in {', '.join(names)}, which a batch shares"
        raise InvalidInput(Problem("pin", what, "pin items of one setting"))
    return found[0]


def within(space: Space, names: Sequence[str], indices: Ints, pinned: Iterable[Design]) -> Ints:
    """The candidates at `indices` that have the setting of the pinned designs; all of them where nothing is pinned.

    Raises:
        InvalidInput: the pinned designs have different settings.
    """
    setting = held(space, names, pinned) if names else None
    return indices if setting is None else indices[_having(space, names, space.X(indices), setting)]


def filling(space: Space, names: Sequence[str], indices: Ints, taken: Floats, size: int) -> Ints:
    """The candidates at `indices` of one setting, for a space-filling batch: of one that was taken least.

    Of several such settings it is that of the candidate which would come first; those with too few candidates for a
    batch are left out where others have enough.

    Args:
        space: of the candidates.
        names: design columns that a batch shares; with none of them all candidates are returned.
        indices: of the candidates.
        taken: designs that are made or pending, `n_taken x d`.
        size: of the batch.
    """
    if not names or not len(indices):
        return indices
    X = space.X(indices)
    setting, before = np.split(settings(space, names, np.vstack([X, taken])), [len(X)])
    room, uses = (np.bincount(some, minlength=int(setting.max()) + 1) for some in (setting, before))
    enough = room[setting] >= min(size, room.max())
    rows = np.flatnonzero(enough & (uses[setting] == uses[setting[enough]].min()))
    strata = space.stratum(indices[rows])
    (first,) = spread(space.coordinates(X[rows]), strata, 1, taken=space.coordinates(taken))
    return indices[setting == setting[rows[first]]]


def _having(space: Space, names: Sequence[str], X: Floats, setting: Floats) -> NDArray[np.bool_]:
    return np.abs(X[:, positions(space, names)] - setting).max(axis=1, initial=0.0) <= 1e-9
