"""Gain for its cost, and a power that cools as the budget goes."""

from __future__ import annotations

import pytest
import torch
from botorch.models import SingleTaskGP

from acquisition.choose import choose
from acquisition.cost import cooled
from acquisition.objectives import Goal


def problem():
    torch.manual_seed(0)
    X = torch.rand(30, 4, dtype=torch.float64)
    y = -(X[:6, :1] - 0.7).square()
    model = SingleTaskGP(X[:6], y).eval()
    return model, X[6:], {"goals": [Goal()], "X_observed": X[:6], "best_observed": float(y.max()), "seed": 0}


@pytest.mark.parametrize("power", [0.3, 1.0])
def test_the_first_pick_has_the_largest_gain_over_cost_to_the_power(power):
    model, X, options = problem()
    costs = 1 + 20 * torch.rand(len(X), dtype=torch.float64)
    found = choose(model, X, 1, acquisition="qLogEI", costs=costs, cost_power=power, **options)
    posterior = model.posterior(X.unsqueeze(-2))
    mean, sd = posterior.mean.reshape(-1), posterior.variance.sqrt().reshape(-1)
    u = (mean - options["best_observed"]) / sd
    normal = torch.distributions.Normal(0.0, 1.0)
    gain = sd * (normal.log_prob(u).exp() + u * normal.cdf(u)) / costs**power
    assert found.rows == [int(gain.argmax())]


def test_equal_costs_and_no_power_change_nothing():
    model, X, options = problem()
    plain = choose(model, X, 4, acquisition="qLogNEI", **options)
    same = torch.full((len(X),), 7.0, dtype=torch.float64)
    varied = 1 + torch.arange(len(X), dtype=torch.float64)
    assert choose(model, X, 4, acquisition="qLogNEI", costs=same, **options) == plain
    assert choose(model, X, 4, acquisition="qLogNEI", costs=varied, cost_power=0.0, **options) == plain


def test_a_variance_is_divided_by_the_cost():
    model, X, options = problem()
    costs = torch.ones(len(X), dtype=torch.float64)
    dear = choose(model, X, 1, acquisition="max_variance", **options).rows[0]
    costs[dear] = 1e9
    assert choose(model, X, 1, acquisition="max_variance", costs=costs, **options).rows != [dear]


@pytest.mark.parametrize("acquisition", ["UCB", "greedy", "Thompson"])
def test_what_is_no_gain_is_refused(acquisition):
    model, X, options = problem()
    with pytest.raises(ValueError, match="divided by a cost"):
        choose(model, X, 1, acquisition=acquisition, costs=torch.ones(len(X)), **options)


def test_a_cost_of_nothing_is_refused():
    model, X, options = problem()
    with pytest.raises(ValueError, match="above zero"):
        choose(model, X, 1, acquisition="qLogEI", costs=torch.zeros(len(X)), **options)


def test_the_power_cools_from_one_to_nothing():
    powers = [cooled(100, spent, 20) for spent in (20, 40, 100, 130)]
    assert powers == [1.0, 0.75, 0.0, 0.0]
    assert cooled(10, 20, 20) == 0.0
