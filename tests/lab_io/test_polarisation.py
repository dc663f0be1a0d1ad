"""Overpotentials and Tafel slopes of curves whose answers are known, and the doubts that should be raised."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab_io.curve_checks import consistency, flags
from lab_io.curves import Curve
from lab_io.electrodes import ELECTRODES, electrode, oxygen, per_ph
from lab_io.findings import CellError
from lab_io.polarisation import Exact, Setup, polarisation
from lab_io.sweeps import sweeps

AREA, RS = 0.196, 5.0
SETUP = Setup(Exact(0.098), Exact(14.0), rs=Exact(RS), compensation=1.0, area=Exact(AREA))
J = (0.01, 0.1)


def curve(
    b: float = 0.0392, eta10: float = 0.2238, *, top: float = 0.15, step: float = 0.001, noise: float = 0.003,
    rs: float = RS, extra=lambda eta: 0.0, setup: Setup = SETUP, seed: int = 3,
) -> Curve:  # fmt: skip
    """A Tafel line through 10 mA/cm^2 at eta10, as an instrument would have measured it."""
    eta = np.arange(eta10 - 4 * b, eta10 + b * math.log10(top / 0.01), 1e-4)
    i = (0.01 * 10 ** ((eta - eta10) / b) + extra(eta)) * AREA
    raw = eta + setup.equilibrium - setup.shift() + i * rs
    E = np.arange(raw[0], raw[-1], step)
    rng = np.random.default_rng(seed)
    measured = np.interp(E, raw, i) * (1 + noise * rng.standard_normal(len(E)))
    return made(E, measured)


def made(E, i, per="") -> Curve:
    return Curve("x.csv", "CSV", np.asarray(E), np.asarray(i), per, np.arange(len(E)), ("E/V", "I/A"))


def codes(c: Curve, setup: Setup = SETUP, densities=J) -> set[str]:
    return {f.code for f in flags(c, polarisation(c, setup, densities))}


@pytest.mark.parametrize(("celsius", "mV"), [(25, 59.16), (20, 58.17), (30, 60.15)])
def test_nernst_factor(celsius: float, mV: float) -> None:
    assert per_ph(celsius) * 1e3 == pytest.approx(mV, abs=0.005)


def test_named_electrodes() -> None:
    for name, offset in (
        ("Hg/HgO 1 M NaOH", 0.098),
        ("ag/agcl  sat. kcl", 0.197),
        ("Ag/AgCl 3 M KCl", 0.210),
        ("SCE", 0.241),
    ):
        assert electrode(name).offset == offset
    assert electrode("Hg/HgO") is None  # of which filling?
    assert electrode("Ag/AgCl") is None
    for known in ELECTRODES:
        assert known.span[0] <= known.offset <= known.span[1]
        assert known.source
    assert oxygen(25) == 1.229
    assert oxygen(80) == pytest.approx(1.182, abs=1e-3)


def test_readings_of_a_known_curve() -> None:
    c = curve()
    found = polarisation(c, SETUP, J)
    assert found.readings[0.01].eta == pytest.approx(0.2238, abs=2e-4)
    assert found.readings[0.1].eta == pytest.approx(0.2630, abs=2e-4)
    assert found.slope.value == pytest.approx(0.0392, abs=2e-4)
    assert found.slope.r2 > 0.999
    assert found.slope.decades >= 1
    assert found.readings[0.1].drop == pytest.approx(0.098)  # 5 ohm, 0.196 cm^2, 100 mA/cm^2
    assert codes(c) == set()


def test_sizes_of_the_systematic_errors() -> None:
    c = curve(noise=0)

    def eta(**changes) -> float:
        return polarisation(c, replace(SETUP, **changes), J).readings[0.1].eta

    assert eta(offset=Exact(0.118)) - eta() == pytest.approx(0.020, abs=1e-6)
    assert eta() - eta(ph=Exact(13.9)) == pytest.approx(0.0059, abs=1e-4)
    assert eta(compensation=0.85) - eta() == pytest.approx(0.0147, abs=1e-5)
    assert eta(equilibrium=1.2) - eta() == pytest.approx(0.029, abs=1e-6)


def test_the_instrument_may_have_compensated_already() -> None:
    c = curve(rs=0.15 * RS)  # the potentials hold what the instrument left
    done = replace(SETUP, compensation=0.85, by_instrument=0.85)
    found = polarisation(c, done, J).readings[0.1]
    assert found.drop == 0
    assert found.eta == pytest.approx(0.2630 + 0.0147, abs=3e-4)
    rest = polarisation(c, replace(SETUP, by_instrument=0.85), J).readings[0.1]
    assert rest.eta == pytest.approx(0.2630, abs=3e-4)


def test_the_budget_of_the_uncertainty() -> None:
    setup = replace(
        SETUP, offset=Exact(0.098, 0.002), ph=Exact(14, 0.05), rs=Exact(RS, 0.2), area=Exact(AREA, 0.01 * AREA)
    )
    reading = polarisation(curve(), setup, J).readings[0.1]
    assert reading.parts["offset"] == 0.002
    assert reading.parts["pH"] == pytest.approx(0.05 * 0.05916, abs=1e-6)
    assert reading.parts["Rs"] == pytest.approx(0.2 * 0.1 * AREA)
    # one percent of area: the reading moves by b / ln 10 per e-fold; the drop at a fixed density does not
    assert reading.parts["area"] == pytest.approx(0.01 * 0.0392 / math.log(10), rel=0.1)
    assert 0 < reading.parts["noise"] < 5e-4
    assert reading.sd == pytest.approx(math.sqrt(sum(v * v for v in reading.parts.values())))
    other = polarisation(curve(), replace(setup, area=Exact(1.01 * AREA)), J).readings[0.1]
    assert abs(other.eta - reading.eta) == pytest.approx(reading.parts["area"], rel=0.1)


def test_stated_uncertainty_covers_the_error() -> None:
    """Two standard errors hold about 95 % of readings; of 150, at least 132 (four sd of the binomial below)."""
    inside = []
    for seed in range(75):
        found = polarisation(curve(noise=0.01, seed=seed), SETUP, J)
        truth = {0.01: 0.2238, 0.1: 0.2630}
        inside += [abs(r.eta - truth[j]) <= 2 * r.sd for j, r in found.readings.items()]
    assert sum(inside) >= 132


@settings(max_examples=15, deadline=None)
@given(shift=st.floats(-0.5, 0.5), scale=st.floats(0.1, 10))
def test_what_must_not_matter(shift: float, scale: float) -> None:
    c = curve(seed=7)
    base = polarisation(c, SETUP, J)
    moved = made(c.potential + shift, c.current * scale)
    other = replace(SETUP, offset=Exact(SETUP.offset.value - shift), area=Exact(AREA * scale), rs=Exact(RS / scale))
    found = polarisation(moved, other, J)
    for j in J:
        assert found.readings[j].eta == pytest.approx(base.readings[j].eta, abs=1e-6)
    assert found.slope.value == pytest.approx(base.slope.value, rel=1e-4)


def test_a_density_needs_no_area_and_a_mass_is_a_basis() -> None:
    c = curve()
    plain = replace(SETUP, compensation=0.0, rs=None, area=None)
    density = made(c.potential, c.current / AREA, "area")
    with_area = polarisation(c, replace(plain, area=Exact(AREA)), J).readings[0.01]
    assert polarisation(density, plain, J).readings[0.01].eta == pytest.approx(with_area.eta)
    mass = replace(plain, basis="mass", area=Exact(1e-4))
    assert polarisation(c, mass, [10.0]).readings[10.0].measured == pytest.approx(
        polarisation(c, replace(plain, area=Exact(1.0)), [1e-3]).readings[1e-3].measured
    )


def test_hydrogen_evolution_is_the_mirror() -> None:
    c = curve()
    her = Setup(Exact(0.0), None, equilibrium=0.0, cathodic=True, rs=Exact(RS), compensation=1.0, area=Exact(AREA))
    mirrored = made(-(c.potential + SETUP.shift() - SETUP.equilibrium), -c.current)
    found = polarisation(mirrored, her, J)
    assert found.readings[0.01].eta == pytest.approx(0.2238, abs=2e-4)
    assert found.readings[0.01].potential == pytest.approx(-0.2238, abs=2e-4)


def test_both_sweeps_and_their_distance() -> None:
    c = curve()
    both = made(np.concatenate([c.potential, c.potential[::-1] - 0.012]), np.concatenate([c.current, c.current[::-1]]))
    found = polarisation(both, SETUP, J)
    assert found.back[0.01].eta - found.readings[0.01].eta == pytest.approx(-0.012, abs=2e-4)
    assert codes(both) == {"hysteresis"}
    assert polarisation(both, replace(SETUP, reverse=True), J).readings[0.01].eta == pytest.approx(0.2118, abs=3e-4)
    with pytest.raises(CellError, match="0 sweeps back"):
        polarisation(c, replace(SETUP, reverse=True), J)


def test_sweeps_are_found_in_noise() -> None:
    ramp = np.concatenate([np.linspace(0, 1, 200), np.linspace(1, 0, 200), np.linspace(0, 1, 200)])
    noisy = ramp + 0.002 * np.random.default_rng(0).standard_normal(600)
    found = sweeps(noisy, np.ones(600))
    assert [s.forward for s in found] == [True, False, True]
    assert all(190 <= len(s) <= 210 for s in found)
    assert sweeps(np.ones(50), np.ones(50)) == []


def test_a_wave_is_seen_and_the_last_crossing_is_read() -> None:
    def wave(eta):
        return 0.012 * np.exp(-(((eta - 0.09) / 0.025) ** 2))

    c = curve(extra=wave)
    found = polarisation(c, SETUP, J)
    assert found.readings[0.01].eta == pytest.approx(0.2238, abs=3e-4)
    assert "redox_wave" in codes(c)
    assert found.slope.value == pytest.approx(0.0392, abs=5e-4)
    assert found.wave.current / AREA == pytest.approx(0.012, rel=0.2)


def test_doubts() -> None:
    assert "not_reached" in codes(curve(top=0.05))
    assert polarisation(curve(top=0.05), SETUP, J).readings[0.1] is None
    assert "residual_ir" in codes(curve(), replace(SETUP, rs=Exact(3.0)))
    assert "residual_ir" in codes(curve(), replace(SETUP, compensation=0.85))
    assert "overcompensated" in codes(curve(), replace(SETUP, rs=Exact(7.0)))
    assert "rs_unknown" in codes(curve(), replace(SETUP, rs=None, compensation=0.0))
    assert "negative" in codes(curve(), replace(SETUP, offset=Exact(-0.4)))
    assert "unusual" in codes(curve(), replace(SETUP, offset=Exact(0.8)))
    c = curve()
    assert "sign" in codes(made(c.potential, -c.current))
    assert "sign" not in codes(made(c.potential, -c.current), replace(SETUP, positive=False))
    assert "few_points" in codes(curve(step=0.03))
    for rate, doubt in (("50 mV/s", True), ("0.05 V/s", True), ("5.000 mV/s", False), ("fast", False)):
        assert ("fast_sweep" in codes(replace(c, settings={"scan rate": rate}))) is doubt
    fallen = c.current.copy()
    fallen[-60:-45] *= 0.5
    assert "not_monotonic" in codes(made(c.potential, fallen))


def test_the_consistent_triple_passes_and_its_swapped_twin_does_not() -> None:
    assert consistency(0.224, 0.263, 0.0392) is None
    assert consistency(0.263, 0.224, 0.0392)[0] == "swapped"
    assert consistency(0.224, 0.300, 0.0392)[0] == "residual_ir"
    assert consistency(0.224, 0.240, 0.0392)[0] == "overcompensated"


def test_a_window_that_is_stated_is_used() -> None:
    found = polarisation(curve(), replace(SETUP, window=(0.002, 0.05)), J)
    assert not found.slope.chosen
    assert 0.002 <= found.slope.low / AREA < found.slope.high / AREA <= 0.05
    assert found.slope.value == pytest.approx(0.0392, abs=5e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-3, 3, width=32), st.floats(-1, 1, width=32)), min_size=5, max_size=60),
    st.floats(1e-6, 1),
)
def test_any_numbers_are_read_or_refused(points, density) -> None:
    E, i = np.array(points).T
    try:
        found = polarisation(made(E, i), SETUP, [density])
    except CellError:
        return
    for flag in flags(made(E, i), found):
        assert flag.problem.what
    reading = found.readings[density]
    assert reading is None or math.isfinite(reading.eta)
