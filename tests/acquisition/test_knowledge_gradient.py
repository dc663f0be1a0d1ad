"""The knowledge gradient against numerical integration, BoTorch's fantasies, and its own sequential definition."""

from __future__ import annotations

import pytest
import torch
from botorch.models import SingleTaskGP
from botorch.sampling import SobolQMCNormalSampler
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.choose import choose
from acquisition.feasibility import Feasibility
from acquisition.knowledge_gradient import knowledge_gradient, log_gain
from acquisition.objectives import Goal
from acquisition.pool import CachedPool

Z = torch.linspace(-9, 9, 40_001, dtype=torch.float64)
WEIGHT = torch.exp(-Z.square() / 2) / (2 * torch.pi) ** 0.5 * (Z[1] - Z[0])


def integrated(a, b):
    return ((a[:, None] + b[:, None] * Z).amax(0) * WEIGHT).sum() - a.amax()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_the_closed_form_is_the_integral(seed, lines):
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(3, lines, generator=generator, dtype=torch.float64)
    b = torch.randn(3, lines, generator=generator, dtype=torch.float64)
    b[:, -1] = b[:, 0]  # equal slopes
    a[2, 1:] = a[2, 0]  # all meet in one point
    found = log_gain(a, b).exp()
    expected = torch.stack([integrated(*row) for row in zip(a, b, strict=True)])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_nothing_to_learn_is_minus_infinity():
    assert log_gain(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.3, 0.3]])).tolist() == [-torch.inf]


def problem():
    torch.manual_seed(1)
    X = torch.rand(14, 3, dtype=torch.float64)
    y = torch.sin(5 * X[:6, :1]) + X[:6, 1:2]
    y = (y - y.mean()) / y.std()
    model = SingleTaskGP(X[:6], y, train_Yvar=torch.full_like(y, 0.05), outcome_transform=None).eval()
    return model, X


def test_one_pick_is_what_botorch_fantasises():
    model, X = problem()
    choices = X[6:]
    everything = torch.cat([choices, X[:6]])
    sampler = SobolQMCNormalSampler(torch.Size([4096]), seed=0)
    with torch.no_grad():
        now = model.posterior(everything).mean.amax()
        fantasies = model.fantasize(choices.unsqueeze(-2), sampler, observation_noise=torch.full((8, 1, 1), 0.05))
        then = fantasies.posterior(everything.expand(8, -1, -1)).mean.squeeze(-1).amax(-1).mean(0)
    expected = then - now
    pool = CachedPool(model, everything, seed=0)
    rows, values = knowledge_gradient(Feasibility(pool, 8), 1, [], [0.05], [Goal()], 0)
    assert rows == [int(expected.argmax())]
    assert torch.tensor(values).exp().item() == pytest.approx(float(expected.max()), rel=0.02)


def test_later_picks_count_the_earlier_ones_as_fantasised():
    model, X = problem()
    pool = CachedPool(model, torch.cat([X[6:], X[:6]]), seed=0)
    rows, values = knowledge_gradient(Feasibility(pool, 8), 2, [], [0.05], [Goal()], 0)
    # the sum over the batch is the rise of the highest mean after both, by direct sampling
    K, m = pool.covariance[0], pool.mean[:, 0]
    gain = K[:, rows] @ torch.linalg.inv(K[rows][:, rows] + 0.05 * torch.eye(2, dtype=torch.float64))
    torch.manual_seed(0)
    root = torch.linalg.cholesky(K[rows][:, rows] + 0.05 * torch.eye(2, dtype=torch.float64))
    moved = m + torch.randn(100_000, 2, dtype=torch.float64) @ root.T @ gain.T
    assert torch.tensor(values).exp().sum().item() == pytest.approx(float(moved.amax(1).mean() - m.amax()), rel=0.1)
    assert len(set(rows)) == 2


def test_what_is_pending_is_fantasised_like_a_pick():
    model, X = problem()
    options = {"acquisition": "KG", "goals": [Goal()], "best_observed": 0.0, "seed": 0, "noise_variance": [0.05]}
    first = choose(model, X[6:], 2, X_observed=X[:6], **options)
    rest = torch.tensor([i for i in range(8) if i != first.rows[0]])
    pending = X[6:][first.rows[:1]]
    second = choose(model, X[6:][rest], 1, X_observed=X[:6], X_pending=pending, **options)
    assert int(rest[second.rows[0]]) == first.rows[1]


def test_what_it_is_not_for_is_refused():
    model, X = problem()
    pool = CachedPool(model, X, seed=0)
    with pytest.raises(ValueError, match="one objective"):
        knowledge_gradient(Feasibility(pool, 8), 1, [], [0.05], [Goal(target=1.0)], 0)
