"""Compositions between the points of a grid, as ordinary recommendations."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_campaign import ELEMENTS, results

from campaign.constraints import parse
from campaign.spaces import build_space
from campaign.spaces.simplex import CompositionSimplex

SPACE = {
    "type": "composition_simplex",
    "elements": list(ELEMENTS),
    "divisions": 6,
    "max_elements": 3,
    "bounds": {"Fe": {"max": 0.5}, "Ni": {"max": 0.73}},
    "constraints": ["Ni + Co <= 0.8", "Mn <= 0.1 or Mn >= 0.3"],
}
BUILT = build_space(CompositionSimplex.model_validate(SPACE))


def allowed(design):
    exact = {name: Fraction(value).limit_denominator(1000) for name, value in design.items()}
    rules = [parse(text, ELEMENTS) for text in SPACE["constraints"]]
    limits = exact.get("Fe", 0) <= Fraction(1, 2) and exact.get("Ni", 0) <= Fraction(73, 100)
    return sum(exact.values()) == 1 and limits and len(exact) <= 3 and all(r.holds(exact) for r in rules)


@given(st.lists(st.floats(0.001, 1), min_size=4, max_size=4))
def test_what_can_be_weighed_in_is_within_the_limits_and_near(parts):
    x = np.array(parts) / sum(parts)
    design = BUILT.weighable(x)
    if design is not None:
        assert allowed(design)
        assert max(abs(design.get(name, 0.0) - v) for name, v in zip(ELEMENTS, x, strict=True)) <= 1e-3


def test_recommendations_lie_between_the_points_and_within_the_limits(start):
    campaign = start(space=SPACE)
    batch = campaign.recommend()
    assert any("refined" in note for note in batch.notes)
    off = [r for r in batch if campaign.state.space.locate(r.design) is None]
    assert off
    assert all(allowed(r.design) for r in batch)
    assert len({r.candidate for r in batch}) == 3
    assert all(r.prediction["loss"]["median"] for r in batch)
    campaign.ingest(results([(r.label, r.design) for r in batch]), name="batch.csv", commit=True)
    assert campaign.state.pending == ()
    assert not {r.candidate for r in campaign.recommend()} & {r.candidate for r in batch}


@pytest.mark.parametrize("acquisition", ["KG", "Thompson"])
def test_what_has_no_gradient_stays_on_the_grid_and_says_so(start, acquisition):
    campaign = start(space=SPACE, acquisition=acquisition)
    batch = campaign.recommend()
    assert all(campaign.state.space.locate(r.design) is not None for r in batch)
    assert any("not refined" in note for note in batch.notes)
