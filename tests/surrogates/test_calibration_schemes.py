"""Split, K-fold, ensembles and refits: that each covers what it states, sees what it may, and says what it is."""

import math
from dataclasses import replace

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from hypothesis import given
from hypothesis import strategies as st

from surrogates import GP, Bags, Forest, GatedAttention, MeanPool, Targets, fit
from surrogates.conformal import (
    EMPIRICAL,
    EXACT,
    MONDRIAN,
    SHRUNK,
    Interval,
    OutOfFold,
    Withheld,
    calibrate,
    conformal_rank,
)
from surrogates.quantiles import normal_quantiles
from surrogates.splits import NEVER, SCHEMES, assign_folds

SMALL = {"hidden": 6, "epochs": 20, "rate": 5e-2, "batch": 64}
NETWORKS = {
    "split": MeanPool(**SMALL, members=1, calibration="split"),
    "ensemble + split": MeanPool(**SMALL, members=2, calibration="split"),
    "K-fold": MeanPool(**SMALL, members=1),
    "K-fold x ensemble": MeanPool(**SMALL, members=2),
    "refit": MeanPool(**SMALL, members=2, refit=True),
}
RECIPES = {
    "gp": GP(),
    "forest": Forest(trees=10),
    "gated": GatedAttention(hidden=6, gate=3, epochs=4, batch=64, members=1),
    "mean pool": MeanPool(hidden=6, epochs=4, batch=64, members=1),
}


def noisy(n, seed):
    """Bags of one instance, values whose noise depends on it."""
    rng = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(n, 1, 2, generator=rng) - 1
    noise = torch.randn(n, generator=rng, dtype=torch.float64)
    return Bags.of(x), torch.sin(2 * x[:, 0, 0]).double() + (0.2 + 0.5 * x[:, 0, 1].abs()) * noise


def covered(interval, value):
    return float(((interval.lower <= value) & (value <= interval.upper)).double().mean())


def t_statistic(draws, expected):
    found = torch.tensor(draws, dtype=torch.float64)
    return float((found.mean() - expected) / (found.std() / math.sqrt(len(found))))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_scheme_covers_what_it_states(name):
    """80 % intervals over eight campaigns of 44 samples: a split of 11 covers rank / 12 exactly (two-sided t-test),
    folds at least nominal - 0.03 (one-sided); at 1 in 1,000 each.
    """
    recipe, found = NETWORKS[name], []
    for repeat in range(8):
        (bags, value), (new, truth) = noisy(44, seed=repeat), noisy(400, seed=500 + repeat)
        found.append(covered(fit(recipe, bags, Targets.exact(value), seed=repeat).interval(new, 0.2), truth))
    if recipe.calibration == "split":
        assert abs(t_statistic(found, conformal_rank(11, 0.2) / 12)) < 5.4
    else:
        assert t_statistic(found, 0.77) > -4.8
        assert sum(found) / len(found) < 0.95


def misfits(n, rng, folds):
    """Heads of a model that is wrong by a shift of its own on each fold, and what is measured."""
    mean = torch.randn(n, generator=rng, dtype=torch.float64)
    shift = 0.3 * torch.randn(folds, generator=rng, dtype=torch.float64)
    value = mean + torch.randn(n, generator=rng, dtype=torch.float64)
    return mean, shift, value


def test_pooled_residuals_of_fold_models_cover_when_the_models_average_predicts():
    """Simulated: each fold model is off by a shift of its own, their average by less: pooling errs to the wide side."""
    rng, found = torch.Generator().manual_seed(0), []
    for _ in range(200):
        mean, shift, value = misfits(60, rng, folds=5)
        fold = torch.arange(60) % 5
        one = torch.full((60,), 0.7, dtype=torch.float64)
        seen = OutOfFold(
            normal_quantiles(mean + shift[fold], one).unsqueeze(1), value.unsqueeze(1), ("",) * 60, folds=5
        )
        new, _, truth = misfits(60, rng, folds=5)
        interval = calibrate(normal_quantiles(new + shift.mean(), one), ("",) * 60, seen, 0.2, "cqr")
        found.append(covered(interval, truth))
    assert t_statistic(found, 0.8) > 0
    assert sum(found) / len(found) < 0.86


def changed(bags, value, rows):
    """The same samples, but those of some rows have another's bag and a value far off."""
    order = torch.arange(len(bags))
    picked = rows.nonzero().flatten()
    order[picked] = picked.roll(1)
    return bags[order], torch.where(rows, 50 - 7 * value, value)


@pytest.mark.parametrize("name", RECIPES)
def test_a_split_never_learns_from_what_calibrates_it(name, bags, values):
    recipe = replace(RECIPES[name], calibration="split")
    fitted = fit(recipe, bags, Targets.exact(values), seed=5)
    kept = fitted.problem.fold != NEVER
    assert int(kept.sum()) == 12
    other_bags, other_values = changed(bags, values, kept)
    other = fit(recipe, other_bags, Targets.exact(other_values), seed=5)
    assert torch.equal(other.problem.fold, fitted.problem.fold)
    assert torch.equal(other.quantiles(bags), fitted.quantiles(bags))
    assert not torch.equal(other.interval(bags, 0.2).upper, fitted.interval(bags, 0.2).upper)


@pytest.mark.parametrize("name", ["forest", "gated", "mean pool"])
def test_what_predicts_a_row_out_of_fold_knows_nothing_of_its_group(name, bags, values):
    groups = [f"sample {i % 20}" for i in range(48)]
    targets = Targets.exact(values, groups=groups)
    fitted = fit(RECIPES[name], bags, targets, seed=6)
    group = torch.tensor([g == "sample 3" for g in groups])
    (fold,) = fitted.problem.fold[group].unique().tolist()
    # the values alone: a row's own bag is what it is predicted from
    other = fit(RECIPES[name], bags, Targets.exact(torch.where(group, 50.0, values), groups=groups), seed=6)
    rows = fitted.problem.fold == fold
    assert torch.equal(other.out_of_fold.predictions[rows], fitted.out_of_fold.predictions[rows])
    assert not torch.equal(other.out_of_fold.predictions[~rows], fitted.out_of_fold.predictions[~rows])


@given(st.lists(st.integers(0, 8), min_size=1, max_size=40), st.integers(0, 99), st.sampled_from(SCHEMES))
def test_every_scheme_keeps_groups_together(names, seed, scheme):
    groups = [str(name) for name in names]
    fold = assign_folds(groups, seed, scheme).tolist()
    assert len(set(zip(groups, fold, strict=True))) == len(set(groups))
    if scheme == "split" and len(set(groups)) > 1:
        assert set(fold) == {0, NEVER}


def simulated(sizes, folds, seed=1):
    stratum = tuple(name for name, n in sizes.items() for _ in range(n))
    rng = torch.Generator().manual_seed(seed)
    ones = torch.ones(len(stratum), dtype=torch.float64)
    value = torch.randn(len(stratum), generator=rng, dtype=torch.float64)
    return OutOfFold(normal_quantiles(0 * ones, ones).unsqueeze(1), value.unsqueeze(1), stratum, folds)


HEADS = normal_quantiles(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("sizes", "asked", "guarantee", "labels"),
    [
        ({"a": 90, "b": 85}, "ab", MONDRIAN, ("a", "b")),
        ({"a": 90, "b": 20}, "ab", SHRUNK, ("a", "b shrunk to pooled")),
        ({"a": 90, "b": 20}, "aa", MONDRIAN, ("a", "a")),
        ({"a": 90, "b": 2}, "ab", SHRUNK, ("a", "pooled")),
        ({"a": 90, "b": 2}, "bb", SHRUNK, ("pooled", "pooled")),
        ({"a": 3, "b": 3}, "ab", EXACT, ("pooled", "pooled")),
        ({"a": 90}, "aa", EXACT, ("pooled", "pooled")),
    ],
)
def test_a_split_claims_what_it_can_prove(sizes, asked, guarantee, labels):
    interval = calibrate(HEADS, tuple(asked), simulated(sizes, folds=1), 0.2, "cqr")
    assert interval.guarantee == guarantee
    assert interval.stratum == labels
    assert interval.method.startswith("split: conformalised quantile regression")
    assert interval.n_calibration == tuple(sizes.get(label, sum(sizes.values())) for label in labels)
    cross = calibrate(HEADS, tuple(asked), simulated(sizes, folds=5), 0.2, "scaled")
    assert cross.guarantee == EMPIRICAL
    assert "no finite-sample theorem" in cross.guarantee
    assert cross.stratum == labels
    assert cross.method.startswith("5-fold cross: conformal residuals over half widths")


def test_a_pooled_correction_beside_own_ones_does_not_cover_all_strata_together():
    """Why it claims nothing: a noisy stratum, too small for its own, is corrected by residuals of a quiet one."""
    rng, found = torch.Generator().manual_seed(2), []
    stratum = ("quiet",) * 80 + ("noisy",) * 3
    noise = torch.tensor([{"quiet": 1.0, "noisy": 8.0}[name] for name in stratum], dtype=torch.float64)
    heads = normal_quantiles(0 * noise, torch.ones_like(noise))
    for _ in range(200):
        value = noise * torch.randn(83, generator=rng, dtype=torch.float64)
        seen = OutOfFold(heads.unsqueeze(1), value.unsqueeze(1), stratum, folds=1)
        interval = calibrate(heads, stratum, seen, 0.2, "cqr")
        assert interval.guarantee == SHRUNK
        found.append(covered(interval, noise * torch.randn(83, generator=rng, dtype=torch.float64)))
    assert t_statistic(found, 0.8) < -3


def test_strata_have_their_own_corrections_from_as_many_residuals_as_the_recipe_says(bags, values):
    counts = {name: bags.stratum.count(name) for name in ("few", "many")}
    recipe = MeanPool(hidden=4, epochs=2, members=1)
    few = bags[[i for i, name in enumerate(bags.stratum) if name == "few"]]
    for own, label in ((counts["few"], "few"), (counts["few"] + 1, "few shrunk to pooled")):
        interval = fit(replace(recipe, own_correction=own), bags, Targets.exact(values), seed=0).interval(few, 0.2)
        assert set(interval.stratum) == {label}
        assert set(interval.n_calibration) == {counts["few"] if label == "few" else 48}
    with pytest.raises(ValueError, match="own_correction must be at least 1"):
        MeanPool(own_correction=0)


@pytest.mark.parametrize("recipe", [MeanPool(hidden=6, epochs=20, members=1), Forest(trees=10)], ids=["mean", "forest"])
def test_each_target_has_intervals_of_its_own(recipe, bags, values):
    both = torch.stack([values, 100 + 20 * values.flip(0)], dim=1)
    both[:8, 1] = torch.nan
    fitted = fit(recipe, bags, Targets.exact(both), seed=1)
    first, second = (fitted.interval(bags, 0.2, target) for target in (0, 1))
    assert (set(first.n_calibration), set(second.n_calibration)) == ({48}, {40})
    measured = ~both[:, 1].isnan()
    assert covered(first, both[:, 0]) > 0.7
    inside = (second.lower <= both[:, 1]) & (both[:, 1] <= second.upper)
    assert float(inside[measured].double().mean()) > 0.7
    assert float((second.upper - second.lower).mean()) > 5 * float((first.upper - first.lower).mean())


def test_classes_have_no_intervals(bags, values):
    recipe = MeanPool(head="class", hidden=4, epochs=2, members=1)
    fitted = fit(recipe, bags, Targets.exact((values > values.median()).double()), seed=0)
    with pytest.raises(UnsupportedError, match="class head predicts no quantiles"):
        fitted.interval(bags, 0.2)


@pytest.mark.parametrize("name", RECIPES)
def test_without_calibration_intervals_are_withheld(name, bags, values):
    fitted = fit(replace(RECIPES[name], calibration="none"), bags, Targets.exact(values), seed=0)
    assert fitted.interval(bags, 0.2) == Withheld(4)
    assert fitted.interval(bags, 0.05) == Withheld(19)
    assert fitted.quantiles(bags).isfinite().all()


def test_a_split_withholds_what_its_part_is_too_small_for(bags, values):
    fitted = fit(MeanPool(hidden=4, epochs=2, members=1, calibration="split"), bags, Targets.exact(values), seed=0)
    assert isinstance(fitted.interval(bags, 0.1), Interval)
    assert fitted.interval(bags, 0.05) == Withheld(4 * (19 - 12))  # of four samples one calibrates
