"""Rationales are statements about a joint Gaussian belief, so they can be checked against one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_campaign import history, results

from campaign.belief import believe
from campaign.rationale import attention, directions, distances, domain, expectation, explain, swap
from campaign.sentences import sentences


@pytest.fixture
def believed(start):
    campaign = start(10)
    state = campaign.state
    return state, believe(state, seed=1)


def test_an_element_moves_and_the_others_keep_their_proportions(start):
    state = start(0).state
    x = np.array([0.5, 0.3, 0.2, 0.0])
    for j, (name, step, moved) in enumerate(directions(state, x)):
        assert name == state.space.components[j]
        assert moved.sum() == pytest.approx(1)
        assert moved[j] - x[j] == pytest.approx(step)
        others = [i for i in range(4) if i != j and x[i] > 0]
        assert moved[others] / x[others] == pytest.approx([(1 - moved[j]) / (1 - x[j])] * len(others))


@given(st.lists(st.integers(0, 6), min_size=4, max_size=4).filter(lambda v: sum(v) > 0))
def test_every_move_is_a_composition(parts):
    from types import SimpleNamespace

    x = np.array(parts, dtype=float) / sum(parts)
    space = SimpleNamespace(components=("Ni", "Fe", "Co", "Mn"), numeric_ranges=lambda: (), columns=())
    state = SimpleNamespace(spec=SimpleNamespace(explanation=SimpleNamespace(step=0.1)), space=space)
    for _, _, moved in directions(state, x):
        assert moved.min() >= -1e-12
        assert moved.sum() == pytest.approx(1)


def test_an_effect_is_a_paired_difference_of_the_joint_belief(believed):
    state, belief = believed
    candidate = state.space.candidate(20)
    x = state.space.x_of(candidate.design)
    found = explain(state, belief, candidate, state.sieve())["objectives"]["loss"]
    for name, _, moved in directions(state, x):
        mean, covariance = belief.objectives[0].joint(np.stack([x, moved]))
        effect = next(e for e in found["effects"] if e["name"] == name)
        assert effect["change"] == pytest.approx(mean[1] - mean[0], abs=1e-6)
        sd = math.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0))
        assert effect["sd"] == pytest.approx(sd, abs=1e-4)
        assert effect["sd"] < math.sqrt(covariance[0, 0] + covariance[1, 1])  # paired, not added up


def test_the_best_substitutions_are_neighbours_that_nobody_tried(believed):
    state, belief = believed
    candidate = state.space.candidate(20)
    options = explain(state, belief, candidate, state.sieve())["objectives"]["loss"]["substitutions"]
    nearby = {state.space.candidate(int(i)).id for i in state.space.neighbours(20)}
    assert options
    assert {o["candidate"] for o in options} <= nearby - state.tried().keys()
    assert [o["change"] for o in options] == sorted(o["change"] for o in options)  # minimised


def test_probability_of_beating_agrees_with_joint_samples(believed):
    state, belief = believed
    b = belief.objectives[0]
    candidates = [state.space.candidate(i) for i in (3, 30, 60)]
    X = np.stack([state.space.x_of(c.design) for c in candidates])
    found = expectation(b, X, [c.stratum for c in candidates], noise_floor=2.0)
    mean, covariance = b.joint(np.concatenate([X, b.data.X]))
    draws = np.random.default_rng(0).multivariate_normal(mean, covariance, 20_000)
    incumbent = 3 + int(mean[3:].argmin())
    for i, expected in enumerate(found):
        share = float((draws[:, incumbent] - draws[:, i] >= 2.0).mean())
        assert expected["probability_of_beating"] == pytest.approx(share, abs=0.02)
        assert expected["incumbent"]["mean"] == pytest.approx(mean[incumbent])


def test_domain_tells_inside_edge_and_outside(start):
    campaign = start(0)
    rows = b"sample_id,Ni,Fe,Co,Mn,loss (mV)\n" + b"".join(
        f"s{i},{0.3 + 0.04 * i:.2f},{0.7 - 0.04 * i:.2f},0,0,{300 + i}\n".encode() for i in range(12)
    )
    campaign.ingest(rows, name="r.csv", commit=True)
    state = campaign.state
    belief = believe(state, seed=1)

    def where(design):
        candidate = state.space.design_candidate(design)
        return domain(state, belief, candidate, state.space.x_of(candidate.design))

    assert where({"Ni": 0.5, "Fe": 0.5})["where"] == "inside"
    assert where({"Fe": 0.9, "Ni": 0.1})["where"] == "edge"
    assert where({"Fe": 0.9, "Ni": 0.1})["distance_over_reach"] > 1
    outside = where({"Ni": 0.5, "Fe": 0.3, "Co": 0.2})
    assert outside["where"] == "outside"
    assert outside["never_measured"] == ["Co"]


def test_distance_is_the_fraction_that_differs(start):
    state = start(0).state
    x = np.array([1.0, 0, 0, 0])
    assert distances(state.space, x, np.array([[0.8, 0.2, 0, 0], [0, 1, 0, 0]])).tolist() == pytest.approx([0.2, 1.0])


def test_a_substitution_in_words():
    assert swap({"Ni": 0.5, "Fe": 0.5}, {"Ni": 0.4, "Fe": 0.6}, {}) == "0.1 Ni -> Fe"
    assert swap({"Ni": 0.5, "Mn": 0.1}, {"Ni": 0.5, "Ce": 0.1}, {}) == "0.1 Mn -> Ce"
    assert swap({"T": 300.0, "solvent": "DMF"}, {"T": 300.0, "solvent": "DMSO"}, {"T": "K"}) == "solvent: DMF -> DMSO"
    assert swap({"T": 300.0}, {"T": 350.0}, {"T": "K"}) == "T: 300 K -> 350 K"


def test_a_gaussian_process_shows_no_attention(believed):
    state, belief = believed
    candidate = state.space.candidate(20)
    shown = attention(belief.objectives[0], candidate, state.space.x_of(candidate.design), {})
    assert shown["gate"] == "withheld"
    assert "no attention" in shown["reason"]


def test_attention_of_few_samples_says_what_it_lacks(start):
    state = start(12, model="gated_attention").state
    belief = believe(state, seed=1)
    candidate = state.space.candidate(20)
    shown = attention(belief.objectives[0], candidate, state.space.x_of(candidate.design), {})
    assert shown["gate"] != "reliable"
    assert "12 measured samples; at least 40 are needed" in shown["reason"]


@pytest.mark.parametrize(("target", "tolerance", "floor"), [(330.0, None, 0.0), (330.0, 4.0, 0.0), (345.0, None, 3.0)])
def test_probability_of_a_better_match_agrees_with_joint_samples(start, target, tolerance, floor):
    wish = {"name": "loss", "goal": "match", "unit": "mV", "target": target}
    state = start(10, objectives=[wish | ({"tolerance": tolerance} if tolerance else {})]).state
    b = believe(state, seed=1).objectives[0]
    candidates = [state.space.candidate(i) for i in (3, 30, 60)]
    X = np.stack([state.space.x_of(c.design) for c in candidates])
    found = expectation(b, X, [c.stratum for c in candidates], noise_floor=floor)
    mean, covariance = b.joint(np.concatenate([X, b.data.X]))
    draws = np.random.default_rng(0).multivariate_normal(mean, covariance, 100_000)
    loss = np.clip(np.abs(draws - target) - (tolerance or 0), 0, None)
    incumbent = 3 + b.data.labels.index(found[0]["incumbent"]["sample"])
    for i, expected in enumerate(found):
        share = float((loss[:, incumbent] - loss[:, i] > floor).mean())
        assert expected["probability_of_beating"] == pytest.approx(share, abs=0.02)


def test_a_word_that_was_never_measured_lies_outside(tmp_path):
    from campaign import Campaign
    from campaign.spec import load_spec

    rows = [f"{kind},{t}" for kind in "ABC" for t in (10, 20, 30)]
    (tmp_path / "c.csv").write_text("kind,T (degC)\n" + "\n".join(rows))
    spec = load_spec(
        {
            "spec_version": 1,
            "campaign": "table",
            "seed": 1,
            "space": {"type": "candidate_table", "file": "c.csv"},
            "objectives": [{"name": "loss", "goal": "minimize"}],
        }
    )
    campaign = Campaign.start(spec, folder=tmp_path, db=f"sqlite:///{tmp_path}/t.db")
    campaign.ingest(
        b"sample_id,kind,T (degC),loss\na,A,10,1\nb,A,20,2\nc,B,10,3\nd,B,20,4\n", name="r.csv", commit=True
    )
    found = {(r.design["kind"], r.design["T"]): r for r in campaign.recommend(5)}
    assert found["C", 10.0].rationale["domain"]["where"] == "outside"
    assert found["A", 30.0].rationale["domain"]["where"] == "edge"
    assert any("kind=C was never measured" in w for w in found["C", 10.0].rationale["warnings"])
    path = campaign.worksheet(tmp_path / "b.csv")
    header, *lines = path.read_text(encoding="utf-8-sig").splitlines()
    at = header.split(",").index("loss")
    filled = [",".join([*(cells := line.split(","))[:at], "5", *cells[at + 1 :]]) for line in lines]
    campaign.ingest("\n".join([header, *filled]).encode(), name="b.csv", commit=True)
    assert campaign.state.pending == ()


def test_a_noise_floor_says_where_it_is_from(start):
    def told(campaign):
        return next(line for line in sentences(campaign.recommend(1)[0]) if line.startswith("Probability"))

    campaign = start(8)
    assert "own estimate of the noise, for nothing was measured twice" in told(campaign)
    label, design = history(campaign, 8)[0]
    campaign.ingest(results([(f"{label}-again", design)]), name="again.csv", commit=True)
    assert "own estimate of the noise, with 1 repeat measured" in told(campaign)
    stated = start(8, objectives=[{"name": "loss", "goal": "minimize", "unit": "mV", "noise_floor": 8}])
    assert "by at least 8 mV, the noise floor of the spec; it" in told(stated)
