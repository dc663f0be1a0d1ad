"""The table of predictions at its ends: where nothing is open, and where too little is known for intervals."""

import csv

import pytest
from small_campaign import ELEMENTS, history, results, spec_of

from campaign import Campaign
from campaign.spec import load_spec


def written(tmp_path, divisions: int, measured: int | None, **changes) -> list[dict[str, str]]:
    space = {"type": "composition_grid", "elements": list(ELEMENTS), "divisions": divisions}
    campaign = Campaign.start(load_spec(spec_of(space=space, **changes)), db=f"sqlite:///{tmp_path}/lab.db")
    n = campaign.state.space.count if measured is None else measured
    campaign.ingest(results(history(campaign, n)), name="old.csv", commit=True)
    campaign.screen(2, table=tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("model", ["gp", "forest"])
def test_where_all_is_measured_the_table_has_no_rows(tmp_path, model):
    assert written(tmp_path, 2, None, model=model) == []


def test_what_is_outside_is_told_where_intervals_are_withheld(tmp_path):
    rows = written(tmp_path, 3, 3)
    assert all(row["loss 80 % to (mV)"] == "" for row in rows)
    known = {row["stratum"] for row in rows if row["outside the training data"] == "no"}
    beyond = {row["stratum"] for row in rows if row["outside the training data"] == "yes"}
    assert beyond - known
