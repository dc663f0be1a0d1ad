from dataclasses import replace

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from conftest import ELEMENTS, mixtures, response
from hypothesis import given
from hypothesis import strategies as st

from surrogates import CompositionEncoder, Forest, Targets, fit, load
from surrogates.bags import Bags
from surrogates.encoders.elements import descriptors
from surrogates.quantiles import normal_quantiles
from surrogates.recipes.forest import _grow, forest_inputs, tree_values
from surrogates.reliability import coverage


def test_trees_see_weights_mean_descriptors_and_side_columns():
    encode = CompositionEncoder(ELEMENTS, ("T",))
    X = torch.cat([mixtures(5, 4, seed=1), torch.arange(5, dtype=torch.float64).unsqueeze(1)], 1)
    seen = forest_inputs(encode(X))
    assert torch.allclose(seen, torch.cat([X[:, :4], X[:, :4] @ descriptors(ELEMENTS), X[:, 4:]], 1))


def test_without_elements_they_see_the_weighted_mean_of_the_features():
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 2, generator=rng)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    weights = torch.tensor([[1.0, 3.0, 9.0], [1.0, 1.0, 0.0]])
    named = Bags(features, mask, weights, torch.zeros(2, 0), ("a", "b", "c"), ("", ""))
    mean = torch.stack([features[0, 0] / 4 + features[0, 1] * 3 / 4, features[1, :2].mean(0)]).double()
    assert torch.allclose(forest_inputs(named), torch.cat([torch.tensor([[1.0, 3, 0], [1, 1, 0]]), mean], 1))
    sites = replace(named, labels=(("a", "b", "c"), ("b", "c", "a")))
    assert torch.allclose(forest_inputs(sites), mean)


@given(st.permutations(range(3)), st.integers(0, 100))
def test_the_order_of_unnamed_instances_does_not_matter(order, seed):
    rng = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[True, True, False]])
    bag = Bags(torch.randn(1, 3, 2, generator=rng), mask, torch.rand(1, 3, generator=rng) + 0.1, torch.zeros(1, 0),
               (("a", "b", "c"),), ("",))  # fmt: skip
    turned = Bags(bag.features[:, order], bag.mask[:, order], bag.weights[:, order], bag.side,
                  (tuple("abc"[i] for i in order),), ("",))  # fmt: skip
    assert torch.allclose(forest_inputs(bag), forest_inputs(turned))


def test_flat_trees_say_what_those_of_scikit_learn_say(bags, values):
    from sklearn.ensemble import ExtraTreesRegressor

    from surrogates.splits import generator

    x, y = forest_inputs(bags), (values - values.mean()) / values.std(correction=0)
    seed = int(torch.randint(2**31 - 1, (), generator=generator("forest", "key")))
    theirs = ExtraTreesRegressor(70, random_state=seed).fit(x, y)
    ours = tree_values(_grow(x, values, 70, "key"), forest_inputs(bags))
    new = forest_inputs(CompositionEncoder(ELEMENTS)(mixtures(200, 4, seed=9)))
    assert ours.shape == (70, 48)
    assert torch.allclose(ours, values.expand(70, 48))
    flat = tree_values(_grow(x, values, 70, "key"), new)
    each = torch.stack([torch.from_numpy(tree.predict(new.numpy())) for tree in theirs.estimators_])
    assert torch.allclose(flat, each * values.std(correction=0) + values.mean())
    assert float(flat.std(0).median()) > 0.05


def test_the_forest_of_everything_predicts_and_the_others_calibrate(bags, values):
    forest_fit = fit(Forest(trees=40, refit=True), bags, Targets.exact(values), seed=3)
    trees = forest_fit.learned.trees
    new = CompositionEncoder(ELEMENTS)(mixtures(6, 4, seed=8))
    assert trees["member_fold"].tolist() == [0, 1, 2, 3, 4, -1]

    def quantiles(bags, forest):
        values = tree_values(trees, forest_inputs(bags)).reshape(6, 40, -1)[forest]
        spread = (values.var(0, correction=0) + trees["noise"][forest].square()).sqrt()
        return normal_quantiles(values.mean(0), spread)

    assert torch.allclose(forest_fit.quantiles(new)[:, 0], quantiles(new, 5))
    for fold in range(5):
        rows = forest_fit.problem.fold == fold
        assert torch.allclose(forest_fit.out_of_fold.predictions[rows, 0], quantiles(bags[rows], fold))
        assert torch.allclose(forest_fit.learned.fold_predictions(new)[fold, :, 0], quantiles(new, fold))
    assert torch.allclose(forest_fit.learned.member_locations(new)[:, :, 0], quantiles(new, 5)[:, 4])


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [({"refit": False}, [0, 1, 2, 3, 4]), ({"calibration": "split"}, [0]), ({"calibration": "none"}, [-1])],
)
def test_without_a_refit_the_others_predict(bags, values, settings, left_out):
    """A split keeps its part for calibration alone: no forest may see it."""
    found = fit(Forest(trees=20, **settings), bags, Targets.exact(values), seed=3).learned
    assert found.member_fold.tolist() == left_out
    assert torch.allclose(found.quantiles(bags), found.member_predictions(bags, torch.arange(len(left_out))).mean(0))


def test_the_noise_is_found():
    """Trees on values without any signal: the head's variance is that of the values."""
    x = mixtures(120, 4, seed=3)
    y = 5 * torch.randn(120, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    seen = fit(Forest(trees=50), CompositionEncoder(ELEMENTS)(x), Targets.exact(y), seed=0).out_of_fold
    standard = (seen.value[:, 0] - seen.predictions[:, 0, 4]) / seen.predictions[:, 0, [3, 5]].diff().squeeze(1)
    assert float(standard.std()) * 1.349 == pytest.approx(1, abs=0.15)


def test_a_fit_is_a_function_of_data_and_seed(bags, values, small_forest, forest_fit, tmp_path):
    torch.manual_seed(1)
    again = fit(small_forest, bags, Targets.exact(values), seed=3)
    other = fit(small_forest, bags, Targets.exact(values), seed=4)
    forest_fit.save(tmp_path)
    for same in (again, load(tmp_path)):
        assert torch.equal(same.quantiles(bags), forest_fit.quantiles(bags))
        assert torch.equal(same.out_of_fold.predictions, forest_fit.out_of_fold.predictions)
    assert not torch.equal(other.quantiles(bags), forest_fit.quantiles(bags))


def test_nothing_but_arrays_is_stored(forest_fit):
    assert set(forest_fit.learned.tensors()) == {
        "child",
        "feature",
        "threshold",
        "value",
        "root",
        "noise",
        "member_fold",
    }


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**30])
def test_units_do_not_matter(bags, values, small_forest, forest_fit, unit):
    """Powers of two, which change no rounding: equally good splits are told apart by the last digit."""
    scaled = fit(small_forest, bags, Targets.exact(unit * values), seed=3)
    assert torch.equal(scaled.quantiles(bags) / unit, forest_fit.quantiles(bags))


@pytest.mark.parametrize("n", [2, 3, 9])
def test_it_works_from_two_groups_on(bags, values, small_forest, n):
    fitted = fit(small_forest, bags[:n], Targets.exact(values[:n]), seed=0)
    assert (fitted.quantiles(bags).diff() > 0).all()


def test_values_that_are_all_the_same_are_predicted(bags, small_forest):
    quantiles = fit(small_forest, bags, Targets.exact(torch.full((48,), 7.0)), seed=0).quantiles(bags)
    assert torch.allclose(quantiles[..., 4], torch.tensor(7.0, dtype=torch.float64))
    assert (quantiles.diff() > 0).all()


def test_one_group_alone_is_one_forest(bags, values, small_forest):
    found = fit(small_forest, bags[:3], Targets.exact(values[:3], groups=["same"] * 3), seed=0)
    assert torch.allclose(found.quantiles(bags[:3])[:, 0, 4], values[:3])
    assert len(found.out_of_fold) == 0


def test_what_trees_cannot_do_is_said(forest_fit, bags):
    with pytest.raises(UnsupportedError, match="trees have no attention"):
        forest_fit.attribute(bags)


def test_the_belief_is_that_of_the_residual_process(forest_fit, encoder):
    X = mixtures(60, 4, seed=20)
    model = forest_fit.botorch_model(encoder)
    medians = forest_fit.learned.member_locations(encoder(X))[:, :, 0]
    posterior = model.posterior(X)
    assert torch.allclose(posterior.mean.squeeze(-1), medians.mean(0))
    (process,) = model.processes
    residual = process.covariance(process.inputs(encoder(X))).diagonal()
    assert process.c == 0  # a single forest left out each row
    assert torch.allclose(posterior.variance.squeeze(-1), residual, rtol=1e-3)


@pytest.fixture(scope="module")
def half_loud():
    # a constant mean under noise that is 8 times larger in one half: sds of the belief without and with noise, of the
    # quiet and of the loud half, on unseen points, because on others trees repeat what they saw
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(160, 1, generator=rng, dtype=torch.float64)
    y = torch.where(x[:, 0] > 0.5, 0.8, 0.1) * torch.randn(160, generator=rng, dtype=torch.float64)
    encode = CompositionEncoder((), ("x",))
    model = fit(Forest(), encode(x), Targets.exact(y), seed=0).botorch_model(encode)
    new = torch.linspace(0, 1, 201, dtype=torch.float64).unsqueeze(1)
    sds = [model.posterior(new, observation_noise=on).variance.squeeze(-1).sqrt() for on in (False, True)]
    return [(float(sd[new[:, 0] <= 0.5].mean()), float(sd[new[:, 0] > 0.5].mean())) for sd in sds]


def test_noise_is_not_taken_for_ignorance(half_loud):
    (calm, loud), (_, noisy) = half_loud
    assert loud / calm < 2
    assert loud < 0.5 * noisy


@pytest.mark.xfail(strict=True, reason="a forest states nearly one noise for all inputs: a ratio of 1.24")
def test_noise_is_stated_where_it_is(half_loud):
    _, (calm, loud) = half_loud
    assert loud / calm > 2


def test_forest_intervals_cover_over_repeated_campaigns():
    """Mean coverage of 80 % intervals over fresh exchangeable data: not below nominal (t-test against 0.03 below)."""
    encode, found = CompositionEncoder(ELEMENTS), []
    for repeat in range(12):
        X, new = mixtures(40, 4, seed=500 + repeat), mixtures(400, 4, seed=600 + repeat)
        fitted = fit(Forest(trees=25), encode(X), Targets.exact(response(X, 0.3, seed=700 + repeat)), seed=repeat)
        interval = fitted.interval(encode(new), 0.2)
        found.append(coverage(interval.lower, interval.upper, response(new, 0.3, seed=800 + repeat)))
    draws = torch.tensor(found)
    t = (draws.mean() - 0.77) / (draws.std() / len(draws) ** 0.5)
    assert float(t) > -2.7
    assert float(draws.mean()) < 0.9
