"""One setting for a batch: the best of the batches that each setting allows."""

from __future__ import annotations

import pytest
import torch
from botorch.models import SingleTaskGP

from acquisition.choose import Selection, choose
from acquisition.objectives import Goal
from acquisition.shared import batch_value, in_one_setting


def problem():
    torch.manual_seed(0)
    X = torch.rand(40, 2, dtype=torch.float64)
    X[:, 1] = (X[:, 1] * 4).floor() / 4
    seen = X[:8]
    y = (-(seen[:, :1] - 0.4).square() - (seen[:, 1:] - 0.5).square()) * 3
    model = SingleTaskGP(seen, y).eval()
    options = {"goals": [Goal()], "X_observed": seen, "best_observed": float(y.max()), "seed": 0}
    return model, X[8:], options


@pytest.mark.parametrize("acquisition", ["qLogEI", "qLogNEI", "UCB", "Thompson", "greedy", "max_variance"])
def test_the_batch_has_one_setting_and_no_other_is_worth_more(acquisition):
    model, X, options = problem()
    options |= {"acquisition": acquisition}
    settings = (X[:, 1] * 4).long()
    found = in_one_setting(choose, settings)(model, X, 3, **options)
    assert len(set(found.rows)) == 3
    assert len(set(settings[found.rows].tolist())) == 1
    for setting in settings.unique():
        rows = (settings == setting).nonzero().flatten()
        if len(rows) >= 3:
            other = choose(model, X[rows], 3, **options)
            assert batch_value(options, other) <= batch_value(options, found) + 1e-9


def test_options_of_the_candidates_go_with_them():
    model, X, options = problem()
    settings = (X[:, 1] * 4).long()
    late = torch.ones(len(X), dtype=torch.bool)
    best = in_one_setting(choose, settings)(model, X, 1, acquisition="greedy", **options).rows[0]
    late[settings == settings[best]] = torch.arange(int((settings == settings[best]).sum())) > 0
    found = in_one_setting(choose, settings)(model, X, 1, acquisition="greedy", late=late, **options)
    first = int((settings == settings[found.rows[0]]).nonzero()[0])
    assert late[found.rows[0]] or found.rows[0] == first


def test_a_setting_with_too_few_candidates_counts_only_where_none_has_more():
    model, X, options = problem()
    settings = torch.arange(len(X))
    found = in_one_setting(choose, settings)(model, X, 3, acquisition="greedy", **options)
    assert len(found.rows) == 1


def test_without_shared_settings_it_is_the_chooser_itself():
    assert in_one_setting(choose, None) is choose


HAND_MADE = {  # setting -> what each pick adds to the improvement, and the chance of each to be among the best
    0: ([1.0, 1e-6], [0.5, 0.01]),
    1: ([0.3, 0.25], [0.4, 0.4]),
}


def test_the_portfolio_takes_the_setting_of_the_largest_improvement_and_fills_it_in_its_own_way():
    settings = torch.tensor([1, 1, 0, 0])

    def by_hand(model, X, q, *, acquisition, **options):
        improvement, chance = HAND_MADE[int(X[0, 0])]
        if acquisition == "qLogNEI":
            return Selection([0, 1], torch.tensor(improvement).log().tolist())
        return Selection([1, 0], torch.tensor(chance).log().tolist())

    found = in_one_setting(by_hand, settings)(None, settings[:, None].double(), 2, acquisition="portfolio")
    assert found.rows == [3, 2]
    assert found.values == pytest.approx(torch.tensor([0.5, 0.01]).log().tolist())


def test_the_portfolio_itself_stays_in_the_setting_of_the_noisy_improvement():
    model, X, options = problem()
    settings = (X[:, 1] * 4).long()
    batches = {
        name: in_one_setting(choose, settings)(model, X, 3, acquisition=name, **options)
        for name in ("qLogNEI", "portfolio")
    }
    assert len({int(settings[row]) for found in batches.values() for row in found.rows}) == 1
