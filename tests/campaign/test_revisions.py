"""A spec is revised: what changed is told, what may not change is refused, and the campaign goes on."""

import pytest
from small_campaign import ELEMENTS, results, spec_of

from campaign import Campaign
from campaign.spec import CampaignSpec
from db.errors import InvalidInput


def revised(**changes):
    return CampaignSpec.model_validate(spec_of(**changes))


def space(*elements, **changes):
    return {"type": "composition_grid", "elements": list(elements), "divisions": 6, "max_elements": 3} | changes


def test_a_dry_run_tells_what_changes_and_records_nothing(start):
    campaign = start(0)
    head = campaign.state.head
    found = campaign.revise(revised(space=space(*ELEMENTS, "Ce"), batch={"size": 5}))
    assert found.changes == ("space.elements: +'Ce'", "batch.size: 3 -> 5")
    assert found.notes[0] == "74 candidates become 155"
    assert found.event is None
    assert campaign.state.head == head


def test_a_revision_needs_a_reason_and_is_kept_with_it(start):
    campaign = start(0)
    with pytest.raises(InvalidInput, match="needs a reason"):
        campaign.revise(revised(seed=4), commit=True)
    campaign.revise(revised(seed=4), reason="a new start", commit=True)
    assert campaign.state.spec.seed == 4
    kept = [campaign._store.spec("small", n) for n in (1, 2)]
    assert [(k.revision, k.reason, k.spec["seed"]) for k in kept] == [(1, None, 3), (2, "a new start", 4)]
    assert campaign._store.verify("small") == []
    again = campaign.revise(revised(seed=4), reason="again", commit=True)
    assert (again.changes, again.event) == ((), None)


def test_what_may_not_change_is_refused_at_once(start):
    campaign = start(4, outcome_constraints=[{"name": "gain", "min": 1, "unit": "V"}])
    head = campaign.state.head
    with pytest.raises(InvalidInput) as told:
        campaign.revise(
            revised(
                campaign="large",
                objectives=[
                    {"name": "loss", "goal": "maximize", "unit": "V"},
                    {"name": "more", "goal": "minimize", "unit": "V"},
                ],
                outcome_constraints=[{"name": "gain", "min": 1, "unit": "mV"}],
            ),
            reason="all of it",
            commit=True,
        )
    places = [p.where for p in told.value.problems]
    assert places == [
        *("campaign", "objectives, loss.unit", "objectives, loss.goal", "objectives", "outcome_constraints, gain.unit")
    ]
    assert "new campaign" in str(told.value)
    assert campaign.state.head == head


def test_a_space_that_loses_what_was_made_is_refused(start):
    campaign = start(8)
    made = {e for s in campaign.state.samples for e in s.design}
    assert made == set(ELEMENTS)
    with pytest.raises(InvalidInput, match="is not a component of this space"):
        campaign.revise(revised(space=space("Ni", "Fe", "Co")))


def test_a_wider_space_is_proposed_from_and_all_else_follows(start):
    campaign = start(8)
    first = campaign.recommend()
    pending = campaign.status()["pending"]
    snapshot = campaign.state.snapshot
    campaign.revise(
        revised(space=space("Ce", *ELEMENTS, divisions=12, max_elements=4), batch={"size": 4}),
        reason="cerium is in stock",
        commit=True,
    )
    state = campaign.state
    assert state.space.columns == ("Ce", *ELEMENTS)
    assert (campaign.status()["pending"], state.snapshot) == (pending, snapshot)
    assert set(state.tried()) >= {r.candidate for r in first}
    campaign.ingest(results([(r.label, r.design) for r in first]), name="one.csv", commit=True)
    second = campaign.recommend()
    assert len(second) == 4
    assert second.batch.spec_revision == 2
    assert not {r.candidate for r in second} & set(state.tried())
    assert campaign.replay(1).verdict == campaign.replay(2).verdict == "identical"
    view = Campaign.open("small", db=campaign._store, as_of=3)
    assert view.state.space.columns == ELEMENTS


def test_a_new_constraint_is_not_awaited_of_earlier_items(start):
    campaign = start(8)
    first = campaign.recommend()
    campaign.ingest(results([(first[0].label, first[0].design)]), name="one.csv", commit=True)
    campaign.revise(revised(outcome_constraints=[{"name": "gain", "min": 1}]), reason="stability", commit=True)
    assert campaign.status()["pending"] == [r.label for r in first.items[1:]]
    second = campaign.recommend(more=True)
    campaign.ingest(results([(second[0].label, second[0].design)]), name="two.csv", commit=True)
    assert second[0].label in campaign.status()["pending"]
    campaign.record(second[0].label, {"gain": "2"}, commit=True)
    assert second[0].label not in campaign.status()["pending"]


def test_a_revision_is_told_in_the_log(start):
    from campaign.ledger_words import about

    campaign = start(0)
    campaign.revise(revised(batch={"size": 5}), reason="a larger furnace", commit=True)
    told = about(campaign._store, "small", campaign._store.events("small"))
    assert told == {2: ["revision 2 (a larger furnace)", "batch.size: 3 -> 5"]}


def test_a_changed_file_is_told(tmp_path):
    import yaml

    table = tmp_path / "candidates.csv"
    table.write_text("id,Ni,Fe\na,1,0\nb,0.5,0.5\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(spec_of(space={"type": "candidate_table", "file": table.name, "id": "id"})))
    campaign = Campaign.start(spec, db=f"sqlite:///{tmp_path}/small.db", by="tests")
    table.write_text("id,Ni,Fe\na,1,0\nb,0.5,0.5\nc,0,1\n")
    found = campaign.revise(spec, reason="one more", commit=True)
    assert found.changes == ("file candidates.csv: other content",)
    assert campaign.state.space.count == 3
