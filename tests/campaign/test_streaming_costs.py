"""Costs weigh alike in all pieces of a large space, also in one whose candidates are all free."""

from small_campaign import history, results, spec_of

from campaign import Campaign, screen, streaming
from campaign.belief import believe
from campaign.spec import load_spec


def test_the_finalists_do_not_hang_on_the_pieces(tmp_path, monkeypatch):
    space = {"type": "composition_grid", "elements": ["Co", "Ni", "Fe"], "divisions": 12}
    cost = {"unit": "EUR", "sample_mass": 1, "precursors": {"Ni": 0, "Fe": 0, "Co": 100}}
    campaign = Campaign.start(load_spec(spec_of(space=space, cost=cost)), db=f"sqlite:///{tmp_path}/lab.db")
    campaign.ingest(results(history(campaign, 12)), name="old.csv", commit=True)
    belief = believe(campaign.state, seed=1)
    monkeypatch.setattr(screen, "JOINT_LIMIT", 40)
    monkeypatch.setattr(screen, "FINALISTS", 20)
    found = []
    for size in (200, 4):
        for module, name in ((screen, "PIECE"), (screen, "CHUNK"), (streaming, "PIECE")):
            monkeypatch.setattr(module, name, size)
        found.append(screen.screen(campaign.state, belief).tolist())
    assert found[0] == found[1]
    assert len(found[0]) == 20
