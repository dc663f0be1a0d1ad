"""The table of every open candidate: each row as asked by itself, and interrupted or not the same bytes."""

import csv

import pytest
from small_campaign import history, results, spec_of

from campaign import Campaign, ranking, screen, streaming
from campaign.spec import load_spec
from db.errors import InvalidInput

GRID = {"type": "composition_grid", "elements": ["Ni", "Fe", "Co"], "divisions": 12}


def start(tmp_path, measured=12, **changes) -> Campaign:
    campaign = Campaign.start(load_spec(spec_of(space=GRID, **changes)), db=f"sqlite:///{tmp_path}/lab.db")
    campaign.ingest(results(history(campaign, measured)), name="old.csv", commit=True)
    return campaign


def read(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_holds_every_open_candidate_as_it_is_predicted_by_itself(tmp_path):
    campaign = start(tmp_path)
    path = tmp_path / "all.csv"
    best = campaign.screen(5, table=path)
    rows = read(path)
    assert len(rows) == campaign.state.space.count - 12
    name, unit = (campaign.state.spec.objectives[0].name, campaign.state.spec.objectives[0].unit)
    columns = [f"{name} ({unit})", f"{name} 80 % from ({unit})", f"{name} 80 % to ({unit})"]
    designs = {tuple(float(row[e]) for e in GRID["elements"]): row for row in rows}
    for one in best:
        row = designs[tuple(float(f"{one['design'].get(e, 0):.6g}") for e in GRID["elements"])]
        expected = one["predictions"][name]
        interval = expected["intervals"]["0.8"]
        told = [expected["median"], interval["lower"], interval["upper"]]
        assert [float(row[c]) for c in columns] == pytest.approx(told, rel=1e-5)
        assert row["outside the training data"] == ("yes" if interval["outside"] else "no")
        assert row["stratum"] == one["stratum"]
    sign = -1 if campaign.state.spec.objectives[0].goal == "maximize" else 1
    in_order = sorted(sign * float(row[columns[0]]) for row in rows)[:5]
    assert in_order == pytest.approx([sign * one["predictions"][name]["median"] for one in best], rel=1e-5)


def test_an_interrupted_table_leaves_nothing_half_and_goes_on(tmp_path, monkeypatch):
    for module, name, size in ((streaming, "KEPT_FROM", 1), (streaming, "PIECE", 20), (ranking, "PIECE", 20)):
        monkeypatch.setattr(module, name, size)
    monkeypatch.setattr(screen, "PIECE", 20)
    campaign = start(tmp_path)
    path = tmp_path / "all.csv"
    campaign.screen(3, table=path)
    whole = path.read_bytes()
    path.write_bytes(b"before")
    asked = []
    predicted = ranking._predicted

    def watched(state, belief, indices):
        asked.append(len(indices))
        return predicted(state, belief, indices)

    def stop(text: str) -> None:
        if text.startswith("predicted 60 of 91"):
            raise KeyboardInterrupt

    monkeypatch.setattr(ranking, "_predicted", watched)
    with pytest.raises(KeyboardInterrupt):
        campaign.screen(3, table=path, stage=stop)
    assert path.read_bytes() == b"before"
    assert not list(tmp_path.glob("*.part"))
    campaign.screen(3, table=path)
    assert path.read_bytes() == whole
    assert sum(asked) == 91 - 12
    assert not (tmp_path / "lab.db.artifacts" / streaming.FOLDER / "small").exists()


def test_withheld_intervals_are_empty_cells(tmp_path):
    campaign = start(tmp_path, measured=3)
    campaign.screen(1, table=tmp_path / "all.csv")
    row = read(tmp_path / "all.csv")[0]
    name, unit = (campaign.state.spec.objectives[0].name, campaign.state.spec.objectives[0].unit)
    assert row[f"{name} 80 % from ({unit})"] == ""
    assert float(row[f"{name} ({unit})"])


@pytest.mark.parametrize(("name", "what"), [("all.xlsx", "not a format"), ("none/all.csv", "no such folder")])
def test_a_table_that_cannot_be_written_is_refused_before_anything_is_computed(tmp_path, name, what):
    campaign = start(tmp_path)
    with pytest.raises(InvalidInput, match=what):
        campaign.screen(1, table=tmp_path / name, stage=lambda text: pytest.fail(text))
