"""How surrogates predict what they have not seen, in the user's units."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_campaign import history, results

from campaign.belief import believe
from campaign.diagnose import diagnose, model


def test_errors_and_scatter_are_in_the_units_and_signs_of_the_user(start):
    down, up = start(14), start(0, objectives=[{"name": "loss", "goal": "maximize", "unit": "mV"}])
    up.ingest(results(history(up, 14), sign=-1.0), name="h.csv", commit=True)
    one, other = (model(c.state, believe(c.state, seed=1).objectives[0]) for c in (down, up))
    measured = {o.sample.label: o.value for o in down.state.observations("loss")}
    assert {row["sample"]: row["measured"] for row in one["scatter"]} == pytest.approx(measured)
    errors = np.array([row["predicted"] - row["measured"] for row in one["scatter"]])
    assert (np.diff(np.abs(errors)) <= 1e-9).all()  # the worst first
    fold = one["out_of_fold"]
    assert fold["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert fold["bias"] == pytest.approx(errors.mean())
    assert other["out_of_fold"]["bias"] == pytest.approx(-fold["bias"])  # the same campaign upside down
    assert other["out_of_fold"]["r2"] == pytest.approx(fold["r2"])
    turned = [1 - share for share in reversed(one["calibration"]["observed"])]
    assert other["calibration"]["observed"] == pytest.approx(turned)
    by_name = {each["name"]: each for each in one["importance"]}
    assert set(by_name) == {"Ni", "Fe", "Co", "Mn"}
    for each in other["importance"]:
        assert each["direction"] == pytest.approx(-by_name[each["name"]]["direction"], abs=1e-6)
    rows = [row for row in one["scatter"] if row["interval"]]
    assert all(row["interval"][0] <= row["predicted"] <= row["interval"][1] for row in rows)


def test_a_diagnosis_is_plain_json_and_records_nothing(start):
    campaign = start(12)
    before = campaign.state.head.seq
    found = campaign.diagnose()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert campaign.state.head.seq == before
    assert found["models"]["loss"]["recipe"] == "gp"


def test_without_data_there_are_checks_and_no_surrogates(start):
    found = diagnose(start(0).state)
    assert found["models"] == {}
    assert [f["name"] for f in found["health"]] == ["space"]
