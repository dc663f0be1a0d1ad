"""A campaign's memory on every database, with one store open throughout or a new one for every step."""

import datetime as dt
from contextlib import suppress

import pytest

from campaign import Campaign
from campaign.spec import load_spec
from db.errors import InvalidInput
from db.store import Store

SPEC = {
    "spec_version": 1,
    "campaign": "small",
    "seed": 3,
    "space": {"type": "composition_grid", "elements": ["Ni", "Fe", "Co"], "divisions": 6},
    "objectives": [{"name": "loss", "goal": "minimize", "unit": "mV"}],
    "batch": {"size": 3},
    "model": "gp",
}
HISTORY = b"""sample_id,Ni,Fe,Co,loss (mV)
a,0.5,0.5,0,352
b,0,0.5,0.5,371
c,0.5,0,0.5,402
d,1,0,0,455
"""
DAY = dt.timedelta(days=1)


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)

    def __call__(self):
        return self.now


@pytest.fixture(params=["sqlite", "reopened", "postgresql"])
def campaign(request, make_address):
    """A function that gives the campaign, with four samples of history; its `clock` may be set."""
    address, clock, stores = make_address(request.param), Clock(), []

    def open_store():
        stores.append(Store.open(address, create=True, clock=clock))
        return stores[-1]

    started = Campaign.start(load_spec(SPEC), db=open_store(), by="ada")
    started.ingest(HISTORY, name="history.csv", commit=True)

    def get(**options):
        store = open_store() if request.param == "reopened" else stores[0]
        return Campaign.open("small", db=store, by="ben", **options)

    get.clock = clock
    yield get
    for store in stores:
        with suppress(Exception):
            store.close()


def value(campaign, label):
    return next(o.value for o in campaign.state.observations("loss") if o.sample.label == label)


def rows(campaign, **options):
    return campaign._store.measurements("small", **options)


def verified(campaign):
    return campaign._store.verify("small") == []


def test_a_value_by_hand_is_checked_then_recorded_once(campaign):
    for _ in range(2):
        assert campaign().record("a", {"loss": "0.36", "replicate": "2"}, unit="V", sd="0.004").ok
    assert len(rows(campaign())) == 4
    for _ in range(2):
        campaign().record("a", {"loss": "0.36", "replicate": "2"}, unit="V", sd="0.004", commit=True)
    (new,) = rows(campaign())[4:]
    assert (new.value, new.unit, new.sd, new.replicate) == (360.0, "mV", 4.0, "2")
    assert value(campaign(), "a") == 356.0
    assert verified(campaign())


def test_everything_wrong_with_a_value_by_hand_is_said_at_once(campaign):
    with pytest.raises(InvalidInput) as told:
        campaign().record("a", {"loss": "263", "operator": "mk"}, commit=True)
    assert "add --unit mV" in str(told.value)
    checked = campaign().record("nobody knows", {"loss": "twelve mV", "statu": "ok"})
    assert not checked.ok
    assert len(checked.problems) >= 1
    with pytest.raises(InvalidInput, match="could belong to nothing"):
        campaign().record("a", {"status": "failed"}, sd="3")
    assert len(rows(campaign())) == 4


def test_an_amended_value_counts_and_the_old_one_stays(campaign):
    before = campaign().state
    dry = campaign().amend("a/loss", "0.325", unit="V", sd="0.002", reason="digits swapped")
    assert dry.event is None
    assert dry.sentence() == "a/loss: 352 mV -> 325 ± 2 mV"
    assert campaign().state.head == before.head
    done = campaign().amend("a/loss", "0.325", unit="V", sd="0.002", reason="digits swapped", commit=True)
    again = campaign().amend("a/loss", "325 ± 2 mV", reason="digits swapped", commit=True)
    assert again.same
    assert again.event is None
    assert value(campaign(), "a") == 325.0
    old, new = (m for m in rows(campaign(), current=False) if m.sample == done.old.sample)
    assert (old.value, new.value, new.sd) == (352.0, 325.0, 2.0)
    assert (new.supersedes, new.reason) == (old.id, "digits swapped")
    assert campaign().state.snapshot != before.snapshot
    assert verified(campaign())


def test_a_superseded_measurement_cannot_be_amended_again(campaign):
    old = next(m for m in rows(campaign()) if m.value == 352.0)
    campaign().amend(old.id, "325", unit="mV", reason="digits swapped", commit=True)
    with pytest.raises(InvalidInput, match=r"superseded already.*name a/loss"):
        campaign().amend(old.id, "300", unit="mV", reason="again", commit=True)
    assert value(campaign(), "a") == 325.0


@pytest.mark.parametrize("reason", ["", "  "])
def test_corrections_need_a_reason(campaign, reason):
    for correct in (
        lambda: campaign().amend("a/loss", "325", unit="mV", reason=reason, commit=True),
        lambda: campaign().void_measurement("a/loss", reason=reason),
        lambda: campaign().void("a", reason=reason),
        lambda: campaign().expire("b1-01", reason=reason),
    ):
        with pytest.raises(InvalidInput, match="needs a reason"):
            correct()
    assert campaign().state.head.seq == 2


def test_a_void_measurement_does_not_count_and_is_awaited_again(campaign):
    batch = campaign().recommend()
    label = batch[0].label
    campaign().record(label, {"loss": "340 mV"}, commit=True)
    assert label not in campaign().status()["pending"]
    campaign().void_measurement(f"{label}/loss", reason="the electrode was not wetted")
    assert label in campaign().status()["pending"]
    assert len(rows(campaign(), current=False)) == 5
    with pytest.raises(InvalidInput, match="amended or void since"):
        campaign().record(label, {"loss": "340 mV"}, commit=True)
    campaign().record(label, {"loss": "340 mV", "notes": "measured again"}, commit=True)
    assert value(campaign(), label) == 340.0
    assert verified(campaign())


def test_the_next_batch_learns_from_corrected_values_and_the_last_keeps_its_own(campaign):
    first = campaign().recommend(dry_run=True)
    recorded = campaign().recommend()
    campaign().amend("a/loss", "652", unit="mV", reason="a digit was lost", commit=True)
    second = campaign().recommend(more=True, dry_run=True)
    assert second.batch.snapshot != recorded.batch.snapshot == first.batch.snapshot
    assert campaign().batch(1).batch.snapshot == recorded.batch.snapshot
    assert campaign().state.recommendations[0].prediction == recorded[0].prediction


def test_a_view_shows_the_campaign_as_it_was(campaign):
    was = campaign().status()
    campaign.clock.now += 2 * DAY
    campaign().amend("a/loss", "325", unit="mV", reason="digits swapped", commit=True)
    campaign.clock.now += 2 * DAY
    campaign().void("b", reason="mislabelled")
    now = campaign().status()
    for moment in (2, "2", "2026-03-01", "2026-03-02T12:00", "2026-03-02T23:30-08:00"):
        assert campaign(as_of=moment).status() == was
    middle = campaign(as_of="2026-03-03")
    assert value(middle, "a") == 325.0
    assert middle.state.status(next(s.id for s in middle.state.samples if s.label == "b")) == "ok"
    assert (now["void"], now["measured"]) == (1, 3)


def test_a_view_records_nothing(campaign):
    view = campaign(as_of=2)
    for write in (
        lambda: view.recommend(),
        lambda: view.ingest(HISTORY, commit=True),
        lambda: view.record("a", {"loss": "3 mV", "replicate": "2"}, commit=True),
        lambda: view.amend("a/loss", "3 mV", reason="x", commit=True),
        lambda: view.fail("a", mode="x"),
        lambda: view.void("a", reason="x"),
        lambda: view.veto("Ni0.5 Fe0.5", reason="x"),
        lambda: view.expire("a", reason="x"),
    ):
        with pytest.raises(InvalidInput, match="view as of event 2"):
            write()
    assert campaign().state.head.seq == 2


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (0, "has no event 0"),
        ("3", "has no event 3"),
        ("2026-02-28", "before the campaign began"),
        ("spring", "no date, time or event number"),
    ],
)
def test_moments_that_never_were_are_refused(campaign, moment, message):
    with pytest.raises(InvalidInput, match=message):
        campaign(as_of=moment)


def test_pending_items_age_and_expire(campaign):
    batch = campaign().recommend()
    labels = [r.label for r in batch]
    campaign.clock.now += 3 * DAY
    waits = campaign().status()["waiting"]
    assert [(w["sample"], w["days"], w["made"]) for w in waits] == [(label, 3, False) for label in labels]
    assert campaign().expire(older_than=4, reason="late") == ()
    assert campaign().expire(labels[0], reason="the furnace is out of order") == (labels[0],)
    assert campaign().status()["pending"] == labels[1:]
    with pytest.raises(InvalidInput, match="is not pending"):
        campaign().expire(labels[0], reason="twice")
    assert campaign().expire(older_than=3, reason="late") == tuple(labels[1:])
    state = campaign().state
    assert batch[0].candidate not in state.tried()
    again = campaign().recommend()
    assert {r.candidate for r in again} == {r.candidate for r in batch}
    assert verified(campaign())


def test_results_of_an_expired_item_are_accepted(campaign):
    batch = campaign().recommend()
    campaign().expire(batch[0].label, reason="lost in the post")
    campaign().record(batch[0].label, {"loss": "340 mV"}, commit=True)
    state = campaign().state
    assert state.sample_of[batch[0].id].label == batch[0].label
    assert value(campaign(), batch[0].label) == 340.0
