"""Two people, one campaign: one of them proposes, the other is told; results come in all the while."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from small_campaign import results

from campaign import Campaign, proposing
from campaign import recommend as module
from campaign.overdue import overdue, question
from campaign.status import status
from db.errors import Conflict
from db.leases import Leased


def meanwhile(monkeypatch, act):
    """Let `act` happen once, when a batch is computed and not yet recorded."""
    compute, done = module.propose, []

    def slow(state, request, **options):
        proposal = compute(state, request, **options)
        if not done:
            done.append(True)
            act(proposal)
        return proposal

    monkeypatch.setattr(module, "propose", slow)


def test_the_second_proposer_is_told_who_the_first_is_and_waits_for_nothing(start, monkeypatch):
    campaign = start()
    other = Campaign.open("small", db=campaign._store.url, by="ben")
    told = []

    def second(_):
        told.append(campaign.status()["proposing"])
        with pytest.raises(Leased, match="tests") as caught:
            other.recommend(2)
        told.append(str(caught.value))
        assert other.recommend(1, dry_run=True).recorded is False  # a dry run commits nothing

    meanwhile(monkeypatch, second)
    batch = campaign.recommend(2)
    assert len(told) == 2
    assert "tests" in told[0]
    assert [r.label for r in other.recommend()] == [r.label for r in batch]
    assert campaign.status()["proposing"] is None


def test_results_that_arrive_meanwhile_are_accepted_and_taken_in(start, monkeypatch):
    campaign = start()
    late = []

    def ingest(proposal):
        late.append(proposal.recommendations[0].candidate)
        campaign.ingest(results([("late", proposal.recommendations[0].design)]), name="late.csv", commit=True)

    meanwhile(monkeypatch, ingest)
    batch = campaign.recommend(2)
    assert late[0] not in {r.candidate for r in batch}
    assert batch.batch.snapshot == campaign.state.snapshot
    assert campaign._store.lease("small") is None


def test_a_batch_whose_lease_was_taken_over_is_not_recorded(start, monkeypatch):
    campaign = start()
    now = [datetime.now(UTC)]
    campaign._store._clock = lambda: now[0]

    def sleep(_):  # a laptop that was closed for a while
        now[0] += timedelta(seconds=proposing.LEASE_SECONDS + 1)
        campaign._store.take_lease("small", by="ben", seconds=60)

    meanwhile(monkeypatch, sleep)
    with pytest.raises(Conflict, match="ben took it"):
        campaign.recommend(2)
    assert campaign.state.batches == ()
    assert campaign._store.lease("small").by == "ben"


def test_a_lease_is_renewed_for_as_long_as_it_takes(start, monkeypatch):
    campaign = start()
    monkeypatch.setattr(proposing, "LEASE_SECONDS", 0.3)
    with proposing.under_lease(campaign._store, "small", by="ada") as lease:
        first = lease.until
        for _ in range(200):
            held = campaign._store.lease("small")
            if held is not None and held.until > first:
                break
            proposing.threading.Event().wait(0.05)
        assert held.owner == lease.owner
        assert held.until > first
    assert campaign._store.lease("small") is None


def test_what_a_failing_proposal_held_is_given_back(start):
    campaign = start()
    with pytest.raises(RuntimeError), proposing.under_lease(campaign._store, "small", by="ada"):
        raise RuntimeError
    assert campaign._store.lease("small") is None


def at(state, *, days):
    """A state looked at some days later."""
    later = datetime.fromisoformat(state.moment) + timedelta(days=days, seconds=1)
    return replace(state, moment=later.isoformat())


def test_what_the_lab_has_had_for_too_long_is_asked_about(start):
    campaign = start(batch={"size": 3, "due_days": 14})
    batch = campaign.recommend(3)
    campaign.ingest(results([(batch[0].label, batch[0].design)]), name="r.csv", commit=True)
    state = campaign.state
    assert overdue(state) == ()
    found = overdue(at(state, days=20))
    assert [item.sample for item in found] == [r.label for r in batch[1:]]
    assert found[0].days == 20
    assert overdue(at(state, days=13)) == ()
    said = question(found, "small", 14)
    assert all(word in said for word in ("b1-02", "b1-03", "14 days", "20", "siteloop expire"))
    assert "b1-01" not in said
    assert question((), "small", 14) == ""


def test_status_asks(start):
    campaign = start()
    campaign.recommend(2)
    assert campaign.status()["overdue"] == []
    found = status(at(campaign.state, days=31))
    assert [item["sample"] for item in found["overdue"]] == ["b1-01", "b1-02"]
    assert found["next"].startswith("b1-01 and b1-02 are pending for 30 days or more")
