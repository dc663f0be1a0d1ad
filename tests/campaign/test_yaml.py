"""The strict YAML reader: YAML 1.2 words, the line of every key, and refusals instead of surprises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, dotted, dump, load
from db.errors import InvalidInput, Problem


def problems_of(text: str | bytes) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load(text, "plate.yaml")
    return [str(p) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("No", "No"),
        ("On", "On"),
        ("yes", "yes"),
        ("true", True),
        ("FALSE", False),
        ("12:30", "12:30"),
        ("2026-05-16", "2026-05-16"),
        ("1e-3", 0.001),
        (".5e1", 5.0),
        ("1.", 1.0),
        ("-7", -7),
        ("012", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ('"No"', "No"),
        ("100 mA/cm^2", "100 mA/cm^2"),
        ("<<", "<<"),
    ],
)
def test_words_follow_the_core_schema(word: str, value: object) -> None:
    read = load(f"key: {word}").value["key"]
    assert read == value
    assert type(read) is type(value)


def test_keys_are_text_as_written() -> None:
    assert load("{No: 1, 012: 2, 1.50: 3, true: 4}").value == {"No": 1, "012": 2, "1.50": 3, "true": 4}


def test_every_key_has_its_line_and_column() -> None:
    document = load("space:\n  divisions: 10\n  bounds: {Ce: {max: 0.6}}\nlist:\n  - a\n  - b: 1\n", "plate.yaml")
    assert document.marks[("space", "divisions")] == (2, 3)
    assert document.marks[("space", "bounds", "Ce", "max")] == (3, 17)
    assert document.marks[("list", 1, "b")] == (6, 5)
    assert document.where(("space", "divisions")) == "plate.yaml, line 2, space.divisions"
    assert document.where(("list", 1, "missing")) == "plate.yaml, line 6, list[1].missing"


def test_all_refusals_of_a_document_come_at_once() -> None:
    text = "a: 1\na: 2\nb: .nan\nc: !!str 1\nd: &x 1\ne: *x\nf: 1e999\ng: 99999999999999999999\n"
    found = problems_of(text)
    assert [p.split(":")[0] for p in found] == [
        f"plate.yaml, line {n}, {k}" for n, k in zip(range(2, 9), "abcdefg", strict=True)
    ]
    assert "twice, first on line 1" in found[0]
    assert "not a finite number" in found[1]
    assert "tag" in found[2]
    assert "anchor" in found[3]
    assert "alias" in found[4]
    assert "too large" in found[6]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2", "line 1"),
        ("a:\n\tb: 1", "spaces, never with tabs"),
        ("a: b: c", "quotes"),
        ("a: %x", "quotes"),
        ("---\na: 1\n---\nb: 1", "second document"),
        ("? [1, 2]\n: 3", "not a plain word"),
        (b"a: \xff", "UTF-8"),
        ("a: \x00", "unusual characters"),
        ('a: "\\UFFFFFFFF"', "not YAML"),
        ('a: "\\ud800"', "surrogate"),
        ("%YAML " + "9" * 5000 + ".1\n--- 1", "not YAML"),
        ("%YAML 3.0\n--- 1", "incompatible"),
        ("[" * (MAX_DEPTH + 2), "32 levels"),
        ("[" + "1," * (MAX_NODES + 1) + "]", "50,000 values"),
        ("a: " + "x" * MAX_BYTES, "1 MiB"),
    ],
)
def test_refused_with_a_reason(text: str | bytes, expected: str) -> None:
    assert expected in "\n".join(problems_of(text))


def test_an_empty_document_is_no_value() -> None:
    assert load("").value is None
    assert load("# only a comment\n").value is None


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    assert load("\ufeffa: 1".encode()).value == {"a": 1}


def test_dotted() -> None:
    assert dotted(("objectives", 0, "unit")) == "objectives[0].unit"
    assert dotted(()) == ""


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        load(text)
    except InvalidInput as error:
        problems = error.problems
    assert all(p.where and p.what and p.fix for p in problems)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    [
        "No",
        "1e-3",
        "12:30",
        "2026-05-16",
        "0x1",
        "=",
        "<<",
        "~",
        ".nan",
        "1_0",
        "on",
        "*a",
        "&b",
        "!c",
        "%",
        " x",
        "- a",
    ]
)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=10,
)


@given(plain_values)
def test_what_is_dumped_is_read_back(value: object) -> None:
    assert load(dump(value)).value == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_to_the_last_digit(value: float) -> None:
    read = load(dump({"x": value})).value["x"]
    assert read == value
    assert math.copysign(1, read) == math.copysign(1, value)
