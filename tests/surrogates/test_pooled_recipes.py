import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from hypothesis import given
from hypothesis import strategies as st

from surrogates import MaxPool, MeanPool, MultiheadAttention, Targets, fit
from surrogates.bags import Bags

RECIPES = [
    MeanPool(hidden=8, members=1, epochs=40),
    MaxPool(hidden=8, members=1, epochs=40),
    MultiheadAttention(hidden=8, heads=2, seeds=4, members=1, epochs=40),
]


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe.type)
def pooled_fit(request, bags, values):
    return fit(request.param, bags, Targets.exact(values), seed=3)


@given(st.permutations(range(4)))
def test_the_order_of_instances_does_not_matter(pooled_fit, bags, order):
    turned = Bags(
        bags.features[:, order],
        bags.mask[:, order],
        bags.weights[:, order],
        bags.side,
        tuple(bags.labels[i] for i in order),
        bags.stratum,
    )
    assert torch.allclose(pooled_fit.quantiles(bags), pooled_fit.quantiles(turned))


def test_it_predicts_better_than_the_mean_of_the_targets(pooled_fit, values):
    error = pooled_fit.out_of_fold.predictions[:, 0, 4] - pooled_fit.out_of_fold.value[:, 0]
    assert float(error.square().mean()) < 0.5 * float(values.var())


def test_weights_of_a_bag_sum_to_one_where_there_are_any(pooled_fit, bags):
    if pooled_fit.recipe.type == "max_pool":
        with pytest.raises(UnsupportedError, match="without attention"):
            pooled_fit.attribute(bags)
        return
    weights, sd = pooled_fit.learned.attention(bags)
    assert torch.allclose(weights.sum(1), torch.ones(48, dtype=torch.float64))
    assert not weights[~bags.mask].any()
    if pooled_fit.recipe.type == "mean_pool":
        assert torch.allclose(weights, bags.weights)
        assert float(sd.max()) < 1e-12
    else:
        assert sd[bags.mask.sum(1) > 1].amax(1).min() > 0


def test_every_seed_is_a_question_of_its_own(bags, values):
    one, four = (
        fit(MultiheadAttention(hidden=8, heads=2, seeds=s, members=1, epochs=2), bags, Targets.exact(values), seed=3)
        for s in (1, 4)
    )
    assert one.learned.parameters["mix"].shape == (5, 8, 8)
    assert four.learned.parameters["mix"].shape == (5, 32, 8)
