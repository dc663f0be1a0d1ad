"""Histories: what they tell, that an offset and a scale are nothing to them, and that they can be turned off."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogates import GP, CompositionEncoder, Targets, fit, load
from surrogates.history import History, learn
from surrogates.recipes.transfer import PriorBelief, TransferGP
from surrogates.transfer import CHECKED_FROM, warm, weights

OURS = ("Ni", "Fe", "Co", "Mn")
THEIRS = ("Ni", "Fe", "Co", "Cr")
BOTH = (*OURS, "Cr")


def grid(elements: tuple[str, ...], divisions: int = 6) -> torch.Tensor:
    steps = itertools.product(range(divisions + 1), repeat=len(elements))
    return torch.tensor([p for p in steps if sum(p) == divisions], dtype=torch.float64) / divisions


def placed(X: torch.Tensor, elements: tuple[str, ...]) -> torch.Tensor:
    found = torch.zeros(len(X), len(BOTH), dtype=torch.float64)
    found[:, [BOTH.index(e) for e in elements]] = X
    return found


def truth(X: torch.Tensor) -> torch.Tensor:
    """Of compositions of BOTH."""
    ni, fe, co, mn, cr = X.unbind(1)
    return 4 * ni * fe - 3 * (co - 0.3).square() - mn + 0.5 * cr + 2 * (fe * (ni - 0.5)).tanh()


def other(X: torch.Tensor) -> torch.Tensor:
    """Something that has nothing to do with it, and is as smooth."""
    ni, fe, co, mn, cr = X.unbind(1)
    return 5 * co * mn + 3 * (ni - 0.8).square() - 2 * fe + cr


def rows(n: int, total: int, seed: int) -> torch.Tensor:
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:n]


POOL = grid(OURS)
VALUES = truth(placed(POOL, OURS))
ENCODE = CompositionEncoder(OURS)
PAST = placed(grid(THEIRS), THEIRS)[rows(45, 84, 1)]


@pytest.fixture(scope="module")
def history() -> History:
    return learn("theirs", BOTH, PAST, truth(PAST))


@pytest.fixture(scope="module")
def misleading() -> History:
    return learn("another property", BOTH, PAST, other(PAST))


@pytest.fixture(scope="module")
def shuffled() -> History:
    return learn("shuffled", BOTH, PAST, truth(PAST)[rows(len(PAST), len(PAST), 4)])


@cache
def fits(n: int, seed: int, history: History, shift: float = 0.0):
    """Fits without and with a history to some of the pool."""
    some = rows(n, len(POOL), seed)
    bags, targets = ENCODE(POOL[some]), Targets.exact(VALUES[some] + shift)
    cold = fit(GP(), bags, targets, seed=seed)
    return cold, warm(cold, bags, targets, [history], seed=seed)


def error(fitted) -> float:
    return float((fitted.quantiles(ENCODE(POOL))[:, 0, 4] - VALUES).square().mean().sqrt())


def test_a_history_of_the_same_property_with_an_element_less_helps(history):
    pairs = [fits(8, seed, history) for seed in range(2)]
    assert sum(error(w.fitted) for _, w in pairs) < 0.6 * sum(error(c) for c, _ in pairs)
    assert all(w.kept and w.weights[0] > 0.4 for _, w in pairs)


def test_an_offset_between_two_labs_is_nothing(history):
    _, here = fits(8, 0, history)
    _, there = fits(8, 0, history, shift=1000.0)
    quantiles = [w.fitted.quantiles(ENCODE(POOL)) for w in (here, there)]
    assert torch.allclose(quantiles[1] - 1000, quantiles[0], atol=0.02)
    moved = learn("moved", BOTH, PAST, truth(PAST) + 1000)
    _, there = fits(8, 0, moved)
    assert torch.allclose(there.fitted.quantiles(ENCODE(POOL)), quantiles[0], atol=0.02)


def test_a_shuffled_history_is_seen_through_and_does_no_harm(history, shuffled):
    assert history.skill.told
    assert history.skill.gain > 0.8
    assert not shuffled.skill.told
    pairs = [fits(12, seed, shuffled) for seed in range(4)]
    assert sum(error(w.fitted) for _, w in pairs) < 1.15 * sum(error(c) for c, _ in pairs)


def test_a_misleading_history_is_outvoted_or_left_aside(misleading):
    assert misleading.skill.told  # it predicts itself well
    pairs = [fits(20, seed, misleading) for seed in range(2)]
    believed = [w.fitted if w.kept else c for c, w in pairs]
    assert sum(map(error, believed)) < 1.15 * sum(error(c) for c, _ in pairs)
    assert all(abs(w.weights[0]) < 0.3 or not w.kept for _, w in pairs)


def test_few_measurements_do_not_judge(misleading):
    assert CHECKED_FROM == 10
    _, found = fits(5, 0, misleading)
    assert found.kept
    assert f"from {CHECKED_FROM} measurements on" in found.reason


def test_a_history_teaches_and_never_calibrates(history):
    cold, found = fits(8, 0, history)
    assert len(found.fitted.out_of_fold) == 8
    interval = found.fitted.interval(ENCODE(POOL[:3]), 0.2)
    assert interval.n_calibration == (8, 8, 8)
    assert found.fitted.data_hash != cold.data_hash


def test_all_of_a_small_history_is_believed_exactly(history):
    from surrogates.history import process

    model = process(history)
    model.load_state_dict(dict(history.hyperparameters))
    model.eval()
    believed = history.believed
    Z = believed.inputs(history.bags(placed(POOL[:20], OURS)))
    with torch.no_grad():
        exact = model(Z)
        assert torch.allclose(believed.mean(Z), exact.mean, atol=1e-4)
        assert torch.allclose(believed.covariance(Z, Z), exact.covariance_matrix, atol=1e-4)
        assert torch.allclose(believed.covariance(Z, Z).diagonal(), believed.variance(Z), atol=1e-9)


def test_the_face_agrees_and_can_be_conditioned(history):
    _, found = fits(8, 0, history)
    model = found.fitted.botorch_model(ENCODE)
    X = POOL[:5].clone().requires_grad_()
    posterior = model.posterior(X)
    assert torch.allclose(posterior.mean[:, 0], found.fitted.quantiles(ENCODE(POOL[:5]))[:, 0, 4], atol=1e-6)
    posterior.mean.sum().backward()
    assert X.grad is not None
    assert X.grad.isfinite().all()
    assert torch.linalg.eigvalsh(model.posterior(POOL).distribution.covariance_matrix).min() > 0
    one_by_one = model.posterior(POOL.unsqueeze(-2))  # as pools that are too large to be believed jointly are screened
    together = model.posterior(POOL)
    assert torch.allclose(one_by_one.mean.squeeze(-2), together.mean, atol=1e-8)
    assert torch.allclose(one_by_one.variance.squeeze(-2), together.variance, atol=1e-8)
    after = model.condition_on_observations(POOL[:1], VALUES[:1].unsqueeze(-1))
    assert (after.posterior(POOL[:1]).variance < model.posterior(POOL[:1]).variance).all()


def test_what_is_saved_predicts_the_same(history, tmp_path):
    _, found = fits(8, 0, history)
    found.fitted.save(tmp_path)
    again = load(tmp_path)
    assert torch.equal(again.quantiles(ENCODE(POOL)), found.fitted.quantiles(ENCODE(POOL)))
    assert weights(again) == found.weights
    assert [h.hash for h in again.problem.history] == [history.hash]


def test_with_nothing_measured_the_best_of_the_history_is_expected(history):
    belief = PriorBelief([history], ENCODE(POOL[:1]), ENCODE, GP())
    posterior = belief.posterior(POOL)
    assert torch.corrcoef(torch.stack([posterior.mean[:, 0], VALUES]))[0, 1] > 0.7
    assert (posterior.variance > 0).all()
    stranger = torch.eye(4, dtype=torch.float64)[3:]  # pure Mn, which the history lacks
    known = torch.tensor([[0.5, 0.5, 0.0, 0.0]], dtype=torch.float64)
    assert belief.posterior(stranger).variance > belief.posterior(known).variance


def test_two_histories_are_weighed_one_by_one(history, misleading):
    some = rows(16, len(POOL), 0)
    bags, targets = ENCODE(POOL[some]), Targets.exact(VALUES[some])
    fitted = fit(TransferGP(), bags, targets, seed=0, history=[history, misleading])
    first, second = weights(fitted)
    assert first > 0.4 > abs(second)


@settings(max_examples=3, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_a_history_is_nothing_and_replicates_are_averaged(draw):
    order = list(range(10))
    draw.shuffle(order)
    X, y = PAST[:10], truth(PAST[:10])
    twice = torch.cat([X[order], X[:1]]), torch.cat([y[order], y[:1] + 0.5])
    one, two = learn("h", BOTH, torch.cat([X, X[:1]]), torch.cat([y, y[:1] + 0.5])), learn("h", BOTH, *twice)
    assert one.hash == two.hash
    assert len(one) == 10


def test_what_cannot_be_learnt_from_is_refused(history):
    bags, targets = ENCODE(POOL[:8]), Targets.exact(VALUES[:8])
    with pytest.raises(UnsupportedError, match="cannot learn from earlier campaigns"):
        fit(GP(), bags, targets, seed=0, history=[history])
    with pytest.raises(ValueError, match="needs a history"):
        fit(TransferGP(), bags, targets, seed=0)
    with pytest.raises(ValueError, match="do not fit a history"):
        fit(TransferGP(), CompositionEncoder(("Ni", "Xe"))(POOL[:8, 2:] + 0.1), targets, seed=0, history=[history])
    with pytest.raises(ValueError, match="at least 5"):
        learn("tiny", BOTH, PAST[:4], truth(PAST[:4]))
