"""A dopant is exchanged only for one that leaves a slab which the space allows."""

import numpy as np
import pytest
from test_structures_loop import SPACE, Near, history, spec_of

from campaign import Campaign
from campaign.belief import believe
from campaign.describe import describe
from campaign.encoding import CHGNetEncoder
from campaign.site_rationale import changed
from campaign.spaces import build_space

STRATA = ("1 dopant", "2 dopants")
THREE = SPACE | {"dopants": ["Fe", "Ti", "Zn"], "count": {"min": 1, "max": 2}}


@pytest.fixture(autouse=True)
def potential(monkeypatch):
    monkeypatch.setattr(CHGNetEncoder, "potential", lambda self: Near())
    monkeypatch.setattr("campaign.encoding.WORKERS", 1)


@pytest.mark.parametrize("candidate", ["decoration", "composition"])
@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        ({}, {"Ti2", "Fe1 Ti1", "Ti1 Zn1", "Fe1 Zn1", "Zn2"}),
        ({"repeats": False}, {"Fe1 Ti1", "Ti1 Zn1", "Fe1 Zn1"}),
        ({"distinct_elements": {"min": 2, "max": 2}}, {"Fe1 Ti1", "Ti1 Zn1", "Fe1 Zn1"}),
    ],
)
def test_an_explanation_asks_only_for_what_the_space_allows(candidate, limits, allowed):
    space = build_space(spec_of(space=THREE | {"candidate": candidate, "per_composition": 1} | limits).space)
    design = {"decoration": "Ti@M1 Zn@M2"} if candidate == "decoration" else {"dopants": "Ti1 Zn1"}
    x = space.x_of(design)
    asked = changed(space, x.reshape(1, 1))[:, 0].astype(int).tolist()
    pairs = [y for y in asked if space.candidate_of(y).stratum == "2 dopants"]
    elements = {space.formula(y) for y in pairs}
    assert len(elements) == len(allowed)
    assert all(space.allows(y) for y in pairs)
    assert len(asked) == len(pairs) + 2  # and each dopant turned back


def test_what_the_space_allows_holds_for_all_that_it_holds():
    space = build_space(spec_of(space=THREE | {"distinct_elements": {"min": 2, "max": 2}}).space)
    numbers = space.X(np.arange(space.count))[:, 0].astype(int).tolist()
    assert all(space.allows(x) for x in numbers)
    single = space.reversion(numbers[0])[0].x
    assert not space.allows(single)


def test_no_substitution_is_told_that_repeats_an_element(tmp_path):
    spec = spec_of(space=THREE | {"repeats": False})
    campaign = Campaign.start(spec, db=f"sqlite:///{tmp_path}/lab.db")
    history(campaign, STRATA, n=8)
    state = campaign.state
    candidate = state.space.design_candidate({"decoration": "Ti@M1 Zn@M2"})
    _, (why,) = describe(state, believe(state, seed=1), [candidate])
    told = why["objectives"]["eta"]["substitutions"]
    assert {s["swap"].split(" -> ")[1] for s in told} == {"Fe"}
    for substitution in told:
        elements = [part.split("@")[0] for part in substitution["design"]["decoration"].split()]
        assert len(elements) == len(set(elements)) == 2


def test_where_no_swap_is_allowed_the_reversion_is_told(tmp_path):
    spec = spec_of(space=SPACE | {"count": {"min": 1, "max": 2}, "repeats": False})
    campaign = Campaign.start(spec, db=f"sqlite:///{tmp_path}/lab.db")
    history(campaign, STRATA, n=6)
    state = campaign.state
    candidate = state.space.design_candidate({"decoration": "Ti@M1 Zn@M2"})
    _, (why,) = describe(state, believe(state, seed=1), [candidate])
    assert why["objectives"]["eta"]["substitutions"] == []
    assert {tuple(e["ways"]) for e in why["objectives"]["eta"]["effects"]} == {("reversion",)}
