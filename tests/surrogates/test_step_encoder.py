import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates import StepEncoder

ENCODE = StepEncoder(("anneal", "quench"), ("T", "t"), length=3, parameter_scale=((1000.0, 0.0), (100.0, 2.0)))


def test_tokens_are_step_parameters_and_whether_they_are_given():
    bags = ENCODE([[("quench", {}), ("anneal", {"T": 1200.0, "t": 1})], [("anneal", {"t": 0.0})]], stratum=["x", "y"])
    assert bags.features.dtype == torch.float64
    assert bags.features.tolist() == [
        [[0, 1, 0, 0, 0, 0], [1, 0, 2, 0.5, 1, 1], [0] * 6],
        [[1, 0, 0, 0, 0, 1], [0] * 6, [0] * 6],
    ]
    assert bags.features.shape[2] == ENCODE.width
    assert bags.mask.tolist() == [[True, True, False], [True, False, False]]
    assert bags.weights[bags.mask].eq(1).all()
    assert bags.labels == (("1 quench", "2 anneal", ""), ("1 anneal", "", ""))
    assert bags.stratum == ("x", "y")
    assert bags.side.shape == (2, 0)


def test_side_information_comes_along():
    side = torch.tensor([[3.0]])
    assert ENCODE([[("quench", {})]], side=side).side is side


parameters = st.dictionaries(st.sampled_from(["T", "t"]), st.floats(-1e6, 1e6))
routes = st.lists(st.tuples(st.sampled_from(["anneal", "quench"]), parameters), min_size=1, max_size=3)


@given(st.lists(routes, min_size=1, max_size=4))
def test_a_route_can_be_read_back_and_does_not_depend_on_the_others(given_routes):
    bags = ENCODE(given_routes)
    for i, route in enumerate(given_routes):
        assert torch.equal(ENCODE([route]).features[0], bags.features[i])
        read = []
        for token in bags.features[i][bags.mask[i]]:
            known = {
                name: token[2 + j].item() * scale + shift
                for j, (name, shift, scale) in enumerate((("T", 1000.0, 100.0), ("t", 0.0, 2.0)))
                if token[4 + j]
            }
            read.append((ENCODE.steps[int(token[:2].argmax())], known))
        assert [name for name, _ in read] == [name for name, _ in route]
        for (_, found), (_, original) in zip(read, route, strict=True):
            assert found == pytest.approx(original, rel=1e-9, abs=1e-6)


def test_all_problems_are_told_at_once():
    bad = [
        [("anneel", {"T": math.nan}), ("quench", {"p": 1.0})],
        [("quench", {})],
        [],
        [("quench", {})] * 4,
        [("anneal", {"T": "hot", "t": math.inf})],
    ]
    with pytest.raises(ValueError, match="7 problems") as raised:
        ENCODE(bad)
    assert str(raised.value).splitlines() == [
        "7 problems in 5 routes:",
        "route 1, step 1: unknown step 'anneel'; expected one of anneal, quench",
        "route 1, step 1: T must be a finite number, not nan",
        "route 1, step 2: unknown parameter 'p'; expected one of T, t",
        "route 3 is empty",
        "route 4 has 4 steps; there may be 3",
        "route 5, step 1: T must be a finite number, not 'hot'",
        "route 5, step 1: t must be a finite number, not inf",
    ]


def test_steps_may_have_no_parameters():
    encode = StepEncoder(("roll",))
    assert encode([[("roll", {})]]).features.shape == (1, 8, 1)
    with pytest.raises(ValueError, match="unknown parameter 'T'; there are none"):
        encode([[("roll", {"T": 1.0})]])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": ()}, "routes need the name of at least one step"),
        ({"steps": ("a", "a")}, "steps must have distinct names, not a, a"),
        ({"steps": ("a",), "parameters": ("T", "T")}, "parameters must have distinct names, not T, T"),
        ({"steps": ("a",), "length": 0}, "length must be at least 1, not 0"),
        ({"steps": ("a",), "parameter_scale": ((0.0,), (1.0,))}, "0 parameters need as many shifts and scales"),
        (
            {"steps": ("a",), "parameters": ("T",), "parameter_scale": ((0.0,), (0.0,))},
            "shifts must be finite and scales positive",
        ),
    ],
)
def test_encoders_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        StepEncoder(**settings)
