"""Enough is measured to learn from when designs as they were measured differ, not the ones that were aimed at."""

import pytest
from small_campaign import ELEMENTS

from campaign.belief import learnable


@pytest.mark.parametrize(("second", "enough"), [("0.5,0.5,0,0", False), ("0.52,0.48,0,0", True)])
def test_two_samples_of_one_measured_composition_are_one_design(start, second, enough):
    campaign = start(0, model="forest")
    heads = ["sample_id", *ELEMENTS, *(f"{e} (ICP)" for e in ELEMENTS), "loss (mV)"]
    rows = ["a,0.5,0.5,0,0,0.5,0.5,0,0,300", f"b,0.333333,0.666667,0,0,{second},310"]
    campaign.ingest("\n".join([",".join(heads), *rows]).encode(), name="icp.csv", commit=True)
    assert [o.value for o in campaign.state.observations("loss")] == [300, 310]
    assert len(campaign.recommend()) == 3
    assert learnable(campaign.state) is enough
