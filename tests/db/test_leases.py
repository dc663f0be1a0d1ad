"""One proposer at a time: whoever holds the lease may commit, and a lease never outlives its owner for long."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from db_examples import CAMPAIGN, fill

from db.errors import Conflict, InvalidInput
from db.leases import Leased
from db.store import Store

START = datetime(2026, 3, 1, 10, tzinfo=UTC)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(open_store, clock):
    store = open_store(clock=clock)
    fill(store)
    return store


def test_the_second_is_told_who_the_first_is_since_when_and_until_when(store, clock):
    first = store.take_lease(CAMPAIGN, by="ada", seconds=60)
    clock.wait(5)
    with pytest.raises(Leased) as caught:
        store.take_lease(CAMPAIGN, by="ben", seconds=60)
    said = str(caught.value)
    assert all(word in said for word in ("ada", "2026-03-01 10:00:00 UTC", "2026-03-01 10:01:00 UTC")), said
    assert caught.value.exit_code == 4
    assert store.lease(CAMPAIGN) == first
    store.start("second", "start", {}, by="ben")
    assert store.take_lease("second", by="ben", seconds=60).by == "ben"  # campaigns do not share one


def test_a_lease_given_back_is_free(store):
    store.release_lease(store.take_lease(CAMPAIGN, by="ada", seconds=60))
    assert store.lease(CAMPAIGN) is None
    assert store.take_lease(CAMPAIGN, by="ben", seconds=60).by == "ben"


def test_a_lease_lapses_and_what_was_computed_under_it_is_refused_once_somebody_took_it(store, clock):
    first = store.take_lease(CAMPAIGN, by="ada", seconds=60)
    clock.wait(61)
    assert store.lease(CAMPAIGN) is None
    second = store.take_lease(CAMPAIGN, by="ben", seconds=60)
    with pytest.raises(Conflict, match=r"ben took it at 2026-03-01 10:01:01"):
        store.append(CAMPAIGN, "recommend", {}, by="ada", lease=first)
    with pytest.raises(Conflict, match="ben took it"):
        store.renew_lease(first, seconds=60)
    store.release_lease(first)  # not hers any more: nothing happens
    assert store.lease(CAMPAIGN) == second
    assert store.append(CAMPAIGN, "recommend", {}, by="ben", lease=second).seq == 4


def test_a_lapsed_lease_that_nobody_took_is_still_its_owners(store, clock):
    lease = store.take_lease(CAMPAIGN, by="ada", seconds=60)
    clock.wait(600)
    assert store.append(CAMPAIGN, "recommend", {}, by="ada", lease=lease).seq == 4
    store.release_lease(lease)
    with pytest.raises(Conflict, match="was given back"):
        store.append(CAMPAIGN, "recommend", {}, by="ada", lease=lease)


def test_renewing_puts_the_end_off(store, clock):
    lease = store.take_lease(CAMPAIGN, by="ada", seconds=60)
    clock.wait(50)
    longer = store.renew_lease(lease, seconds=60)
    assert (longer.since, longer.until) == (lease.since, "2026-03-01T10:01:50.000000+00:00")
    clock.wait(50)
    with pytest.raises(Leased):
        store.take_lease(CAMPAIGN, by="ben", seconds=60)


def test_results_are_recorded_while_somebody_proposes_and_the_ledger_knows_nothing_of_leases(store):
    lease = store.take_lease(CAMPAIGN, by="ada", seconds=60)
    assert store.append(CAMPAIGN, "ingest", {}, by="ben").seq == 4
    assert store.append(CAMPAIGN, "recommend", {}, by="ada", lease=lease).seq == 5
    assert store.verify(CAMPAIGN) == []


def test_there_is_no_lease_in_a_campaign_that_there_is_not(store):
    with pytest.raises(InvalidInput, match="no such campaign"):
        store.take_lease("nowhere", by="ada", seconds=60)


TAKING = """
import sys, time
from db_examples import CAMPAIGN
from db.store import Store

store = Store.open(sys.argv[1])
store.take_lease(CAMPAIGN, by="ada", seconds=3600)
print("taken", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tells processes apart by /proc")
def test_the_lease_of_a_process_that_was_killed_lapses_at_once(address):
    with Store.open(address, create=True) as store:
        fill(store)
        prologue = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
        taker = subprocess.Popen([sys.executable, "-c", prologue + TAKING, address], stdout=subprocess.PIPE, text=True)
        assert taker.stdout.readline() == "taken\n"
        with pytest.raises(Leased, match=f"process {taker.pid}"):
            store.take_lease(CAMPAIGN, by="ben", seconds=60)
        taker.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 30
        while store.lease(CAMPAIGN) is not None and time.monotonic() < deadline:  # also while nobody has waited for it
            time.sleep(0.01)
        assert store.take_lease(CAMPAIGN, by="ben", seconds=60).by == "ben"
        taker.stdout.close()
        taker.wait()
