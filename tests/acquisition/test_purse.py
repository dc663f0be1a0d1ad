"""A batch within a purse: what its picks leave no money for comes last."""

from __future__ import annotations

import pytest
import torch
from botorch.models import SingleTaskGP

from acquisition.choose import choose
from acquisition.objectives import Goal


def chosen(prices, purse, acquisition="greedy", q=3, **more):
    X = torch.linspace(0, 1, 6, dtype=torch.float64)[:, None]
    seen = torch.tensor([[0.05], [0.95]], dtype=torch.float64)
    model = SingleTaskGP(seen, seen * 2).eval()
    options = {"goals": [Goal()], "X_observed": seen, "best_observed": 1.9, "seed": 0, **more}
    prices = torch.tensor(prices, dtype=torch.float64)
    return choose(model, X, q, acquisition=acquisition, prices=prices, purse=purse, **options).rows


def test_each_pick_is_paid_from_what_the_picks_before_it_leave():
    assert chosen([1, 1, 1, 1, 5, 5], 100) == [5, 4, 3]
    assert chosen([1, 1, 1, 1, 5, 5], 7) == [5, 3, 2]  # a second one at 5 is beyond the 2 that are left


def test_with_nothing_left_to_pay_by_the_purse_at_the_outset_counts():
    assert chosen([1, 1, 1, 1, 9, 9], 1) == [3, 2, 1]
    assert chosen([9, 9, 9, 9, 9, 9], 1) == [5, 4, 3]


def test_an_unknown_price_counts_nothing():
    assert chosen([1, 1, 1, 1, float("nan"), 9], 3) == [4, 3, 2]


@pytest.mark.parametrize("acquisition", ["qLogNEI", "portfolio", "KG", "max_variance"])
def test_the_purse_holds_beside_weighed_costs(acquisition):
    prices = [1.0, 1, 1, 1, 5, 5]
    rows = chosen(prices, 7, acquisition, costs=torch.tensor(prices, dtype=torch.float64), cost_power=0.1)
    assert sum(prices[row] for row in rows) <= 7
