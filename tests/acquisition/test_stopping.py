"""What is left to gain, against beliefs of which it is known."""

from __future__ import annotations

import math

import pytest
import torch
from botorch.models.model import Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal

from acquisition.feasibility import Bound
from acquisition.objectives import Goal
from acquisition.shortlist import FINALISTS
from acquisition.stopping import what_is_left


class Table(Model):
    """Independent Gaussian values by row number: mean and sd of each output are `n x m` tables."""

    def __init__(self, mean, sd):
        super().__init__()
        self.mean, self.sd = mean, sd

    @property
    def num_outputs(self):
        return self.mean.shape[1]

    @property
    def batch_shape(self):
        return torch.Size()

    def subset_output(self, idcs):
        return Table(self.mean[:, idcs], self.sd[:, idcs])

    def posterior(self, X, output_indices=None, observation_noise=False, posterior_transform=None):
        rows = X.squeeze(-1).long()
        if self.num_outputs == 1:
            covariance = torch.diag_embed(self.sd[rows, 0] ** 2)
            return GPyTorchPosterior(MultivariateNormal(self.mean[rows, 0], covariance))
        from gpytorch.distributions import MultitaskMultivariateNormal

        each = [self.subset_output([j]).posterior(X).distribution for j in range(self.num_outputs)]
        return GPyTorchPosterior(MultitaskMultivariateNormal.from_independent_mvns(each))


def table(mean, sd):
    return Table(torch.tensor(mean, dtype=torch.float64), torch.tensor(sd, dtype=torch.float64))


def rows(*numbers):
    return torch.tensor(numbers, dtype=torch.float64).reshape(-1, 1)


def test_one_candidate_against_a_known_incumbent_is_expected_improvement():
    mean, sd, margin = 1.0, 2.0, 0.5
    left = what_is_left(table([[mean], [0.0]], [[sd], [1e-6]]), rows(0), rows(1), [Goal()], [margin], seed=1)
    z = mean / sd
    phi, cdf = math.exp(-z * z / 2) / math.sqrt(2 * math.pi), 0.5 * math.erfc(-z / math.sqrt(2))
    assert left.regret * margin == pytest.approx(mean * cdf + sd * phi, abs=4 * left.regret_sd * margin)
    chance = 0.5 * math.erfc((margin - mean) / sd / math.sqrt(2))
    assert left.probability == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 512))
    assert left.best_probability == left.probability


def test_many_small_chances_add_up_to_a_large_one():
    n = 200
    left = what_is_left(
        table([[-2.0]] * n + [[0.0]], [[1.0]] * n + [[1e-6]]), rows(*range(n)), rows(n), [Goal()], [1e-3], seed=1
    )
    alone = 0.5 * math.erfc(2 / math.sqrt(2))
    assert left.probability == pytest.approx(1 - (1 - alone) ** n, abs=0.05)
    assert left.best_probability < 0.06


def test_nothing_is_left_where_the_incumbent_is_surely_the_best():
    left = what_is_left(table([[0.0], [5.0]], [[0.1], [0.1]]), rows(0), rows(1), [Goal()], [1.0], seed=1)
    assert (left.probability, left.regret) == (0.0, 0.0)
    empty = what_is_left(table([[0.0]], [[0.1]]), rows(), rows(0), [Goal()], [1.0], seed=1)
    assert (empty.probability, empty.regret, empty.candidates) == (0.0, 0.0, 0)


def test_of_several_goals_one_is_enough_but_only_beyond_every_incumbent():
    # incumbents (4, 0) and (0, 4); the first candidate is better than both in some goal, the second is not
    model = table([[3.0, 3.0], [3.0, -1.0], [4.0, 0.0], [0.0, 4.0]], [[1e-6, 1e-6]] * 4)
    goals = [Goal(), Goal()]
    assert what_is_left(model, rows(0), rows(2, 3), goals, [1.0, 1.0], seed=1).regret == pytest.approx(3, abs=1e-3)
    assert what_is_left(model, rows(1), rows(2, 3), goals, [1.0, 1.0], seed=1).regret == 0


def test_what_fails_a_constraint_is_no_gain():
    model = table([[5.0, -3.0], [1.0, 3.0], [0.0, 3.0]], [[1e-6, 1e-6]] * 3)
    bound = [Bound(low=0.0)]
    left = what_is_left(model, rows(0, 1), rows(2), [Goal()], [1.0], constraints=bound, seed=1)
    assert left.regret == pytest.approx(1, abs=1e-3)


def test_a_large_pool_is_cut_to_its_promising_candidates():
    n = FINALISTS + 300
    mean = torch.linspace(-3, 0, n, dtype=torch.float64).unsqueeze(1).tolist()
    model = table([*mean, [0.0]], [[0.1]] * n + [[1e-6]])
    left = what_is_left(model, rows(*range(n)), rows(n), [Goal()], [0.01], seed=1)
    assert left.candidates == FINALISTS
    assert left.probability > 0.9  # the best are at the end of the pool


@pytest.mark.parametrize(("incumbent", "margins"), [(rows(), [1.0]), (rows(0), [0.0])])
def test_what_makes_no_sense_is_refused(incumbent, margins):
    with pytest.raises(ValueError, match=r"incumbent|margins"):
        what_is_left(table([[0.0]], [[1.0]]), rows(0), incumbent, [Goal()], margins, seed=1)
