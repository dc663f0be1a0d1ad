"""Refining by the gradient: it climbs, and it never leaves its region."""

from __future__ import annotations

import pytest
import torch
from botorch.models import SingleTaskGP

from acquisition.continuous import REFINABLE, Region, function_on, refine
from acquisition.objectives import Goal


def problem():
    torch.manual_seed(0)
    X = torch.rand(12, 3, dtype=torch.float64)
    X = X / X.sum(1, keepdim=True)
    y = -(X - torch.tensor([0.42, 0.33, 0.25], dtype=torch.float64)).square().sum(1, keepdim=True)
    y = (y - y.mean()) / y.std()
    model = SingleTaskGP(X, y, outcome_transform=None).eval()
    model.covar_module.lengthscale = 0.4
    ones, zero = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    return model, X, y, ones, zero


@pytest.mark.parametrize("acquisition", REFINABLE)
def test_it_climbs_within_the_simplex_and_its_constraints(acquisition):
    model, X, y, ones, zero = problem()
    row = (torch.tensor([-1.0, 0.0, 0.0], dtype=torch.float64), -0.35)  # x_0 <= 0.35
    region = Region(zero, ones, [(ones, 1.0)], [row])
    function = function_on(
        model, acquisition, goal=Goal(), X_observed=X, X_pending=X[:0], best_observed=float(y.max()), seed=0
    )
    x = torch.tensor([0.1, 0.4, 0.5], dtype=torch.float64)
    moved = refine(function, x, region)
    assert region.holds(moved)
    with torch.no_grad():
        assert float(function(moved[None, None])) > float(function(x[None, None]))


def test_the_mean_is_climbed_to_its_constrained_optimum():
    model, X, _, ones, zero = problem()
    region = Region(zero, ones, [(ones, 1.0)])
    function = function_on(model, "greedy", goal=Goal(), X_observed=X, X_pending=X[:0], best_observed=0.0, seed=0)
    moved = refine(function, torch.tensor([0.4, 0.4, 0.2], dtype=torch.float64), region)
    steps = torch.arange(0, 101, dtype=torch.float64) / 100
    grid = torch.cartesian_prod(steps, steps)
    grid = torch.cat([grid, 1 - grid.sum(1, keepdim=True)], 1)[grid.sum(1) <= 1]
    with torch.no_grad():
        best = float(model.posterior(grid.unsqueeze(1)).mean.amax())
        assert float(function(moved[None, None])) >= best - 1e-4


def test_a_column_that_is_held_stays_and_a_start_outside_is_left():
    model, X, _, ones, zero = problem()
    held = torch.tensor([0.2, 0.0, 0.0], dtype=torch.float64)
    region = Region(held, torch.tensor([0.2, 1.0, 1.0], dtype=torch.float64), [(ones, 1.0)])
    function = function_on(model, "greedy", goal=Goal(), X_observed=X, X_pending=X[:0], best_observed=0.0, seed=0)
    moved = refine(function, torch.tensor([0.2, 0.1, 0.7], dtype=torch.float64), region)
    assert moved[0] == 0.2
    outside = torch.tensor([0.9, 0.9, 0.9], dtype=torch.float64)
    assert refine(function, outside, Region(zero, ones, [(ones, 1.0)])) is outside


def test_what_has_no_gradient_is_refused():
    model, X, *_ = problem()
    with pytest.raises(ValueError, match="not refined"):
        function_on(model, "Thompson", goal=Goal(), X_observed=X, X_pending=X[:0], best_observed=0.0, seed=0)
