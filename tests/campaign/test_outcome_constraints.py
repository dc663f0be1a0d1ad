"""Outcome constraints through the loop: two sources, partial results, feasibility on the card, and laws."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import yaml
from small_campaign import ELEMENTS, history, spec_of, truth

from campaign import Campaign
from campaign.belief import believe
from campaign.cards import card
from campaign.ranking import ranked
from campaign.spec import load_spec
from campaign.status import best
from db.errors import InvalidInput

STABLE = {"name": "decay", "unit": "mV", "max": 30.0}
LABELS = {"computed": {"file": "labels.csv", "columns": {"hull": "ef"}}}
HULL = {"name": "hull", "unit": "eV/atom", "max": 0.05, "source": "computed", "min_probability": 0.8}


def decay(design: Mapping[str, Any]) -> float:
    """Stable while there is little nickel; the best designs have half of it."""
    return 5 + 120 * float(design.get("Ni", 0.0)) ** 2


def table(samples: Sequence[tuple[str, Mapping[str, Any]]], **columns: Any) -> bytes:
    """A result table with the named columns, each a function of the design."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", *ELEMENTS, *(name.replace("_", " ") for name in columns)])
    for label, design in samples:
        values = [f"{value(design):.4f}" for value in columns.values()]
        writer.writerow([label, *(f"{design.get(e, 0):.6g}" for e in ELEMENTS), *values])
    return text.getvalue().encode()


def both(samples: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    return table(samples, **{"loss (mV)": truth, "decay (mV)": decay})


def begun(start: Any, n: int = 8, **changes: Any) -> Campaign:
    campaign = start(0, **{"outcome_constraints": [STABLE], "explain": "none", **changes})
    campaign.ingest(both(history(campaign, n)), name="history.csv", commit=True)
    return campaign


def problems_of(**changes: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load_spec(spec_of(**changes))
    return [str(p) for p in caught.value.problems]


def designs(batch: Any) -> list[Any]:
    return [dict(r.design) for r in batch]


def test_limits_are_read_in_their_unit() -> None:
    spec = load_spec(spec_of(outcome_constraints=[{**STABLE, "max": "0.03 V", "min": -5}]))
    constraint = spec.outcome_constraints[0]
    assert (constraint.min, constraint.max) == (-5.0, pytest.approx(30.0))
    assert constraint.min_probability == 0.5
    assert load_spec(spec.resolved()) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outcome_constraints": [{"name": "decay"}]}, "neither `min` nor `max`"),
        ({"outcome_constraints": [{**STABLE, "min": 40}]}, "min 40 is not below max 30"),
        ({"outcome_constraints": [{**STABLE, "max": "3 K"}]}, "K"),
        ({"outcome_constraints": [{**STABLE, "min_probability": 1}]}, "1 is not a number"),
        ({"outcome_constraints": [{**STABLE, "name": "loss"}]}, "the name of another objective"),
        ({"outcome_constraints": [{**STABLE, "name": "status"}]}, "a column of every worksheet"),
        ({"outcome_constraints": [HULL]}, "no column has the computed hull"),
        (
            {"outcome_constraints": [{**HULL, "source": "measured"}], "labels": LABELS},
            "hull is measured; computed values",
        ),
        ({"labels": {"computed": {"file": "labels.csv", "columns": {"loss": "eta"}}}}, "loss is measured"),
        ({"labels": LABELS}, "'hull' is no outcome constraint"),
        (
            {"outcome_constraints": [HULL], "labels": {"computed": {"file": "../x.csv", "columns": {"hull": "a"}}}},
            "folder",
        ),
    ],
)
def test_what_is_said_of_an_invalid_constraint(changes: dict[str, Any], message: str) -> None:
    found = problems_of(**changes)
    assert any(message in problem for problem in found), found


def test_a_constraint_is_measured_beside_the_objective_and_may_come_later(start: Any) -> None:
    campaign = begun(start)
    batch = campaign.recommend()
    made = [(r.label, r.design) for r in batch]
    campaign.ingest(table(made, **{"loss (mV)": truth}), name="loss.csv", commit=True)
    assert [r.label for r in campaign.state.pending] == [label for label, _ in made]
    assert len(campaign.state.observations("loss")) == 11
    assert len(campaign.state.observations("decay")) == 8
    campaign.ingest(table(made[:1], **{"decay (V)": lambda d: decay(d) / 1000}), name="decay.csv", commit=True)
    assert [r.label for r in campaign.state.pending] == [label for label, _ in made[1:]]
    assert campaign.state.observations("decay")[0].value == pytest.approx(decay(made[0][1]), abs=0.1)
    assert len(campaign.recommend(more=True)) == 3
    campaign.fail(made[1][0], mode="spilt")
    assert len(campaign.state.observations("decay")) == 9  # a failed synthesis is no label


def test_a_card_says_how_likely_it_is_to_be_feasible(start: Any) -> None:
    two = [STABLE, {"name": "cost", "min": 0.0, "max": 2.0, "min_probability": 0.9}]
    campaign = start(0, outcome_constraints=two)
    rows = table(
        history(campaign, 9), **{"loss (mV)": truth, "decay (mV)": decay, "cost": lambda d: 1 + float(d.get("Co", 0))}
    )
    campaign.ingest(rows, name="history.csv", commit=True)
    batch = campaign.recommend()
    for r in batch:
        found = card(r, batch.space)["feasibility"]
        each = found["constraints"]
        assert found["all"] == pytest.approx(each["decay"]["probability"] * each["cost"]["probability"])
        assert each["decay"]["max"] == 30
        assert each["decay"]["source"] == "measured"
        text = " ".join(card(r, batch.space)["text"])
        assert "P(feasible)" in text
        assert "P(meets all constraints)" in text
        assert {"decay", "cost"} <= campaign.state.batches[0].settings["models"].keys()
    frame = batch.to_frame()
    assert {"decay P(feasible)", "P(meets all constraints)"} <= set(frame.columns)
    assert "decay met by" in repr(campaign)


def test_the_probability_agrees_with_draws_of_the_joint_belief(start: Any) -> None:
    state = begun(start).state
    belief = believe(state, seed=1)
    X = state.space.X(np.arange(0, state.space.count, 7))
    mean, covariance = belief.constraints[0].believed.joint(X)
    draws = np.random.default_rng(0).multivariate_normal(mean, covariance, 50_000)
    assert belief.feasibility(X)[:, 0] == pytest.approx((draws <= 30).mean(axis=0), abs=0.01)


def test_a_constraint_that_everybody_meets_changes_nothing(start: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("campaign.propose.batch_seed", lambda state, number: 17)
    free = begun(start, outcome_constraints=[{**STABLE, "max": 1e6}]).recommend()
    plain = start(8, explain="none").recommend()
    assert designs(free) == designs(plain)
    assert all(r.rationale["feasibility"]["all"] > 0.999999 for r in free)


def test_a_least_value_is_the_greatest_of_the_mirror_image(start: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("campaign.propose.batch_seed", lambda state, number: 17)
    most = begun(start).recommend()
    campaign = start(0, outcome_constraints=[{"name": "decay", "unit": "mV", "min": -30.0}], explain="none")
    rows = table(history(campaign, 8), **{"loss (mV)": truth, "decay (mV)": lambda d: -decay(d)})
    campaign.ingest(rows, name="history.csv", commit=True)
    least = campaign.recommend()
    assert designs(most) == designs(least)
    for a, b in zip(most, least, strict=True):
        assert a.rationale["feasibility"]["all"] == pytest.approx(b.rationale["feasibility"]["all"])


def test_an_impossible_region_is_avoided_and_the_incumbent_is_feasible(start: Any) -> None:
    def share_infeasible(campaign: Campaign) -> float:
        for _ in range(3):
            batch = campaign.recommend()
            campaign.ingest(both([(r.label, r.design) for r in batch]), name=f"b{len(batch)}.csv", commit=True)
        return float(np.mean([decay(r.design) > 20 for r in campaign.state.recommendations]))

    narrow = begun(start, outcome_constraints=[{**STABLE, "max": 20.0}])
    free = begun(start, outcome_constraints=[{**STABLE, "max": 1e6}])
    assert share_infeasible(narrow) < share_infeasible(free) - 0.2  # some still lie on the boundary
    last = [r for r in narrow.state.recommendations if r.batch.endswith("b3")]
    made = {s.label: s.design for s in narrow.state.samples}
    assert all(decay(made[r.prediction["loss"]["incumbent"]["sample"]]) <= 20 for r in last)
    found = best(narrow.state, narrow.state.objectives[0])
    assert found is not None
    assert decay(found.sample.design) <= 20


@pytest.mark.parametrize("least", [0.5, 0.0])
def test_with_nothing_feasible_yet_feasibility_is_sought(start: Any, least: float) -> None:
    campaign = start(0, outcome_constraints=[{**STABLE, "min_probability": least}], explain="none")
    rich = [(label, d) for label, d in history(campaign, 40) if decay(d) > 30]
    assert len(rich) > 5
    campaign.ingest(both(rich), name="history.csv", commit=True)
    batch = campaign.recommend()
    assert any("looks for something that does" in note for note in batch.notes)
    assert np.mean([decay(d) for d in designs(batch)]) < np.mean([decay(d) for _, d in rich])
    assert any(decay(d) <= 30 for d in designs(batch))


def test_what_is_unlikely_to_be_feasible_comes_last_and_says_so(start: Any) -> None:
    campaign = begun(start, outcome_constraints=[{**STABLE, "min_probability": 0.9}])
    batch = campaign.recommend(campaign.state.space.count)
    late = [bool(r.rationale["feasibility"]["late"]) for r in batch]
    assert late == sorted(late)
    assert 0 < sum(late) < len(late)
    for r, is_late in zip(batch, late, strict=True):
        assert (r.rationale["feasibility"]["constraints"]["decay"]["probability"] < 0.9) == is_late
        assert any("comes after all others" in text for text in card(r, batch.space)["text"]) == is_late


def test_an_unknown_constraint_does_not_weigh_and_is_told(start: Any) -> None:
    batch = start(8, outcome_constraints=[STABLE], explain="none").recommend()
    assert any("decay: too little is known" in note for note in batch.notes)
    assert card(batch[0], batch.space)["feasibility"] is None


@pytest.mark.parametrize("acquisition", ["qLogEI", "UCB", "Thompson", "greedy", "max_variance"])
def test_every_acquisition_takes_constraints(start: Any, acquisition: str) -> None:
    assert len(begun(start, acquisition=acquisition).recommend()) == 3


@pytest.fixture
def computed(tmp_path: Any) -> Any:
    """A campaign whose second criterion is computed for some designs."""

    def make(labels: bytes | None = None, **changes: Any) -> Campaign:
        plain = Campaign.start(load_spec(spec_of(campaign="plain")), db=f"sqlite:///{tmp_path}/plain.db")
        some = history(plain, 12, seed=4)
        content = labels or table(some, **{"ef (meV/atom)": lambda d: decay(d) * 2})
        (tmp_path / "labels.csv").write_bytes(content)
        path = tmp_path / "spec.yaml"
        wanted = {"outcome_constraints": [HULL], "labels": LABELS, "explain": "none", **changes}
        path.write_text(yaml.safe_dump(spec_of(**wanted)))
        campaign = Campaign.start(path, db=f"sqlite:///{tmp_path}/computed.db", by="tests")
        campaign.ingest(table(history(campaign, 8), **{"loss (mV)": truth}), name="h.csv", commit=True)
        return campaign

    return make


def test_computed_labels_come_from_their_file_and_from_nowhere_else(computed: Any, tmp_path: Any) -> None:
    campaign = computed()
    (tmp_path / "labels.csv").unlink()  # pinned when the campaign started
    state = campaign.state
    seen = state.observations("hull")
    assert len(seen) == 12
    assert len(state.samples) == 8
    assert seen[0].value == pytest.approx(decay(seen[0].sample.design) * 0.002, abs=1e-6)
    assert not set(state.tried()) - {s.candidate for s in state.samples}  # a label is no sample
    batch = campaign.recommend()
    assert card(batch[0], batch.space)["feasibility"]["constraints"]["hull"]["source"] == "computed"
    made = [(r.label, r.design) for r in batch]
    campaign.ingest(table(made, **{"loss (mV)": truth}), name="b1.csv", commit=True)
    assert not campaign.state.pending  # nothing computed is awaited from the lab
    top = ranked(campaign.state, 5)[0]
    assert 0 <= top[0]["feasibility"]["all"] <= 1


def test_measured_values_of_a_computed_metric_are_refused(computed: Any) -> None:
    campaign = computed()
    rows = table(history(campaign, 9)[8:], **{"loss (mV)": truth, "hull (eV/atom)": lambda d: 0.01})
    checked = campaign.check(rows, name="b.csv")
    assert not checked.ok
    assert "hull is computed in this campaign" in str(checked.problems[0])
    with pytest.raises(InvalidInput, match="measured values are another task"):
        campaign.ingest(rows, name="b.csv", commit=True)
    campaign.ingest(rows, name="b.csv", commit=True, mapping={"hull (eV/atom)": "ignore"})
    assert len(campaign.state.observations("hull")) == 12


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Ni,Fe,Co,Mn,other\n1,0,0,0,2\n", "labels.csv has no column 'ef'"),
        (b"Ni,Fe,Co,Mn,ef\n1,0,0,0,two\n", "labels.csv, E2"),
        (b"Ni,Fe,Co,Mn,ef (K)\n1,0,0,0,2\n", "K"),
        (b"Ni,Fe,Co,Mn,ef (eV/atom)\n0.2,0,0,0,2\n", "0.2 instead of 1"),
    ],
)
def test_unusable_labels_are_refused_before_anything_is_written(computed: Any, content: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        computed(content)
    assert any(message in str(problem) for problem in caught.value.problems), caught.value.problems
