"""Linear constraints: exact numbers, precise errors, and the same meaning as plain arithmetic."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.constraints import ConstraintError, parse

NAMES = ("Ni", "Fe", "Co", "La", "Ce")


def holds(text: str, **values: str) -> bool:
    return parse(text, NAMES).holds({name: Fraction(value) for name, value in values.items()})


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("La + Ce <= 0.7", {"La": "0.3", "Ce": "0.4"}, {"La": "0.3", "Ce": "0.5"}),
        ("Ni >= 0.1 or Co >= 0.1", {"Co": "0.1"}, {"Ni": "0.09", "Co": "0.09"}),
        ("0.2 <= Ni + Fe <= 0.8", {"Ni": "0.2"}, {"Ni": "0.5", "Fe": "0.4"}),
        ("0.1 < Ni < 0.3 or Fe == 1/3", {"Fe": "1/3"}, {"Ni": "0.1"}),
        ("2 Ni - Fe/3 == 0.1", {"Ni": "0.15", "Fe": "0.6"}, {"Ni": "0.15"}),
        ("2*Ni <= 3/2*Fe + .1", {"Ni": "0.05"}, {"Ni": "0.06"}),
        ("-Ni > -0.5", {"Ni": "0.4"}, {"Ni": "0.5"}),
        ("Ni ≥ 0.1", {"Ni": "0.1"}, {"Fe": "0.1"}),
        ("Ni - Fe + 0.1 <= Ni", {"Fe": "0.1"}, {"Fe": "0.09"}),
    ],
)
def test_meaning(text: str, inside: dict[str, str], outside: dict[str, str]) -> None:
    assert holds(text, **inside)
    assert not holds(text, **outside)


def test_numbers_are_exact() -> None:
    half = parse("La + Ce <= 0.7", NAMES).alternatives[0][0]
    assert half.bound == Fraction(7, 10)
    assert half.coefficients == {"La": 1, "Ce": 1}
    assert holds("Ni + Fe + Co == 0.3", Ni="0.1", Fe="0.1", Co="0.1")  # in floats 0.1 + 0.1 + 0.1 is not 0.3


@pytest.mark.parametrize(
    ("text", "column", "what", "fix"),
    [
        ("Li + Ce <= 0.7", 1, "'Li' is not a component", "use one of"),
        ("La + ce <= 0.7", 6, "'ce' is not a component", "did you mean Ce?"),
        ("Nі <= 0.7", 1, "not a component", "Latin letters: Ni"),
        ("La <= 0,7", 8, "',' means nothing", "with a point"),
        ("La = 0.7", 4, "'=' means nothing", "=="),
        ("La != 0.7", 4, "'!' means nothing", "joined by or"),
        ("La <= 70 %", 10, "'%' means nothing", "fraction"),
        ("2*(La + Ce) <= 1", 3, "'(' means nothing", "without brackets"),
        ("La and Ce <= 1", 4, "'and' is not needed", "own list item"),
        ("La", 3, "it ends where one of <= >= == < > should be", "for example"),
        ("La + <= 1", 6, "found '<=' where a component or a number should be", "for example"),
        ("La <= 1 or", 11, "it ends where a component", "for example"),
        ("La <= Ce 1", 10, "found '1' where 'or', or the end should be", "for example"),
        ("La/0 <= 1", 4, "found '0' where a number other than zero", "for example"),
        ("La/Ce <= 1", 4, "found 'Ce' where a number other than zero", "for example"),
        ("La*Ce <= 1", 3, "found '*'", "for example"),
        ("0.1 <= 0.2", 5, "says nothing of any component", "compare"),
        ("La <= La", 4, "says nothing of any component", "compare"),
        ("", 1, "it ends", "for example"),
        ("__import__('os')", 11, "'(' means nothing", "brackets"),
        ("La + " * 200, 1, "1,000 characters", "split"),
    ],
)
def test_errors_point_at_the_place(text: str, column: int, what: str, fix: str) -> None:
    with pytest.raises(ConstraintError) as caught:
        parse(text, NAMES)
    assert caught.value.column == column
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert caught.value.caret.splitlines()[-1] == " " * (column - 1) + "^"


@given(st.text(max_size=40) | st.text("NiFe0.1+-*/<>=or 2", max_size=30))
def test_any_text_is_a_constraint_or_an_error(text: str) -> None:
    column = 1
    try:
        parse(text, NAMES)
    except ConstraintError as error:
        column = error.column
    assert 1 <= column <= len(text) + 1


coefficients = st.dictionaries(st.sampled_from(NAMES), st.fractions(-3, 3, max_denominator=7).filter(bool), min_size=1)
points = st.fixed_dictionaries({name: st.fractions(0, 1, max_denominator=10) for name in NAMES})


@given(coefficients, st.sampled_from(["<=", ">=", "==", "<", ">"]), st.fractions(-2, 2, max_denominator=10), points)
def test_a_written_sum_means_its_arithmetic(
    terms: dict[str, Fraction], relation: str, bound: Fraction, point: dict[str, Fraction]
) -> None:
    text = " ".join(f"{'-' if c < 0 else '+'} {abs(c)} {name}" for name, c in terms.items())
    total = sum(c * point[name] for name, c in terms.items())
    expected = {
        "<=": total <= bound,
        ">=": total >= bound,
        "==": total == bound,
        "<": total < bound,
        ">": total > bound,
    }[relation]
    assert parse(f"{text} {relation} {bound}", NAMES).holds(point) is expected
