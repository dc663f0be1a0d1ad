import torch
from botorch.models.model import Model
from botorch.posteriors import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal
from hypothesis import given
from hypothesis import strategies as st

from acquisition.choose import choose
from acquisition.objectives import Goal
from acquisition.shortlist import Promise, leading, shortlist


class Known(Model):
    """A smooth mean and a stationary covariance; nothing to fit."""

    num_outputs = 1
    batch_shape = torch.Size()

    def posterior(self, X, **kwargs):
        mean = torch.sin(3 * X).sum(-1) + X[..., 0]
        covariance = 0.05 * torch.exp(-0.5 * (torch.cdist(X, X) / 0.3) ** 2) + 1e-8 * torch.eye(
            X.shape[-2], dtype=X.dtype
        )
        return GPyTorchPosterior(MultivariateNormal(mean, covariance))


def points(n: int, seed: int) -> torch.Tensor:
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_a_shortlist_does_not_hang_on_the_pieces_of_the_pool():
    X = points(1000, 7)
    promise = Promise.of(Known(), X, [Goal()])
    whole = shortlist(promise, [X], 50)
    assert len(whole) == 50
    assert torch.equal(whole, shortlist(promise, X.split(64), 50))
    assert int(Known().posterior(X).mean.squeeze(-1).argmax()) in whole.tolist()


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=40), st.integers(1, 10))
def test_leaders_of_the_whole_lead_their_parts(drawn, count):
    promise = torch.tensor([float(p) for p, _ in drawn])
    late = torch.tensor([after for _, after in drawn])
    expected = sorted(range(len(drawn)), key=lambda i: (drawn[i][1], -drawn[i][0], i))[:count]
    assert leading(promise, late, count).tolist() == expected
    half = len(drawn) // 2
    parts = [leading(promise[:half], late[:half], count), half + leading(promise[half:], late[half:], count)]
    rows = torch.cat(parts)
    assert rows[leading(promise[rows], late[rows], count)].tolist() == expected


def test_a_matched_objective_promises_what_lies_within_reach_of_its_target():
    X = points(500, 3)
    mean = Known().posterior(X).mean.squeeze(-1)
    near = (mean - 1.5).abs() < 3 * 0.05**0.5
    promise, late = Promise.of(Known(), X, [Goal(target=1.5)])(X)
    assert (promise[near] == 0).all()
    assert (promise[~near] < 0).all()
    assert not late.any()


def test_a_batch_from_the_shortlist_is_the_batch_from_the_pool():
    X, seen = points(1500, 5), points(8, 6)
    settings = {"acquisition": "qLogNEI", "goals": [Goal()], "X_observed": seen, "best_observed": 1.0, "seed": 0}
    rows = shortlist(Promise.of(Known(), X, [Goal()]), X.split(200), 300)
    exact, short = choose(Known(), X, 1, **settings), choose(Known(), X[rows], 1, **settings)
    assert rows[short.rows].tolist() == exact.rows
