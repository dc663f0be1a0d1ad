"""Outcome constraints that are yes or no for each sample: learned like failed syntheses, through the loop."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from small_campaign import ELEMENTS, history, spec_of, truth

from campaign import Campaign
from campaign.belief import believe
from campaign.cards import card
from campaign.health.base import Look
from campaign.health.data import constraints
from campaign.ranking import ranked
from campaign.spec import load_spec
from campaign.status import best, status
from db.errors import InvalidInput

PURE = {"name": "single_phase", "type": "boolean", "source": "measured", "learned": True, "min_probability": 0.5}


def pure(design: Mapping[str, Any]) -> bool:
    """Nothing with much nickel is of a single phase; the best designs have half of it."""
    return float(design.get("Ni", 0.0)) <= 0.45


def table(
    samples: Sequence[tuple[str, Mapping[str, Any]]],
    answer: Callable[[Mapping[str, Any]], str] = lambda d: "yes" if pure(d) else "no",
    name: str = "single_phase",
) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", *ELEMENTS, "loss (mV)", name])
    for label, design in samples:
        fractions = [f"{design.get(e, 0):.6g}" for e in ELEMENTS]
        writer.writerow([label, *fractions, f"{truth(design):.3f}", answer(design)])
    return text.getvalue().encode()


def begun(start: Any, n: int = 16, answer: Any = None, **changes: Any) -> Campaign:
    campaign = start(0, **{"outcome_constraints": [PURE], "explain": "none", **changes})
    name = campaign.state.constraints[0].name
    options = {} if answer is None else {"answer": answer}
    campaign.ingest(table(history(campaign, n), name=name, **options), name="history.csv", commit=True)
    return campaign


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max": 1.0}, "`max` goes with a number"),
        ({"unit": "mV"}, "`unit` goes with a number"),
        ({"type": "bool"}, "did you mean boolean"),
        ({"type": "number"}, "has neither `min` nor `max`"),
        ({"type": "number", "max": 1.0, "wanted": True}, "write `type: boolean`"),
    ],
)
def test_what_is_said_of_an_invalid_one(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_spec(spec_of(outcome_constraints=[PURE | changes]))
    assert any(message in str(p) for p in caught.value.problems), caught.value.problems


def test_which_answer_is_good_enough() -> None:
    spec = load_spec(spec_of(outcome_constraints=[PURE, {"name": "delaminated", "type": "boolean", "wanted": False}]))
    fcc, loose = spec.outcome_constraints
    assert [(fcc.met(v), loose.met(v)) for v in (1.0, 0.5, 0.0)] == [(True, False), (False, False), (False, True)]
    assert (fcc.limits(), loose.limits()) == ("yes", "no")
    assert load_spec(spec.resolved()) == spec


def test_it_is_told_on_the_card_and_stored_in_the_ledger(start: Any) -> None:
    campaign = begun(start)
    batch = campaign.recommend()
    assert {m.value for m in campaign.state.measurements if m.metric == "single_phase"} == {0.0, 1.0}
    seen = status(campaign.state)["constraints"]["single_phase"]
    assert 0 < seen["met"] < seen["known"] == 16
    assert any("single_phase is yes is learned from" in note for note in batch.notes)
    assert batch.batch.settings["answers"]["single_phase"]["yes"] == seen["met"]
    for r in batch:
        shown = card(r, campaign.state.space)
        found = shown["feasibility"]
        assert found["all"] == pytest.approx(found["constraints"]["single_phase"]["probability"])
        assert any(line.startswith("P(feasible) ") and "single_phase (measured) yes" in line for line in shown["text"])
    assert "single_phase P(feasible)" in batch.to_frame().columns
    assert 0 <= ranked(campaign.state, 3)[0][0]["feasibility"]["each"]["single_phase"] <= 1


def test_the_loop_through_the_worksheet_keeps_to_what_is_pure(start: Any, tmp_path: Any) -> None:
    def share_impure(campaign: Campaign, name: str) -> float:
        for number in range(3):
            batch = campaign.recommend()
            path = campaign.worksheet(tmp_path / f"{name}-{number}.csv")
            rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
            made = {r.label: r.design for r in batch}
            at = {name: rows[0].index(name) for name in ("loss (mV)", f"{name_of(campaign)} (yes/no)")}
            for row in rows[1:]:
                loss, answered = at.values()
                row[loss], row[answered] = f"{truth(made[row[0]]):.3f}", "yes" if pure(made[row[0]]) else "no"
            text = io.StringIO()
            csv.writer(text).writerows(rows)
            assert len(campaign.state.pending) == 3
            campaign.ingest(text.getvalue().encode(), name="batch.csv", commit=True)
            assert not campaign.state.pending
        return float(np.mean([not pure(r.design) for r in campaign.state.recommendations]))

    def name_of(campaign: Campaign) -> str:
        return str(campaign.state.constraints[0].name)

    kept = begun(start)
    told_only = begun(start, outcome_constraints=[PURE | {"learned": False}])
    assert share_impure(kept, "kept") < share_impure(told_only, "told") - 0.2
    top = best(kept.state, kept.state.objectives[0])
    assert top is not None
    assert pure(top.sample.design)
    last = [r for r in kept.state.recommendations if r.batch.endswith("b3")]
    made = {s.label: s.design for s in kept.state.samples}
    assert all(pure(made[r.prediction["loss"]["incumbent"]["sample"]]) for r in last)


def test_wanting_no_is_wanting_yes_of_the_opposite(start: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("campaign.propose.batch_seed", lambda state, number: 17)
    yes = begun(start)
    no = begun(
        start,
        answer=lambda d: "0" if pure(d) else "1",
        outcome_constraints=[{"name": "split", "type": "boolean", "wanted": False}],
    )
    batches = [campaign.recommend() for campaign in (yes, no)]
    assert [dict(r.design) for r in batches[0]] == [dict(r.design) for r in batches[1]]
    chances = [[r.rationale["feasibility"]["all"] for r in batch] for batch in batches]
    assert chances[0] == pytest.approx(chances[1])


def test_what_is_unlikely_comes_last_and_says_so(start: Any) -> None:
    campaign = begun(start, outcome_constraints=[{**PURE, "min_probability": 0.7}], acquisition="greedy")
    batch = campaign.recommend(campaign.state.space.count)
    late = [bool(r.rationale["feasibility"]["late"]) for r in batch]
    assert late == sorted(late)
    assert 0 < sum(late) < len(late)
    assert any("comes after all others" in line for line in card(batch[-1], campaign.state.space)["text"])


def test_one_answer_alone_teaches_nothing_and_is_told(start: Any) -> None:
    campaign = begun(start, answer=lambda d: "no")
    batch = campaign.recommend()
    assert any("every answer so far is no" in note for note in batch.notes)
    assert card(batch[0], campaign.state.space)["feasibility"] is None
    (finding,) = constraints(Look(campaign.state, None))
    assert finding.level == "warn"
    assert "check that yes is the answer you want" in finding.next
    assert best(campaign.state, campaign.state.objectives[0]) is None
    waiting = begun(start, answer=lambda d: "")
    assert any("no answer is known yet" in note for note in waiting.recommend().notes)


def test_a_lonely_yes_is_an_incumbent_though_its_repetition_is_unlikely(start: Any) -> None:
    said: list[str] = []

    def once(design: Mapping[str, Any]) -> str:
        said.append("no" if said else "yes")
        return said[-1]

    campaign = begun(start, answer=once)
    belief = believe(campaign.state, seed=1)
    X = belief.observed().numpy()
    assert belief.eligible(X).sum() == 1
    assert np.isfinite(belief.best_measured())
    assert not any("looks for something" in note for note in campaign.recommend().notes)


def test_beside_a_number_and_failed_syntheses_every_output_keeps_its_bound(start: Any) -> None:
    two = [{"name": "decay", "max": 50.0}, PURE]
    one = [PURE, {"name": "decay", "max": 50.0}]
    found = []
    for constraints_ in (two, one):
        campaign = start(0, outcome_constraints=constraints_, explain="none")
        rows = []
        for i, (label, d) in enumerate(history(campaign, 16)):
            fractions = {e: d.get(e, 0) for e in ELEMENTS}
            told = (
                {"status": "failed"} if i in (3, 7, 9) else {"loss (mV)": truth(d), "decay": 5 + 120 * d.get("Co", 0)}
            )
            rows.append({"sample_id": label, **fractions, "single_phase": "" if i in (3, 7, 9) else pure(d), **told})
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(k for row in rows for k in row)))
        writer.writeheader()
        writer.writerows(rows)
        campaign.ingest(text.getvalue().encode(), name="history.csv", commit=True)
        belief = believe(campaign.state, seed=1)
        X = campaign.state.space.X(np.arange(0, campaign.state.space.count, 9))
        model = belief.model
        assert model.num_outputs == 1 + len(belief.bounds) == 4
        chances = belief.feasibility(X)
        posterior = model.posterior(torch.from_numpy(X).unsqueeze(-2))
        for j, bound in enumerate(belief.bounds[:2]):
            mean, variance = posterior.mean[..., 0, 1 + j], posterior.variance[..., 0, 1 + j]
            assert bound.log_probability(mean, variance.sqrt()).exp().detach().numpy() == pytest.approx(chances[:, j])
        found.append(chances[:, 0 if constraints_ is one else 1])
    assert found[0] == pytest.approx(found[1])
