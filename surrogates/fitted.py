"""Fitting a recipe to data, and what a fit can be asked; saving and loading."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from surrogates.bags import Bags, Targets, content_hash
from surrogates.conformal import Interval, OutOfFold, Withheld, calibrate
from surrogates.recipes import recipe_from
from surrogates.recipes.base import Learned, Problem, Recipe
from surrogates.splits import assign_folds

if TYPE_CHECKING:
    from botorch.models.model import Model

    from surrogates.encoders.elements import CompositionEncoder

FORMAT = 1
"""Version of the files that `Fitted.save` writes."""
MINIMUM = 2
"""Fewest exact values that can be learned from."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A calibrated surrogate: a cache of (recipe, data, seed), never the truth."""

    recipe: Recipe
    seed: int
    data_hash: str
    """SHA-256 of all the data given, the rows left out included."""
    notes: tuple[str, ...]
    """What a reader should know: rows left out, fits that failed."""
    problem: Problem
    learned: Learned
    out_of_fold: OutOfFold

    def quantiles(self, bags: Bags) -> Tensor:
        """The head's nine quantiles of a measurement, `n x t x 9`, not calibrated."""
        return self.learned.quantiles(bags)

    def interval(self, bags: Bags, alpha: float) -> Interval | Withheld:
        """Calibrated intervals of the first target at miscoverage alpha, or how many more data they need.

        Raises:
            ValueError: alpha is not inside (0, 1).
        """
        return calibrate(self.quantiles(bags)[:, 0], bags.stratum, self.out_of_fold, alpha, self.recipe.score)

    def attribute(self, bags: Bags, method: str = "attention") -> tuple[Tensor, Tensor]:
        """Weight of every instance, mean and sd over the members, `n x k` each; a bag's weights sum to 1.

        Raises:
            ValueError: the method is unknown.
            UnsupportedError: the recipe has no attention.
        """
        if method != "attention":
            raise ValueError(f"unknown attribution method {method!r}; expected attention")
        return self.learned.attention(bags)

    def botorch_model(self, encoder: CompositionEncoder) -> Model:
        """The belief as a BoTorch model over designs, `batch_shape x q x d`, one output, larger is better.

        `posterior(X)` is the belief about the noise-free value, `posterior(X, observation_noise=True)` about a
        measurement.
        """
        return self.learned.botorch_model(encoder)

    def save(self, folder: Path | str) -> None:
        """Write `fitted.json` and `fitted.safetensors` to a folder, which is made if need be."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        bags, problem, seen = self.problem.bags, self.problem, self.out_of_fold
        tensors = {
            **{f"bags.{name}": getattr(bags, name) for name in ("features", "mask", "weights", "side")},
            **{f"learned.{name}": tensor for name, tensor in self.learned.tensors().items()},
            "problem.value": problem.value,
            "problem.fold": problem.fold,
            "out_of_fold.quantiles": seen.quantiles,
            "out_of_fold.value": seen.value,
        }
        if problem.variance is not None:
            tensors["problem.variance"] = problem.variance
        save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, folder / "fitted.safetensors")
        about = {
            "format": FORMAT,
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "data_hash": self.data_hash,
            "notes": self.notes,
            "labels": bags.labels,
            "stratum": bags.stratum,
            "groups": problem.groups,
            "out_of_fold": {"stratum": seen.stratum, "folds": seen.folds},
        }
        (folder / "fitted.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")


def load(folder: Path | str) -> Fitted:
    """What `Fitted.save` wrote; predictions are identical.

    Raises:
        ValueError: the files were written by another version.
        FileNotFoundError: there are none.
    """
    folder = Path(folder)
    about = json.loads((folder / "fitted.json").read_text(encoding="utf-8"))
    if about["format"] != FORMAT:
        raise ValueError(f"{folder} holds format {about['format']}, this version reads {FORMAT}; fit again")
    tensors = load_file(folder / "fitted.safetensors")

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    bags = Bags(**part("bags."), labels=_tuples(about["labels"]), stratum=tuple(about["stratum"]))
    problem = Problem(
        bags, tensors["problem.value"], tensors.get("problem.variance"), tuple(about["groups"]), tensors["problem.fold"]
    )
    recipe = recipe_from(about["recipe"])
    seen = OutOfFold(
        **part("out_of_fold."), stratum=tuple(about["out_of_fold"]["stratum"]), folds=about["out_of_fold"]["folds"]
    )
    return Fitted(
        recipe=recipe,
        seed=about["seed"],
        data_hash=about["data_hash"],
        notes=tuple(about["notes"]),
        problem=problem,
        learned=recipe.restore(part("learned."), problem),
        out_of_fold=seen,
    )


def fit(recipe: Recipe, bags: Bags, targets: Targets, *, strata: Sequence[str] | None = None, seed: int) -> Fitted:
    """Fit and calibrate a recipe: a pure function, the same arguments give bit-identical results.

    Args:
        recipe: what to fit.
        bags: `n` samples.
        targets: `n` rows of one target, larger is better. Rows without a value and censored rows are left out and
            counted in the notes. Variances count if they are known for every row that is used.
        strata: of the samples; by default those of the bags.
        seed: of folds, and of whatever the recipe draws.

    Raises:
        ValueError: bags and targets do not fit, there is more than one target, or fewer than two usable rows.
    """
    if strata is not None:
        bags = replace(bags, stratum=tuple(strata))
    if len(bags) != len(targets):
        raise ValueError(f"{len(bags)} bags have {len(targets)} rows of targets")
    if targets.value.shape[1] != 1:
        raise ValueError(f"one target is fitted at a time; value is n x t with t = {targets.value.shape[1]}")
    measured, censored = ~targets.value[:, 0].isnan(), targets.censor[:, 0] != 0
    used = measured & ~censored
    notes = []
    if int((~measured).sum()):
        notes.append(f"{int((~measured).sum())} rows without a value are left out")
    if int((measured & censored).sum()):
        notes.append(f"{int((measured & censored).sum())} censored values are left out")
    if int(used.sum()) < MINIMUM:
        raise ValueError(f"{int(used.sum())} exact values; at least {MINIMUM} are needed to fit")
    problem = _problem(bags, targets, used, seed)
    trained = recipe.train(problem, seed)
    held = problem.fold >= 0
    seen = OutOfFold(
        quantiles=trained.out_of_fold[held],
        value=problem.value[held],
        stratum=tuple(problem.bags.stratum[i] for i in held.nonzero().flatten().tolist()),
        folds=problem.folds,
    )
    data = content_hash(bags.hash, targets.hash)
    return Fitted(recipe, seed, data, (*notes, *trained.notes), problem, trained.learned, seen)


def _problem(bags: Bags, targets: Targets, used: Tensor, seed: int) -> Problem:
    variance = None if targets.variance is None else targets.variance[used].detach().double()
    groups = tuple(targets.groups[i] for i in used.nonzero().flatten().tolist())
    return Problem(
        bags=bags[used],
        value=targets.value[used].detach().double(),
        variance=None if variance is None or bool(variance.isnan().any()) else variance,
        groups=groups,
        fold=assign_folds(groups, seed),
    )


def _tuples(value: Any) -> Any:
    """Lists of JSON as the tuples they were."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
