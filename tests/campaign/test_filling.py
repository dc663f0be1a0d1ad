import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from campaign.filling import spread

NONE = np.empty((0, 2))


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 1000))
def test_rows_are_distinct_and_as_many_as_asked_or_there_are(n, q, seed):
    X = np.random.default_rng(seed).random((n, 2))
    strata = [f"{i % 3} elements" for i in range(n)]
    rows = spread(X, strata, q, taken=NONE)
    assert len(rows) == len(set(rows)) == min(n, q)


def test_strata_take_turns_beginning_with_the_largest():
    X = np.random.default_rng(0).random((20, 2))
    strata = ["small"] * 5 + ["large"] * 15
    rows = spread(X, strata, 6, taken=NONE)
    assert [strata[row] for row in rows] == ["large", "small"] * 3


def test_the_next_row_is_the_farthest_from_what_was_made():
    X = np.array([[0.0, 0.0], [0.1, 0.0], [1.0, 1.0]])
    assert spread(X, ["a"] * 3, 1, taken=np.array([[0.0, 0.1]])) == [2]


def test_a_batch_covers_the_square_better_than_chance():
    rng = np.random.default_rng(1)
    X = rng.random((500, 2))

    def gap(rows):
        return np.linalg.norm(X[:, None] - X[rows], axis=-1).min(1).max()

    chance = [gap(rng.choice(500, 12, replace=False)) for _ in range(100)]
    assert gap(spread(X, ["all"] * 500, 12, taken=NONE)) < np.quantile(chance, 0.05)
