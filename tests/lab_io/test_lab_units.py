"""Units as labs write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_io.findings import CellError
from lab_io.units import convert, convert_sd, is_unit, parse_unit, same_dimension, split_header


@pytest.mark.parametrize(
    "spellings",
    [
        ("mA/cm^2", "mA cm-2", "mA cm⁻²", "mA·cm^-2", "mA/cm2", "mA/cm²", "mA*cm**-2"),
        ("mV/dec", "mV dec-1", "mV dec^-1"),
        ("%", "at.%", "at%", "at. %", "mol%"),
        ("°C", "℃", "degC"),
        ("", "1", "fraction"),
        ("1/h", "h-1"),
    ],
)
def test_spellings_of_one_unit(spellings: tuple[str, ...]) -> None:
    assert len({parse_unit(s) for s in spellings}) == 1


@pytest.mark.parametrize(
    ("value", "one", "other", "expected"),
    [
        (0.263, "V", "mV", 263.0),
        (25.0, "°C", "K", 298.15),
        (298.15, "K", "°C", 25.0),
        (50.0, "at.%", "", 0.5),
        (0.97, "", "%", 97.0),
        (100.0, "A/m^2", "mA/cm^2", 10.0),
        (60.0, "°C/min", "K/s", 1.0),
        (1.0, "GPa", "MPa", 1000.0),
    ],
)
def test_converts(value: float, one: str, other: str, expected: float) -> None:
    assert convert(value, one, other) == pytest.approx(expected, rel=1e-12)


def test_equal_units_change_nothing() -> None:
    assert convert(0.1 + 0.2, "mV", "mV") == 0.1 + 0.2


def test_a_standard_deviation_is_scaled_and_not_shifted() -> None:
    assert convert_sd(2.0, "°C", "K") == pytest.approx(2.0)
    assert convert_sd(0.005, "V", "mV") == pytest.approx(5.0)


@given(st.floats(-1e6, 1e6), st.sampled_from([("mV", "V"), ("°C", "K"), ("MPa", "Pa"), ("%", "")]))
def test_there_and_back(value: float, pair: tuple[str, str]) -> None:
    assert convert(convert(value, *pair), *reversed(pair)) == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("one", "other"), [("mV/dec", "mV"), ("wt%", "at.%"), ("mA", "mA/cm^2"), ("K", "")])
def test_what_does_not_convert(one: str, other: str) -> None:
    assert not same_dimension(one, other)
    with pytest.raises(CellError, match="does not convert"):
        convert(1.0, one, other)


@pytest.mark.parametrize(
    ("text", "fix"),
    [("mv", "mV"), ("Mpa", "MPa"), ("V vs RHE", "bare unit"), ("mV/", "mV"), ("9**9**9**9", "such as"), ("m" * 99, "")],
)
def test_unknown_units_come_with_help(text: str, fix: str) -> None:
    with pytest.raises(CellError) as caught:
        parse_unit(text)
    assert fix in caught.value.fix


@given(st.text(max_size=60))
def test_any_text_is_a_unit_or_refused(text: str) -> None:
    try:
        parse_unit(text)
    except CellError:
        assert not is_unit(text)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("overpotential (mV)", ("overpotential", "mV")),
        ("overpotential [mV]", ("overpotential", "mV")),
        ("overpotential / mV", ("overpotential", "mV")),
        ("overpotential_mV", ("overpotential", "mV")),
        ("overpotential", ("overpotential", None)),
        ("sample_id", ("sample_id", None)),
        ("eta_10", ("eta_10", None)),
        ("Ni (ICP)", ("Ni", "ICP")),
        ("loss / gain", ("loss / gain", None)),
        ("x ()", ("x", None)),
    ],
)
def test_headers_are_split(header: str, expected: tuple[str, str | None]) -> None:
    assert split_header(header) == expected
