"""Composition grids: exact counts, numbering as a bijection, identities, and conflicts in the user's words."""

import itertools
from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from campaign.constraints import parse
from campaign.spaces import CompositionGrid, GridSpace, estimate
from db.errors import InvalidInput

PLATE = ("Ni", "Fe", "Co", "Mn", "Ce", "La")


def grid(elements: tuple[str, ...] = PLATE, divisions: int = 10, **limits: Any) -> CompositionGrid:
    return CompositionGrid.model_validate(
        {"type": "composition_grid", "elements": elements, "divisions": divisions, **limits}
    )


def brute_force(spec: CompositionGrid) -> list[tuple[int, ...]]:
    """All points of a small grid, by trying every one of them with exact fractions."""
    d = spec.divisions
    rules = [parse(text, spec.elements) for text in spec.constraints]

    def allowed(point: tuple[int, ...]) -> bool:
        x = {e: Fraction(n, d) for e, n in zip(spec.elements, point, strict=True)}
        return (
            sum(point) == d
            and spec.min_elements <= sum(n > 0 for n in point) <= (spec.max_elements or len(point))
            and all(b.min is None or x[e] >= Fraction(str(b.min)) for e, b in spec.bounds.items())
            and all(b.max is None or x[e] <= Fraction(str(b.max)) for e, b in spec.bounds.items())
            and all(rule.holds(x) for rule in rules)
        )

    return [p for p in itertools.product(range(d + 1), repeat=len(spec.elements)) if allowed(p)]


def all_ids(space: GridSpace) -> set[str]:
    return {space.candidate(int(i)).id for chunk in space.chunks(64) for i in chunk}


tenths = st.integers(0, 12).map(lambda n: n / 10)


@st.composite
def small_grids(draw: st.DrawFn) -> CompositionGrid:
    elements = tuple(draw(st.permutations(PLATE))[: draw(st.integers(1, 4))])
    names = st.sampled_from(elements)
    bound = st.fixed_dictionaries(
        {}, optional={"min": st.sampled_from([0, 0.1, 0.25]), "max": st.sampled_from([0.5, 0.8, 1])}
    )
    half = st.builds(
        "{} {} {} {} {} {}".format,
        st.sampled_from(["", "2", "1/3"]),
        names,
        st.sampled_from("+-"),
        names,
        st.sampled_from(["<=", ">=", "<", ">", "=="]),
        tenths,
    ).filter(lambda text: text.split()[-3] not in text.split()[:-3] or "+" in text)
    constraint = st.lists(half, min_size=1, max_size=3).map(" or ".join)
    return grid(
        elements,
        draw(st.integers(1, 6)),
        min_elements=draw(st.integers(1, len(elements))),
        max_elements=draw(st.none() | st.integers(1, 4)),
        bounds=draw(st.dictionaries(names, bound, max_size=2)),
        constraints=draw(st.lists(constraint, max_size=2)),
    )


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (grid(), 3_003),
        (grid(max_elements=4), 2_121),
        (grid((*PLATE, "Cu", "Zn", "Al"), 20), 3_108_105),
        (grid(("Al", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu"), 20, max_elements=6), 620_586),
        (
            grid(max_elements=4, bounds={"Ce": {"max": 0.6}}, constraints=["La + Ce <= 0.7", "Ni >= 0.1 or Co >= 0.1"]),
            1_736,
        ),
    ],
)
def test_known_counts(spec: CompositionGrid, count: int) -> None:
    space = GridSpace(spec)
    assert space.count == len(space) == count
    assert sum(space.strata().values()) == count


def test_strata_are_numbers_of_elements() -> None:
    space = GridSpace(grid(max_elements=4))
    assert space.strata() == {"1 element": 6, "2 elements": 135, "3 elements": 720, "4 elements": 1260}
    names = space.stratum(np.arange(space.count))
    assert {name: names.count(name) for name in space.strata()} == space.strata()


@given(small_grids())
def test_counting_numbering_and_finding_agree_with_brute_force(spec: CompositionGrid) -> None:
    points = brute_force(spec)
    if not points:
        with pytest.raises(InvalidInput, match="no composition"):
            GridSpace(spec)
        return
    space = GridSpace(spec)
    assert space.count == len(points)
    X = space.X(np.arange(space.count))
    assert (X * spec.divisions).round().astype(int).tolist() == [list(p) for p in points]  # lexicographic
    for i in range(space.count):
        candidate = space.candidate(i)
        assert space.locate(candidate.design) == i
        assert space.design_candidate(candidate.design) == candidate
        assert (space.x_of(candidate.design) == X[i]).all()


@given(st.data())
def test_a_large_space_is_numbered_without_being_listed(data: st.DataObject) -> None:
    space = BIG
    index = data.draw(st.integers(0, space.count - 1))
    x = space.X(np.array([index]))[0]
    assert x.sum() == pytest.approx(1)
    assert space.locate(dict(zip(space.columns, x, strict=True))) == index


BIG = GridSpace(grid((*PLATE, "Cu", "Zn", "Al"), 100, max_elements=6))


def test_chunks_cover_three_million_points_once() -> None:
    space = GridSpace(grid((*PLATE, "Cu", "Zn", "Al"), 20))
    previous, seen = -1.0, 0
    weights = 21.0 ** -np.arange(9)
    for chunk in space.chunks(1 << 18):
        order = np.rint(space.X(chunk) * 20) @ weights
        assert order[0] > previous  # strictly ascending in lexicographic order: all different
        assert (np.diff(order) > 0).all()
        previous, seen = order[-1], seen + len(chunk)
    assert seen == space.count


@given(small_grids(), st.randoms())
def test_the_order_of_elements_does_not_change_the_candidates(spec: CompositionGrid, random: Any) -> None:
    assume(brute_force(spec))
    elements = list(spec.elements)
    random.shuffle(elements)
    assert all_ids(GridSpace(spec)) == all_ids(GridSpace(spec.model_copy(update={"elements": tuple(elements)})))


def test_a_design_has_one_id_however_it_is_written() -> None:
    ten, twenty = GridSpace(grid()), GridSpace(grid(PLATE[::-1], 20))
    ids = {
        space.design_candidate(design).id
        for space in (ten, twenty)
        for design in (
            {"Ni": 0.3, "Fe": 0.7},
            {"Fe": "0.7", "Ni": "0.3"},
            {"Ni": 0.1 + 0.2, "Fe": 0.7, "Co": 0},
            {"Ni": 0.30004, "Fe": 0.69996},
        )
    }
    assert ids == {ten.candidate(ten.locate({"Ni": 0.3, "Fe": 0.7}) or 0).id}


def test_thirds_are_typed_as_decimals() -> None:
    space = GridSpace(grid(("Ni", "Fe", "Co"), 3))
    index = space.locate({"Ni": 0.333, "Fe": 0.333, "Co": "0.333"})
    assert index is not None
    assert space.candidate(index).design == {"Ni": 1 / 3, "Fe": 1 / 3, "Co": 1 / 3}


def test_off_the_grid() -> None:
    space = GridSpace(grid(max_elements=2))
    off = {"Ni": 0.234, "Fe": 0.766}
    assert space.locate(off) is None
    assert space.design_candidate(off).design == off
    assert space.design_candidate(off).stratum == "2 elements"
    assert space.x_of({"Ni": 0.25, "Fe": 0.74}).sum() == pytest.approx(1)  # rounded values are normalised
    outside = {"Ni": 0.3, "Fe": 0.3, "Co": 0.4}
    assert space.locate(outside) is None
    assert space.design_candidate(outside).id == GridSpace(grid()).design_candidate(outside).id


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ({"Ni": 0.5, "Pt": 0.5}, "'Pt' is not a component"),
        ({"Ni": 0.5, "Fe": 0.6}, "sum to 1.1"),
        ({"Ni": 50, "Fe": 50}, "percent"),
        ({"Ni": "half", "Fe": 0.5}, "'half' is not a fraction"),
        ({"Ni": -0.5, "Fe": 1.5}, "-0.5 is not a fraction"),
        ({"Ni": float("nan")}, "nan is not a fraction"),
        ({}, "sum to 0"),
    ],
)
def test_what_is_no_composition(design: dict[str, float | str], message: str) -> None:
    space = GridSpace(grid())
    assert space.locate(design) is None
    for method in (space.design_candidate, space.x_of):
        with pytest.raises(InvalidInput, match=message):
            method(design)


def test_neighbours_are_one_step_away_and_mutual() -> None:
    space = GridSpace(grid(max_elements=3, constraints=["Ni + Fe >= 0.2"]))
    X = space.X(np.arange(space.count))
    for index in (0, 17, space.count - 1):
        near = space.neighbours(index)
        moved = np.abs(X - X[index]) * 10
        expected = np.flatnonzero(((moved > 0.5).sum(axis=1) == 2) & (moved.max(axis=1) < 1.5))
        assert near.tolist() == expected.tolist()
        assert all(index in space.neighbours(int(n)) for n in near)


@pytest.mark.parametrize(
    ("limits", "named", "not_named"),
    [
        ({"min_elements": 7, "bounds": {"Ce": {"max": 0.6}}}, ["min_elements (at least 7 elements)"], ["Ce"]),
        (
            {"min_elements": 3, "max_elements": 2, "constraints": ["Ni <= 0.5"]},
            ["min_elements", "max_elements"],
            ["Ni"],
        ),
        (
            {"bounds": {"Ni": {"min": 0.6}, "Fe": {"min": 0.5}, "Co": {"max": 0.1}}, "max_elements": 4},
            ["bounds.Ni.min (Ni >= 0.6)", "bounds.Fe.min (Fe >= 0.5)"],
            ["Co", "max_elements"],
        ),
        ({"constraints": ["Ni <= 0.5", "Fe >= 1.1", "La + Ce <= 0.7"]}, ["constraints[1] (Fe >= 1.1)"], ["Ni", "La"]),
        ({"constraints": ["Ni > 0.2", "Ni < 0.3", "Fe >= 0.1"]}, ["constraints[0]", "constraints[1]"], ["Fe"]),
        (
            {"bounds": {"Ni": {"min": 0.3}, "Ce": {"min": 0.1}}, "constraints": ["Ni <= 0.2 or Ce == 0", "Fe <= 0.4"]},
            ["bounds.Ni.min", "bounds.Ce.min", "constraints[0] (Ni <= 0.2 or Ce == 0)"],
            ["Fe"],
        ),
    ],
)
def test_an_empty_space_names_the_smallest_conflict(
    limits: dict[str, Any], named: list[str], not_named: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        GridSpace(grid(**limits))
    (problem,) = caught.value.problems
    assert problem.where == "space"
    assert all(text in problem.what for text in named)
    assert not any(text in problem.what for text in not_named)


def test_a_smaller_conflict_is_found_behind_a_larger_one() -> None:
    bounds = {e: {"max": 0.1} for e in PLATE}  # together too little; but one constraint alone is impossible
    with pytest.raises(InvalidInput, match=r"satisfies constraints\[0\] \(Ni >= 2\)"):
        GridSpace(grid(bounds=bounds, constraints=["Ni >= 2"]))


def test_too_large_is_said_clearly() -> None:
    huge = GridSpace(grid((*PLATE, *"BCNOFPSKVYIUWH"), 100))
    assert huge.count == comb(119, 19)  # counted exactly all the same
    with pytest.raises(InvalidInput, match="too many to screen"):
        huge.candidate(0)
    with pytest.raises(InvalidInput, match="too many digits"):
        GridSpace(grid(constraints=["0.123456789123456789 Ni + 0.7 Fe <= 0.5"]))
    with pytest.raises(InvalidInput, match="too many ways"):
        GridSpace(grid(divisions=500, constraints=["Ni + 2 Fe + 5 Co + 7 Mn <= 3"]))


def test_fingerprints_follow_the_spec() -> None:
    assert GridSpace(grid()).fingerprint() == GridSpace(grid()).fingerprint()
    assert GridSpace(grid()).fingerprint() != GridSpace(grid(divisions=20)).fingerprint()
    assert GridSpace(grid()).fingerprint() != GridSpace(grid(PLATE[::-1])).fingerprint()


def test_the_estimate_grows_with_the_space_that_is_believed_whole_and_with_the_one_that_is_only_screened() -> None:
    for few, many in ((6, 10), (20, 30)):
        small, large = estimate(GridSpace(grid(divisions=few))), estimate(GridSpace(grid(divisions=many)))
        assert small.candidates < large.candidates
        assert small.seconds < large.seconds
        assert small.memory_mb <= large.memory_mb
    assert estimate(GridSpace(grid())).candidates == 3_003
    assert large.memory_mb < estimate(GridSpace(grid())).memory_mb
