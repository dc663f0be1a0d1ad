import pytest
import torch
from botorch.acquisition import LogExpectedImprovement, qUpperConfidenceBound
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.exceptions.errors import UnsupportedError
from botorch.models import SingleTaskGP
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal
from hypothesis import given
from hypothesis import strategies as st

from acquisition.choose import ACQUISITIONS, Selection, choose
from acquisition.objectives import Goal
from acquisition.pool import CachedPool, CachedSampler


class Known(Model):
    """A Gaussian belief with a smooth mean `sign * m(x)` and a stationary covariance; nothing to fit."""

    def __init__(self, sign: float = 1.0) -> None:
        super().__init__()
        self.sign = sign

    num_outputs = 1
    batch_shape = torch.Size()

    def posterior(self, X, **kwargs):
        mean = self.sign * (torch.sin(3 * X).sum(-1) + X[..., 0])
        distance = torch.cdist(X, X)
        covariance = 0.3 * torch.exp(-0.5 * (distance / 0.3) ** 2) + 1e-8 * torch.eye(X.shape[-2], dtype=X.dtype)
        return GPyTorchPosterior(MultivariateNormal(mean, covariance))


class Negated(Known):
    """The negation of a belief that was itself negated: what a minimised objective becomes."""

    def posterior(self, X, **kwargs):
        inner = super().posterior(X)
        return GPyTorchPosterior(MultivariateNormal(-inner.mean.squeeze(-1), inner.distribution.covariance_matrix))


def points(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def pick(model: Model, acquisition: str, q: int = 4, **options) -> Selection:
    settings = {
        "goals": [Goal()],
        "X_observed": points(5, 1),
        "best_observed": 1.0,
        "seed": 3,
        "X_pending": points(2, 2),
    }
    return choose(model, points(40), q, acquisition=acquisition, **{**settings, **options})


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_a_batch_is_distinct_deterministic_and_no_larger_than_the_pool(acquisition):
    first = pick(Known(), acquisition)
    assert len(set(first.rows)) == 4
    assert first == pick(Known(), acquisition)
    assert sorted(pick(Known(), acquisition, q=99).rows) == list(range(40))


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_minimising_a_belief_is_maximising_its_negation(acquisition):
    assert pick(Known(sign=1.0), acquisition) == pick(Negated(sign=-1.0), acquisition)


@given(order=st.permutations(range(40)))
def test_greedy_prefers_no_order_of_the_pool(order):
    X, arguments = points(40), {"goals": [Goal()], "X_observed": points(5, 1), "best_observed": 1.0, "seed": 3}
    plain = choose(Known(), X, 3, acquisition="greedy", **arguments)
    shuffled = choose(Known(), X[list(order)], 3, acquisition="greedy", **arguments)
    assert [order[row] for row in shuffled.rows] == plain.rows


def joint(model: Model) -> tuple[CachedPool, torch.Tensor, torch.Tensor, torch.Tensor]:
    pool = CachedPool(model, torch.cat([points(40), points(2, 2), points(5, 1)]), seed=3)
    rows = torch.arange(47, dtype=torch.double).unsqueeze(-1)
    return pool, rows[:40], rows[40:42], rows[42:]


def test_improvement_without_rivals_is_botorchs_closed_form():
    function = LogExpectedImprovement(Known(), best_f=1.0)
    values = function(points(40).unsqueeze(-2))
    ours = pick(Known(), "qLogEI", q=1, X_pending=None)
    assert ours.rows == [int(values.argmax())]
    assert ours.values[0] == pytest.approx(float(values.max()), abs=1e-9)


@pytest.mark.parametrize("acquisition", ["qLogEI", "qLogNEI"])
def test_improvement_is_the_joint_expected_improvement(acquisition, monkeypatch):
    monkeypatch.setattr("acquisition.choose.N_SAMPLES", 20_000)
    model, X = Known(), points(40)
    everything = CachedPool(model, torch.cat([X, points(2, 2), points(5, 1)]), seed=8, n_samples=200_000)
    samples = everything.samples[..., 0]
    ours = pick(model, acquisition, q=3)
    rivals = samples[:, 42:].amax(1) if acquisition == "qLogNEI" else torch.ones(len(samples), dtype=torch.double)
    rivals = torch.maximum(rivals, samples[:, 40:42].amax(1))
    for row, value in zip(ours.rows, ours.values, strict=True):
        expected = (samples[:, :40] - rivals.unsqueeze(1)).clamp_min(0).mean(0)
        assert value == pytest.approx(float(expected[row].log()), abs=0.1)
        assert expected[row] > 0.9 * expected.max()
        rivals = torch.maximum(rivals, samples[:, row])


def test_noisy_improvement_is_botorchs_own_but_for_its_noise():
    pool, rows, pending, observed = joint(Known())
    function = qLogNoisyExpectedImprovement(
        pool,
        observed,
        sampler=CachedSampler(),
        X_pending=pending,
        prune_baseline=False,
        cache_root=False,
        incremental=True,
    )
    theirs = function(rows.unsqueeze(-2))
    ours = pick(Known(), "qLogNEI", q=1)
    assert ours.values[0] == pytest.approx(float(theirs[ours.rows[0]]), abs=0.15)
    assert theirs[ours.rows[0]] > theirs.max() - 0.15


@pytest.mark.parametrize(("target", "tolerance"), [(1.5, 0.0), (0.3, 0.2), (4.0, 0.1)])
def test_the_improvement_of_a_match_agrees_with_samples(target, tolerance):
    goal = Goal(target, tolerance)
    mean, sd = torch.tensor([0.2, 1.4, 3.9], dtype=torch.double), torch.tensor([0.5, 0.3, 1.0], dtype=torch.double)
    draws = mean + sd * torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    for best in (-0.4, -1.5):
        level = torch.tensor([best], dtype=torch.double)
        expected = (goal.score(draws) - level).clamp_min(0).mean(0)
        assert torch.allclose(goal.log_improvement(mean, sd, level).exp(), expected, atol=4e-3)


def test_upper_bound_is_botorchs_own_on_the_same_samples():
    pool, rows, pending, _ = joint(Known())
    function = qUpperConfidenceBound(pool, beta=4.0, sampler=CachedSampler(), X_pending=pending)
    ours = pick(Known(), "UCB", q=3)
    for picked, value in zip(ours.rows, ours.values, strict=True):
        values = function(rows.unsqueeze(-2))
        assert picked == int(values.argmax())
        assert value == pytest.approx(float(values.max()), abs=1e-12)
        function.set_X_pending(torch.cat([function.X_pending, rows[picked : picked + 1]]))


def test_units_do_not_change_the_batch():
    class InVolts(Known):
        def posterior(self, X, **kwargs):
            inner = super().posterior(X)
            return GPyTorchPosterior(
                MultivariateNormal(inner.mean.squeeze(-1) / 1000, inner.distribution.covariance_matrix / 1e6)
            )

    for acquisition in ("qLogEI", "qLogNEI", "UCB", "greedy", "max_variance"):
        volts = pick(InVolts(), acquisition, best_observed=0.001)
        assert volts.rows == pick(Known(), acquisition).rows, acquisition


def test_a_pending_twin_is_not_worth_measuring_again():
    X = points(40)
    alone = pick(Known(), "qLogEI", q=1, X_pending=None).rows[0]
    beside = pick(Known(), "qLogEI", q=1, X_pending=X[alone : alone + 1] + 1e-4)
    assert beside.rows[0] != alone


def test_max_variance_spreads_and_counts_a_noisy_pick_as_partly_known():
    X = torch.tensor([[0.0, 0.0], [0.0, 1e-3], [0.9, 0.9]], dtype=torch.double)
    arguments = {"goals": [Goal()], "X_observed": X[:0], "best_observed": 0.0, "seed": 0, "acquisition": "max_variance"}
    assert set(choose(Known(), X, 2, **arguments).rows) in ({0, 2}, {1, 2})
    quiet = choose(Known(), X, 3, **arguments).values[-1]
    noisy = choose(Known(), X, 3, noise_variance=[0.3], **arguments).values[-1]
    assert noisy > 10 * quiet


def test_a_matched_objective_is_sought_at_its_target():
    X = points(400, 5)
    mean = Known().posterior(X).mean.squeeze(-1)
    arguments = {"goals": [Goal(target=1.5)], "X_observed": X[:3], "best_observed": -1.0, "seed": 0}
    picked = choose(Known(), X, 1, acquisition="greedy", **arguments).rows[0]
    assert picked == int((mean - 1.5).abs().argmin())


def test_several_objectives_pick_from_both_ends_of_the_front():
    X = torch.linspace(0, 1, 21, dtype=torch.double).unsqueeze(-1)
    observed = X[[8, 10, 12]]
    train = torch.cat([observed, 1 - observed], dim=-1)
    model = SingleTaskGP(observed, train)
    rest = X[[i for i in range(21) if i not in (8, 10, 12)]]
    picked = choose(
        model, rest, 2, acquisition="qLogNEI", goals=[Goal(), Goal()], X_observed=observed, best_observed=0.0, seed=0
    )
    assert rest[picked.rows].min() < 0.4 < 0.6 < rest[picked.rows].max()


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(ValueError, match="pool is empty"):
        choose(
            Known(), points(0), 1, acquisition="greedy", goals=[Goal()], X_observed=points(1), best_observed=0, seed=0
        )
    with pytest.raises(ValueError, match="unknown acquisition 'magic'"):
        pick(Known(), "magic")
    with pytest.raises(UnsupportedError):
        CachedPool(Known(), points(3), seed=0).posterior(torch.zeros(1, 1), observation_noise=True)
