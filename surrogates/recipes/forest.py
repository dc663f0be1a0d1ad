"""Extremely randomised trees over folds: the strongest model of small tables of alloys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from botorch.exceptions.errors import UnsupportedError
from torch import Tensor

from surrogates.bags import Bags
from surrogates.conformal import Score
from surrogates.encoders.elements import descriptors
from surrogates.ensemble import FoldMembers
from surrogates.quantiles import normal_quantiles
from surrogates.recipes.base import Learned, Problem, Recipe, Trained
from surrogates.splits import NEVER, assign_folds, generator

INNER = 25
"""Trees of each forest that only finds the noise; their mean need not be smooth."""
NOISES = tuple(10 ** (-2 + i / 20) for i in range(41))
"""Noise sds that are tried, in sds of the training targets: 0.01 to 1."""
CHUNK = 64
"""Trees that are walked together."""

Trees = dict[str, Tensor]
"""`P` trees as flat arrays over all their nodes: `child` (nodes x 2, taken where the feature is above the threshold, or
not; a leaf is its own child), `feature`, `threshold`, `value`, and `root`, the first node of each tree, `P`."""


def forest_inputs(bags: Bags) -> Tensor:
    """What trees see of each bag, `n x d`, float64.

    Where the bags share their labels, the weight of each; then the weighted mean of the elements' descriptors, or of
    the features where the labels are not elements; then the side information.
    """
    weights = (bags.weights * bags.mask).double()
    share = weights / weights.sum(1, keepdim=True)
    labels = bags.shared_labels
    known = None if labels is None else descriptors(labels)
    if known is not None and known.any():
        parts = [weights, share @ known]
    else:
        content = (share.unsqueeze(1) @ bags.features.double()).squeeze(1)
        parts = [content] if labels is None else [weights, content]
    return torch.cat([*parts, bags.side.double()], dim=1).detach()


def tree_values(trees: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """What each tree says of inputs `n x d`: `P x n`. Inputs are compared in float32, as scikit-learn does."""
    n, d = x.shape
    flat, child = x.float().double().reshape(-1), trees["child"].reshape(-1)
    found = [x.new_zeros(0, n)]
    for roots in trees["root"].split(CHUNK):
        node = roots.unsqueeze(1).expand(-1, n)
        start = torch.arange(n) * d
        while True:
            left = flat[start + trees["feature"][node]] <= trees["threshold"][node]
            below = child[2 * node + left]
            if torch.equal(below, node):
                break
            node = below
        found.append(trees["value"][node])
    return torch.cat(found)


def _grow(x: Tensor, y: Tensor, count: int, *key: object) -> Trees:
    """Trees grown by scikit-learn on inputs `n x d` and values `n`, in units in which the values' sd is 1."""
    from sklearn.ensemble import ExtraTreesRegressor

    mean, sd = y.mean(), _sd(y)
    seed = int(torch.randint(2**31 - 1, (), generator=generator("forest", *key)))
    found = ExtraTreesRegressor(count, random_state=seed).fit(x.numpy(), ((y - mean) / sd).numpy())
    parts = []
    for grown in (estimator.tree_ for estimator in found.estimators_):
        right, left = torch.from_numpy(grown.children_right), torch.from_numpy(grown.children_left)
        own, leaf = torch.arange(len(left)), left < 0
        parts.append(
            {
                "child": torch.stack([torch.where(leaf, own, right), torch.where(leaf, own, left)], dim=1),
                "feature": torch.from_numpy(grown.feature).clamp_min(0),
                "threshold": torch.from_numpy(grown.threshold),
                "value": mean + sd * torch.from_numpy(grown.value[:, 0, 0]),
                "root": torch.zeros(1, dtype=torch.long),
            }
        )
    return _join(parts)


def _join(parts: list[Trees]) -> Trees:
    """Trees of several sets as one."""
    sizes = torch.tensor([0, *(len(part["value"]) for part in parts)])
    starts = sizes.cumsum(0).tolist()
    moved = [
        {name: tensor + start if name in ("child", "root") else tensor for name, tensor in part.items()}
        for part, start in zip(parts, starts, strict=False)
    ]
    return {name: torch.cat([part[name] for part in moved]) for name in parts[0]}


def _sd(values: Tensor) -> Tensor:
    """Sd of values `n`; 1 where they do not differ."""
    sd = (values - values.mean()).square().mean().sqrt()
    return torch.where(sd > 0, sd, 1.0)


def _noise(x: Tensor, y: Tensor, fold: Tensor, *key: object) -> Tensor:
    """The noise sd b under which the residuals of the inner folds are most likely: r ~ N(0, V + b^2), V of the trees.

    Args:
        x: inputs of the training rows, `n x d`.
        y: their values, `n`.
        fold: of each row; a row's residual is that of trees grown on the other folds.
        key: of the randomness.
    """
    scale = _sd(y)
    residual, variance = torch.full_like(y, torch.nan), torch.full_like(y, torch.nan)
    inner = fold.unique().tolist()
    if len(inner) < 2:
        return scale
    for held in inner:
        rows = fold == held
        values = tree_values(_grow(x[~rows], y[~rows], INNER, *key, held), x[rows])
        residual[rows], variance[rows] = y[rows] - values.mean(0), values.var(0, correction=0)
    noises = scale * y.new_tensor(NOISES)
    total = variance + noises.square().unsqueeze(1)
    return noises[(residual.square() / total + total.log()).sum(1).argmin()]


@dataclass(frozen=True)
class Forest(Recipe):
    """Extremely randomised trees (Geurts, Ernst and Wehenkel 2006): a forest without each fold.

    Trees are grown to their leaves on all inputs at every split (scikit-learn's ExtraTreesRegressor). The head is
    normal around the trees' mean with variance V + b^2: V the variance over the trees of a forest, b the noise sd that
    makes the residuals of folds inside its training rows most likely, so that it knows nothing of the fold left out.
    Known variances of measurements do not weigh the rows.

    Raises:
        ValueError: there are fewer than two trees.
    """

    type: ClassVar[str] = "forest"
    score: ClassVar[Score] = "scaled"

    trees: int = 200
    """Trees of each forest."""
    refit: bool = False
    """Whether one more forest, grown on everything, predicts in place of those without a fold."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trees < 2:
            raise ValueError(f"trees must be at least 2, not {self.trees}")
        if self.refit and self.calibration != "cross":
            raise ValueError(f"refit goes with calibration cross, not with {self.calibration}")

    @property
    def averages(self) -> bool:
        """No: a tree is grown towards the value of each row, and that of a part is not known."""
        return False

    def train(self, problem: Problem, seed: int) -> Trained:
        """Grow a forest without each fold and, for a refit or without folds, one on everything."""
        x, y = forest_inputs(problem.bags), problem.value[:, 0]
        folds = [*range(problem.folds), *([NEVER] if self.refit or not problem.folds else [])]
        inner = assign_folds(problem.groups, seed) if problem.folds < 2 else problem.fold
        forests, noises = [], []
        for held in folds:
            seen = problem.learnable if held == NEVER else problem.fold != held
            forests.append(_grow(x[seen], y[seen], self.trees, seed, held))
            noises.append(_noise(x[seen], y[seen], inner[seen], seed, held))
        trees = {**_join(forests), "noise": torch.stack(noises), "member_fold": torch.tensor(folds)}
        learned = LearnedForest(trees, problem)
        return Trained(learned, learned.out_of_fold())

    def restore(self, tensors: Mapping[str, Tensor], problem: Problem) -> Learned:
        """The same trees."""
        return LearnedForest(dict(tensors), problem)


@dataclass(frozen=True, eq=False)
class LearnedForest(FoldMembers):
    """Forests as members of an ensemble, each normal around the mean of its trees.

    They are constant between their thresholds: predictions have no slope in the bags, and of the BoTorch model only
    the residual process has one, so that candidates are better compared than climbed to.
    """

    trees: Trees
    """The trees of the first forest, then of the second and so on; `noise` of each forest, b, and `member_fold`."""
    problem: Problem

    @property
    def member_fold(self) -> Tensor:
        """The fold that each forest left out."""
        return self.trees["member_fold"]

    def member_predictions(self, bags: Bags, members: Tensor) -> Tensor:
        """Normal quantiles around the mean over the trees of some forests, with variance V + b^2: `P' x n x 1 x 9`."""
        x = forest_inputs(bags)
        roots = self.trees["root"].unflatten(0, (len(self.member_fold), -1))
        found = []
        for member in members.tolist():
            values = tree_values({**self.trees, "root": roots[member]}, x)
            sd = ((values - values.mean(0)).square().mean(0) + self.trees["noise"][member].square()).sqrt()
            found.append(normal_quantiles(values.mean(0), sd))
        return torch.stack(found).unsqueeze(2)

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """There is none.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("trees have no attention; take a recipe that pools by attention to see weights")

    def tensors(self) -> dict[str, Tensor]:
        """The trees as flat arrays, and the noise of each forest."""
        return dict(self.trees)
