import pytest
import torch
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal

from acquisition.choose import choose
from acquisition.feasibility import Bound, Feasibility
from acquisition.objectives import Goal
from acquisition.pool import CachedPool
from acquisition.portfolio import log_top


class Independent(Model):
    """Independent Gaussian candidates: the means are the design, the sds all `sd`; one output or two."""

    batch_shape = torch.Size()

    def __init__(self, sd: float = 1.0, stability: torch.Tensor | None = None) -> None:
        super().__init__()
        self.sd, self.stability = sd, stability

    @property
    def num_outputs(self):
        return 1 if self.stability is None else 2

    def posterior(self, X, **kwargs):
        covariance = self.sd**2 * torch.eye(X.shape[-2], dtype=X.dtype)
        return GPyTorchPosterior(MultivariateNormal(X[..., 0], covariance))

    def subset_output(self, idcs):
        if idcs == [0]:
            return self
        return Constraint(self.stability)


class Constraint(Model):
    """A constrained output whose mean is given, known almost exactly."""

    num_outputs = 1
    batch_shape = torch.Size()

    def __init__(self, mean: torch.Tensor) -> None:
        super().__init__()
        self.mean = mean

    def posterior(self, X, **kwargs):
        return GPyTorchPosterior(MultivariateNormal(self.mean, 1e-6 * torch.eye(len(X), dtype=X.dtype)))


def column(*means: float) -> torch.Tensor:
    return torch.tensor(means, dtype=torch.double).unsqueeze(-1)


BEST = Goal()


def likely(model: Model, X: torch.Tensor, n: int, goal: Goal = BEST, bounds: tuple[Bound, ...] = ()) -> torch.Tensor:
    return log_top(Feasibility(CachedPool(model, X, seed=0, n_samples=20_000), n, bounds), goal).exp()


def test_it_is_the_probability_of_being_the_best():
    found = likely(Independent(), column(0.0, 0.0, 1.0, -1.0), 4)
    draws = torch.randn(400_000, 4, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    best = (draws + torch.tensor([0.0, 0.0, 1.0, -1.0])).argmax(1)
    assert found.tolist() == pytest.approx((best.bincount(minlength=4) / 400_000).tolist(), abs=0.015)


def test_the_best_share_counts_what_is_measured_too():
    X = column(*[0.0] * 100, *[5.0] * 100)  # the best 1 % of 200 are two
    assert float(likely(Independent(), X, 100).sum()) < 0.05
    assert float(likely(Independent(), X, 200).sum()) == pytest.approx(2, abs=0.01)


def test_a_match_counts_what_is_nearest_to_the_target():
    found = likely(Independent(sd=0.1), column(-1.0, 2.0, 3.0), 3, Goal(target=2.1))
    assert found.argmax() == 1
    assert found[1] > 0.99


def test_what_is_infeasible_is_never_among_the_best():
    stability = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.double)
    found = likely(Independent(0.1, stability), column(9.0, 1.0, 0.0), 3, bounds=(Bound(low=0.0),))
    assert found[0] < 1e-3
    assert found[1] > 0.99


def one(observed: int, seed: int) -> int:
    """Which candidate a batch of one picks: the promising one, sure to be second best, or the long shot."""
    X = column(0.95, 0.0)
    model = Scaled(torch.tensor([0.01, 0.6]))
    measured = column(*[1.0] + [-5.0] * (observed - 1))
    picked = choose(
        model, X, 1, acquisition="portfolio", goals=[Goal()], X_observed=measured, best_observed=1.0, seed=seed
    )
    return picked.rows[0]


class Scaled(Independent):
    """As `Independent`, the first rows with sds of their own and the measured ones known almost exactly."""

    def __init__(self, sd: torch.Tensor) -> None:
        super().__init__()
        self.first = sd.double()

    def posterior(self, X, **kwargs):
        sd = torch.full((len(X),), 1e-3, dtype=X.dtype)
        sd[: len(self.first)] = self.first
        return GPyTorchPosterior(MultivariateNormal(X[..., 0], torch.diag(sd**2)))


def test_batches_of_one_take_turns_whatever_was_made_between_them():
    # the best 1 % of up to 200 rows are two: the sure second best belongs to them far more often than the long shot
    assert [one(observed, seed) for observed in (150, 151, 152) for seed in (0, 1)] == [1, 0] * 3


def test_the_first_picks_all_go_for_the_best():
    assert [one(observed, seed) for observed in (20, 21) for seed in (0, 1)] == [1] * 4
