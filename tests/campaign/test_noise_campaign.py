"""Batches, operators and labs in a campaign: shifts are taken off, two labs are never pooled in silence."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest
from small_campaign import ELEMENTS, history, truth

from campaign import Campaign
from campaign.belief import training
from campaign.health import Look, health

CONTROL = {"Ni": 0.5, "Fe": 0.5}
CONTROLLED = {"size": 4, "controls": [{"design": CONTROL}]}


def table(rows, *columns: str) -> bytes:
    """`(label, design, value, *further cells)` as a table of results."""
    text = io.StringIO()
    csv.writer(text).writerows(
        [
            ["sample_id", *ELEMENTS, "loss (mV)", *columns],
            *([label, *(design.get(e, 0) for e in ELEMENTS), f"{v:.3f}", *more] for label, design, v, *more in rows),
        ]
    )
    return text.getvalue().encode()


def measured(campaign: Campaign, shifts, *, control: bool, seed: int = 0, noise: float = 1.5) -> None:
    """Five samples a batch, and a control if asked; all batches in one table."""
    rng, rows = np.random.default_rng(seed), []
    designs = history(campaign, 5 * len(shifts), seed)
    for b, shift in enumerate(shifts, start=1):
        batch = [*designs[5 * (b - 1) : 5 * b], *([(f"control-{b}", CONTROL)] if control else [])]
        rows += [(label, d, truth(d) + shift + noise * rng.normal(), f"run {b}") for label, d in batch]
    campaign.ingest(table(rows, "batch"), name="runs.csv", commit=True)


def errors(campaign: Campaign) -> dict[str, float]:
    return {o.sample.label: o.value - truth(o.sample.design) for o in campaign.state.observations("loss")}


OBJECTIVE = {"objectives": [{"name": "loss", "goal": "minimize", "unit": "mV", "noise_floor": 2}]}


@pytest.mark.parametrize("shift", [20, -20])
def test_a_shifted_batch_with_a_control_in_each_is_brought_back_and_misleads_nobody(start, shift):
    shifts = [0, 0, 0, shift]
    straight, kept, lost = (start(0, batch=CONTROLLED, **OBJECTIVE) for _ in range(3))
    measured(straight, [0] * 4, control=True)
    measured(kept, shifts, control=True)
    measured(lost, shifts, control=False)
    off, without = errors(kept), errors(lost)
    moved = [f"old-{i}" for i in range(15, 20)]
    assert np.mean([without[label] for label in moved]) == pytest.approx(shift, abs=2.5)
    assert np.mean([off[label] for label in moved]) == pytest.approx(
        np.mean([off[f"old-{i}"] for i in range(15)]), abs=6
    )
    assert np.sqrt(np.mean(np.square(list(off.values())))) < 0.5 * np.sqrt(np.mean(np.square(list(without.values()))))
    assert (
        kept.status()["objectives"]["loss"]["best"]["sample"]
        == straight.status()["objectives"]["loss"]["best"]["sample"]
    )
    batch = kept.recommend()
    assert any("batch run 4 lies" in note and "taken off" in note for note in batch.notes)
    told = {r.label: r for r in batch if r.prediction}
    best = min(truth(dict(r.design)) for r in told.values())
    of_all = [truth(kept.state.space.candidate(i).design) for i in range(kept.state.space.count)]
    assert best <= np.quantile(of_all, 0.1)
    for r in told.values():
        assert r.prediction["loss"]["median"] == pytest.approx(truth(dict(r.design)), abs=15)


def test_a_batch_is_that_of_the_recommendation_where_the_table_does_not_say(start):
    campaign = start(6, batch={"size": 5, "controls": [{"design": CONTROL, "n": 2}]}, acquisition="greedy")
    rng = np.random.default_rng(0)
    for shift in (0, 0, 25):
        rows = [
            (r.label, dict(r.design), truth(r.design) + shift + rng.normal()) for r in campaign.recommend(more=True)
        ]
        campaign.ingest(table(rows), name=f"{shift}.csv", commit=True)
    noise = campaign.state.noise("loss")
    shifts = {e.level: e.shift for e in noise.model.effects}
    assert set(shifts) == {"before", "1", "2", "3"}
    assert shifts["3"] - (shifts["1"] + shifts["2"]) / 2 == pytest.approx(25, abs=5)
    late = [e for label, e in errors(campaign).items() if label.startswith("b3-")]
    early = [e for label, e in errors(campaign).items() if label.startswith(("b1-", "b2-"))]
    assert np.mean(late) == pytest.approx(np.mean(early), abs=5)
    o = next(o for o in campaign.state.observations("loss") if o.sample.label == "b3-01")
    assert o.shift == pytest.approx(shifts["3"])
    (finding,) = [f for f in health(Look(campaign.state, None)) if f.name == "batch shift in loss"]
    assert finding.level == "warn"
    assert "corrected by -" in finding.seen


def test_where_nothing_was_made_twice_all_stays_as_it_was_measured(start):
    campaign = start(8)
    assert campaign.state.noise("loss") is None
    before = campaign.state.snapshot
    data = training(campaign.state, campaign.state.objectives[0])
    assert data.targets.variance is None
    tried, space = campaign.state.tried(), campaign.state.space
    new = [c for c in map(space.candidate, range(space.count)) if c.id not in tried][:4]
    rows = [(f"x-{i}", c.design, truth(c.design), "") for i, c in enumerate(new)]
    campaign.ingest(table(rows, "operator"), name="x.csv", commit=True)
    assert campaign.state.noise("loss") is None
    assert campaign.state.snapshot != before
    assert all(o.shift == 0 for o in campaign.state.observations("loss"))


def test_operators_count_in_the_snapshot(start):
    one, other = start(0), start(0)
    for campaign, name in ((one, "kim"), (other, "lee")):
        campaign.ingest(table([("a", CONTROL, 300.0, name)], "operator"), name="a.csv", commit=True)
    assert one.state.snapshot != other.state.snapshot


def test_stated_sds_weigh_the_readings_of_a_sample(start):
    campaign = start(0)
    rows = [("a", CONTROL, 300.0, "1", "1"), ("a", CONTROL, 310.0, "3", "2"), ("b", {"Ni": 1.0}, 400.0, "2", "1")]
    campaign.ingest(table(rows, "loss sd (mV)", "replicate"), name="a.csv", commit=True)
    a, b = campaign.state.observations("loss")
    assert (a.value, a.variance) == (pytest.approx(301.0), pytest.approx(0.9))
    assert (b.value, b.variance) == (400.0, pytest.approx(4.0))


def in_two_labs(campaign: Campaign, shared: int, offset: float = 30.0) -> None:
    designs = history(campaign, 20, 3)
    rng = np.random.default_rng(1)
    rows = [(f"h-{i}", d, truth(d) + rng.normal(), "home") for i, (_, d) in enumerate(designs[:12])]
    rows += [(f"a-{i}", d, truth(d) + offset + rng.normal(), "away") for i, (_, d) in enumerate(designs[12 - shared :])]
    campaign.ingest(table(rows, "lab"), name="labs.csv", commit=True)


def test_two_labs_with_designs_in_common_are_told_and_brought_to_one_scale(start):
    campaign = start(0, **OBJECTIVE)
    in_two_labs(campaign, shared=3)
    (line,) = campaign.status()["shifts"]
    assert re.search(r"lab away lies \+(2[6-9]|3[0-4])", line)
    assert "3 designs measured in both" in line
    assert max(abs(e) for e in errors(campaign).values()) < 8
    (finding,) = [f for f in health(Look(campaign.state, None)) if f.name == "labs in loss"]
    assert (finding.level, finding.numbers["shared"]) == ("note", 3)


def test_two_labs_without_a_design_in_common_are_flagged_everywhere(start):
    campaign = start(0, **OBJECTIVE)
    in_two_labs(campaign, shared=0)
    (finding,) = [f for f in health(Look(campaign.state, None)) if f.name == "labs in loss"]
    assert finding.level == "warn"
    assert finding.next.startswith("measure h-")
    assert finding.numbers["offset"] == pytest.approx(30, abs=3 * finding.numbers["sd"])
    batch = campaign.recommend()
    asked = "no design joins them"
    assert any(asked in note for note in batch.notes)
    assert asked in campaign.status()["shifts"][0]
    assert all(any(asked in sentence for sentence in card["text"]) for card in batch.to_json()["recommendations"])


def test_diagnose_tells_where_noise_comes_from(start):
    from campaign.diagnose import noise

    campaign = start(0, **OBJECTIVE)
    measured(campaign, [0, 8, -8, 4, -4, 6], control=True)
    told = noise(campaign.state)["loss"]
    assert {c["name"] for c in told["components"]} == {"reading", "batch"}
    assert all(c["error"] > 0 for c in told["components"])
    assert told["unit"] == "mV"
    assert told["floor"] == 2
    assert len(told["effects"]) == 6
