"""The rules for stopping, as the ledger tells them."""

from __future__ import annotations

import pytest
from small_campaign import results, truth

from campaign import Campaign
from campaign.stopping import KEY, batches_without_gain, stopping
from db.errors import InvalidInput

LOUD = [{"name": "loss", "goal": "minimize", "unit": "mV", "noise_floor": "5 mV"}]


def rule(campaign: Campaign, name: str):
    return next(r for r in stopping(campaign.state)["rules"] if r["rule"] == name)


def measure(campaign: Campaign, value: float | None = None) -> None:
    """Recommend a batch and measure it: the truth, or the same value for every sample."""
    made = [(r.label, r.design) for r in campaign.recommend()]
    content = results(made)
    if value is not None:
        lines = content.decode().splitlines()
        content = "\n".join([lines[0], *(line.rsplit(",", 1)[0] + f",{value}" for line in lines[1:])]).encode()
    campaign.ingest(content, name=f"{made[0][0]}.csv", commit=True)


def test_a_new_campaign_has_nothing_to_say(start):
    found = start(0).status()["stopping"]
    assert not found["stop"]
    assert {r["rule"]: r["met"] for r in found["rules"]} == {"no gain": None, "improvement": None, "regret": None}


def test_what_is_left_is_kept_with_the_batch_and_told_with_the_status(start):
    campaign = start(10, objectives=LOUD)
    kept = campaign.recommend().batch.settings[KEY]
    assert kept["margins"] == {"loss": 5.0}
    assert kept["candidates"] == campaign.state.space.count - 10
    best = min(campaign.state.samples, key=lambda s: truth(s.design))
    assert kept["incumbents"] == [best.label]
    told = rule(campaign, "improvement")
    assert told["value"] == kept["probability"]
    assert best.label in told["text"]
    assert rule(campaign, "regret")["value"] == pytest.approx(kept["regret"])
    assert "before the latest results" not in told["text"]
    campaign.ingest(results([(r.label, r.design) for r in campaign.batch()]), name="b.csv", commit=True)
    stale = rule(campaign, "improvement")
    assert "with batch 1, before the latest results" in stale["text"]
    assert stale["met"] is None


def test_a_campaign_that_has_found_the_best_is_told_so(start):
    campaign = start(30, objectives=LOUD)
    measure(campaign)
    campaign.recommend()
    found = campaign.status()["stopping"]
    best = min(truth(campaign.state.space.candidate(i).design) for i in range(campaign.state.space.count))
    reached = min(o.value for o in campaign.state.observations("loss"))
    assert reached - best < 5  # so it is true
    assert found["stop"]
    assert "chance that anything open beats" in found["advice"]


def test_batches_without_a_gain_are_counted_from_the_noise_floor(start):
    campaign = start(8, objectives=LOUD, acquisition="max_variance", stop={"batches_without_gain": 2})
    top = min(o.value for o in campaign.state.observations("loss"))
    assert batches_without_gain(campaign.state) == (0, 0)
    measure(campaign, top - 4)  # better, but by less than the noise floor
    assert batches_without_gain(campaign.state) == (1, 1)
    assert not rule(campaign, "no gain")["met"]
    measure(campaign, top - 3)
    assert rule(campaign, "no gain")["met"]
    assert "no gain by more than 5 mV in 2 batches" in stopping(campaign.state)["advice"]
    measure(campaign, top - 6)  # 2 better than the last, 6 better than before the small steps
    assert batches_without_gain(campaign.state) == (0, 3)


def test_a_spent_budget_is_a_reason(start):
    campaign = start(8, budget={"samples": 8})
    assert rule(campaign, "budget")["met"]
    assert "8 of 8 samples" in rule(campaign, "budget")["text"]
    assert "the samples are spent" in stopping(campaign.state)["advice"]


def test_rules_can_be_switched_off(start):
    off = {"batches_without_gain": None, "probability_of_improvement": None, "expected_regret": None}
    campaign = start(8, stop=off)
    assert campaign.recommend().batch.settings[KEY] == {}
    assert stopping(campaign.state) == {"stop": False, "advice": "no rule is set", "rules": []}


def test_several_objectives_are_beaten_by_their_front(start):
    two = [*LOUD, {"name": "wear", "goal": "maximize"}]
    campaign = start(0, objectives=two)
    space = campaign.state.space
    lines = ["sample_id,Ni,Fe,Co,Mn,loss (mV),wear"]
    for i in range(0, space.count, space.count // 9):
        design = space.candidate(i).design
        cells = ",".join(f"{design.get(e, 0):.6g}" for e in space.columns)
        lines.append(f"s{i},{cells},{truth(design):.2f},{float(design.get('Ni', 0)):.3f}")
    campaign.ingest("\n".join(lines).encode(), name="two.csv", commit=True)
    kept = campaign.recommend().batch.settings[KEY]
    assert len(kept["incumbents"]) > 1
    assert set(kept["margins"]) == {"loss", "wear"}
    assert "noise floors" in rule(campaign, "regret")["text"]
    assert "the front" in rule(campaign, "improvement")["text"]


@pytest.mark.parametrize(
    "stop", [{"batches_without_gain": 0}, {"probability_of_improvement": 1.5}, {"expected_regret": 0}, {"batches": 3}]
)
def test_a_rule_that_makes_no_sense_is_refused(start, stop):
    with pytest.raises(InvalidInput, match="stop"):
        start(0, stop=stop)
