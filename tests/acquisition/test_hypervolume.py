"""Several goals: cells against volumes, the batch against BoTorch's qNEHVI and qLogNEHVI on the same samples."""

import pytest
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.monte_carlo import qNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import GenericMCMultiOutputObjective
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from hypothesis import given
from hypothesis import strategies as st

from acquisition.choose import choose
from acquisition.feasibility import Bound, Feasibility
from acquisition.hypervolume import Stairs, front, hypervolume, hypervolume_batch, infer_reference
from acquisition.objectives import Goal, score
from acquisition.pool import CachedPool, CachedSampler

D = torch.double
pytestmark = pytest.mark.filterwarnings(
    "ignore:qNoisyExpectedHypervolumeImprovement has known numerical issues"  # the unsmoothed volume is wanted here
)
N, PENDING, OBSERVED = 30, 2, 6


class Known(Model):
    """Independent Gaussian beliefs with smooth means; nothing to fit."""

    batch_shape = torch.Size()

    def __init__(self, m: int, signs: tuple[float, ...] = (), outputs: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.outputs, self.signs = outputs or tuple(range(m)), signs or (1.0,) * m

    @property
    def num_outputs(self):
        return len(self.outputs)

    def subset_output(self, idcs):
        return Known(1, tuple(self.signs[i] for i in idcs), tuple(self.outputs[i] for i in idcs))

    def posterior(self, X, **kwargs):
        distance = torch.cdist(X, X)
        covariance = 0.2 * torch.exp(-0.5 * (distance / 0.3) ** 2) + 1e-6 * torch.eye(X.shape[-2], dtype=X.dtype)
        beliefs = [
            MultivariateNormal(s * (torch.sin(3 * X[..., 0] + 2 * j) + torch.cos(j + 3 * X[..., 1])), covariance)
            for j, s in zip(self.outputs, self.signs, strict=True)
        ]
        several = len(beliefs) > 1
        return GPyTorchPosterior(MultitaskMultivariateNormal.from_independent_mvns(beliefs) if several else beliefs[0])


def points(n, seed=0):
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=D)


def pool_of(m, n_samples=64):
    X = torch.cat([points(N), points(PENDING, 2), points(OBSERVED, 1)])
    return CachedPool(Known(m), X, seed=3, n_samples=n_samples)


def rows_of(*which):
    return torch.tensor(which, dtype=D).unsqueeze(-1)


PENDINGS = list(range(N, N + PENDING))
OBSERVEDS = list(range(N + PENDING, N + PENDING + OBSERVED))


def at_samples(pool, goals, reference, rivals, holds=None):
    """The gain of every candidate's own cached sample: `log_gain` without any doubt about the candidate."""
    m = len(goals)
    scores = score(goals, pool.samples[:, rivals, :m])
    if holds is not None:
        scores = torch.where(holds.unsqueeze(-1), scores, reference)
    mean = pool.samples[:, :N, :m]
    return Stairs.over(scores, reference).log_gain(goals, mean, torch.full_like(mean[0], 1e-10)).exp()


@pytest.mark.parametrize("m", [2, 3, 4])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), grid=st.booleans())
def test_the_gain_of_a_point_is_the_difference_of_two_volumes(m, seed, n, grid):
    draw = torch.randn(4, n + 1, m, generator=torch.Generator().manual_seed(seed), dtype=D)
    scores = (2 * draw).round() / 2 if grid else draw  # equal values, repeated points
    reference = torch.full((m,), -0.75, dtype=D)
    stairs = Stairs.over(scores[:, :n], reference)
    gained = stairs.log_gain([Goal()] * m, scores[:, n:], torch.full((1, m), 1e-10, dtype=D)).exp().squeeze(-1)
    expected = [hypervolume(s, reference) - hypervolume(s[:n], reference) for s in scores]
    assert gained.tolist() == pytest.approx(expected, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("m", [2, 3])
@pytest.mark.parametrize("match", [False, True])
def test_the_gain_is_botorchs_on_the_same_samples(m, match):
    pool, goals = pool_of(m), [Goal(0.4, 0.1) if match else Goal(), *[Goal()] * (m - 1)]
    reference = torch.full((m,), -0.8, dtype=D)
    ours = at_samples(pool, goals, reference, PENDINGS + OBSERVEDS).mean(0)
    options = {
        "sampler": CachedSampler(64),
        "objective": GenericMCMultiOutputObjective(lambda samples, X=None: score(goals, samples)),
        "X_pending": rows_of(*PENDINGS),
        "cache_root": False,
        "prune_baseline": False,
    }
    exact = qNoisyExpectedHypervolumeImprovement(pool, reference, rows_of(*OBSERVEDS), **options)
    candidates = rows_of(*range(N)).unsqueeze(-2)
    assert torch.allclose(ours, exact(candidates), rtol=1e-6, atol=1e-7)
    sharp = {"tau_relu": 1e-9, "tau_max": 1e-9}
    smoothed = qLogNoisyExpectedHypervolumeImprovement(pool, reference, rows_of(*OBSERVEDS), **options, **sharp)
    seen = ours > 1e-4
    assert seen.any()
    assert torch.allclose(ours[seen].log(), smoothed(candidates)[seen], atol=1e-4)


def test_the_gain_of_a_feasible_front_is_botorchs_on_the_same_samples():
    pool, goals, reference = pool_of(3), [Goal(), Goal()], torch.full((2,), -0.8, dtype=D)
    feasible = Feasibility(pool, N, [Bound(low=0.2)])
    rivals = PENDINGS + OBSERVEDS
    gained = at_samples(pool, goals, reference, rivals, feasible.holds(rivals))
    ours = (gained * feasible.holds(range(N))).mean(0)
    function = qNoisyExpectedHypervolumeImprovement(
        pool,
        reference,
        rows_of(*rivals),
        sampler=CachedSampler(64),
        objective=GenericMCMultiOutputObjective(lambda samples, X=None: samples[..., :2]),
        constraints=[lambda samples: 0.2 - samples[..., 2]],
        eta=1e-6,
        cache_root=False,
        prune_baseline=False,
    )
    assert torch.allclose(ours, function(rows_of(*range(N)).unsqueeze(-2)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("m", [2, 3])
def test_every_pick_adds_the_most_to_the_joint_expected_hypervolume(m, monkeypatch):
    monkeypatch.setattr("acquisition.hypervolume.SAMPLES", {2: 2048, 3: 1024})
    pool, goals, reference = pool_of(m, 2048), [Goal()] * m, torch.full((m,), -0.8, dtype=D)
    picked, values = hypervolume_batch(Feasibility(pool, N), 3, goals, PENDINGS + OBSERVEDS, reference)
    rivals = PENDINGS + OBSERVEDS
    for row, value in zip(picked, values, strict=True):
        theirs = at_samples(pool, goals, reference, rivals).mean(0)
        assert value == pytest.approx(float(theirs[row].log()), abs=0.15)
        assert theirs[row] > 0.85 * theirs.max()
        rivals = [*rivals, row]


def test_few_samples_of_the_rivals_are_enough():
    goals, reference = [Goal(), Goal()], torch.full((2,), -0.8, dtype=D)
    few = [
        hypervolume_batch(
            Feasibility(CachedPool(Known(2), torch.cat([points(N), points(OBSERVED, 1)]), seed=seed), N),
            1,
            goals,
            list(range(N, N + OBSERVED)),
            reference,
        )
        for seed in range(12)
    ]
    values = torch.tensor([value[0] for _, value in few])
    assert values.std() < 0.1


def pick(model, goals, **options):
    settings = {"acquisition": "qLogNEI", "X_observed": points(OBSERVED, 1), "best_observed": 1.0, "seed": 3}
    return choose(model, points(N), 4, goals=goals, **{**settings, "X_pending": points(PENDING, 2), **options})


def test_minimising_is_maximising_the_negative():
    free = pick(Known(2), [Goal(), Goal()])
    negated = CachedPool(Known(2, (-1.0, 1.0)), points(5), seed=0)
    assert torch.equal(negated.mean[:, 0], -CachedPool(Known(2), points(5), seed=0).mean[:, 0])
    turned = pick(Twice(), [Goal(), Goal()])
    assert turned == free


class Twice(Known):
    """The negation of a belief that was itself negated: what a minimised goal becomes."""

    def __init__(self):
        super().__init__(2, (-1.0, 1.0))

    def subset_output(self, idcs):
        return Known(1, tuple(-self.signs[i] if i == 0 else self.signs[i] for i in idcs), tuple(idcs))


def test_a_reference_point_leaves_out_what_is_below_it():
    everything, above = torch.full((2,), -5.0, dtype=D), torch.tensor([0.9, -5.0], dtype=D)
    pool = CachedPool(Known(2), points(N), seed=0)
    wide = pick(Known(2), [Goal(), Goal()], reference=everything)
    narrow = pick(Known(2), [Goal(), Goal()], reference=above)
    assert pool.mean[narrow.rows, 0].amin() > 0.5 > pool.mean[wide.rows, 0].amin()


def test_candidates_far_below_the_reference_point_are_still_told_apart():
    found = pick(Known(2), [Goal(), Goal()], reference=torch.full((2,), 200.0, dtype=D))
    assert torch.isfinite(torch.tensor(found.values)).all()
    assert len(set(found.values)) == 4


def test_an_inferred_reference_point_lies_below_the_front_and_moves_with_the_units():
    scores = torch.tensor([[1.0, 5.0], [2.0, 3.0], [4.0, 1.0], [0.5, 0.5]], dtype=D)
    assert front(scores).tolist() == [True, True, True, False]
    assert infer_reference(scores).tolist() == pytest.approx([1.0 - 0.3, 1.0 - 0.4])
    assert infer_reference(1000 * scores + 7).tolist() == pytest.approx([707.0, 607.0])
    lone = torch.tensor([[2.0, 2.0], [1.0, 1.0]], dtype=D)
    assert infer_reference(lone).tolist() == pytest.approx([0.9, 0.9])
    same = torch.ones(3, 2, dtype=D)
    assert (infer_reference(same) < 1).all()
    with pytest.raises(ValueError, match="no scores"):
        infer_reference(scores[:0])
