from itertools import pairwise

import pytest
import torch
from botorch.acquisition.analytic import LogConstrainedExpectedImprovement
from botorch.acquisition.logei import qLogExpectedImprovement, qLogNoisyExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.choose import ACQUISITIONS, Selection, choose
from acquisition.feasibility import Bound, Feasibility, log_feasibility
from acquisition.objectives import Goal
from acquisition.pool import CachedPool, CachedSampler
from acquisition.shortlist import Promise, shortlist


class Known(Model):
    """Independent Gaussian beliefs with given means and one stationary covariance; nothing to fit."""

    batch_shape = torch.Size()

    def __init__(self, *means, variance: float = 0.3) -> None:
        super().__init__()
        self.means, self.variance = means, variance

    @property
    def num_outputs(self) -> int:
        return len(self.means)

    def subset_output(self, indices):
        return Known(*(self.means[i] for i in indices), variance=self.variance)

    def posterior(self, X, **kwargs):
        distance = torch.cdist(X, X)
        covariance = self.variance * torch.exp(-0.5 * (distance / 0.3) ** 2) + 1e-8 * torch.eye(X.shape[-2]).to(X)
        parts = [MultivariateNormal(mean(X), covariance) for mean in self.means]
        one = parts[0] if len(parts) == 1 else MultitaskMultivariateNormal.from_independent_mvns(parts)
        return GPyTorchPosterior(one)


def activity(X):
    return torch.sin(3 * X).sum(-1) + X[..., 0]


def stability(X):
    return X[..., 0] - 2 * X[..., 1]


def mirrored(X):
    return -stability(X)


def points(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def pick(acquisition: str, model: Model | None = None, q: int = 4, **options) -> Selection:
    settings = {
        "goals": [Goal()],
        "X_observed": points(5, 1),
        "best_observed": 1.0,
        "seed": 3,
        "X_pending": points(2, 2),
    }
    model = model if model is not None else Known(activity, stability)
    return choose(model, points(40), q, acquisition=acquisition, **{**settings, **options})


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_a_constraint_that_everybody_meets_changes_nothing(acquisition):
    free = pick(acquisition, Known(activity))
    bound = pick(acquisition, constraints=[Bound(low=-100.0, least=0.8)])
    assert bound.rows == free.rows
    assert bound.values == pytest.approx(free.values, abs=1e-12)


def test_a_constraint_that_everybody_meets_leaves_the_hypervolume_alone():
    two = {"goals": [Goal(), Goal()], "q": 3}
    free = pick("qLogNEI", Known(activity, mirrored), **two)
    bound = pick("qLogNEI", Known(activity, mirrored, stability), constraints=[Bound(low=-100.0)], **two)
    assert bound.rows == free.rows


@pytest.mark.parametrize("acquisition", ["qLogEI", "qLogNEI", "UCB", "Thompson", "greedy"])
def test_an_infeasible_region_is_avoided(acquisition):
    X = points(40)
    bound = Bound(low=0.0)
    assert (stability(X) < -0.5).sum() > 10
    found = pick(acquisition, Known(activity, stability, variance=0.01), constraints=[bound])
    assert (stability(X[found.rows]) > -0.2).all()


@pytest.mark.parametrize("acquisition", ACQUISITIONS)
@pytest.mark.parametrize("best", [1.0, -torch.inf])
def test_a_batch_stays_distinct_and_deterministic_where_nothing_is_feasible(acquisition, best):
    options = {"constraints": [Bound(low=50.0, least=0.5)], "best_observed": best}
    found = pick(acquisition, q=99, **options)
    assert sorted(found.rows) == list(range(40))
    assert found.rows == pick(acquisition, q=99, **options).rows


@pytest.mark.parametrize("acquisition", [name for name in ACQUISITIONS if name != "max_variance"])
def test_with_nothing_feasible_known_all_look_for_the_same(acquisition):
    options = {"constraints": [Bound(low=0.3)], "best_observed": -torch.inf}
    assert pick(acquisition, **options) == pick("qLogEI", **options)
    assert pick("max_variance", **options) != pick("qLogEI", **options)


def test_improvement_without_rivals_is_botorchs_constrained_closed_form():
    bounds = {1: (-0.3, 0.2), 2: (None, 0.4)}
    model = Known(activity, stability, mirrored)
    function = LogConstrainedExpectedImprovement(model, 1.0, 0, bounds)
    values = function(points(40).unsqueeze(-2))
    ours = pick("qLogEI", model, q=1, X_pending=None, constraints=[Bound(-0.3, 0.2), Bound(high=0.4)])
    assert ours.rows == [int(values.argmax())]
    assert ours.values[0] == pytest.approx(float(values.max()), abs=1e-6)


@pytest.mark.parametrize("acquisition", ["qLogEI", "qLogNEI"])
def test_constrained_improvement_is_botorchs_own_but_for_its_noise(acquisition, monkeypatch):
    n_samples = 8192
    monkeypatch.setattr("acquisition.choose.N_SAMPLES", n_samples)
    model, edge = Known(activity, stability, variance=0.1), -0.4
    observed = torch.cat([points(5, 1), torch.tensor([[1.0, 0.0]], dtype=torch.double)])  # one is surely feasible
    pool = CachedPool(model, torch.cat([points(40), points(2, 2), observed]), seed=3, n_samples=n_samples)
    rows = torch.arange(48, dtype=torch.double).unsqueeze(-1)
    shared = {
        "model": pool,
        "sampler": CachedSampler(n_samples),
        "objective": GenericMCObjective(lambda samples, X=None: samples[..., 0]),
        "X_pending": rows[40:42],
        "constraints": [lambda samples: edge - samples[..., 1]],
    }
    if acquisition == "qLogEI":
        function = qLogExpectedImprovement(best_f=1.0, **shared)
        theirs = function(rows[:40].unsqueeze(-2))
        # theirs is the improvement of the whole batch, pending rows included: take off what they bring
        alone = function(rows[40:41].unsqueeze(-2))
        added = (theirs.exp() - alone.exp()).clamp_min(1e-12).log()
    else:
        function = qLogNoisyExpectedImprovement(
            X_baseline=rows[42:], prune_baseline=False, cache_root=False, incremental=True, **shared
        )
        added = function(rows[:40].unsqueeze(-2))
    ours = pick(acquisition, model, q=1, constraints=[Bound(low=edge)], X_observed=observed)
    row = ours.rows[0]
    assert ours.values[0] == pytest.approx(float(added[row]), abs=0.15)
    assert added[row] > added.max() - 0.15


def test_mirroring_a_constraint_and_its_bound_gives_the_same_batch():
    free = {"X_pending": None, "q": 1}
    low = pick("qLogEI", Known(activity, stability), constraints=[Bound(low=-0.1, high=0.4)], **free)
    high = pick("qLogEI", Known(activity, mirrored), constraints=[Bound(low=-0.4, high=0.1)], **free)
    assert low.rows == high.rows
    assert low.values == pytest.approx(high.values)
    one = pick("qLogEI", Known(activity, stability), constraints=[Bound(low=-0.1)], **free)
    other = pick("qLogEI", Known(activity, mirrored), constraints=[Bound(high=0.1)], **free)
    assert one == other


def test_with_nothing_feasible_the_batch_most_probably_holds_something_feasible():
    model, bound = Known(activity, stability), Bound(low=0.8)
    found = pick("qLogNEI", model, q=3, best_observed=-torch.inf, constraints=[bound], X_pending=None)
    X = points(40)
    mean, sd = stability(X), torch.full((40,), 0.3, dtype=torch.double).sqrt()
    assert found.rows[0] == int(bound.log_probability(mean, sd).argmax())
    pool = CachedPool(model, X, seed=11, n_samples=100_000)
    feasible = pool.samples[..., 1] >= 0.8

    def chance(rows):
        return float(feasible[:, rows].any(1).double().mean())

    best_three = mean.topk(3).indices.tolist()
    assert chance(found.rows) >= chance(best_three) - 0.005  # spread, not clumped around the likeliest
    better = max(chance([*found.rows[:2], row]) for row in range(40))
    assert chance(found.rows) >= better - 0.02


def test_candidates_below_the_least_probability_come_last():
    X, bound = points(40), Bound(low=0.0, least=0.5)
    likely = {i for i in range(40) if stability(X)[i] >= 0}
    assert 2 < len(likely) < 38
    for acquisition in ACQUISITIONS:
        found = pick(acquisition, q=40, constraints=[bound])
        assert set(found.rows[: len(likely)]) == likely, acquisition


finite = st.floats(-5, 5)


@settings(max_examples=50)
@given(mean=finite, sd=st.floats(0.01, 3), low=finite, width=st.floats(0.01, 5), tighter=st.floats(0, 0.49))
def test_tightening_a_bound_never_raises_the_probability(mean, sd, low, width, tighter):
    mean, sd = torch.tensor(mean, dtype=torch.double), torch.tensor(sd, dtype=torch.double)
    step = tighter * width
    wide, narrow = Bound(low, low + width), Bound(low + step, low + width - step)
    half = Bound(low=low).log_probability(mean, sd)
    chain = [narrow.log_probability(mean, sd), wide.log_probability(mean, sd), half]
    for tight, loose in pairwise(chain):
        assert tight <= loose + 1e-9 * loose.abs()  # in logarithms that reach -100,000
    assert half == Bound(high=-low).log_probability(-mean, sd)


def test_the_probability_agrees_with_samples():
    bounds = [Bound(low=-0.2), Bound(-0.5, 0.4)]
    pool = CachedPool(Known(activity, stability, mirrored), points(6), seed=0, n_samples=200_000)
    feasible = Feasibility(pool, 6, bounds)
    share = feasible.holds(range(6)).double().mean(0)
    assert torch.allclose(feasible.log_given([]).exp()[0], share, atol=0.005)
    empty = log_feasibility([], torch.zeros(3, 0), torch.zeros(3, 0))
    assert torch.equal(empty, torch.zeros(3))


def test_a_large_pool_is_cut_to_what_is_feasible():
    X, model = points(1000, 7), Known(activity, stability, variance=0.01)
    sure = Promise.of(model, X, [Goal()], constraints=[Bound(low=-100.0)])
    free = shortlist(Promise.of(Known(activity), X, [Goal()]), [X], 50)
    assert torch.equal(free, shortlist(sure, X.split(64), 50))
    kept = shortlist(Promise.of(model, X, [Goal()], constraints=[Bound(low=0.0)]), X.split(64), 50)
    assert (stability(X[kept]) > -0.2).all()
    sought = shortlist(Promise.of(model, X, [Goal()], constraints=[Bound(low=0.9)], seeking=True), [X], 20)
    assert set(sought.tolist()) == set(stability(X).topk(20).indices.tolist())
    likely = Bound(low=0.0, least=0.9)
    early = shortlist(Promise.of(model, X, [Goal()], constraints=[likely]), X.split(64), 1000)
    assert len(early) == 1000
    first = shortlist(Promise.of(model, X, [Goal()], constraints=[likely]), X.split(64), 200)
    chance = likely.log_probability(stability(X), torch.tensor(0.1)).exp()
    assert (chance[first] >= 0.9).sum() == min(200, int((chance >= 0.9).sum()))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="neither low nor high"):
        Bound()
    with pytest.raises(ValueError, match="low 2 is not below high 1"):
        Bound(2.0, 1.0)
    with pytest.raises(ValueError, match="least is 1"):
        Bound(low=0.0, least=1.0)
