"""Fitting a recipe to data, and what a fit can be asked; saving and loading."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from botorch.exceptions.errors import UnsupportedError
from safetensors.torch import load_file, save_file
from torch import Tensor

from surrogates.bags import Bags, Targets, content_hash
from surrogates.conformal import Interval, OutOfFold, Withheld, calibrate
from surrogates.explain import Attribution, attribute
from surrogates.guard import Domain, Guard
from surrogates.history import History
from surrogates.quantiles import MEDIAN
from surrogates.recipes import recipe_from
from surrogates.recipes.base import Learned, Problem, Recipe, Trained
from surrogates.separate import restore_separately, train_separately
from surrogates.splits import NEVER, assign_folds

if TYPE_CHECKING:
    from botorch.models.model import Model

    from surrogates.encoders.base import Encoder
    from surrogates.pretraining import Pretrained

FORMAT = 4
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
        """The head's nine quantiles of a measurement, `n x t x 9`, not calibrated.

        Raises:
            UnsupportedError: the recipe has a class head.
        """
        return self.learned.quantiles(self._like_training(bags))

    def probability(self, bags: Bags) -> Tensor:
        """Probability of each class, `n x t`.

        Raises:
            UnsupportedError: the recipe has no class head.
        """
        return self.learned.probability(self._like_training(bags))

    def _like_training(self, bags: Bags) -> Bags:
        known = self.problem.bags
        for name, axis in (("features", 2), ("side", 1)):
            found, expected = getattr(bags, name).shape[axis], getattr(known, name).shape[axis]
            if found != expected:
                what = "features an instance" if name == "features" else "columns of side information"
                raise ValueError(f"bags with {found} {what} do not fit a model of {expected}")
        if (bags.part is None) != (known.part is None) or bags.parts != known.parts:
            raise ValueError(f"bags of {bags.parts} parts at most do not fit a model of {known.parts}")
        told, learnt = ([shares.shape[1] for shares in b.outline] for b in (bags, known))
        if told != learnt:
            raise ValueError(f"bags with an outline of {told} shares do not fit a model of {learnt}")
        return bags

    def interval(self, bags: Bags, alpha: float, target: int = 0) -> Interval | Withheld:
        """Calibrated intervals of one target at miscoverage alpha, or how many more data they need.

        Outside the training data no calibration holds. There the intervals say so and, for a recipe that does not know
        how far it reaches, are stretched by the distance.

        Raises:
            ValueError: alpha is not inside (0, 1), there is no such target, or the bags are of another width.
            UnsupportedError: the recipe has a class head.
        """
        if not 0 <= target < self.problem.value.shape[1]:
            raise ValueError(f"there are targets 0 to {self.problem.value.shape[1] - 1}, not {target}")
        quantiles = self.quantiles(bags)[:, target]
        found = calibrate(
            quantiles,
            bags.stratum,
            self.out_of_fold,
            alpha,
            self.recipe.score,
            target=target,
            own_correction=self.recipe.own_correction,
        )
        if isinstance(found, Withheld):
            return found
        domain = self.domain(bags)
        factor = torch.ones_like(domain.widening) if self.recipe.knows_distance else domain.widening
        return found.widened(quantiles[:, MEDIAN], factor, domain.reasons())

    @cached_property
    def _guard(self) -> Guard:
        return Guard.of(self.problem)

    def domain(self, bags: Bags) -> Domain:
        """Where bags lie, beside the training data."""
        return self._guard.domain(bags)

    def attribute(
        self, bags: Bags, method: str = "attention", *, target: int = 0, reference: Tensor | None = None
    ) -> Attribution:
        """What each instance of each bag contributes to the prediction; see `surrogates.explain.attribute`.

        Raises:
            ValueError: the method is unknown, or needs a reference or refuses one.
            UnsupportedError: the recipe cannot be asked in this way.
        """
        return attribute(self.learned, bags, method, target=target, reference=reference, background=self.problem.bags)

    def botorch_model(self, encoder: Encoder) -> Model:
        """The belief as a BoTorch model over designs, `batch_shape x q x d`, an output a target, larger is better.

        `posterior(X)` is the belief about the noise-free value, `posterior(X, observation_noise=True)` about a
        measurement.
        """
        return self.learned.botorch_model(encoder)

    def save(self, folder: Path | str) -> None:
        """Write `fitted.json` and `fitted.safetensors` to a folder, which is made if need be."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors, about = self._content()
        save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, folder / "fitted.safetensors")
        (folder / "fitted.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that is saved: equal for fits that predict the same to the last bit."""
        tensors, about = self._content()
        names = sorted(tensors)
        return content_hash(*(tensors[name].detach() for name in names), names, json.loads(json.dumps(about)))

    def _content(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What is saved: tensors by name, and the rest as plain values."""
        bags, problem, seen = self.problem.bags, self.problem, self.out_of_fold
        tensors = {
            **{f"bags.{name}": getattr(bags, name) for name in ("features", "mask", "weights", "side")},
            **{f"learned.{name}": tensor for name, tensor in self.learned.tensors().items()},
            "problem.value": problem.value,
            "problem.fold": problem.fold,
            "out_of_fold.predictions": seen.predictions,
            "out_of_fold.value": seen.value,
        }
        if bags.part is not None:
            tensors["bags.part"] = bags.part
        tensors |= {f"outline.{i}": shares for i, shares in enumerate(bags.outline)}
        if problem.variance is not None:
            tensors["problem.variance"] = problem.variance
        for i, history in enumerate(problem.history):
            tensors |= {f"history.{i}.{name}": tensor for name, tensor in history.tensors().items()}
        about = {
            "format": FORMAT,
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "data_hash": self.data_hash,
            "notes": self.notes,
            "labels": bags.labels,
            "stratum": bags.stratum,
            "kind": bags.kind,
            "parts": bags.parts,
            "groups": problem.groups,
            "history": [history.about() for history in problem.history],
            "out_of_fold": {name: getattr(seen, name) for name in ("stratum", "folds", "exchangeable", "share")},
        }
        return tensors, about


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

    outline = tuple(shares for _, shares in sorted(part("outline.").items(), key=lambda item: int(item[0])))
    given: dict[str, Any] = {**part("bags."), "parts": about.get("parts", 1), "outline": outline}
    bags = Bags(**given, labels=about["labels"], stratum=tuple(about["stratum"]), kind=about["kind"])
    problem = Problem(
        bags, tensors["problem.value"], tensors.get("problem.variance"), tuple(about["groups"]), tensors["problem.fold"]
    )
    past = [History.restored(told, part(f"history.{i}.")) for i, told in enumerate(about["history"])]
    problem = replace(problem, history=tuple(past))
    recipe = recipe_from(about["recipe"])
    told: dict[str, Any] = about["out_of_fold"] | part("out_of_fold.")
    seen = OutOfFold(**told | {"stratum": tuple(told["stratum"])})
    return Fitted(
        recipe=recipe,
        seed=about["seed"],
        data_hash=about["data_hash"],
        notes=tuple(about["notes"]),
        problem=problem,
        learned=_restore(recipe, part("learned."), problem),
        out_of_fold=seen,
    )


def fit(
    recipe: Recipe,
    bags: Bags,
    targets: Targets,
    *,
    strata: Sequence[str] | None = None,
    seed: int,
    pretrained: Pretrained | None = None,
    history: Sequence[History] = (),
    known: Sequence[Fitted] = (),
) -> Fitted:
    """Fit and calibrate a recipe: a pure function, the same arguments give bit-identical results.

    Args:
        recipe: what to fit.
        bags: `n` samples.
        targets: `n x t`, larger is better; 0 or 1 for a class head. Values that are censored are left out, as are rows
            without any value; the notes count them. Variances count if they are known for every value that is used.
        strata: of the samples; by default those of the bags.
        seed: of folds, and of whatever the recipe draws.
        pretrained: weights from which a network starts.
        history: earlier campaigns, for a recipe that uses them. They teach and never calibrate.
        known: fits to the same data under the same seed; a blend takes from them what it would have to train. The
            result is the same.

    Raises:
        ValueError: bags and targets do not fit, a target has fewer than two exact values, a class is not 0 or 1,
            the recipe needs a history and there is none, or what is known was fitted otherwise.
        UnsupportedError: pretrained weights, or a history, for a recipe that has no use for them, or bags of parts for
            one that learns no means.
    """
    if strata is not None:
        bags = replace(bags, stratum=tuple(strata))
    if len(bags) != len(targets):
        raise ValueError(f"{len(bags)} bags have {len(targets)} rows of targets")
    if pretrained is not None and not recipe.joint:
        raise UnsupportedError(f"{recipe.type} has no weights that could be pretrained")
    if history and not recipe.uses_history:
        raise UnsupportedError(f"{recipe.type} cannot learn from earlier campaigns; use transfer")
    if bags.part is not None and not recipe.averages:
        raise UnsupportedError(f"{recipe.type} learns no means over the parts of bags; take gp or a network")
    problem, notes = _problem(bags, targets, recipe, seed)
    problem = replace(problem, history=tuple(history))
    if pretrained is not None:
        problem = replace(problem, start=pretrained.tensors)
    others = [*([] if pretrained is None else [pretrained.hash]), *(past.hash for past in history)]
    data = content_hash(bags.hash, targets.hash, *others)
    mine = [f for f in known if f.recipe in getattr(recipe, "parts", ())]
    problem = replace(problem, trained={f.recipe: _trained(f, data, problem, seed, len(notes)) for f in mine})
    trained = recipe.train(problem, seed) if _together(recipe, problem) else train_separately(recipe, problem, seed)
    held = problem.fold != NEVER
    seen = OutOfFold(
        predictions=trained.out_of_fold[held],
        value=problem.value[held],
        stratum=tuple(problem.bags.stratum[i] for i in held.nonzero().flatten().tolist()),
        folds=problem.folds,
        exchangeable=len(set(problem.groups)) == len(problem.groups),
        share=float(held.double().mean()) or 1.0,
    )
    if pretrained is not None:
        pretrained.check(recipe)
    problem = replace(problem, start=None, trained={})
    return Fitted(recipe, seed, data, (*notes, *trained.notes), problem, trained.learned, seen)


def _trained(fitted: Fitted, data: str, problem: Problem, seed: int, notes: int) -> Trained:
    """What training left, from a fit to the same problem, of whose notes the first are on the data."""
    same = fitted.data_hash == data and fitted.seed == seed and torch.equal(fitted.problem.fold, problem.fold)
    if not same:
        raise ValueError(f"what is known of {fitted.recipe.type} was fitted to other data, folds or another seed")
    found = fitted.out_of_fold.predictions
    out_of_fold = found.new_full((len(problem.value), *found.shape[1:]), torch.nan)
    out_of_fold[problem.fold != NEVER] = found
    return Trained(fitted.learned, out_of_fold, fitted.notes[notes:])


def _together(recipe: Recipe, problem: Problem) -> bool:
    return recipe.joint or problem.value.shape[1] == 1


def _restore(recipe: Recipe, tensors: dict[str, Tensor], problem: Problem) -> Learned:
    if _together(recipe, problem):
        return recipe.restore(tensors, problem)
    return restore_separately(recipe, tensors, problem)


def _left_out(n: int, what: str, which: str = "") -> str:
    return " ".join(
        filter(None, [str(n), what if n == 1 else f"{what}s", which, "is" if n == 1 else "are", "left out"])
    )


def _problem(bags: Bags, targets: Targets, recipe: Recipe, seed: int) -> tuple[Problem, list[str]]:
    """What can be learned from, and notes on what cannot."""
    censored = (targets.censor != 0) & ~targets.value.isnan()
    value = targets.value.detach().double().masked_fill(censored, torch.nan)
    used = ~value.isnan().all(1)
    notes = []
    if int(targets.value.isnan().all(1).sum()):
        notes.append(_left_out(int(targets.value.isnan().all(1).sum()), "row", "without a value"))
    if int(censored.sum()):
        notes.append(_left_out(int(censored.sum()), "censored value"))
    for target, found in enumerate((~value.isnan()).sum(0).tolist()):
        if found < MINIMUM:
            which = "" if value.shape[1] == 1 else f" of target {target + 1}"
            raise ValueError(f"{found} exact values{which}; at least {MINIMUM} are needed to fit")
    if getattr(recipe, "head", None) == "class" and not bool(((value == 0) | (value == 1) | value.isnan()).all()):
        raise ValueError("a class head learns from values of 0 and 1, and there are others")
    groups = tuple(targets.groups[i] for i in used.nonzero().flatten().tolist())
    variance = None
    if targets.variance is not None:
        gaps = (targets.variance.isnan() & ~value.isnan()).any(0)
        if bool(gaps.any()):
            notes.append("variances do not count where some value of the target has none")
        variance = None if bool(gaps.all()) else targets.variance.detach().double().masked_fill(gaps, torch.nan)[used]
    problem = Problem(
        bags=bags[used],
        value=value[used],
        variance=variance,
        groups=groups,
        fold=assign_folds(groups, seed, recipe.calibration, ~value[used].isnan()),
    )
    for target in range(value.shape[1]):
        folds = problem.fold[~problem.value[:, target].isnan()].unique()
        if problem.folds > 1 and len(folds) < 2:
            raise ValueError(f"target {target + 1} was measured in a single group, which cannot calibrate itself")
    return problem, notes
