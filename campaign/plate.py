"""A finished experiment to replay on, and the figures by which a replay is judged.

Of several objectives they are those of `campaign.plate_volume`, and of one:

The best 1 % is the ceil(0.01 n) best candidates, ties included. Regret is (best so far - optimum) / (median - optimum).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from campaign.plate_volume import Volume
from campaign.spaces import Space, variables
from campaign.spec import Objective
from db.errors import InvalidInput, Problem
from lab_io.findings import CellError
from lab_io.tables import cell_text, read_table
from lab_io.units import convert, split_header

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plate:
    """A finished experiment: which candidates of a space have a value."""

    indices: NDArray[np.int64]
    """Candidates with a value, in the order of the file."""
    values: Array
    """Of each, in the objective's unit, replicates averaged, `n`; of several objectives `n x m`."""
    unmeasured: int
    """Candidates of the space without a value."""
    outside: int
    """Rows of the file that lie outside the space."""
    losses: Array
    """Of each, smaller is better: the values, negated, or their distances to the target; as `values`."""
    volume: Volume | None = None
    """Of several objectives: the hypervolume that is to be found."""

    def __len__(self) -> int:
        return len(self.indices)

    def measured(self, row: int) -> list[float]:
        """The values of a candidate, one an objective."""
        found: list[float] = self.values[row : row + 1].ravel().tolist()
        return found


def load_plate(
    space: Space,
    objectives: Sequence[Objective],
    content: bytes,
    name: str,
    *,
    columns: Sequence[str] = (),
    unit: str | None = None,
) -> Plate:
    """Read a finished experiment.

    Args:
        space: whose candidates were measured.
        objectives: whose values the table holds.
        content: of a CSV file or spreadsheet.
        name: of the file, for messages.
        columns: names of the columns, for a file without a header.
        unit: of the values of a single objective, if the file does not say.

    Raises:
        InvalidInput: it is no table, a column or the unit is missing, cells are no numbers, no row is in the space, or
            nothing is better than the reference point of several objectives.
    """
    if columns:
        content = ",".join(columns).encode() + b"\n" + content
    table = read_table(content, name)
    shift = 1 if columns else 0  # rows are called by their number in the file
    split = [split_header(cell) for cell in table.header]
    names = [s[0] for s in split]
    needed = (*variables(space), *(o.name for o in objectives))
    if missing := [c for c in needed if c not in names]:
        what = f"there is no column {', '.join(missing)}; the columns are {', '.join(names)}"
        fix = f"name the columns of a file without a header: `--columns {','.join(needed)}`"
        raise InvalidInput(Problem(name, what, fix))
    at = {column: names.index(column) for column in needed}
    given = _units(objectives, [split[at[o.name]][1] for o in objectives], unit, name)
    words = {column.name for column in space.side_columns() if column.kind == "category"}
    problems: list[Problem] = []
    found: dict[int, list[list[float]]] = {}
    outside = 0
    for row in table.rows:
        cells = {column: cell_text(row.cells[at[column]]).strip() for column in needed}
        where = f"{name}, row {row.number - shift}"
        if bad := [column for column in needed if column not in words and not _is_number(cells[column])]:
            problems.append(
                Problem(where, f"no number in {', '.join(bad)}", "write a number such as 0.3 in every cell")
            )
            continue
        try:
            values = [
                convert(float(cells.pop(o.name)), of or "", o.unit) for o, of in zip(objectives, given, strict=True)
            ]
        except CellError as error:
            raise InvalidInput(Problem(name, error.what, error.fix)) from None
        index = space.locate(cells)
        if index is None:
            outside += 1
        else:
            found.setdefault(index, []).append(values)
    if problems:
        raise InvalidInput(problems)
    if not found:
        what = f"none of its {outside} rows lies in the space"
        raise InvalidInput(Problem(name, what, "check the columns, the elements and the divisions"))
    table_of = np.array([np.mean(v, axis=0) for v in found.values()])
    losses = np.array([[o.loss(v) for o, v in zip(objectives, row, strict=True)] for row in table_of.tolist()])
    several = len(objectives) > 1
    volume = Volume.of(losses, objectives) if several else None
    if volume is not None and volume.whole <= 0:
        what = "nothing of it is better than the reference point in every objective"
        raise InvalidInput(Problem(name, what, "write reference points that are just not worth having, or none"))
    return Plate(
        indices=np.array(list(found), dtype=np.int64),
        values=table_of if several else table_of[:, 0],
        unmeasured=space.count - len(found),
        outside=outside,
        losses=losses if several else losses[:, 0],
        volume=volume,
    )


def _units(
    objectives: Sequence[Objective], headers: Sequence[str | None], unit: str | None, name: str
) -> list[str | None]:
    """The unit in which each objective is given.

    Raises:
        InvalidInput: nothing says, or one unit is stated for several objectives.
    """
    if unit and len(objectives) > 1:
        fix = "write each unit in the header of its column, such as `uts (MPa)`"
        raise InvalidInput(Problem("--unit", f"one unit cannot be that of {len(objectives)} objectives", fix))
    given = [unit or header for header in headers]
    problems = [
        Problem(
            name, f"nothing says which unit {o.name} is in", f"write `{o.name} ({o.unit})` in the header, or --unit"
        )
        for o, of in zip(objectives, given, strict=True)
        if o.unit and not of
    ]
    if problems:
        raise InvalidInput(problems)
    return given


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def score(plate: Plate, order: Sequence[int], initial: int) -> dict[str, float]:
    """Figures of one order of measurement.

    Args:
        plate: the finished experiment.
        order: its row numbers in the order of measurement.
        initial: how many of them were drawn at random.

    Returns:
        `first`: experiments to the first of the best 1 % (one more than there were if it never came); `found`: fraction
        of the best 1 % found; `regret`: mean regret over the experiments after the initial ones. Of several objectives,
        the figures of `Volume.score`.
    """
    if plate.volume is not None:
        return plate.volume.score(order, initial)
    y = plate.losses
    threshold = np.sort(y)[math.ceil(0.01 * len(y)) - 1]
    top = set(np.flatnonzero(y <= threshold).tolist())
    hits = [i + 1 for i, row in enumerate(order) if row in top]
    return {
        "first": float(hits[0] if hits else len(order) + 1),
        "found": len(hits) / len(top),
        "regret": float(np.mean(regret(plate, order)[initial:])),
    }


def regret(plate: Plate, order: Sequence[int]) -> list[float]:
    """Regret after each experiment: 0 at the optimum, 1 at the median of the plate.

    Of several objectives, the share of the hypervolume that is not found yet.
    """
    if plate.volume is not None:
        return [1 - share for share in plate.volume.shares(order)]
    y = plate.losses
    span = float(np.median(y) - y.min()) or 1.0
    return ((np.minimum.accumulate(y[list(order)]) - y.min()) / span).tolist()


def initial_draw(plate: Plate, size: int, seed: int) -> list[int]:
    """The random rows that a replay begins with; the same for every method at a seed."""
    return [int(i) for i in np.random.default_rng(seed).choice(len(plate), min(size, len(plate)), replace=False)]


def random_order(plate: Plate, *, initial: int, budget: int, seed: int) -> list[int]:
    """The order of a campaign that goes on drawing at random."""
    order = initial_draw(plate, initial, seed)
    rest = np.setdiff1d(np.arange(len(plate)), order)
    size = max(min(budget, len(plate)) - len(order), 0)
    return order + [int(i) for i in np.random.default_rng([seed, 1]).choice(rest, size, replace=False)]
