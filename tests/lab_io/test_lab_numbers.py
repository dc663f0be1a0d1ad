"""Numbers as labs write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_io.findings import CellError, Status
from lab_io.numbers import Number, detect_decimal, parse_number

floats = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("text", "decimal", "expected"),
    [
        ("263", ".", Number(263)),
        ("2,63", ",", Number(2.63)),
        ("2.63", ".", Number(2.63)),
        ("1 234,5", ",", Number(1234.5)),
        ("1.234,5", ",", Number(1234.5)),
        ("1,234.5", ".", Number(1234.5)),
        ("1,234,567", ".", Number(1234567)),
        ("1'234.5", ".", Number(1234.5)),
        ("1\u202f234.5", ".", Number(1234.5)),
        ("<5", ".", Number(5, qualifier="<")),
        ("≥ 900", ".", Number(900, qualifier=">")),
        ("270±5", ".", Number(270, sd=5)),
        ("270 +/- 0,5", ",", Number(270, sd=0.5)),
        ("263 mV", ".", Number(263, unit="mV")),
        ("270±5 mV", ".", Number(270, sd=5, unit="mV")),
        ("5%", ".", Number(5, unit="%")),
        ("10 Ω", ".", Number(10, unit="Ω")),
        ("\N{MINUS SIGN}5", ".", Number(-5)),
        ("２６３", ".", Number(263)),
        ("1.5E-2", ".", Number(0.015)),
        (".5", ".", Number(0.5)),
        ("-,5", ",", Number(-0.5)),
        ("0.263", ".", Number(0.263)),
    ],
)
def test_reads(text: str, decimal: str, expected: Number) -> None:
    assert parse_number(text, decimal=decimal) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "  ", "n.d.", "N.D.", "NA", "n/a", "-", "–", "none"])
def test_missing(text: str) -> None:
    assert parse_number(text, decimal=".") is None


@pytest.mark.parametrize(
    ("text", "word", "status"),
    [
        ("~270", "approximate", Status.QUESTION),
        ("≈ 270", "approximate", Status.QUESTION),
        ("1,234", "thousands", Status.QUESTION),
        ("0,35", "not a number", Status.REJECTED),
        ("12 34", "not a number", Status.REJECTED),
        ("1,23,456", "not a number", Status.REJECTED),
        ("5²", "not a number", Status.REJECTED),
        ("٢٦٣", "not a number", Status.REJECTED),
        ("--5", "not a number", Status.REJECTED),
        ("5 e3", "not a number", Status.REJECTED),
        ("263*", "not a number", Status.REJECTED),
        ("270±-5", "negative", Status.REJECTED),
        ("NaN", "finite", Status.REJECTED),
        ("-inf", "finite", Status.REJECTED),
        ("1e999", "finite", Status.REJECTED),
        ("3-May", "date", Status.REJECTED),
        ("2026-05-03", "date", Status.REJECTED),
        ("#REF!", "spreadsheet error", Status.REJECTED),
        ("=A1", "formula", Status.REJECTED),
    ],
)
def test_refuses(text: str, word: str, status: Status) -> None:
    with pytest.raises(CellError, match=word) as caught:
        parse_number(text, decimal=".")
    assert caught.value.status is status
    assert caught.value.fix


@given(floats, st.sampled_from([".", ","]))
def test_every_float_reads_back(value: float, decimal: str) -> None:
    read = parse_number(repr(value).replace(".", decimal), decimal=decimal)  # type: ignore[arg-type]
    assert read is not None
    assert read.value == value


@given(st.integers(1000, 10**12), st.sampled_from([" ", "'"]))
def test_grouped_thousands_read_back(value: int, sign: str) -> None:
    read = parse_number(f"{value:,}".replace(",", sign), decimal=".")
    assert read is not None
    assert read.value == value


@given(st.text(max_size=100), st.sampled_from([".", ","]))
def test_any_text_is_read_or_refused(text: str, decimal: str) -> None:
    try:
        read = parse_number(text, decimal=decimal)  # type: ignore[arg-type]
    except CellError:
        return
    assert read is None or math.isfinite(read.value)


@pytest.mark.parametrize(
    ("cells", "hint", "decimal"),
    [
        (["0,35", "1"], None, ","),
        (["0.35", "1"], None, "."),
        (["263", "abc", "Ni0.5Fe0.5"], None, "."),
        (["1.234"], None, "."),
        (["1.234,5"], None, ","),
        (["1.234.567", "12"], None, ","),
        (["1,234", "0.5"], None, "."),
        (["1,234"], ",", ","),
        (["270,5±2 mV"], None, ","),
        ([], None, "."),
    ],
)
def test_decimal_sign_of_a_file(cells: list[str], hint: str | None, decimal: str) -> None:
    assert detect_decimal({f"A{i}": c for i, c in enumerate(cells)}, hint=hint) == decimal  # type: ignore[arg-type]


@pytest.mark.parametrize("cells", [["0,35", "0.41"], ["1.234", "0,5"], ["1.234", "1,234"]])
def test_mixed_decimal_signs_are_refused_with_both_cells(cells: list[str]) -> None:
    with pytest.raises(CellError, match="mixed") as caught:
        detect_decimal({"B2": cells[0], "B3": cells[1]})
    assert "B2" in caught.value.what
    assert "B3" in caught.value.what
    assert caught.value.status is Status.REJECTED


def test_undecided_commas_are_a_question() -> None:
    with pytest.raises(CellError, match="B2") as caught:
        detect_decimal({"B2": "1,234"})
    assert caught.value.status is Status.QUESTION
