"""Repeats go where they tell most about the best value; the closed form agrees with sampling."""

from __future__ import annotations

import pytest
import torch

from acquisition.objectives import Goal
from acquisition.replicates import repeats

MEAN = torch.tensor([[1.0], [0.9], [-3.0]], dtype=torch.float64)
COVARIANCE = torch.tensor([[[0.3, 0.1, 0.0], [0.1, 0.1, 0.0], [0.0, 0.0, 2.0]]], dtype=torch.float64)


def test_the_uncertain_incumbent_is_repeated_and_not_the_hopeless_one():
    rows, shares = repeats(MEAN, COVARIANCE, [0.2], [Goal()], 1, seed=0)
    assert rows == [0]
    assert 0.3 < shares[0] < 0.7


def test_the_share_is_that_of_the_best_linear_predictor():
    torch.manual_seed(0)
    values = torch.distributions.MultivariateNormal(MEAN[:, 0], COVARIANCE[0]).sample((400_000,))
    best = values.amax(1)
    seen = values[:, 0] + 0.2**0.5 * torch.randn(len(values), dtype=torch.float64)
    expected = torch.corrcoef(torch.stack([best, seen]))[0, 1] ** 2
    _, shares = repeats(MEAN, COVARIANCE, [0.2], [Goal()], 1, seed=0)
    assert shares[0] == pytest.approx(float(expected), rel=0.1)


def test_a_repeat_that_is_awaited_counts():
    noise = [0.01]
    rows, shares = repeats(MEAN, COVARIANCE, noise, [Goal()], 2, seed=0)
    again, less = repeats(MEAN, COVARIANCE, noise, [Goal()], 1, seed=0, waiting=rows[:1])
    assert again == rows[1:]
    assert less[0] == pytest.approx(shares[1])
    assert shares[1] < shares[0]


def test_a_matched_objective_repeats_what_lies_near_the_target():
    rows, _ = repeats(MEAN, COVARIANCE, [0.1], [Goal(target=-3.0)], 1, seed=0)
    assert rows == [2]


def test_without_noise_nothing_that_is_known_is_worth_it():
    _, shares = repeats(MEAN, COVARIANCE * 1e-12, [1.0], [Goal()], 1, seed=0)
    assert shares[0] < 1e-6


def test_nothing_measured_is_refused():
    with pytest.raises(ValueError, match="measured"):
        repeats(MEAN[:0], COVARIANCE[:, :0, :0], [0.1], [Goal()], 1, seed=0)
