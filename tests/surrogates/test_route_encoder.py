"""The encoder of designs with a route: what it refuses, and that numbers keep their slopes."""

from __future__ import annotations

import pytest
import torch

from surrogates import GP, RouteEncoder, StepEncoder, Targets, fit
from surrogates.encoders.routes import Slot

STEPS = StepEncoder(("anneal", "quench"), ("T", "medium=air", "medium=water"), 3, ([900, 0, 0], [100, 1, 1]))
SLOTS = ((Slot(("T",)),), (Slot(("medium=air", "medium=water"), words=True),))
ENCODE = RouteEncoder(STEPS, SLOTS, first=3, elements=("Ni", "Fe"), side_scale=((20.0, 0.0), (5.0, 1.0)))


def designs(n: int) -> torch.Tensor:
    """Fractions of Ni and Fe, a number, a route of one to three steps, another number."""
    rng = torch.Generator().manual_seed(0)
    nickel = torch.rand(n, 1, generator=rng, dtype=torch.float64)
    side = 20 + 5 * torch.rand(n, 2, generator=rng, dtype=torch.float64)
    length = torch.randint(1, 4, (n, 1), generator=rng)
    step = torch.randint(1, 3, (n, 3), generator=rng) * (torch.arange(3) < length)
    number = 900 + 100 * torch.rand(n, 3, generator=rng, dtype=torch.float64)
    word = torch.randint(0, 2, (n, 3), generator=rng)
    value = torch.where(step == 1, number, torch.where(step == 2, word.double(), 0.0))
    code = torch.stack([step.double(), value], dim=-1).flatten(1)
    return torch.cat([nickel, 1 - nickel, side[:, :1], code, side[:, 1:]], dim=1)


def test_designs_come_back():
    X = designs(40)
    bags = ENCODE(X, ("a",) * 40)
    torch.testing.assert_close(ENCODE.designs(bags), X, atol=1e-9, rtol=0)
    assert bags.stratum == ("a",) * 40
    assert bags.side.shape == (40, 2 + 1 + 2)  # square roots, one axis between two elements, two numbers
    again = ENCODE(X.reshape(2, 4, 5, -1))
    assert torch.equal(again.features, bags.features)


def test_slopes_reach_fractions_parameters_and_settings():
    X = designs(8).requires_grad_()
    bags = ENCODE(X)
    (bags.features.sum() + bags.side.sum()).backward()
    assert (X.grad[:, [0, 2, 9]] != 0).all()
    anneals = X.detach()[:, 3::2][:, :3] == 1
    assert torch.equal(X.grad[:, 4:10:2][anneals], torch.full((int(anneals.sum()),), 0.01, dtype=torch.float64))


def test_a_process_on_routes_is_the_same_over_designs_and_over_bags():
    X = designs(30)
    y = X[:, 0] + 0.01 * (X[:, 2] - 20) + (X[:, 3] == 1)
    fitted = fit(GP(), ENCODE(X[:20]), Targets.exact(y[:20]), seed=0)
    model = fitted.botorch_model(ENCODE)
    mean = model.posterior(X[20:].unsqueeze(1)).mean.reshape(-1)
    torch.testing.assert_close(mean, fitted.quantiles(ENCODE(X[20:]))[:, 0, 4], atol=1e-4, rtol=1e-4)
    assert (mean - y[20:]).square().mean() < 0.5 * (y[20:] - y[:20].mean()).square().mean()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="X must have 10 columns, not 9"):
        ENCODE(designs(2)[:, :9])
    with pytest.raises(ValueError, match="2 steps need as many lists of slots, not 1"):
        RouteEncoder(STEPS, SLOTS[:1])
    with pytest.raises(ValueError, match="the step encoder has no parameter p"):
        RouteEncoder(STEPS, (SLOTS[0], (Slot(("p",)),)))
    empty = designs(2)
    empty[1, 3:9] = 0
    with pytest.raises(ValueError, match="bag 1 has no instance"):
        ENCODE(empty)
