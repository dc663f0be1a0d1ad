"""What a pick adds to the hypervolume, for its cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from botorch.models import ModelListGP, SingleTaskGP

from acquisition.choose import choose
from acquisition.cost import costed
from acquisition.feasibility import Feasibility
from acquisition.hypervolume import hypervolume_batch
from acquisition.objectives import Goal
from acquisition.pool import CachedPool

D = torch.float64


def problem():
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(36, 3, generator=generator, dtype=D)
    Y = torch.stack([X.square().sum(-1), -(X - 0.4).abs().sum(-1)], dim=-1)
    model = ModelListGP(*(SingleTaskGP(X[:6], Y[:6, j : j + 1]) for j in range(2))).eval()
    return model, X, 1 + 30 * torch.rand(30, generator=generator, dtype=D)


@dataclass(frozen=True)
class Spy(Feasibility):
    """Keeps the gains that picks were chosen by."""

    seen: list = field(default_factory=list)

    def best(self, values, picked):
        self.seen.append(values)
        return super().best(values, picked)


@pytest.mark.parametrize("power", [0.4, 1.0])
def test_the_pick_has_the_largest_log_gain_less_power_times_log_cost(power):
    model, X, costs = problem()
    pool = CachedPool(model, torch.cat([X[6:], X[:6]]), seed=1)
    reference, rivals = torch.tensor([0.0, -2.0], dtype=D), list(range(30, 36))
    spy = Spy(pool, 30)
    hypervolume_batch(spy, 1, [Goal(), Goal()], rivals, reference)
    gains = spy.seen[0]
    weighed = costed(Feasibility(pool, 30), costs, power, acquisition="portfolio", seeking=False)
    rows, values = hypervolume_batch(weighed, 1, [Goal(), Goal()], rivals, reference)
    assert rows == [int((gains - power * costs.log()).argmax())]
    assert values == [float(gains[rows[0]])]


@pytest.mark.parametrize("acquisition", ["portfolio", "qLogNEI", "qLogEI"])
def test_equal_costs_change_nothing_and_unequal_ones_make_batches_cheaper(acquisition):
    model, X, costs = problem()
    options = {"goals": [Goal(), Goal()], "X_observed": X[:6], "best_observed": 0.0, "seed": 0}
    plain = choose(model, X[6:], 4, acquisition=acquisition, **options)
    same = torch.full((30,), 5.0, dtype=D)
    assert choose(model, X[6:], 4, acquisition=acquisition, costs=same, **options) == plain
    cheap = choose(model, X[6:], 4, acquisition=acquisition, costs=costs, **options)
    assert costs[cheap.rows].sum() < costs[plain.rows].sum()
