"""Samples shared between campaigns by reference: they count in both, and are corrected in one place."""

import pytest
from small_campaign import results, spec_of

from campaign import Campaign
from campaign.spec import CampaignSpec
from db.errors import InvalidInput


@pytest.fixture
def both(start):
    """A campaign with eight samples, and a second one without any, in volts and with an element more."""
    first = start(8)
    space = {**first.state.spec.resolved()["space"], "elements": ["Ce", "Ni", "Fe", "Co", "Mn"]}
    objectives = [{"name": "loss", "goal": "minimize", "unit": "V"}]
    spec = CampaignSpec.model_validate(spec_of(campaign="second", space=space, objectives=objectives))
    return first, Campaign.start(spec, db=first._store, by="tests")


def values(campaign):
    return {o.sample.label: round(o.value, 6) for o in campaign.state.observations("loss")}


def test_a_shared_sample_counts_in_both_and_is_corrected_in_one_place(both):
    first, second = both
    there = values(first)
    second.share("small", "old-0", "old-1")
    assert values(second) == {f"small:{k}": round(there[k] / 1000, 6) for k in ("old-0", "old-1")}
    assert second.share("small", "old-1") is None
    snapshot = second.state.snapshot
    first.amend("old-0/loss", "250 mV", reason="digits swapped", commit=True)
    first.void_measurement("old-1/loss", reason="wet")
    assert values(second) == {"small:old-0": 0.25}
    assert second.state.snapshot != snapshot
    assert values(first).keys() == there.keys() - {"old-1"}
    with pytest.raises(InvalidInput, match="correct it there"):
        second.amend("small:old-0/loss", "1 V", reason="x", commit=True)
    second.void("small:old-0", reason="another furnace")
    assert values(second) == {}
    assert "old-0" in values(first)
    assert first._store.verify("small") == first._store.verify("second") == []


def test_it_is_not_proposed_and_answers_what_was(both):
    first, second = both
    batch = second.recommend(3)
    first.ingest(results([("made", batch[0].design)]), name="made.csv", commit=True)
    second.share("small", "made")
    assert second.status()["pending"] == [r.label for r in batch.items[1:]]
    second.share("small", *(f"old-{i}" for i in range(8)))
    assert set(second.state.tried()) >= {s.candidate for s in first.state.samples}


def test_a_batch_that_learnt_from_shared_samples_is_replayed_as_they_were(both):
    first, second = both
    second.share("small", *(f"old-{i}" for i in range(6)))
    seen = second.state.head.seq
    before = values(second)
    second.recommend()
    first.amend("old-0/loss", "999 mV", reason="digits swapped", commit=True)
    assert second.replay(1).verdict == "identical"
    assert values(second) != before
    assert second.batch(1).batch.settings["origin"]["as_of"]["others"] == {"small": 2}
    assert seen == 2


def test_what_has_no_place_is_refused_at_once(both):
    first, second = both
    with pytest.raises(InvalidInput) as told:
        second.share("small", "old-0", "old-99", "nobody")
    assert len(told.value.problems) == 2
    with pytest.raises(InvalidInput, match="its own samples"):
        second.share("second", "old-0")
    objectives = [{"name": "loss", "goal": "minimize", "unit": "kg"}]
    third = Campaign.start(
        CampaignSpec.model_validate(spec_of(campaign="third", objectives=objectives)), db=first._store, by="tests"
    )
    with pytest.raises(InvalidInput, match="measures none of loss"):
        third.share("small", "old-0")
    assert second.state.samples == third.state.samples == ()
