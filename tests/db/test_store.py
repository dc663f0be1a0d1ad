"""The contract of the store, held over every database."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from db_examples import (
    BATCH,
    CAMPAIGN,
    CANDIDATE,
    COMPOSITION,
    CORRECTION,
    MEASUREMENT,
    MODEL,
    PREDICTION,
    RECOMMENDATION,
    SAMPLE,
    SOURCE,
    SPEC,
    fill,
)

from db import chain
from db.errors import Conflict, InvalidInput
from db.records import Candidate, Source
from db.store import Store


def test_what_comes_back_equals_what_was_put_in(store):
    fill(store)
    assert store.campaigns() == [CAMPAIGN]
    assert store.spec(CAMPAIGN) == SPEC
    assert store.source(SOURCE.sha256) == SOURCE
    assert store.candidate(CANDIDATE.id) == CANDIDATE
    assert store.batches(CAMPAIGN) == [BATCH]
    assert store.recommendations(CAMPAIGN) == store.recommendations(CAMPAIGN, BATCH.id) == [RECOMMENDATION]
    assert store.recommendations(CAMPAIGN, "batch-2") == []
    assert store.samples(CAMPAIGN) == [SAMPLE]
    assert store.measurements(CAMPAIGN) == [MEASUREMENT, COMPOSITION]
    assert store.measurements(CAMPAIGN, metric="composition") == [COMPOSITION]
    assert store.source("0") is None
    assert store.candidate("0") is None


def test_events_are_numbered_linked_and_name_their_rows(store):
    fill(store)
    events = store.events(CAMPAIGN)
    assert [(e.seq, e.kind, e.by) for e in events] == [
        (1, "start", "ada"),
        (2, "recommend", "ada"),
        (3, "ingest", "ben"),
    ]
    assert [e.prev_hash for e in events] == [chain.genesis(CAMPAIGN), events[0].hash, events[1].hash]
    assert store.head(CAMPAIGN) == events[-1]
    assert events[0].payload["n"] == 1
    assert {table: set(rows) for table, rows in events[2].payload["rows"].items()} == {
        "source": {SOURCE.sha256},
        "sample": {SAMPLE.id},
        "measurement": {MEASUREMENT.id, COMPOSITION.id},
    }
    assert "candidate" not in events[1].payload["rows"]
    assert [e.seq for e in store.events(CAMPAIGN, kinds=["start", "ingest"])] == [1, 3]
    assert [e.seq for e in store.events(CAMPAIGN, after=2)] == [3]
    assert store.events(CAMPAIGN, kinds=[]) == []


def test_a_filled_campaign_verifies_and_append_returns_what_is_stored(store):
    fill(store)
    event = store.append(CAMPAIGN, "note", {"tuple": (1, 2), "zero": -0.0}, by="ada")
    assert store.head(CAMPAIGN) == event
    assert event.payload == {"tuple": [1, 2], "zero": 0.0, "rows": {}}
    assert store.verify(CAMPAIGN) == []


def test_a_superseded_measurement_is_no_longer_current(store):
    fill(store)
    store.append(CAMPAIGN, "correct", {}, rows=[CORRECTION], by="ada")
    assert store.measurements(CAMPAIGN) == [COMPOSITION, CORRECTION]
    assert store.measurements(CAMPAIGN, current=False) == [MEASUREMENT, COMPOSITION, CORRECTION]
    assert store.measurements(CAMPAIGN, metric="overpotential") == [CORRECTION]


def test_rows_come_back_in_the_order_of_recording_not_of_their_ids(store):
    fill(store)
    ids = ["z", "A", "a", "_", "é", "10", "9"]
    store.append(CAMPAIGN, "x", {}, rows=[replace(SAMPLE, id=i, label=i, recommendation=None) for i in ids], by="ada")
    assert [sample.id for sample in store.samples(CAMPAIGN)] == [SAMPLE.id, *ids]


def test_spec_gives_the_newest_revision_or_the_one_asked_for(store):
    fill(store)
    second = replace(SPEC, id="spec-2", revision=2, reason="more Ce")
    store.append(CAMPAIGN, "amend", {}, rows=[second], by="ada")
    assert store.spec(CAMPAIGN) == second
    assert store.spec(CAMPAIGN, 1) == SPEC
    with pytest.raises(InvalidInput, match=r"no spec revision 3.*one of 1, 2"):
        store.spec(CAMPAIGN, 3)


def test_starting_a_campaign_twice_is_a_conflict(store):
    fill(store)
    with pytest.raises(Conflict, match=CAMPAIGN):
        store.start(CAMPAIGN, "start", {}, by="ben")
    assert len(store.events(CAMPAIGN)) == 3


@pytest.mark.parametrize("call", ["require", "head", "spec", "verify"])
def test_an_unknown_campaign_gets_a_suggestion(store, call):
    store.start("oer-plate", "start", {}, by="ada")
    store.start("alloys", "start", {}, by="ada")
    with pytest.raises(InvalidInput, match=r"did you mean oer-plate\? There are: alloys, oer-plate"):
        getattr(store, call)("oer-plat")
    with pytest.raises(InvalidInput, match=r"there are: alloys, oer-plate"):
        store.append("zzz", "note", {}, by="ada")


def test_without_campaigns_the_message_says_how_to_start_one(store):
    with pytest.raises(InvalidInput, match="siteloop start"):
        store.require("oer-plate")
    assert store.campaigns() == []


@pytest.mark.parametrize(
    "row",
    [
        SAMPLE,
        replace(SAMPLE, id="sample-2"),
        replace(BATCH, id="batch-2"),
        replace(RECOMMENDATION, id="rec-2"),
        replace(SPEC, id="spec-2"),
        MEASUREMENT,
    ],
    ids=["id", "sample label", "batch number", "recommendation label", "revision", "measurement id"],
)
def test_what_is_taken_is_a_conflict_and_nothing_is_written(store, row):
    fill(store)
    with pytest.raises(Conflict, match="taken"):
        store.append(CAMPAIGN, "again", {}, rows=[replace(COMPOSITION, id="m-9"), row], by="ada")
    assert len(store.events(CAMPAIGN)) == 3
    assert store.measurements(CAMPAIGN) == [MEASUREMENT, COMPOSITION]


def test_the_same_id_twice_in_one_event_is_a_conflict_that_names_all(store):
    fill(store)
    rows = [replace(COMPOSITION, id="m-9"), replace(COMPOSITION, id="m-9"), MEASUREMENT]
    with pytest.raises(Conflict) as caught:
        store.append(CAMPAIGN, "again", {}, rows=rows, by="ada")
    assert [problem.where for problem in caught.value.problems] == ["measurement m-1", "measurement m-9"]


def test_a_row_that_refers_to_nothing_is_refused(store):
    fill(store)
    with pytest.raises(InvalidInput, match="refers to one that is not there"):
        store.append(CAMPAIGN, "x", {}, rows=[replace(MEASUREMENT, id="m-9", sample="nobody")], by="ada")
    assert len(store.events(CAMPAIGN)) == 3


def test_candidates_and_sources_are_inserted_if_absent_and_keep_their_first_name(store):
    fill(store)
    store.start("second", "start", {}, rows=[replace(SPEC, id="spec-b", campaign="second")], by="ada")
    renamed = Source(SOURCE.sha256, "other name.csv", SOURCE.content)
    other = Candidate("ni100", {"Ni": 1.0}, "1 element")
    store.append("second", "ingest", {}, rows=[renamed, CANDIDATE, other, other], by="ada")
    assert store.source(SOURCE.sha256) == SOURCE
    assert store.candidate("ni100") == other
    assert store.verify("second") == store.verify(CAMPAIGN) == []


def test_an_event_of_a_named_kind_in_between_is_a_conflict(store):
    fill(store)
    with pytest.raises(Conflict, match=r"event 2: ada recorded 'recommend'"):
        store.append(CAMPAIGN, "recommend", {}, by="ben", after=1, unless={"recommend", "amend"})
    assert store.append(CAMPAIGN, "recommend", {}, by="ben", after=2, unless={"recommend"}).seq == 4
    assert store.append(CAMPAIGN, "note", {}, by="ben", after=1).seq == 5


@pytest.mark.parametrize(
    ("row", "where"),
    [
        (replace(MEASUREMENT, id="m-9", value=float("nan")), "measurement.value"),
        (replace(MEASUREMENT, id="m-9", sd=float("inf")), "measurement.sd"),
        (replace(MEASUREMENT, id="m-9", value=10**400), "measurement.value"),
        (replace(MEASUREMENT, id="m-9", conditions={"j": float("nan")}), "measurement.conditions"),
        (replace(MEASUREMENT, id="m-9", conditions={1: "j"}), "measurement.conditions"),
        (replace(MEASUREMENT, id="m-9", conditions={"j": b"10"}), "measurement.conditions"),
        (replace(MEASUREMENT, id="m-9", reason="NUL \x00"), "measurement.reason"),
        (replace(MEASUREMENT, id="m-9", reason="half \ud800"), "measurement.reason"),
        (replace(MEASUREMENT, id="m-9", metric=None), "measurement.metric"),
        (replace(SAMPLE, id="s-9", label=9), "sample.label"),
        (replace(BATCH, id="b-9", seed=2**63), "batch.seed"),
        (replace(BATCH, id="b-9", number=1.5), "batch.number"),
    ],
)
def test_values_that_cannot_come_back_equal_are_refused_by_field(store, row, where):
    fill(store)
    with pytest.raises(InvalidInput) as caught:
        store.append(CAMPAIGN, "x", {}, rows=[row], by="ada")
    assert [problem.where for problem in caught.value.problems] == [where]
    with pytest.raises(InvalidInput, match=r"event\.payload"):
        store.append(CAMPAIGN, "x", {"value": float("nan")}, by="ada")
    assert len(store.events(CAMPAIGN)) == 3


def test_whole_numbers_in_a_real_column_verify(store):
    fill(store)
    rows = [replace(MEASUREMENT, id="m-8", value=271), replace(MEASUREMENT, id="m-9", value=-0.0, sd=1e-320)]
    store.append(CAMPAIGN, "x", {}, rows=rows, by="ada")
    assert store.measurements(CAMPAIGN)[2:] == rows
    assert store.verify(CAMPAIGN) == []


def test_what_only_a_program_can_get_wrong_is_a_value_error(store):
    fill(store)
    with pytest.raises(ValueError, match="belongs to campaign"):
        store.append(CAMPAIGN, "x", {}, rows=[replace(SAMPLE, id="s-9", campaign="other")], by="ada")
    with pytest.raises(ValueError, match="does not have the hash"):
        store.append(CAMPAIGN, "x", {}, rows=[replace(SOURCE, content=b"other")], by="ada")
    with pytest.raises(ValueError, match="key 'rows'"):
        store.append(CAMPAIGN, "x", {"rows": {}}, by="ada")


def test_the_clock_is_the_one_given_and_is_stored_as_utc(open_store):
    store = open_store(clock=lambda: datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert store.start(CAMPAIGN, "start", {}, by="ada").at == "2026-03-01T10:00:00.000000+00:00"
    assert store.verify(CAMPAIGN) == []


def test_a_clock_without_a_time_zone_is_refused(open_store):
    store = open_store(clock=lambda: datetime.now(UTC).replace(tzinfo=None))
    with pytest.raises(ValueError, match="time zone"):
        store.start(CAMPAIGN, "start", {}, by="ada")
    assert store.campaigns() == []


def test_caches_are_overwritten_in_place(store):
    fill(store)
    store.put_model_version(MODEL)
    store.put_model_version(replace(MODEL, scores={"winkler": 40.0}))
    assert store.model_version("recipe", "data", 7) == replace(MODEL, scores={"winkler": 40.0})
    assert store.model_version("recipe", "data", 8) is None
    assert len(store.model_versions(CAMPAIGN)) == 1
    other = replace(PREDICTION, candidate="a", objective="stability")
    store.put_predictions([PREDICTION])
    store.put_predictions([replace(PREDICTION, body={"median": 1}), other])
    assert store.predictions("recipe", "data", 7) == [other, replace(PREDICTION, body={"median": 1})]
    assert store.predictions("recipe", "data", 7, objective="stability") == [other]
    assert store.predictions("recipe", "other data", 7) == []
    store.put_predictions([])


def test_campaigns_with_the_same_data_keep_their_own_model_versions(store):
    fill(store)
    store.start("second", "start", {}, by="ada")
    versions = [MODEL, replace(MODEL, campaign="second")]
    for version in versions:
        store.put_model_version(version)
    assert [store.model_versions(name) for name in (CAMPAIGN, "second")] == [[version] for version in versions]


def test_a_model_version_of_no_campaign_is_refused(store):
    with pytest.raises(InvalidInput, match="not there"):
        store.put_model_version(MODEL)


def test_more_rows_than_one_look_up_takes(store):
    fill(store)
    rows = [replace(COMPOSITION, id=f"many-{i:04}") for i in range(1200)]
    store.append(CAMPAIGN, "ingest", {}, rows=rows, by="ada")
    assert store.measurements(CAMPAIGN)[2:] == rows
    with pytest.raises(Conflict, match="many-1199"):
        store.append(
            CAMPAIGN, "ingest", {}, rows=[replace(rows[i], id=f"new-{i}") for i in range(700)] + rows[-1:], by="a"
        )


def test_reading_sees_one_moment(open_store):
    reader, writer = open_store(), open_store()
    fill(writer)
    reader = getattr(reader, "_store", reader)  # a snapshot cannot outlive a reopening
    with reader.reading():
        assert reader.head(CAMPAIGN).seq == 3
        writer.append(CAMPAIGN, "correct", {}, rows=[CORRECTION], by="ben")
        with reader.reading():
            assert reader.head(CAMPAIGN).seq == 3
        assert reader.measurements(CAMPAIGN) == [MEASUREMENT, COMPOSITION]
    assert reader.head(CAMPAIGN).seq == 4
    assert reader.measurements(CAMPAIGN) == [COMPOSITION, CORRECTION]


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_one_store_serves_many_threads(address):
    with Store.open(address, create=True) as store:
        store.start(CAMPAIGN, "start", {}, by="ada")

        def work(n):
            for i in range(8):
                store.append(CAMPAIGN, "note", {"n": n, "i": i}, by=f"thread {n}")
                assert store.head(CAMPAIGN).seq > i

        _together(*(lambda n=n: work(n) for n in range(6)))
        events = store.events(CAMPAIGN)
        assert [event.seq for event in events] == list(range(1, 50))
        for n in range(6):
            assert [e.payload["i"] for e in events if e.by == f"thread {n}"] == list(range(8))
        assert store.verify(CAMPAIGN) == []


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_of_two_commands_that_began_together_one_wins(address):
    with Store.open(address, create=True) as first, Store.open(address) as second:
        seen = first.start(CAMPAIGN, "start", {}, by="ada").seq
        lost = []

        def recommend(store, by):
            try:
                store.append(CAMPAIGN, "recommend", {}, by=by, after=seen, unless=["recommend"])
            except Conflict as conflict:
                lost.append((by, str(conflict)))

        _together(lambda: recommend(first, "ada"), lambda: recommend(second, "ben"))
        (winner,) = [event.by for event in first.events(CAMPAIGN, kinds=["recommend"])]
        ((loser, message),) = lost
        assert {winner, loser} == {"ada", "ben"}
        assert f"{winner} recorded 'recommend'" in message


@pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
def test_many_may_create_the_database_at_once(address):
    def create():
        Store.open(address, create=True).close()

    _together(*[create] * 5)
    with Store.open(address) as store:
        assert store.campaigns() == []


def _together(*tasks):
    """Run tasks in threads that begin together, and raise the first error of any."""
    barrier = threading.Barrier(len(tasks))
    errors = []

    def run(task):
        barrier.wait()
        try:
            task()
        except BaseException as error:  # noqa: BLE001  raised again below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
