"""A bound that measured rows have met for certain: what they believe of it anew does not count against them."""

import pytest
import torch
from test_feasibility import Known, activity, pick, points

from acquisition.choose import ACQUISITIONS
from acquisition.feasibility import Bound
from acquisition.objectives import Goal
from acquisition.pool import CachedPool

AWAY = {"X_observed": points(5, 1) + torch.tensor([5.0, 0.0])}


def liability(X):
    """Sure to succeed among the candidates, sure to fail where the measured rows lie."""
    return 50 * (3 - X[..., 0])


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_what_was_made_stays_the_incumbent(acquisition):
    free = pick(acquisition, Known(activity), **AWAY)
    bound = pick(acquisition, Known(activity, liability), constraints=[Bound(low=0.0, settled=True)], **AWAY)
    assert bound.rows == free.rows
    assert bound.values == pytest.approx(free.values, abs=1e-9)


def test_what_was_made_stays_in_the_hypervolume():
    two = {"goals": [Goal(), Goal()], "q": 3, **AWAY}
    free = pick("qLogNEI", Known(activity, lambda X: -X[..., 1]), **two)
    model = Known(activity, lambda X: -X[..., 1], liability)
    assert pick("qLogNEI", model, constraints=[Bound(low=0.0, settled=True)], **two).rows == free.rows


def test_settled_rows_are_known_and_tell_nothing():
    pool = CachedPool(Known(activity, liability), points(12), seed=1)
    before = pool.samples.clone()
    pool.settle([8, 9, 10, 11], 1, 1.0)
    assert (pool.samples[:, 8:, 1] == 1).all()
    assert torch.equal(pool.samples[:, :8], before[:, :8])
    assert torch.equal(pool.samples[..., 0], before[..., 0])
    mean, sd = pool.given([8, 9], 8, output=1)
    free_mean, free_sd = pool.given([], 8, output=1)
    assert torch.allclose(mean, free_mean)
    assert torch.allclose(sd, free_sd)


def test_only_a_low_bound_can_be_settled():
    with pytest.raises(ValueError, match="a settled bound is a low one"):
        Bound(high=1.0, settled=True)
