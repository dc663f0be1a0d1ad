"""Batches proposed anew: pins stay, vetoes keep out, and the ledger only grows."""

from __future__ import annotations

import pytest
from small_campaign import results

from campaign.formulas import formula, parsed
from campaign.propose import propose
from campaign.request import Request
from campaign.sentences import sentences
from campaign.worksheet import worksheet
from db.errors import InvalidInput


def labels(items):
    return [r.label for r in items]


def test_a_pinned_item_stays_and_the_rest_is_superseded(start):
    campaign = start()
    first = campaign.recommend()
    second = campaign.recommend(pin=["b1-02"], veto=["b1-01"], reason="out of stock")
    state = campaign.state
    assert len(second) == 3
    assert second[0].candidate == first[1].candidate
    assert second[0].rationale["pinned"] == "b1-02"
    assert "Pinned: it was b1-02" in sentences(second[0])[0]
    assert first[0].candidate not in {r.candidate for r in second}
    assert labels(state.pending) == ["b2-01", "b2-02", "b2-03"]
    assert len(state.recommendations) == 6  # nothing is deleted
    assert campaign._store.verify(campaign.name) == []
    assert any("vetoed" in note and "out of stock" in note for note in second.notes)
    assert campaign.recommend().items == second.items


def test_a_pin_counts_as_pending_for_the_rest(start):
    campaign = start()
    first = campaign.recommend()
    seen = {}
    import campaign.propose as module

    choose = module.choose

    def spy(*args, **options):
        seen.update(options, X=args[1])
        return choose(*args, **options)

    module.choose = spy
    try:
        propose(campaign.state, Request(pin=("b1-03",)))
    finally:
        module.choose = choose
    assert seen["X_pending"].tolist() == [campaign.state.space.x_of(first[2].design).tolist()]
    assert not (seen["X"] == seen["X_pending"]).all(1).any()


def test_a_veto_lasts_until_it_is_lifted(start):
    campaign = start()
    first = campaign.recommend()
    campaign.veto("b1-01", formula(first[1].design, first.space), reason="toxic")
    state = campaign.state
    assert labels(state.pending) == ["b1-03"]
    assert {v["reason"] for v in campaign.status()["vetoes"]} == {"toxic"}
    rest = campaign.recommend(state.space.count, more=True)
    assert not {first[0].candidate, first[1].candidate} & {r.candidate for r in rest}
    campaign.lift("b1-01")
    assert [v["design"] for v in campaign.status()["vetoes"]] == [dict(first[1].design)]
    assert first[0].candidate not in campaign.state.tried()
    assert "b1-01" not in labels(campaign.state.pending)  # what was superseded stays so


def test_what_was_made_is_left_as_it_is(start):
    campaign = start()
    first = campaign.recommend()
    campaign.ingest(results([("b1-01", first[0].design)]), name="one.csv", commit=True)
    second = campaign.recommend(veto=["b1-02"], reason="no")
    assert len(second) == 2  # as many as are replaced
    assert campaign.state.sample_of[first[0].id].label == "b1-01"
    with pytest.raises(InvalidInput, match="vetoed"):
        campaign.recommend(pin=["b1-02"])


def test_a_result_under_the_old_label_answers_the_new_one(start):
    campaign = start()
    first = campaign.recommend()
    campaign.recommend(pin=["b1-02"])
    campaign.ingest(results([("b1-02", first[1].design)]), name="old.csv", commit=True)
    assert labels(campaign.state.pending) == ["b2-02", "b2-03"]
    assert campaign.status()["objectives"]["loss"]["coverage"][0]["n"] == 1


def test_a_design_is_pinned_by_hand_and_on_the_worksheet(start):
    campaign = start(0)
    batch = campaign.recommend(pin=["Ni0.5 Fe0.5"], n=2)
    assert batch[0].design == {"Ni": 0.5, "Fe": 0.5}
    assert batch[0].rationale["pinned"] == "by hand"
    assert len(worksheet(campaign.state, batch).rows) == 2
    campaign.recommend(veto=["b1-02"], reason="no")
    with pytest.raises(InvalidInput, match="wanted"):
        worksheet(campaign.state, campaign.batch(1))


def test_unmade_controls_are_taken_over(start):
    campaign = start(batch={"size": 4, "controls": [{"design": {"Ni": 1}}]})
    campaign.recommend()
    again = campaign.recommend(pin=["b1-01"])
    assert [r.rationale["role"] for r in again].count("control") == 1
    assert len(again) == 4
    with pytest.raises(InvalidInput, match="control"):
        campaign.veto("Ni1", reason="no")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"veto": ["b1-01"]}, "reason"),
        ({"pin": ["b9-01"]}, "b9-01"),
        ({"pin": ["Ni0.5 Cu0.5"]}, "Cu"),
        ({"pin": ["b1-01"], "veto": ["b1-01"], "reason": "x"}, "vetoed"),
        ({"pin": ["b1-01", "b1-02", "b1-03"]}, "leave nothing"),
        ({"pin": ["b1-01"], "more": True}, "pending"),
    ],
)
def test_what_cannot_be_followed_is_said(start, options, what):
    campaign = start()
    campaign.recommend()
    head = campaign.state.head
    with pytest.raises(InvalidInput, match=what):
        campaign.recommend(**options)
    assert campaign.state.head == head


def test_a_dry_run_with_a_veto_records_nothing(start):
    campaign = start()
    first = campaign.recommend()
    head = campaign.state.head
    batch = campaign.recommend(veto=["b1-01"], reason="no", dry_run=True)
    assert first[0].candidate not in {r.candidate for r in batch}
    assert campaign.state.head == head
    assert campaign.status()["vetoes"] == []


def test_a_design_reads_back_as_it_is_shown(start):
    space = start(0).state.space
    for index in range(0, space.count, 7):
        design = space.candidate(index).design
        assert space.design_candidate(parsed(space, formula(design, space))).id == space.candidate(index).id
