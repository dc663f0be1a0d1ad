import json

import pytest
import torch
from conftest import mixtures, response
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogates import GP, CompositionEncoder, Forest, MeanPool, Targets, fit, load
from surrogates.choice import choose
from surrogates.quantiles import normal_quantiles, pinball
from surrogates.recipes import recipe_from, recipe_hash
from surrogates.recipes.blend import Blend, simplex_weights
from surrogates.reliability import coverage

SMALL = (GP(), Forest(trees=20))


def blend_loss(weights, quantiles, value):
    return float(pinball(torch.einsum("r,rnl->nl", weights, quantiles), value).mean())


@pytest.fixture(scope="module")
def blend():
    return Blend(recipes=SMALL)


@pytest.fixture(scope="module")
def blend_fit(bags, values, blend):
    return fit(blend, bags, Targets.exact(values), seed=3)


@given(st.integers(0, 10_000), st.floats(0.1, 3), st.floats(0.1, 3))
@settings(max_examples=8, deadline=None)
def test_no_weights_on_a_grid_are_better(seed, first, second):
    rng = torch.Generator().manual_seed(seed)
    value = torch.randn(60, generator=rng, dtype=torch.float64)
    noise = torch.randn(2, 60, generator=rng, dtype=torch.float64) * torch.tensor([[first], [second]])
    quantiles = normal_quantiles(value + noise, torch.tensor([[first], [second]], dtype=torch.float64).expand(2, 60))
    found = simplex_weights(quantiles, value)
    assert float(found.sum()) == pytest.approx(1)
    assert (found >= 0).all()
    grid = [torch.tensor([w, 1 - w], dtype=torch.float64) for w in torch.linspace(0, 1, 21).tolist()]
    assert blend_loss(found, quantiles, value) < 1.01 * min(blend_loss(w, quantiles, value) for w in grid)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_weights_do_not_depend_on_units_or_order(unit):
    rng = torch.Generator().manual_seed(0)
    value = torch.randn(50, generator=rng, dtype=torch.float64)
    quantiles = normal_quantiles(torch.randn(3, 50, generator=rng, dtype=torch.float64) + value, value.new_ones(3, 50))
    found = simplex_weights(quantiles, value)
    assert torch.allclose(simplex_weights(unit * quantiles + 3 * unit, unit * value + 3 * unit), found, atol=1e-3)
    assert torch.allclose(simplex_weights(quantiles.flip(0), value), found.flip(0))


def test_a_blend_is_the_weighted_average_of_its_recipes(blend_fit, bags, values):
    new = CompositionEncoder(("Ni", "Fe", "Co", "La"))(mixtures(9, 4, seed=8))
    weights = blend_fit.learned.weights
    alone = [fit(part, bags, Targets.exact(values), seed=3) for part in SMALL]
    first, second = (f.quantiles(new) for f in alone)
    assert torch.allclose(blend_fit.quantiles(new), weights[0] * first + weights[1] * second)
    for fold, own in enumerate(blend_fit.learned.fold_weights[:-1]):
        first, second = (f.learned.fold_predictions(new)[fold] for f in alone)
        assert torch.allclose(blend_fit.learned.fold_predictions(new)[fold], own[0] * first + own[1] * second)
    assert float(weights.sum()) == pytest.approx(1)
    assert (blend_fit.quantiles(new).diff() > 0).all()


def test_members_predict_out_of_fold_what_training_said(blend_fit):
    assert torch.allclose(blend_fit.learned.out_of_fold(), blend_fit.out_of_fold.predictions)


def test_weights_are_told_and_shrunk(blend_fit):
    (note,) = blend_fit.notes
    weights = blend_fit.learned.weights
    assert note == f"weights: gp {weights[0]:.2f}, forest {weights[1]:.2f}"
    assert float(weights.min()) >= 40 / 88 / 2 - 1e-9


def test_a_useless_recipe_gets_little_weight():
    """A network that is hardly trained, beside a process that fits: only the shrinkage gives it anything."""
    X = mixtures(160, 4, seed=30)
    bags, targets = CompositionEncoder(("Ni", "Fe", "Co", "La"))(X), Targets.exact(response(X, 0.05, seed=31))
    found = fit(Blend(recipes=(GP(), MeanPool(hidden=2, members=1, epochs=2))), bags, targets, seed=0)
    assert float(found.learned.weights[1]) == pytest.approx(40 / 200 / 2, abs=0.02)


def test_recipes_may_be_named_and_survive_json(blend):
    named = Blend(recipes=["gp", {"type": "forest", "trees": 20}])
    assert named == blend
    again = recipe_from(json.loads(json.dumps(blend.to_json())))
    assert again == blend
    assert recipe_hash(again) == recipe_hash(named)
    assert recipe_from("blend") == Blend()


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        (["gp"], "at least two different recipes, not \\['gp'\\]"),
        (["gp", "gp"], "at least two different"),
        (["gp", "no_such"], "unknown recipe 'no_such'"),
        (["gp", {"type": "mean_pool", "head": "class"}], "mean_pool with a class head has none"),
    ],
)
def test_what_cannot_be_blended_is_said(recipes, message):
    with pytest.raises(ValueError, match=message):
        Blend(recipes=recipes)


def test_a_fit_is_a_function_of_data_and_seed(blend, blend_fit, bags, values, tmp_path):
    torch.manual_seed(1)
    blend_fit.save(tmp_path)
    for same in (fit(blend, bags, Targets.exact(values), seed=3), load(tmp_path)):
        assert torch.equal(same.quantiles(bags), blend_fit.quantiles(bags))
        theirs = blend_fit.learned.fold_predictions(bags)
        assert torch.allclose(same.learned.fold_predictions(bags), theirs, rtol=1e-9)


def test_values_not_measured_are_left_out(bags, values, blend):
    both = torch.stack([values, values.flip(0)], 1)
    both[:6, 0] = torch.nan
    found = fit(blend, bags, Targets.exact(both), seed=3)
    assert found.quantiles(bags).shape == (48, 2, 9)
    assert found.quantiles(bags).isfinite().all()
    assert [note.split(":")[0] for note in found.notes] == ["target 1", "target 2"]


@pytest.mark.parametrize("calibration", ["split", "none"])
def test_other_calibrations_work(bags, values, calibration):
    found = fit(Blend(recipes=SMALL, calibration=calibration), bags, Targets.exact(values), seed=3)
    assert found.quantiles(bags).isfinite().all()
    if calibration == "none":
        assert torch.allclose(found.learned.weights, torch.full((2,), 0.5, dtype=torch.float64))


def test_the_choice_may_fall_on_a_blend(bags, values, blend):
    made = choose([Forest(trees=20), blend], bags, Targets.exact(values), seed=3)
    assert made.recipe == blend
    assert made.reason.startswith("blend replaces forest")


def test_intervals_of_a_blend_cover(encoder):
    """Mean coverage of 80 % intervals over five campaigns, within three sds of what 60 residuals and 400 samples do."""
    found = []
    for i in range(5):
        X, new = mixtures(60, 4, seed=500 + i), mixtures(400, 4, seed=600 + i)
        fitted = fit(Blend(recipes=SMALL), encoder(X), Targets.exact(response(X, 0.3, seed=700 + i)), seed=i)
        interval = fitted.interval(encoder(new), 0.2)
        found.append(coverage(interval.lower, interval.upper, response(new, 0.3, seed=800 + i)))
    assert abs(sum(found) / 5 - 0.8) < 3 * (0.8 * 0.2 * (1 / 60 + 1 / 400) / 5) ** 0.5
