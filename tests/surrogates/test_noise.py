"""The noise model: its formula against a dense evaluation, its laws, and its statistics over simulated labs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from surrogates.mixed import Rows, solve
from surrogates.noise import noise_model
from surrogates.offsets import signal_offsets


def test_the_closed_form_is_the_dense_one():
    rng = np.random.default_rng(1)
    design = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])
    sample = np.array([0, 0, 1, 2, 2, 3, 3, 4, 5, 6])
    Z = np.eye(3)[[0, 0, 1, 2, 2, 0, 1, 2, 1, 2]]
    y, own, effects = rng.normal(size=10), rng.uniform(0.1, 0.5, 10), np.array([0.5, 0.9, 0.2])
    starts = np.flatnonzero(np.diff(sample, prepend=-1))
    groups = np.flatnonzero(np.diff(design[starts], prepend=-1))
    nothing = (np.ones(1), np.zeros(1), np.zeros(1))
    found = solve(Rows(y, own, np.ones(10), Z, starts, groups, nothing), 0.3, 0.2, effects)
    F = np.eye(3)[design]
    A = np.diag(0.3 + own) + 0.2 * (sample[:, None] == sample)
    V = A + Z @ np.diag(effects) @ Z.T
    inverse = np.linalg.inv(V)
    P = inverse - inverse @ F @ np.linalg.inv(F.T @ inverse @ F) @ F.T @ inverse
    density = -0.5 * (np.linalg.slogdet(V)[1] + np.linalg.slogdet(F.T @ inverse @ F)[1] + y @ P @ y)
    G = np.diag(effects)
    assert found.log_density == pytest.approx(density)
    assert np.allclose(found.effect, G @ Z.T @ P @ y)
    assert np.allclose(found.covariance, G - G @ Z.T @ P @ Z @ G)
    assert np.allclose(found.leverage, P @ Z @ G)


@dataclass
class Lab:
    """Measurements of a simulated lab, and the truth."""

    y: np.ndarray
    sample: list[str]
    design: list[str]
    batch: list[str]
    truth: dict[str, float]
    """Of each sample's design."""
    shift: np.ndarray
    """Of each batch."""


def lab(
    rng: np.random.Generator,
    *,
    batches: int = 8,
    size: int = 8,
    controls: int = 2,
    readings: int = 2,
    reading: float = 3.0,
    making: float = 4.0,
    between: float = 10.0,
) -> Lab:
    shift = rng.normal(0, between, batches)
    y, sample, design, batch, truth = [], [], [], [], {}
    for b in range(batches):
        for i in range(size):
            name = "control" if i < controls else f"d{b}-{i}"
            f = 300.0 if i < controls else 300 + 40 * np.sin(7 * b + i)
            made = f + shift[b] + rng.normal(0, making)
            truth[f"s{b}-{i}"] = f
            for e in rng.normal(0, reading, readings):
                y.append(made + e)
                sample.append(f"s{b}-{i}")
                design.append(name)
                batch.append(str(b + 1))
    return Lab(np.array(y), sample, design, batch, truth, shift)


def model(found: Lab, **options):
    return noise_model(found.y, found.sample, found.design, {"batch": found.batch}, **options)


@pytest.fixture(scope="module")
def labs() -> list[tuple[Lab, object]]:
    rng = np.random.default_rng(2)
    return [(one, model(one)) for one in (lab(rng) for _ in range(60))]


@pytest.mark.parametrize(
    ("name", "truth", "freedom", "off"),
    [("reading", 3.0, 64, 0.05), ("making", 4.0, 8, 0.25), ("batch", 10.0, 7, 0.15)],
)
def test_the_components_are_recovered(labs, name, truth, freedom, off):
    found = [next(c for c in m.components if c.name == name) for _, m in labs]
    assert {c.freedom for c in found} == {freedom}
    ratio = np.log([c.sd / truth for c in found])
    assert np.exp(ratio.mean()) == pytest.approx(1, abs=off)  # of few levels the mode of an sd is low
    stated = np.mean([c.error / c.sd for c in found])
    assert ratio.std() == pytest.approx(stated, rel=0.4)


def test_shifts_are_predicted_without_bias_and_within_their_sds(labs):
    def beside_the_mean(values) -> np.ndarray:
        return np.array(values) - np.mean(values)

    off = np.concatenate([beside_the_mean([e.shift for e in m.effects]) - beside_the_mean(o.shift) for o, m in labs])
    sds = np.concatenate([[e.sd for e in m.effects] for _, m in labs])
    first = off.reshape(len(labs), -1)[:, 0]
    assert ttest_1samp(first, 0).pvalue > 0.01
    assert np.mean(np.abs(off) < 1.2816 * sds) == pytest.approx(0.8, abs=0.05)
    slope = np.polyfit([e.shift for _, m in labs for e in m.effects], np.concatenate([o.shift for o, _ in labs]), 1)[0]
    assert slope == pytest.approx(1, abs=0.1)  # best linear unbiased: neither shrunk too much nor too little


def test_the_variance_of_a_sample_covers_its_error(labs):
    for role in (lambda name: name.endswith(("-0", "-1")), lambda name: not name.endswith(("-0", "-1"))):
        inside = []
        for one, m in labs:
            assert m.variance is not None
            for name, value, variance in zip(m.samples, m.value, m.variance, strict=True):
                if role(name):
                    inside.append(abs(value - one.truth[name]) < 1.2816 * variance**0.5)
        assert np.mean(inside) == pytest.approx(0.8, abs=0.05)


def test_correcting_by_controls_lowers_the_error(labs):
    def error(values, one) -> float:
        return float(np.mean([(v - one.truth[s]) ** 2 for v, s in zip(values, m.samples, strict=True)])) ** 0.5

    better = []
    for one, m in labs:
        plain = [one.y[[i for i, s in enumerate(one.sample) if s == name]].mean() for name in m.samples]
        better.append(error(m.value, one) < error(plain, one))
    assert binomtest(sum(better), len(better), 0.9, alternative="less").pvalue > 0.01


def test_a_lab_without_shifts_is_left_alone_as_good_as_it_goes():
    rng = np.random.default_rng(3)
    for _ in range(10):
        one = lab(rng, between=0.0)
        m = model(one)
        assert np.abs(m.shift).max() < 4.5  # less than the 4.5 mV of one sample's own noise
        assert m.value == pytest.approx([one.y[i : i + 2].mean() for i in range(0, len(one.y), 2)], abs=4.5)


def test_a_single_control_a_batch_is_believed_by_half_and_more_where_the_noise_is_stated():
    rng = np.random.default_rng(4)
    one = lab(rng, batches=4, controls=1, readings=1, reading=2.0, making=0.0, between=0.0)
    y = one.y + np.where(np.array(one.batch) == "4", 30.0, 0.0)

    def taken(**options) -> float:
        m = noise_model(y, one.sample, one.design, {"batch": one.batch}, **options)
        shifts = [e.shift for e in m.effects]
        return (shifts[3] - np.mean(shifts[:3])) / 30

    assert 0.25 < taken() < 0.85
    assert taken(floor=2.0) > 0.85
    assert taken(own=np.full(len(y), 2.0), stated=True) > 0.85
    m = noise_model(y, one.sample, one.design, {"batch": one.batch})
    assert "prior" in m.unidentified["reading"]
    assert m.variance is None  # nothing tells the whole of the noise


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.floats(-50, 50)), min_size=4, max_size=24
)


@settings(max_examples=12, deadline=None)
@given(rows=rows, constant=st.floats(-1e3, 1e3), factor=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_laws(rows, constant, factor, seed):
    design = [f"d{d}" for d, *_ in rows]
    sample = [f"s{d}-{s}" for d, s, *_ in rows]
    batch = [f"b{b}" for _, _, b, _ in rows]
    rng = np.random.default_rng(seed)
    y = np.array([v for *_, v in rows]) + rng.normal(size=len(rows))
    spread = float(y.std())

    def found(values, order=None):
        at = np.arange(len(rows)) if order is None else order
        columns = [[names[i] for i in at] for names in (sample, design, batch)]
        m = noise_model(values[at], *columns[:2], {"batch": columns[2]})
        return dict(zip(m.samples, m.value, strict=True)), m

    here, m = found(y)
    moved, _ = found(y + constant)
    scaled, _ = found(y * factor)
    mixed, _ = found(y, rng.permutation(len(rows)))
    for name, value in here.items():
        assert moved[name] - constant == pytest.approx(value, abs=2e-3 * spread)
        assert scaled[name] / factor == pytest.approx(value, abs=2e-3 * spread)
        assert mixed[name] == pytest.approx(value, abs=2e-3 * spread)
    twice = {(d, b) for d, b in zip(design, batch, strict=True)}
    if len({d for d, _ in twice}) == len(twice):
        assert not m.shift.any()
    assert m.variance is None or (m.variance > 0).all()


def test_without_repeats_every_value_stands_and_no_variance_is_invented():
    y = np.random.default_rng(5).normal(300, 20, 12)
    names = [f"s{i}" for i in range(12)]
    m = noise_model(y, names, names, {"batch": [str(i // 4) for i in range(12)], "operator": ["a", "b"] * 6})
    assert m.value == pytest.approx(y, abs=1e-12)
    assert m.variance is None
    assert not m.components
    assert m.unidentified["batch"] == "no design was measured in two of the 3"
    assert m.unidentified["operator"] == "no design was measured in two of the 2"


def test_a_factor_that_goes_with_another_is_not_told_from_it():
    one = lab(np.random.default_rng(6), batches=3)
    operator = [f"op{b}" for b in one.batch]
    m = noise_model(one.y, one.sample, one.design, {"batch": one.batch, "operator": operator})
    assert m.unidentified["operator"] == "it changes only where the batch does"
    assert {e.factor for e in m.effects} == {"batch"}


def test_operators_are_told_from_batches():
    rng = np.random.default_rng(7)
    one = lab(rng, batches=6, controls=4, between=5.0)
    operator = ["kim" if int(s.rpartition("-")[2]) % 2 else "lee" for s in one.sample]
    y = one.y + np.where(np.array(operator) == "kim", 16.0, 0.0)
    m = noise_model(y, one.sample, one.design, {"batch": one.batch, "operator": operator})
    shift = {e.level: e.shift for e in m.effects if e.factor == "operator"}
    assert shift["kim"] - shift["lee"] == pytest.approx(16, abs=5)


def test_readings_count_by_their_own_sds():
    y = np.array([10.0, 20.0, 30.0])
    m = noise_model(y, ["a", "a", "b"], ["x", "x", "z"], own=np.array([1.0, 2.0, 3.0]), stated=True)
    assert m.value == pytest.approx([12.0, 30.0])
    assert m.variance == pytest.approx([0.8, 9.0])
    floored = noise_model(y, ["a", "a", "b"], ["x", "x", "z"], own=np.array([1.0, 2.0, 3.0]), stated=True, floor=2.0)
    assert floored.variance == pytest.approx([4.0, 9.0])


def test_repeats_that_scatter_more_than_was_stated_are_believed_instead():
    rng = np.random.default_rng(8)
    names = [f"s{i // 3}" for i in range(60)]
    y = np.repeat(rng.normal(0, 30, 20), 3) + rng.normal(0, 5, 60)
    m = noise_model(y, names, names, own=np.full(60, 0.5), stated=True)
    assert m.variance == pytest.approx(np.full(20, 25 / 3), rel=0.5)


def test_what_a_curve_tells_of_its_reading_is_not_all_the_noise():
    y = np.random.default_rng(9).normal(0, 30, 8)
    names = [f"s{i}" for i in range(8)]
    assert noise_model(y, names, names, own=np.full(8, 0.5)).variance is None


def test_a_lab_that_shares_designs_is_brought_to_the_scale_of_the_larger_one():
    rng = np.random.default_rng(10)
    truth = {f"d{i}": 300 + 10.0 * i for i in range(12)}
    rows = [("home", d, truth[d]) for d in list(truth)[:10]] + [("away", d, truth[d] + 25) for d in list(truth)[7:]]
    y = np.array([v for *_, v in rows]) + rng.normal(0, 1, len(rows))
    m = noise_model(
        y, [f"{where}-{d}" for where, d, _ in rows], [d for _, d, _ in rows], lab=[where for where, *_ in rows]
    )
    (offset,) = m.effects
    assert (m.reference, offset.level, offset.shared) == ("home", "away", 3)
    assert offset.shift == pytest.approx(25, abs=3 * max(offset.sd, 0.5))
    assert offset.sd < 5
    assert m.value == pytest.approx([truth[d] for _, d, _ in rows], abs=6)
    assert m.parts == (("home", "away"),)


def test_a_lab_that_shares_nothing_has_a_wide_offset_of_its_own():
    rng = np.random.default_rng(11)
    inside = 0
    for _ in range(60):
        X = rng.uniform(size=(40, 2))
        away = rng.random(40) < 0.3 + 0.4 * X[:, 0]
        signal = 20 * np.sin(3 * X[:, 0]) + 15 * X[:, 1]
        truth = rng.normal(0, 25)
        offset, sd = signal_offsets(signal + rng.normal(0, 2, 40) + truth * away, X, away.astype(int))
        assert offset[0] == sd[0] == 0
        inside += bool(abs(offset[1] - truth) < 1.2816 * sd[1])
    assert binomtest(inside, 60, 0.8).pvalue > 0.01


def test_labs_apart_in_designs_leave_their_offset_open():
    rng = np.random.default_rng(12)
    X = np.concatenate([rng.uniform(0, 0.3, size=(20, 1)), rng.uniform(0.7, 1, size=(20, 1))])
    y = 30 * np.sin(9 * X[:, 0]) + rng.normal(0, 1, 40)
    _, apart = signal_offsets(y, X, np.repeat([0, 1], 20))
    _, mixed = signal_offsets(y, X, np.tile([0, 1], 20))
    assert apart[1] > 5 * mixed[1]


def test_names_of_labs_and_joined_values():
    y = np.array([1.0, 2.0, 3.0, 11.0, 12.0, 13.5])
    names = list("abcdef")
    m = noise_model(y, names, names, lab=["x"] * 3 + ["y"] * 3)
    assert m.parts == (("x",), ("y",))
    assert m.value == pytest.approx(y)
    joined = m.joined(np.array([[0.0], [0.5], [1.0], [0.01], [0.51], [1.01]]))
    (offset,) = joined.effects
    assert (offset.level, offset.shared) == ("y", 0)
    assert offset.shift == pytest.approx(10, abs=2)
    assert joined.value[3:] + offset.shift == pytest.approx(y[3:])
    assert joined.value[:3] == pytest.approx(y[:3])


@pytest.mark.parametrize("wrong", [[], [1.0, float("nan")]])
def test_values_must_be_numbers(wrong):
    with pytest.raises(ValueError, match="finite"):
        noise_model(np.array(wrong), ["a"] * len(wrong), ["a"] * len(wrong))


def test_columns_must_be_of_one_length():
    with pytest.raises(ValueError, match="rows"):
        noise_model(np.ones(2), ["a", "b"], ["a"])
