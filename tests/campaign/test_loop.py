"""The loop through the facade: start, ingest, recommend, and what must never happen twice."""

from __future__ import annotations

import pytest
from small_campaign import history, results, spec_of, truth

from campaign import Campaign
from campaign.propose import propose
from campaign.recommend import record_batch
from campaign.request import Request
from db.errors import Conflict, InvalidInput


def designs(batch):
    return [tuple(sorted(r.design.items())) for r in batch]


def measure(campaign, batch, *, only=None):
    made = [(r.label, r.design) for r in batch][:only]
    campaign.ingest(results(made), name="batch.csv", commit=True)


def test_a_batch_is_distinct_unmeasured_pending_and_explained(start):
    campaign = start()
    batch = campaign.recommend(4)
    state = campaign.state
    assert len(set(designs(batch))) == 4
    assert not {r.candidate for r in batch} & {s.candidate for s in state.samples}
    assert [r.label for r in state.pending] == ["b1-01", "b1-02", "b1-03", "b1-04"]
    for r in batch:
        expected = r.prediction["loss"]
        assert expected["intervals"]["0.8"]["lower"] < expected["median"] < expected["intervals"]["0.8"]["upper"]
        assert 0 <= expected["probability_of_beating"] <= 1
        assert len(r.rationale["objectives"]["loss"]["effects"]) == 4
        assert len(r.rationale["neighbours"]) == 3
        assert r.rationale["domain"]["stratum"] == r.stratum


def test_the_same_on_two_fresh_databases(start):
    first, second = start().recommend(4), start().recommend(4)
    assert first.items == second.items
    assert first.batch == second.batch


def test_the_order_of_arrival_is_nothing(start):
    first, second = start(0), start(0)
    rows = results([(f"s{i}", d) for i, (_, d) in enumerate(history(first))])
    header, *lines = rows.decode().splitlines()
    first.ingest("\n".join([header, *lines]).encode(), name="a.csv", commit=True)
    second.ingest("\n".join([header, *lines[:4]]).encode(), name="b.csv", commit=True)
    second.ingest("\n".join([header, *reversed(lines[4:])]).encode(), name="c.csv", commit=True)
    assert first.state.snapshot == second.state.snapshot
    assert designs(first.recommend(3)) == designs(second.recommend(3))


def test_minimising_is_maximising_the_negative(start, monkeypatch):
    monkeypatch.setattr("campaign.propose.batch_seed", lambda state, number: 17)  # the two snapshots differ
    smallest = start().recommend(4)
    greatest = start(sign=-1.0, objectives=[{"name": "loss", "goal": "maximize", "unit": "mV"}]).recommend(4)
    assert designs(smallest) == designs(greatest)
    for a, b in zip(smallest, greatest, strict=True):
        low, high = a.prediction["loss"]["intervals"]["0.8"], b.prediction["loss"]["intervals"]["0.8"]
        assert (low["lower"], low["upper"]) == pytest.approx((-high["upper"], -high["lower"]))
        assert a.prediction["loss"]["probability_of_beating"] == pytest.approx(
            b.prediction["loss"]["probability_of_beating"]
        )


@pytest.mark.parametrize("acquisition", ["qLogEI", "UCB", "Thompson", "greedy", "max_variance"])
def test_every_acquisition_recommends(start, acquisition):
    assert len(set(designs(start(acquisition=acquisition).recommend(3)))) == 3


def test_asking_again_returns_the_open_batch(start):
    campaign = start()
    first = campaign.recommend()
    again = campaign.recommend()
    assert again.repeated
    assert again.items == first.items
    assert len(campaign.state.batches) == 1


def test_more_proposes_around_what_is_pending(start):
    campaign = start()
    first, more = campaign.recommend(), campaign.recommend(more=True)
    assert more.batch.number == 2
    assert not set(designs(first)) & set(designs(more))


def test_new_results_end_the_repetition(start):
    campaign = start()
    first = campaign.recommend()
    measure(campaign, first, only=1)
    second = campaign.recommend()
    assert not second.repeated
    assert not set(designs(first)) & set(designs(second))


def test_a_dry_run_records_nothing(start):
    campaign = start()
    before = campaign.state.head
    batch = campaign.recommend(dry_run=True)
    assert not batch.recorded
    assert campaign.state.head == before
    assert campaign.recommend().items == batch.items


def test_of_two_at_once_the_second_is_told(start):
    campaign = start()
    state = campaign.state
    proposals = [propose(state, Request(size=2)), propose(state, Request(size=3))]
    record_batch(campaign._store, state, proposals[0], by="first")
    with pytest.raises(Conflict, match=r"batch\.recommended"):
        record_batch(campaign._store, state, proposals[1], by="second")
    assert len(campaign.state.recommendations) == 2


def test_a_failed_sample_is_not_pending_nor_proposed_again_unless_asked(start):
    campaign = start()
    first = campaign.recommend()
    campaign.fail("b1-01", mode="no precipitate")
    state = campaign.state
    assert [r.label for r in state.pending] == ["b1-02", "b1-03"]
    assert first[0].candidate in state.tried()
    assert first[0].candidate not in state.tried(again=True)
    rest = campaign.recommend(state.space.count, more=True)
    assert first[0].candidate not in {r.candidate for r in rest}


def test_a_void_sample_frees_its_design_and_sets_its_value_aside(start):
    campaign = start()
    first = campaign.recommend()
    measure(campaign, first)
    assert len(campaign.state.observations("loss")) == 11
    campaign.void("b1-01", reason="mislabelled")
    state = campaign.state
    assert len(state.observations("loss")) == 10
    assert first[0].candidate not in state.tried()


def test_without_data_a_batch_fills_the_space_and_says_so(start):
    batch = start(0).recommend(6)
    assert {r.stratum for r in batch} == {"1 element", "2 elements", "3 elements"}
    assert "nothing is measured yet" in batch.notes[0]
    assert all(not r.prediction for r in batch)


def test_a_level_without_enough_data_says_what_it_needs(start):
    expected = start(8).recommend(1)[0].prediction["loss"]["intervals"]["0.95"]
    assert expected["withheld"] == "needs 11 more measurements"
    assert "lower" not in expected


def test_a_space_that_is_used_up_says_so(start):
    campaign = start(0)
    total = campaign.state.space.count
    everything = campaign.recommend(total)
    assert len(everything) == total
    with pytest.raises(InvalidInput, match="every candidate of the space"):
        campaign.recommend(1, more=True)


def test_measured_composition_is_what_is_learned_from(start):
    campaign = start(0)
    campaign.ingest(
        b"sample_id,Ni,Fe,Co,Mn,Ni measured,Fe measured,Co measured,Mn measured,loss (mV)\n"
        b"a,0.5,0.5,0,0,0.47,0.53,0,0,310\n"
        b"b,1,0,0,0,,,,,400\n",
        name="icp.csv",
        commit=True,
    )
    from campaign.belief import training

    state = campaign.state
    data = training(state, state.objectives[0])
    assert data.X[0].tolist() == pytest.approx([0.47, 0.53, 0, 0])
    assert state.samples[0].candidate == state.space.design_candidate({"Ni": 0.5, "Fe": 0.5}).id


def test_replicates_are_averaged_and_their_spread_known(start):
    campaign = start(0)
    campaign.ingest(
        b"sample_id,Ni,Fe,Co,Mn,replicate,loss (mV)\na,1,0,0,0,1,300\na,1,0,0,0,2,304\n", name="r.csv", commit=True
    )
    seen = campaign.state.observations("loss")[0]
    assert (seen.value, seen.n) == (302, 2)
    assert seen.sd == pytest.approx(8**0.5)
    assert seen.variance is None  # two readings do not tell the noise of a lab


def test_the_loop_gets_better(start):
    campaign = start(6)
    for _ in range(4):
        batch = campaign.recommend()
        measure(campaign, batch)
    space = campaign.state.space
    values = sorted(truth(space.candidate(i).design) for i in range(space.count))
    assert campaign.status()["objectives"]["loss"]["best"]["value"] <= values[2]


def test_controls_count_inside_the_batch(start):
    campaign = start(batch={"size": 3, "controls": [{"design": {"Ni": 0.5, "Fe": 0.5}}]})
    batch = campaign.recommend()
    assert [r.rationale["role"] for r in batch][-1] == "control"
    assert len(batch) == 3
    assert dict(batch[2].design) == {"Ni": 0.5, "Fe": 0.5}


def test_several_objectives_are_fitted_and_chosen_together(start):
    campaign = start(
        0, objectives=[{"name": "loss", "goal": "minimize", "unit": "mV"}, {"name": "cost", "goal": "minimize"}]
    )
    lines = ["sample_id,Ni,Fe,Co,Mn,loss (mV),cost"]
    for label, d in history(campaign):
        fractions = ",".join(f"{d.get(e, 0):.4f}" for e in ("Ni", "Fe", "Co", "Mn"))
        lines.append(f"{label},{fractions},{truth(d):.2f},{d.get('Co', 0):.3f}")
    campaign.ingest("\n".join(lines).encode(), name="two.csv", commit=True)
    batch = campaign.recommend(3)
    assert len(set(designs(batch))) == 3
    assert set(batch[0].prediction) == {"loss", "cost"}


def test_a_matched_objective_is_approached(start):
    campaign = start(10, objectives=[{"name": "loss", "goal": "match", "unit": "mV", "target": 330}])
    for _ in range(2):
        measure(campaign, campaign.recommend())
    assert abs(campaign.status()["objectives"]["loss"]["best"]["value"] - 330) < 10


def test_a_campaign_opens_by_name_and_shows_itself(start, tmp_path):
    campaign = start()
    campaign.recommend()
    url = f"sqlite:///{tmp_path}/db1.db"
    assert repr(Campaign.open("small", db=url)) == repr(campaign)
    assert "8 measured, 3 pending" in repr(campaign)
    with pytest.raises(InvalidInput, match="small"):
        Campaign.open("smal", db=url)


def test_a_name_is_taken_once(start, tmp_path):
    import yaml

    start()
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(spec_of()))
    with pytest.raises(Conflict):
        Campaign.start(path, db=f"sqlite:///{tmp_path}/db1.db")


def test_objectives_measured_on_different_samples_are_learned_all_the_same(start):
    campaign = start(
        0, objectives=[{"name": "loss", "goal": "minimize", "unit": "mV"}, {"name": "cost", "goal": "minimize"}]
    )
    lines = ["sample_id,Ni,Fe,Co,Mn,loss (mV),cost"]
    for i, (label, d) in enumerate(history(campaign)):
        fractions = ",".join(f"{d.get(e, 0):.4f}" for e in ("Ni", "Fe", "Co", "Mn"))
        lines.append(f"{label},{fractions}," + (f"{truth(d):.2f}," if i % 2 else f",{d.get('Co', 0):.3f}"))
    campaign.ingest("\n".join(lines).encode(), name="two.csv", commit=True)
    assert len(set(designs(campaign.recommend(2)))) == 2


def test_two_samples_by_hand_do_not_answer_one_recommendation(start):
    campaign = start()
    first = campaign.recommend(2)[0]
    campaign.ingest(results([("x", first.design), ("y", first.design)]), name="twice.csv", commit=True)
    answers = [s.recommendation for s in campaign.state.samples if s.label in ("x", "y")]
    assert answers == [first.id, None]


def test_the_same_bytes_are_recorded_once(start):
    campaign = start(0)
    content = results(history(campaign))
    campaign.ingest(content, name="a.csv", commit=True)
    head = campaign.state.head
    campaign.ingest(content, name="b.csv", commit=True)
    assert campaign.state.head == head
    assert campaign.recorded(content)


def test_nothing_is_written_unless_every_row_is_good(start):
    campaign = start(0)
    head = campaign.state.head
    good = results(history(campaign))
    with pytest.raises(InvalidInput, match=r"bad\.csv"):
        campaign.ingest(good + b"z,0.5,0.5,0,0,tall\n", name="bad.csv", commit=True)
    assert campaign.state.head == head


def test_a_worksheet_filled_in_comes_back(start, tmp_path):
    import openpyxl

    campaign = start()
    batch = campaign.recommend(3)
    path = campaign.worksheet(tmp_path / "b.xlsx")
    book = openpyxl.load_workbook(path)
    sheet = book["batch"]
    header = [cell.value for cell in sheet[1]]
    for i, row in enumerate(sheet.iter_rows(min_row=2), start=1):
        if i == 3:
            row[header.index("status")].value = "failed"
            row[header.index("failure_mode")].value = "film delaminated"
        else:
            row[header.index("loss (mV)")].value = 300 + i
    book.save(path)
    campaign.ingest(path, commit=True)
    state = campaign.state
    assert state.pending == ()
    assert [state.status(state.sample_of[r.id].id) for r in batch] == ["ok", "ok", "failed"]
    with pytest.raises(InvalidInput, match="pdf"):
        campaign.worksheet(tmp_path / "b.pdf")


def test_results_that_arrive_while_a_batch_is_computed_are_taken_in(start, monkeypatch):
    campaign, other = start(), None
    from campaign import recommend as module

    compute = module.propose

    def slow(state, request, **options):
        nonlocal other
        proposal = compute(state, request, **options)
        if other is None:  # somebody records the very design that is about to be recommended
            other = proposal.recommendations[0]
            campaign.ingest(results([("late", other.design)]), name="late.csv", commit=True)
        return proposal

    monkeypatch.setattr(module, "propose", slow)
    batch = campaign.recommend(2)
    assert other.candidate not in {r.candidate for r in batch}
    assert batch.batch.snapshot == campaign.state.snapshot


def test_a_batch_of_somebody_else_is_not_doubled(start, monkeypatch):
    from campaign import recommend as module

    campaign, compute, done = start(), module.propose, []

    def slow(state, request, **options):
        proposal = compute(state, request, **options)
        if not done:
            done.append(True)
            module.record_batch(campaign._store, state, compute(state, Request(size=1)), by="somebody")
        return proposal

    monkeypatch.setattr(module, "propose", slow)
    with pytest.raises(module.BatchConflict, match="b1-01"):
        campaign.recommend(2)
    assert len(campaign.state.recommendations) == 1


def test_bounds_are_not_averaged(start):
    campaign = start(0)
    campaign.ingest(
        b"sample_id,Ni,Fe,Co,Mn,replicate,loss (mV)\na,1,0,0,0,1,<300\na,1,0,0,0,2,<280\n"
        b"b,0,1,0,0,1,<300\nb,0,1,0,0,2,>200\nc,0,0,1,0,1,<300\nc,0,0,1,0,2,290\n",
        name="r.csv",
        commit=True,
    )
    seen = {o.sample.label: (o.value, o.censor) for o in campaign.state.observations("loss")}
    assert seen == {"a": (280, -1), "c": (290, 0)}


def test_the_same_file_read_another_way_is_not_the_same(start):
    campaign = start(0)
    content = b"sample_id,Ni,Fe,Co,Mn,first (mV),second (mV)\na,1,0,0,0,300,310\nb,0,1,0,0,301,311\n"
    campaign.ingest(content, name="r.csv", mapping={"first (mV)": "loss", "second (mV)": "ignore"}, commit=True)
    assert not campaign.recorded(content, mapping={"second (mV)": "loss", "first (mV)": "ignore"})
    with pytest.raises(InvalidInput, match="on record"):
        campaign.ingest(content, name="r.csv", mapping={"second (mV)": "loss", "first (mV)": "ignore"}, commit=True)


def test_going_over_budget_is_said(start):
    campaign = start(8, budget={"samples": 10, "batches": 1})
    assert not any("budget" in note for note in campaign.recommend(2).notes)
    more = campaign.recommend(2, more=True)
    assert more.notes[-2:] == ("over budget: 12 samples of 10", "over budget: 2 batches of 1")


def test_objectives_and_columns_keep_the_order_of_the_spec(start):
    objectives = [{"name": "zeta", "goal": "minimize"}, {"name": "alpha", "goal": "maximize"}]
    campaign = start(0, objectives=objectives)
    lines = ["sample_id,Ni,Fe,Co,Mn,zeta,alpha"]
    for label, d in history(campaign):
        fractions = ",".join(f"{d.get(e, 0):.4f}" for e in ("Ni", "Fe", "Co", "Mn"))
        lines.append(f"{label},{fractions},{truth(d):.2f},{d.get('Co', 0):.3f}")
    campaign.ingest("\n".join(lines).encode(), name="two.csv", commit=True)
    fresh, kept = campaign.recommend(2), campaign.recommend(2)
    for batch in (fresh, kept):
        assert list(batch[0].prediction) == ["zeta", "alpha"]
        first = batch.to_json()["recommendations"][0]
        assert first["prediction"]["objective"] == "zeta"
        assert list(first["composition"]) == [e for e in ("Ni", "Fe", "Co", "Mn") if e in first["composition"]]
