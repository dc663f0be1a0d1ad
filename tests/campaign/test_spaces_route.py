"""Routes: counted and numbered as if they were listed, written and read back, refused with the place and a remedy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.spaces import build_space
from campaign.spaces.route import rules
from campaign.spaces.route.automaton import Routes
from campaign.spaces.route.moves import changed
from campaign.spaces.route.space import SequenceSpace
from campaign.spaces.route.text import parse, write
from campaign.spec import load_spec
from db.errors import InvalidInput

STEPS = ("melt", "roll", "anneal", "quench")
VOCABULARY = {
    "melt": {"remelts": {"values": [3, 5]}},
    "roll": {"reduction": {"min": 0.2, "max": 0.8, "divisions": 2}},
    "anneal": {"T": {"values": [973, 1073], "unit": "K"}, "t": {"values": ["30 min", 4], "unit": "h"}},
    "quench": {"medium": {"values": ["water", "air"]}},
}
SETTINGS = (2, 3, 4, 2)
EXAMPLE = ["starts_with melt", "anneal immediately_before quench", "max 1 roll", "roll requires_before anneal"]


def space_of(rules_: list[str] = EXAMPLE, **length: int) -> SequenceSpace:
    spec = {"type": "process_sequence", "vocabulary": VOCABULARY, "length": {"max": 4, **length}, "rules": rules_}
    found = build_space(load_spec(whole(spec)).space)
    assert isinstance(found, SequenceSpace)
    return found


def whole(space):
    objective = {"name": "uts", "goal": "maximize", "unit": "MPa"}
    return {"spec_version": 1, "campaign": "c", "seed": 1, "space": space, "objectives": [objective]}


def obeys(rule: str, route: tuple[str, ...]) -> bool:
    """The rules again, said of a whole route instead of step by step."""
    first, *rest = rule.split()
    n = len(route)
    if first in ("starts_with", "ends_with"):
        return route[0 if first == "starts_with" else -1] == rest[0]
    if first in ("max", "min"):
        found = route.count(rest[1])
        return found <= int(rest[0]) if first == "max" else found >= int(rest[0])
    relation, other = rest
    mine, others = ([i for i in range(n) if route[i] == name] for name in (first, other))
    return {
        "immediately_before": all(i + 1 in others for i in mine),
        "immediately_after": all(i - 1 in others for i in mine),
        "requires_before": all(any(j < i for j in others) for i in mine),
        "requires_after": all(any(j > i for j in others) for i in mine),
        "never_before": not any(i < j for i in mine for j in others),
        "never_immediately_before": not any(i + 1 in others for i in mine),
    }[relation]


def every_rule():
    two = st.permutations(STEPS).map(lambda p: p[:2])
    same = st.sampled_from(STEPS).map(lambda s: [s, s])
    return st.one_of(
        st.tuples(st.sampled_from(rules.ENDS), st.sampled_from(STEPS)).map(" ".join),
        st.tuples(st.sampled_from(rules.COUNTS), st.sampled_from("0123"), st.sampled_from(STEPS)).map(" ".join),
        st.tuples(two, st.sampled_from(rules.RELATIONS)).map(lambda t: f"{t[0][0]} {t[1]} {t[0][1]}"),
        st.tuples(same, st.sampled_from(rules.RELATIONS[-2:])).map(lambda t: f"{t[0][0]} {t[1]} {t[0][1]}"),
    )


@given(st.lists(every_rule(), max_size=4), st.integers(1, 3), st.integers(0, 2))
@settings(max_examples=80, deadline=None)
def test_counts_are_those_of_a_list_and_numbers_come_back(written, fewest, more):
    most = fewest + more
    counted = Routes(SETTINGS, [rules.parse(rule, STEPS) for rule in written], fewest, most)
    listed = dict.fromkeys(range(fewest, most + 1), 0)
    for n in listed:
        for route in product(STEPS, repeat=n):
            if all(obeys(rule, route) for rule in written):
                listed[n] += int(np.prod([SETTINGS[STEPS.index(step)] for step in route]))
    assert counted.by_length == {n: found for n, found in listed.items() if found}
    some = np.arange(counted.count) if counted.count < 3000 else np.linspace(0, counted.count - 1, 3000).astype(int)
    steps, chosen = counted.unrank(some)
    np.testing.assert_array_equal(counted.rank(steps, chosen), some)
    assert len(np.unique(np.hstack([steps, chosen]), axis=0)) == len(some)
    for row in steps[:: max(1, len(steps) // 50)]:
        route = tuple(STEPS[s] for s in row if s >= 0)
        assert all(obeys(rule, route) for rule in written)


def test_what_breaks_a_rule_has_no_number():
    counted = Routes(SETTINGS, [rules.parse("max 1 roll", STEPS)], 1, 3)
    steps = np.array([[1, 1, -1], [0, -1, -1], [0, -1, 1]])
    chosen = np.array([[0, 0, -1], [1, -1, -1], [0, -1, 0]])
    assert counted.rank(steps, chosen).tolist() == [-1, 1, -1]


def test_counts_are_exact_far_beyond_what_can_be_numbered():
    counted = Routes([1000] * 4, [], 32, 32)
    assert counted.count == 4000**32
    with pytest.raises(InvalidInput, match="too many to number"):
        counted.unrank(np.array([0]))


def test_routes_are_drawn_evenly():
    space = space_of()
    drawn = space.sample(40 * space.count, np.random.default_rng(0))
    seen = np.bincount(drawn, minlength=space.count)
    assert ((seen - 40) ** 2 / 40).sum() < space.count + 5 * np.sqrt(2 * space.count)  # chi squared, 5 sd


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_route_is_found_again_from_its_text_and_its_numbers(seed):
    space = space_of()
    index = seed % space.count
    candidate = space.candidate(index)
    assert space.locate(candidate.design) == index
    assert space.design_candidate(candidate.design) == candidate
    x = space.X(np.array([index]))[0]
    np.testing.assert_array_equal(space.x_of(candidate.design), x)
    route = space.code.route(x)
    assert write(route, space.vocabulary) == candidate.design["route"]
    assert parse(str(candidate.design["route"]), space.vocabulary, 4, "route") == route
    assert space.stratum(np.array([index])) == [candidate.stratum] == [f"{len(route)} step{'s' * (len(route) > 1)}"]


def test_numbers_in_other_units_and_spacing_are_the_same_route():
    space = space_of()
    tidy = "melt(remelts=3) > anneal(T=1073 K, t=4 h) > quench(medium=air)"
    index = space.locate({"route": tidy})
    assert index is not None
    assert space.candidate(index).design == {"route": tidy}
    loose = tidy.replace("T=1073 K, t=4 h", " t = 240 min,T=799.85 degC ").replace(" > ", ">")
    assert space.design_candidate({"route": loose}) == space.candidate(index)
    assert space.locate({"route": loose}) == index


def test_a_measured_route_may_be_off_the_levels_and_against_the_rules():
    space = space_of()
    made = space.design_candidate({"route": "anneal(T=1000 K, t=1 h) > melt(remelts=3)"})
    assert made.stratum == "2 steps"
    assert space.locate(made.design) is None
    assert space.x_of(made.design)[1] == 1000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("melt(remelts=3) > quenc(medium=water)", "route, step 2: 'quenc' is not a step of the vocabulary. Fix: did"),
        ("melt(remelts=3) > > quench(medium=air)", "found '>' at column 19, where a step should be"),
        ("melt(remelts=3", "it ends at column 15, where ',' or ')' should be"),
        ("melt(remelts 3)", "found ')' at column 15, where '=' should be"),
        ("", "it ends at column 1, where a step should be"),
        ("quench(medium=oil)", "'oil' is not a setting of medium. Fix: use one of water, air"),
        ("quench", "quench has no medium. Fix: write quench(medium=...)"),
        ("anneal(T=900 K, t=4 h, p=1)", "'p' is not a parameter of anneal"),
        ("anneal(T=900 K, T=4 K, t=4)", "T is given twice"),
        ("anneal(T=900 mV, t=4)", "the unit 'mV' does not convert to 'K'"),
        ("melt(remelts=x)", "'x' is not a quantity"),
        ("quench(medium=air)" + " > quench(medium=air)" * 4, "5 steps are too many. Fix: at most 4 can be"),
    ],
)
def test_a_route_that_cannot_be_read_says_where_and_what_to_write(text, said):
    with pytest.raises(InvalidInput) as caught:
        space_of().design_candidate({"route": text})
    assert said in str(caught.value)


def test_all_that_is_wrong_with_a_route_is_said_at_once():
    with pytest.raises(InvalidInput) as caught:
        space_of().x_of({"route": "mlt > quench(medium=oil) > anneal(T=900)"})
    assert [p.where for p in caught.value.problems] == ["route, step 1", "route, step 2", "route, step 3"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "starts with melt",
            "'starts' begins no rule, at column 1 of 'starts with melt'. Fix: did you mean starts_with",
        ),
        ("anneal imediately_before quench", "at column 8 of .* Fix: did you mean immediately_before"),
        ("anneal immediately_before quensh", "at column 27 of .* Fix: did you mean quench"),
        (
            "max roll",
            "found 'roll' where a whole number should be, at column 5 of 'max roll'. Fix: write 'max 2 anneal'",
        ),
        ("max 2", "it ends where a step should be, at column 6"),
        ("max 2 roll twice", "'twice' comes after the end of the rule"),
        ("melt requires_before melt", "melt cannot be held to itself"),
        ("", "the rule is empty"),
    ],
)
def test_a_rule_that_cannot_be_read_says_where_and_what_to_write(rule, said):
    spec = {"type": "process_sequence", "vocabulary": VOCABULARY, "length": {"max": 3}, "rules": ["max 2 roll", rule]}
    with pytest.raises(InvalidInput, match=said) as caught:
        load_spec(whole(spec))
    assert "rules[1]" in str(caught.value)


def test_rules_that_leave_nothing_are_named():
    with pytest.raises(InvalidInput, match=r"no route of 1 to 4 steps obeys rules\[1\] .* and rules\[2\]") as caught:
        space_of(["max 1 roll", "starts_with melt", "melt requires_before anneal"])
    assert "rules[0]" not in str(caught.value)


def test_steps_that_no_route_has_are_noted():
    assert space_of().notes() == ()
    unused = space_of(["starts_with melt", "melt never_before roll"]).notes()
    assert unused == ("warning: the rules leave no route with roll",)


def test_neighbours_are_all_routes_one_change_away():
    space = space_of()
    for index in (0, space.count // 3, space.count - 1):
        near = space.neighbours(index)
        route = space.code.route(space.X(np.array([index]))[0])
        written = {write(r, space.vocabulary) for r in changed(route, space.vocabulary) if r}
        found = {space.candidate(int(i)).design["route"] for i in near}
        assert found == {t for t in written if space.locate({"route": t}) not in (None, index)}
        assert all(index in space.neighbours(int(i)) for i in near)  # one change takes it back
    one = "melt(remelts=3) > anneal(T=973 K, t=0.5 h) > quench(medium=water)"
    found = {str(space.candidate(int(i)).design["route"]) for i in space.neighbours(space.locate({"route": one}) or 0)}
    assert one.replace("973", "1073") in found
    assert one + " > roll(reduction=0.5)" in found
    assert "melt(remelts=3) > quench(medium=water)" in found
    assert not any(route.endswith("anneal(T=973 K, t=0.5 h)") for route in found)


def test_distance_grows_with_what_differs():
    space = space_of([])
    texts = [
        "melt(remelts=3) > roll(reduction=0.2)",
        "melt(remelts=3) > roll(reduction=0.5)",
        "roll(reduction=0.2) > melt(remelts=3)",
        "melt(remelts=3) > anneal(T=973 K, t=4 h) > quench(medium=air)",
    ]
    at = space.coordinates(np.stack([space.x_of({"route": text}) for text in texts]))
    away = np.abs(at - at[0]).sum(axis=1)
    assert 0 == away[0] < away[1] < away[3]
    assert 0 < away[2] < away[3]
