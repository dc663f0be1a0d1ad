"""Costs of candidates in the unit of the spec, what was spent, and how they weigh on a batch."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from small_campaign import results, spec_of

from campaign import Campaign
from campaign.prices import amount
from campaign.sentences import sentences
from campaign.spec import load_spec
from campaign.status import state_line
from campaign.worksheet import worksheet
from db.errors import InvalidInput
from lab_io.findings import CellError

COST = {
    "unit": "EUR",
    "sample_mass": "500 mg",
    "precursors": {"Ni": "20 EUR/kg", "Fe": 0.01, "Co": {"price": 2, "formula": "Co(NO3)2(H2O)6"}, "Mn": 40},
    "sample": "3 EUR",
    "batch": 10,
}


def test_a_sample_costs_its_precursors_by_mass(start):
    campaign = start(0, cost=COST)
    model = campaign.state.costs
    ni, co = 58.6934, 58.933194
    nitrate = 291.03
    mass = 0.5 * ni + 0.5 * co
    expected = 3 + 0.5 * (0.5 * ni * 0.02 + 0.5 * co * 2 * nitrate / co) / mass
    assert model.of_design({"Ni": 0.5, "Co": 0.5}) == pytest.approx(expected, rel=1e-3)
    indices = np.arange(20)
    one_by_one = [model.of_design(campaign.state.space.candidate(i).design) for i in range(20)]
    assert model.of_candidates(indices) == pytest.approx(one_by_one)


@pytest.mark.parametrize(
    ("text", "unit", "per", "value"),
    [
        ("30 EUR/kg", "EUR", "g", 0.03),
        ("90 min", "h", "", 1.5),
        ("2 day", "h", "", 48),
        ("5", "EUR", "", 5),
        (4.5, "EUR", "g", 4.5),
        ("1 mg/g", "g", "g", 0.001),
    ],
)
def test_amounts_are_converted_where_a_unit_is_known(text, unit, per, value):
    assert amount(text, unit, per) == pytest.approx(value)


@pytest.mark.parametrize(("text", "per"), [("5 USD", ""), ("5 EUR", "g"), ("5 EUR/K", "g"), ("much", ""), ("5 h", "")])
def test_other_units_are_refused(text, per):
    with pytest.raises(CellError):
        amount(text, "EUR", per)


def test_the_account_follows_the_ledger_and_is_shown(start):
    campaign = start(cost=COST, budget={"cost": 60})
    assert campaign.status()["cost"] == {"unit": "EUR", "spent": 0, "pending": 0, "budget": 60, "left": 60}
    batch = campaign.recommend()
    prices = [r.rationale["cost"]["value"] for r in batch]
    told = campaign.status()["cost"]
    assert told["pending"] == pytest.approx(sum(prices) + 10)
    assert any(note.startswith("this batch costs") and "budget of 60 EUR" in note for note in batch.notes)
    campaign.ingest(results([(batch[0].label, batch[0].design)]), name="a.csv", commit=True)
    told = campaign.status()["cost"]
    assert told["spent"] == pytest.approx(prices[0] + 10)
    assert told["pending"] == pytest.approx(sum(prices[1:]))
    assert "EUR spent" in state_line(campaign.status())
    assert any(line.startswith("It costs") for line in sentences(batch[0]))
    sheet = worksheet(campaign.state, batch)
    assert (sheet.cost_unit, sheet.rows[0].cost) == ("EUR", batch[0].rationale["cost"]["value"])
    assert "cost (EUR)" in batch.to_frame().columns


def test_dear_elements_are_avoided_until_the_budget_is_nearly_spent(start):
    dear = COST | {"precursors": {"Ni": 0.01, "Fe": 500, "Co": 0.01, "Mn": 0.01}, "batch": 0, "sample": 0.1}
    share = {}
    for name, changes in {"plain": {}, "counted": {"cost": dear | {"weight": 0}}, "weighed": {"cost": dear}}.items():
        batch = start(**changes).recommend(4)
        share[name] = sum(r.design.get("Fe", 0.0) for r in batch)
    assert share["counted"] == share["plain"]
    assert share["weighed"] < share["plain"]


def test_what_costs_more_than_is_left_comes_last_and_is_told(start):
    dear = COST | {"precursors": {"Ni": 0.01, "Fe": 5000, "Co": 0.01, "Mn": 0.01}, "batch": 0, "sample": 1, "weight": 0}
    batch = start(cost=dear, budget={"cost": 4}).recommend(4)
    assert all(r.design.get("Fe", 0.0) == 0 for r in batch)
    assert any(note.startswith("over budget") for note in batch.notes)


def test_costs_of_a_table_and_of_its_settings(tmp_path):
    (tmp_path / "list.csv").write_text("Ni,Fe,T (K),bath,price\n1,0,300,a,5\n0.5,0.5,400,b,7\n0,1,500,a,9\n")
    columns = {"Ni": "fraction", "Fe": "fraction", "T": {"type": "number", "unit": "K"}, "bath": "category"}
    cost = {"unit": "day", "table_column": "price", "columns": {"T": 0.01, "bath": {"b": "12 h"}}}
    spec = spec_of(
        campaign="listed", space={"type": "candidate_table", "file": "list.csv", "columns": columns}, cost=cost
    )
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    campaign = Campaign.start(tmp_path / "spec.yaml", db=f"sqlite:///{tmp_path}/a.db")
    assert campaign.state.costs.of_candidates(np.arange(3)) == pytest.approx([8, 11.5, 14])
    beside = {"Ni": 0.25, "Fe": 0.75, "T": 300, "bath": "a"}
    assert np.isnan(campaign.state.costs.of_design(beside))
    batch = campaign.recommend(n=2, pin=["Ni0.25 Fe0.75 T=300 bath=a"])
    assert batch[0].rationale["cost"]["value"] is None
    assert any("not known" in note for note in batch.notes)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"cost": COST | {"precursors": {"Ni": 1}}}, "no price of Fe, Co and Mn"),
        ({"cost": COST | {"precursors": COST["precursors"] | {"Cu": 1}}}, "no component"),
        ({"cost": COST | {"precursors": COST["precursors"] | {"Ni": {"price": 1, "formula": "FeO"}}}}, "no formula"),
        ({"cost": COST | {"columns": {"T": 1}}}, "no design column"),
        ({"cost": COST | {"table_column": "price"}}, "no candidate table"),
        ({"cost": COST | {"sample": "3 USD"}}, "not in EUR"),
        ({"cost": COST | {"sample": -1}}, "sample"),
        ({"cost": {"unit": "EUR", "precursors": {"Ni": 1}}}, "mass of a sample"),
        ({"cost": COST, "acquisition": "UCB"}, "divided by a cost"),
        ({"budget": {"cost": 5}}, "no `cost:`"),
        ({"budget": {"cost": "5 EUR"}}, "budget.cost: there is no `cost:`"),
        ({"cost": COST, "budget": {"cost": "5 USD"}}, "budget.cost: '5 USD' is not in EUR"),
        ({"cost": COST, "budget": {"cost": "-5 EUR"}}, "budget.cost: '-5 EUR' is not a number above 0"),
        ({"cost": COST | {"sample": -1}, "budget": {"cost": "5 EUR"}}, "cost.sample"),
    ],
)
def test_costs_that_cannot_be_counted_are_refused(start, changes, what):
    with pytest.raises(InvalidInput, match=what):
        start(**changes)


def test_a_spec_with_costs_reads_back():
    spec = load_spec(spec_of(cost=COST, budget={"cost": 60}))
    assert load_spec(spec.resolved()) == spec
    assert load_spec(spec_of(cost=COST, budget={"cost": "60 EUR"})) == spec
    assert load_spec(spec_of(cost={"unit": "h", "sample": 1}, budget={"cost": "2 day"})).budget.cost == 48
