"""The checks' statistics, tested as statistics: false alarms at the stated rate, and planted faults found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from campaign.health import FALSE_ALARM
from campaign.health.significance import batch_shift, coverage_drift, pooled_sd

SERIES = 2000


def at_most(rate: float, n: int) -> int:
    """How many of n alarms at a rate are too many: one run in 10,000."""
    return int(binom.isf(1e-4, n, rate))


@pytest.mark.parametrize("n", [8, 24, 90])
def test_true_coverage_is_seldom_called_drift(n):
    held = np.random.default_rng(n).random((SERIES, n)) < 0.8
    found = [coverage_drift(row.tolist(), 0.8) for row in held]
    assert sum(d.p_low < FALSE_ALARM for d in found) <= at_most(FALSE_ALARM, SERIES)
    assert sum(d.p_high < FALSE_ALARM for d in found) <= at_most(FALSE_ALARM, SERIES)


def test_coverage_that_falls_late_or_was_never_there_is_called_drift():
    rng = np.random.default_rng(1)
    late = np.hstack([rng.random((200, 60)) < 0.8, rng.random((200, 30)) < 0.5])
    low = rng.random((200, 60)) < 0.6
    for series, least in ((late, 0.9), (low, 0.85)):
        assert np.mean([coverage_drift(row.tolist(), 0.8).p_low < FALSE_ALARM for row in series]) > least
    found = coverage_drift(late[0].tolist(), 0.8)
    assert (found.n, found.recent_n) == (90, 30)
    assert found.recent == late[0, 60:].mean()


def controls(rng, batches, each, *, shift=0.0, noise=2.0):
    """Two kinds of control, the last batch shifted."""
    rows = [(b, d) for b in range(1, batches + 1) for d in ("x", "y")[: min(each, 2)] for _ in range(max(each // 2, 1))]
    values = [{"x": 300.0, "y": 350.0}[d] + rng.normal(0, noise) + (shift if b == batches else 0.0) for b, d in rows]
    return values, [b for b, _ in rows], [d for _, d in rows]


@pytest.mark.parametrize(("batches", "each"), [(5, 1), (4, 2), (6, 4)])
def test_noise_is_seldom_called_a_shift_and_the_rate_is_the_stated_one(batches, each):
    rng = np.random.default_rng(batches)
    p = np.array([batch_shift(*controls(rng, batches, each)).p for _ in range(600)])
    assert (p < FALSE_ALARM).sum() <= at_most(FALSE_ALARM, 600)
    assert (p < 0.5).mean() == pytest.approx(0.5, abs=0.08)  # p is uniform, so the test is exact


@pytest.mark.parametrize(("batches", "each", "power"), [(6, 1, 0.85), (4, 2, 0.85), (6, 4, 0.99)])
def test_a_planted_shift_is_found_and_measured(batches, each, power):
    rng = np.random.default_rng(7)
    found = [batch_shift(*controls(rng, batches, each, shift=15.0)) for _ in range(150)]
    assert np.mean([s.p < FALSE_ALARM for s in found]) > power
    assert np.mean([s.batch == batches for s in found]) > 0.8
    assert np.mean([s.shift for s in found if s.batch == batches]) == pytest.approx(15, abs=1.5)


def test_too_few_controls_say_nothing():
    assert batch_shift([300.0], [1], ["x"]) is None
    assert batch_shift([300.0, 310.0], [1, 2], ["x", "x"]) is None  # nothing shows the scatter
    assert batch_shift([300.0, 350.0, 310.0], [1, 1, 2], ["x", "y", "z"]) is None  # nothing in common


def test_controls_without_any_scatter_are_no_shift():
    found = batch_shift([0.1 + 0.2] * 4, [1, 1, 2, 2], ["x"] * 4)
    assert found is not None
    assert found.p > FALSE_ALARM
    assert found.shift == pytest.approx(0)


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=4), min_size=1, max_size=5))
def test_pooled_sd_is_that_within_groups(groups):
    sd, free = pooled_sd(groups)
    assert free == sum(len(g) - 1 for g in groups)
    if free:
        shifted = [[v + 50.0 * i for v in g] for i, g in enumerate(groups)]
        assert pooled_sd(shifted)[0] == pytest.approx(sd, abs=1e-6)
    else:
        assert math.isnan(sd)
