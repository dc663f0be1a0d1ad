import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError

from surrogates import GP, Forest, GatedAttention, MaxPool, MeanPool, MultiheadAttention, Targets, fit, load
from surrogates.bags import content_hash
from surrogates.conformal import Interval, Withheld
from surrogates.recipes import RECIPES, recipe_from, recipe_hash
from surrogates.reliability import coverage

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "recipe",
    [
        GP(),
        GP(principal_components=2),
        GatedAttention(),
        GatedAttention(hidden=8, rate=0.5),
        MeanPool(hidden=8),
        MaxPool(epochs=3),
        MultiheadAttention(heads=2, seeds=4),
        Forest(trees=7),
    ],
)
def test_recipes_survive_json(recipe):
    assert recipe_from(recipe.to_json()) == recipe
    import json

    assert recipe_from(json.dumps(recipe.to_json())) == recipe
    assert recipe_hash(recipe_from(recipe.to_json())) == recipe_hash(recipe)


def test_recipes_have_stable_tags_and_distinct_hashes():
    tags = {"gp", "mean_pool", "max_pool", "gated_attention", "multihead_attention", "transformer", "forest", "blend"}
    assert tags | {"named_pool", "transfer"} == set(RECIPES)
    plain = [recipe_from(tag) for tag in sorted(tags)]
    assert [recipe.type for recipe in plain] == sorted(tags)
    recipes = [*plain, GP(principal_components=2), GatedAttention(hidden=8), Forest(trees=7)]
    assert len({recipe_hash(recipe) for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gpp", "unknown recipe 'gpp'; expected one of gp, mean_pool, max_pool, gated_attention"),
        ({"hidden": 3}, "unknown recipe None"),
        ({"type": "gp", "hidden": 3}, "recipe 'gp' has no setting hidden; it has calibration, own_correction"),
        ({"type": "gated_attention", "hidden": 0}, "hidden must be at least 1, not 0"),
        ({"type": "gated_attention", "rate": 0}, "rate must be positive"),
        ({"type": "mean_pool", "members": 0}, "members must be at least 1, not 0"),
        ({"type": "multihead_attention", "seeds": 0}, "seeds must be at least 1, not 0"),
        ({"type": "multihead_attention", "heads": 5}, "heads must divide hidden = 32, which 5 does not"),
        ({"type": "forest", "trees": 1}, "trees must be at least 2, not 1"),
    ],
)
def test_recipes_that_cannot_be_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        recipe_from(spec)


def test_saving_and_loading_changes_nothing(tmp_path, any_fit, encoder, bags, designs):
    any_fit.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert (again.recipe, again.seed, again.notes) == (any_fit.recipe, any_fit.seed, any_fit.notes)
    assert again.data_hash == any_fit.data_hash
    assert again.problem.bags.hash == any_fit.problem.bags.hash
    assert torch.equal(again.quantiles(bags), any_fit.quantiles(bags))
    one, other = any_fit.interval(bags, 0.2), again.interval(bags, 0.2)
    assert torch.equal(one.lower, other.lower)
    assert one.stratum == other.stratum
    mine, its = (f.botorch_model(encoder).posterior(designs[:5]) for f in (any_fit, again))
    assert torch.equal(mine.mean, its.mean)
    assert torch.equal(mine.distribution.covariance_matrix, its.distribution.covariance_matrix)


def test_files_of_another_version_are_refused(tmp_path, gp_fit):
    gp_fit.save(tmp_path)
    about = tmp_path / "fitted.json"
    about.write_text(about.read_text().replace('"format": 4', '"format": 0'))
    with pytest.raises(ValueError, match="holds format 0, this version reads 4"):
        load(tmp_path)


FRESH = """
import sys; sys.path.insert(0, {tests!r})
import torch
from conftest import ELEMENTS, mixtures, response
from surrogates import GP, CompositionEncoder, Forest, GatedAttention, Targets, fit
from surrogates.bags import content_hash
torch.set_default_dtype(torch.float64)
torch.manual_seed(99)
X = mixtures(48, 4, seed=1)
bags = CompositionEncoder(ELEMENTS)(X, stratum=["few" if (x > 0).sum() < 4 else "many" for x in X])
targets = Targets.exact(response(X, noise=0.1, seed=2))
for recipe in (GP(), GatedAttention(hidden=8, gate=4, members=2, epochs=40), Forest(trees=40)):
    fitted = fit(recipe, bags, targets, seed=3)
    print(content_hash(fitted.data_hash, fitted.quantiles(bags), fitted.out_of_fold.predictions))
"""


def test_a_fresh_process_with_other_global_state_gives_identical_bits(gp_fit, gated_fit, forest_fit, bags):
    code = FRESH.format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    fits = (gp_fit, gated_fit, forest_fit)
    expected = [content_hash(f.data_hash, f.quantiles(bags), f.out_of_fold.predictions) for f in fits]
    assert run.stdout.split() == expected


def test_fitting_works_where_gradients_are_switched_off(bags, values, small_gated, gated_fit, gp_fit, encoder, designs):
    with torch.no_grad():
        for recipe, before in ((GP(), gp_fit), (small_gated, gated_fit)):
            fitted = fit(recipe, bags, Targets.exact(values), seed=3)
            assert torch.equal(fitted.quantiles(bags), before.quantiles(bags))
            one, other = (f.botorch_model(encoder).posterior(designs[:2]).variance for f in (fitted, before))
            assert torch.equal(one, other)


def test_another_seed_gives_other_folds(bags, values, gp_fit):
    other = fit(GP(), bags, Targets.exact(values), seed=4)
    assert not torch.equal(other.problem.fold, gp_fit.problem.fold)
    assert other.data_hash == gp_fit.data_hash
    assert torch.equal(other.quantiles(bags), gp_fit.quantiles(bags))


@pytest.mark.parametrize("tag", ["gp", "gated", "multihead", "forest"])
def test_out_of_fold_predictions_know_nothing_of_their_own_groups(tag, request, bags, values):
    """Other values in one fold change the out-of-fold predictions of every fold but that one."""
    before = request.getfixturevalue(f"{tag}_fit")
    held = before.problem.fold == 2
    changed = torch.where(held, 50 - values, values)
    after = fit(before.recipe, bags, Targets.exact(changed), seed=3)
    moved = (after.out_of_fold.predictions - before.out_of_fold.predictions).abs().amax((1, 2))
    assert float(moved[held].max()) < 1e-6
    assert float(moved[~held].min()) > 1e-3


def test_groups_are_never_parted(bags, values, gp_fit):
    groups = [f"g{i // 3}" for i in range(48)]
    fitted = fit(GP(), bags, Targets.exact(values, groups=groups), seed=0)
    assert len({(g, int(f)) for g, f in zip(groups, fitted.problem.fold, strict=True)}) == 16


def test_rows_without_value_and_censored_rows_are_left_out_and_counted(bags, values, gp_fit):
    value = values.clone()
    value[3] = torch.nan
    targets = Targets.exact(value)
    targets.censor[5:7] = -1
    fitted = fit(GP(), bags, targets, seed=0)
    assert fitted.notes == ("1 row without a value is left out", "2 censored values are left out")
    assert len(fitted.out_of_fold) == 45
    rest = torch.tensor([i for i in range(48) if i not in (3, 5, 6)])
    alone = fit(GP(), bags[rest], Targets.exact(value[rest]), seed=0)
    assert torch.allclose(fitted.quantiles(bags), alone.quantiles(bags))


def test_strata_may_be_given_apart(bags, values):
    fitted = fit(GP(), bags, Targets.exact(values), strata=["x"] * 48, seed=0)
    assert set(fitted.out_of_fold.stratum) == {"x"}


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (Targets.exact(torch.zeros(3)), "48 bags have 3 rows of targets"),
        (Targets.exact(torch.full((48,), torch.nan)), "0 exact values; at least 2"),
        (Targets.exact(torch.tensor([[0.0, torch.nan]] * 48)), "0 exact values of target 2; at least 2"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused(bags, targets, message):
    with pytest.raises(ValueError, match=message):
        fit(GP(), bags, targets, seed=0)


def test_one_group_alone_is_learned_from_and_calibrates_nothing(bags, values, small_gated, encoder):
    targets = Targets.exact(values[:3], groups=["same"] * 3)
    fitted = fit(GP(), bags[:3], targets, seed=0)
    assert fitted.quantiles(bags).isfinite().all()
    assert fitted.interval(bags, 0.2) == Withheld(4)
    network = fit(small_gated, bags[:3], targets, seed=0)
    assert network.quantiles(bags).isfinite().all()
    assert network.interval(bags, 0.2) == Withheld(4)
    with pytest.raises(ValueError, match="needs out-of-fold residuals"):
        network.botorch_model(encoder)


def test_intervals_come_where_there_is_enough_to_calibrate_them(any_fit, bags, values):
    interval = any_fit.interval(bags, 0.2)
    assert isinstance(interval, Interval)
    assert set(interval.n_calibration) == {48}
    assert (interval.lower < interval.upper).all()
    assert coverage(interval.lower, interval.upper, values) > 0.7
    assert any_fit.interval(bags, 0.01) == Withheld(99 - 48)


def test_quantiles_do_not_cross(any_fit, bags):
    assert (any_fit.quantiles(bags).diff() > 0).all()
    assert any_fit.quantiles(bags).dtype == torch.float64
    assert any_fit.quantiles(bags[torch.zeros(48, dtype=torch.bool)]).shape == (0, 1, 9)


def test_an_unknown_attribution_is_refused(any_fit, bags):
    with pytest.raises(ValueError, match="unknown attribution method 'magic'"):
        any_fit.attribute(bags, method="magic")


def test_only_attention_recipes_attribute(gp_fit, gated_fit, bags):
    with pytest.raises(UnsupportedError):
        gp_fit.attribute(bags)
    weights, sd = gated_fit.learned.attention(bags)
    assert torch.allclose(weights.sum(1), torch.ones(48, dtype=torch.float64))
    assert not weights[~bags.mask].any()
    assert not sd[~bags.mask].any()
    assert sd[bags.mask.sum(1) > 1].amax(1).min() > 0


def test_cross_conformal_coverage_over_repeated_campaigns():
    """Mean coverage of 80 % intervals over fresh data sets, by a one-sided t-test against 0.03 below nominal."""
    from conftest import ELEMENTS, mixtures, response

    from surrogates import CompositionEncoder

    encode, found = CompositionEncoder(ELEMENTS), []
    for repeat in range(12):
        X, new = mixtures(40, 4, seed=100 + repeat), mixtures(400, 4, seed=200 + repeat)
        fitted = fit(GP(), encode(X), Targets.exact(response(X, 0.3, seed=300 + repeat)), seed=repeat)
        interval = fitted.interval(encode(new), 0.2)
        found.append(coverage(interval.lower, interval.upper, response(new, 0.3, seed=400 + repeat)))
    draws = torch.tensor(found)
    t = (draws.mean() - 0.77) / (draws.std() / len(draws) ** 0.5)
    assert float(t) > -2.7
    assert float(draws.mean()) < 0.9
