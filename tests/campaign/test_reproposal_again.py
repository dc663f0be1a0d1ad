"""Batches proposed anew: more than once, with controls and replicates, within a budget; and vetoes in a race."""

from __future__ import annotations

import csv
import io

import pytest
from small_campaign import ELEMENTS, history, results, truth

from campaign.decisions import VETO_STATED
from db.errors import InvalidInput
from db.store import Store

CONTROL = {"size": 4, "controls": [{"design": {"Ni": 1}}]}


def labels(items):
    return [r.label for r in items]


def roles(items):
    return [r.rationale["role"] for r in items]


def both(samples):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", *ELEMENTS, "loss (mV)", "life (h)"])
    for label, design in samples:
        amounts = [f"{design.get(e, 0):.6g}" for e in ELEMENTS]
        writer.writerow([label, *amounts, f"{truth(design):.3f}", f"{100 * design.get('Mn', 0):.3f}"])
    return text.getvalue().encode()


def test_a_pin_with_several_objectives_stays(start):
    goals = [{"name": "loss", "goal": "minimize", "unit": "mV"}, {"name": "life", "goal": "maximize", "unit": "h"}]
    campaign = start(0, objectives=goals)
    campaign.ingest(both(history(campaign)), name="history.csv", commit=True)
    first = campaign.recommend()
    second = campaign.recommend(pin=["b1-02"])
    assert second[0].candidate == first[1].candidate


def test_a_result_under_the_first_label_answers_all_later_ones(start):
    campaign = start()
    first = campaign.recommend()
    campaign.recommend(pin=["b1-01"])
    campaign.recommend(pin=["b2-01"])
    campaign.ingest(results([("b1-01", first[0].design)]), name="old.csv", commit=True)
    assert labels(campaign.state.pending) == ["b3-02", "b3-03"]


def test_an_empty_veto_is_refused(start):
    campaign = start()
    head = campaign.state.head
    for call in (lambda: campaign.veto(reason="no"), campaign.lift):
        with pytest.raises(InvalidInput, match="no design"):
            call()
    assert campaign.state.head == head


def test_a_veto_ends_what_was_recommended_at_the_same_moment(start, monkeypatch):
    campaign = start()
    wanted = campaign.recommend(dry_run=True)[0]
    append, raced = Store.append, []

    def late(store, name, kind, *args, **options):
        if kind == VETO_STATED and not raced:
            raced.append(campaign.recommend())
        return append(store, name, kind, *args, **options)

    monkeypatch.setattr(Store, "append", late)
    campaign.veto(" ".join(f"{k}={v}" for k, v in wanted.design.items()), reason="toxic")
    assert wanted.candidate in {r.candidate for r in raced[0]}
    assert wanted.candidate not in {r.candidate for r in campaign.state.pending}


def test_pinning_all_of_a_batch_keeps_its_control(start):
    campaign = start(batch=CONTROL)
    campaign.recommend()
    again = campaign.recommend(4, pin=["b1-01", "b1-02", "b1-03"])
    assert roles(again)[-1] == "control"
    assert labels(again) == ["b2-01", "b2-02", "b2-03", "b2-04"]


def test_unmade_replicates_are_taken_over_in_their_role(start):
    campaign = start(batch={"size": 4, "replicates": 1, "controls": [{"design": {"Ni": 1}}]})
    first = campaign.recommend()
    assert roles(first)[2:] == ["replicate", "control"]
    again = campaign.recommend(pin=["b1-01"])
    assert roles(again)[2:] == ["replicate", "control"]
    assert again[2].candidate == first[2].candidate
    assert again[2].rationale["repeats"] == first[2].rationale["repeats"]
    campaign.ingest(results([(r.label, r.design) for r in first[2:]]), name="old.csv", commit=True)
    assert labels(campaign.state.pending) == ["b2-01", "b2-02"]


def test_a_vetoed_replicate_is_not_taken_over(start):
    campaign = start(batch={"size": 3, "replicates": 1})
    first = campaign.recommend()
    again = campaign.recommend(veto=["b1-03"], reason="no")
    assert len(again) == 3
    assert first[2].candidate not in {r.candidate for r in again}


def test_a_batch_proposed_anew_spends_the_budget_once(start):
    campaign = start(budget={"batches": 2})
    campaign.recommend()
    for _ in range(3):
        again = campaign.recommend(pin=[campaign.state.pending[0].label])
        assert not any("over budget" in note for note in again.notes)
    rule, *_ = campaign.status()["stopping"]["rules"]
    assert (rule["value"], rule["met"]) == (1, False)
    campaign.ingest(results([(r.label, r.design) for r in again]), name="a.csv", commit=True)
    assert "recommend" in campaign.status()["next"]
