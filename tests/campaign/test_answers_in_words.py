"""What was answered with yes or no is told as yes or no, in the log and in corrections."""

import pytest

from campaign.ledger_words import about, measured
from db.errors import InvalidInput

PURE = {"name": "single_phase", "type": "boolean", "source": "measured"}
SHEET = b"""sample_id,Ni,Fe,Co,Mn,loss (mV),single_phase,replicate
a,0.5,0.5,0,0,301,yes,1
a,0.5,0.5,0,0,303,no,2
b,0.5,0,0.5,0,310,no,1
"""


def test_answers_are_words_in_the_log_and_in_corrections(start):
    campaign = start(0, outcome_constraints=[PURE])
    campaign.ingest(SHEET, name="sheet.csv", commit=True)
    assert campaign.amend("b/single_phase/1", "yes", reason="x").sentence() == "b/single_phase/1: no -> yes"
    campaign.amend("b/single_phase/1", "yes", reason="read again", commit=True)
    campaign.void_measurement("a/single_phase/2", reason="another sample")
    with pytest.raises(InvalidInput, match=r"single_phase/1 \(yes, m-"):
        campaign.amend("a", "3", reason="x")
    store = campaign._store
    rows = [m for each in measured(store, campaign.name).values() for m in each]
    assert sorted((m["name"], m["value"]) for m in rows) == [
        ("a/loss/1", "301 mV"),
        ("a/loss/2", "303 mV"),
        ("a/single_phase/1", "yes"),
        ("a/single_phase/2", "no"),
        ("b/loss/1", "310 mV"),
        ("b/single_phase/1", "no"),
        ("b/single_phase/1", "yes"),
    ]
    said = [line for lines in about(store, campaign.name, store.events(campaign.name)).values() for line in lines]
    assert said == ["b/single_phase/1: no -> yes (read again)", "a/single_phase/2: no is void (another sample)"]
