"""What is predicted of the whole space: its best candidates, and a table of every open one that is looked at."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from campaign.belief import Belief, ConstraintBelief, belief_score, believe, learnable
from campaign.classified import Classified
from campaign.encoding import encode_ahead
from campaign.screen import (
    CHUNK,
    Indices,
    for_workers,
    leaders_by,
    measured_first,
    open_chunks,
    open_ones,
    pieces,
    screen_key,
    unmeasured,
)
from campaign.spaces import StructureSpace, variables
from campaign.spaces.base import Floats, units
from campaign.state import State, batch_seed
from campaign.streaming import PIECE, Kept, each
from campaign.survivors import staged, survivors
from db.errors import InvalidInput, Problem
from db.records import Prediction
from lab_io.worksheets import escaped, with_unit
from surrogates.conformal import Withheld
from surrogates.recipes import recipe_hash


@dataclass(frozen=True, eq=False)
class Predicted:
    """What is predicted of some candidates, each by itself."""

    indices: Indices
    """Their positions in the space, `n`."""
    values: Floats
    """Median and both ends of the interval of each objective, then of each constraint that is a number, in the user's
    unit, `n x k x 3`; NaN for the ends while an interval is withheld.
    """
    outside: NDArray[np.bool_]
    """Whether each lies outside the training data of any of these, where no interval is promised to hold, `n`."""
    chances: Floats
    """Probability of meeting each constraint, and of being made where that is learned, `n x c`."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As `streaming.Result`."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def about(self) -> dict[str, Any]:
        """As `streaming.Result`."""
        return {}

    @classmethod
    def restored(cls, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> Self:
        """As `streaming.Result`."""
        return cls(**arrays, **about)


def ranked(
    state: State, top: int, *, table: Path | None = None, stage: Callable[[str], None] = lambda _: None
) -> tuple[list[dict[str, Any]], list[Prediction]]:
    """The best open candidates by predicted median of the first objective, with the predictions to keep.

    Candidates below a least probability, of a constraint or of success, and structures of a density that was never
    measured, come after all others.

    Args:
        state: the campaign.
        top: how many.
        table: where the prediction of every open candidate is written as CSV, where structures are screened in two
            stages of those that pass the first one; None for nowhere.
        stage: told how far it is.

    Returns:
        Plain values per candidate (design, stratum, and per objective and constraint median, unit and intervals; with
        constraints, the probability of meeting each and all), and the same as records for the store's cache. Memory is
        that of `streaming.lead`.

    Raises:
        InvalidInput: too little is measured to predict anything, or the table cannot be written.
    """
    if table is not None:
        check_table(table)
    if not learnable(state):
        fix = "ingest results first; `siteloop recommend` gives a batch that fills the space"
        raise InvalidInput(Problem(f"campaign {state.name}", "too little is measured to predict anything", fix))
    seed = batch_seed(state, len(state.batches) + 1)
    belief = believe(state, seed=seed)
    only = None
    if isinstance(state.space, StructureSpace):
        wanted = top if staged(state) else state.space.count
        only = measured_first(state, belief, open_chunks(state), wanted)
        only = survivors(state, belief, only, wanted=top, seed=seed, stage=stage)
        encode_ahead(belief.encode, state.space.X(only), stage)

    def score(belief: Belief, X: Floats, indices: Indices) -> tuple[Floats, NDArray[np.bool_]]:
        first = belief.objectives[0]
        median = first.median(X, state.space.stratum(indices))
        return belief_score(first, median), ~belief.likely(X) | unmeasured(state, belief, indices)

    stage("screen")
    best = leaders_by(state, belief, belief, score, ["median"], top, only=only, stage=stage).indices
    if table is not None:
        _write(state, belief, table, only, stage)
    stage("predict the best")
    X, strata = state.space.X(best), state.space.stratum(best)
    found: list[dict[str, Any]] = []
    predictions = []
    for row, index in enumerate(best):
        candidate = state.space.candidate(int(index))
        expected = {}
        for b in belief.all:
            one, where = X[row : row + 1], strata[row : row + 1]
            body = {
                "unit": b.objective.unit,
                "median": float(b.median(one, where)[0]),
                "intervals": {f"{level:g}": b.intervals(one, where, level)[0].as_json() for level in b.alphas},
            }
            expected[b.objective.name] = body
            key = recipe_hash(b.choice.recipe), b.choice.fitted.data_hash, seed
            predictions.append(Prediction(candidate.id, *key, objective=b.objective.name, body=body))
        about = {"candidate": candidate.id, "design": dict(candidate.design), "stratum": candidate.stratum}
        if belief.constraints:
            chances = belief.feasibility(X[row : row + 1])[0].tolist()
            chance = {c.constraint.name: p for c, p in zip(belief.constraints, chances, strict=True)}
            about["feasibility"] = {"each": chance, "all": math.prod(chances)}
        if belief.success:
            about["success"] = belief.success.told(X[row : row + 1])[0]
        found.append({**about, "predictions": expected})
    return found, predictions


def check_table(path: Path) -> None:
    """Whether a table of predictions can be written there.

    Raises:
        InvalidInput: it does not end in .csv, is a folder, or there is no folder for it.
    """
    if path.suffix.lower() != ".csv":
        what = f"{path.suffix or 'no ending'} is not a format of predictions"
        raise InvalidInput(Problem(str(path), what, "end the name with .csv"))
    if not path.absolute().parent.is_dir():
        raise InvalidInput(Problem(str(path), "there is no such folder", "choose a folder that exists"))
    if path.is_dir():
        raise InvalidInput(Problem(str(path), "it is a folder", "name a file"))


def _write(state: State, belief: Belief, path: Path, only: Indices | None, stage: Callable[[str], None]) -> None:
    """Write a row for each open candidate, in the order of the space; a file that exists is replaced at the end.

    What was predicted before an interruption is kept, as by `streaming.each`.
    """
    opened = open_ones(state)

    def look(belief: Belief, piece: Indices) -> Predicted:
        parts = [_predicted(state, belief, part) for part in pieces(opened(piece, None), CHUNK)]
        arrays = [p.arrays() for p in (_nothing(belief), *parts)]
        return Predicted(**{name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]})

    level = state.spec.intervals.levels[0]
    key = screen_key(state, belief, ["table", [list(b.alphas.items()) for b in belief.all]], only=only)
    kept = Kept.of(Predicted, state.artifacts, state.name, key)
    found = each(
        state.space.chunks(PIECE) if only is None else pieces(only, PIECE),
        [partial(look, mine) for mine in for_workers(state, belief)],
        total=state.space.count if only is None else len(only),
        kept=kept,
        stage=lambda text: stage(text.replace("screened", "predicted")),
    )
    part = path.with_name(f"{uuid4().hex}.part")
    try:
        with part.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([escaped(name) for name in _header(state, belief, level)])
            for some in found:
                writer.writerows(_rows(state, some))
        part.replace(path)
    except OSError as error:
        fix = "choose a folder that may be written to, with enough room"
        raise InvalidInput(Problem(str(path), f"the table cannot be written ({error.strerror})", fix)) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    kept.clear()


def _predicted(state: State, belief: Belief, indices: Indices) -> Predicted:
    """Each model is asked about all of them at once; the level is the spec's first."""
    X, strata = state.space.X(indices), state.space.stratum(indices)
    level = state.spec.intervals.levels[0]
    values = np.full((len(indices), len(belief.all), 3), np.nan)
    outside = np.zeros(len(indices), dtype=bool)
    for k, b in enumerate(belief.all):
        values[:, k, 0] = b.median(X, strata)
        found = b.choice.fitted.interval(b.bags(X, strata), b.alphas[level])
        if isinstance(found, Withheld):
            beyond = b.choice.fitted.domain(b.bags(X, strata)).reasons()
        else:
            values[:, k, 1:], beyond = b.ends(found), found.outside
        outside |= [bool(why) for why in beyond]
    chances = [c.probability(X)[:, None] for c in _uncertain(belief)]
    return Predicted(indices, values, outside, np.hstack([np.empty((len(indices), 0)), *chances]))


def _nothing(belief: Belief) -> Predicted:
    """What is predicted where nothing is open: no rows. Not every model can be asked about no candidates."""
    values, chances = np.empty((0, len(belief.all), 3)), np.empty((0, len(_uncertain(belief))))
    return Predicted(np.empty(0, dtype=np.int64), values, np.zeros(0, dtype=bool), chances)


def _uncertain(belief: Belief) -> Sequence[ConstraintBelief | Classified]:
    """What has a probability: the constraints, and success where it is learned."""
    return (*belief.constraints, *([belief.success] if belief.success else []))


def _header(state: State, belief: Belief, level: float) -> Iterator[str]:
    sides = units(state.space)
    yield from (with_unit(name, sides.get(name, "")) for name in variables(state.space))
    yield "stratum"
    for b in belief.all:
        name, unit = b.objective.name, b.objective.unit
        within = f"{name} {100 * level:g} %"
        yield from (with_unit(head, unit) for head in (name, f"{within} from", f"{within} to"))
    yield "outside the training data"
    yield from (f"P({c.constraint.name})" for c in belief.constraints)
    if belief.success:
        yield "P(made)"


def _rows(state: State, found: Predicted) -> Iterator[list[str]]:
    space = state.space
    sides = [column.name for column in space.side_columns()]
    fractions = space.X(found.indices)[:, : len(space.components)].tolist()
    strata = [escaped(stratum) for stratum in space.stratum(found.indices)]
    values = found.values.reshape(len(found.indices), 3 * found.values.shape[1]).tolist()
    rows = zip(
        found.indices.tolist(), fractions, strata, values, found.outside.tolist(), found.chances.tolist(), strict=True
    )
    for index, parts, stratum, numbers, beyond, chances in rows:
        row = [f"{x:.6g}" for x in parts]
        if sides:
            design = space.candidate(index).design
            row += [_cell(design.get(name, "")) for name in sides]
        row += [stratum, *("" if math.isnan(x) else f"{x:.6g}" for x in numbers)]
        yield [*row, "yes" if beyond else "no", *(f"{p:.4g}" for p in chances)]


def _cell(value: float | str) -> str:
    return escaped(value) if isinstance(value, str) else f"{value:.6g}"
