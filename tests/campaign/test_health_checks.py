"""Each check on a campaign that has the fault, and on one that has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_campaign import ELEMENTS, history, results, truth

from campaign import Campaign
from campaign.belief import believe, learnable
from campaign.health import Look, health

CONTROL = {"size": 4, "controls": [{"design": {"Ni": 0.5, "Fe": 0.5}, "n": 2}]}


def checked(campaign: Campaign, *, believing: bool = False) -> dict[str, Any]:
    state = campaign.state
    belief = believe(state, seed=1) if believing and learnable(state) else None
    return {finding.name: finding for finding in health(Look(state, belief))}


def table(rows: list[tuple[str, dict[str, float], Any]], header: str = "loss (mV)") -> bytes:
    lines = [",".join(["sample_id", *ELEMENTS, header])]
    lines += [",".join([label, *(f"{d.get(e, 0):.6g}" for e in ELEMENTS), str(v)]) for label, d, v in rows]
    return "\n".join(lines).encode()


def test_every_warning_and_note_ends_in_something_to_do(start):
    campaign = start(10)
    campaign.recommend()
    for finding in health(Look(campaign.state, believe(campaign.state, seed=1))):
        assert finding.seen
        assert finding.next or finding.level == "ok"
        assert all(np.isfinite(v) for v in finding.numbers.values())


def test_a_campaign_without_data_has_nothing_wrong_with_it(start):
    assert {f.level for f in checked(start(0)).values()} <= {"ok"}


def test_values_that_do_not_vary_are_told(start):
    campaign = start(0)
    campaign.ingest(table([(s, d, 300) for s, d in history(campaign, 9)]), name="flat.csv", commit=True)
    found = checked(campaign)["variation of loss"]
    assert found.level == "warn"
    assert "widen the space" in found.next


def test_shuffled_values_leave_the_surrogate_no_better_than_the_mean(start):
    real, shuffled = start(20), start(0)
    designs = history(shuffled, 20)
    noise = np.random.default_rng(3).normal(300, 20, 20)
    content = table([(s, d, f"{v:.2f}") for (s, d), v in zip(designs, noise, strict=True)])
    shuffled.ingest(content, name="noise.csv", commit=True)
    assert checked(real, believing=True)["surrogate of loss"].level == "ok"
    found = checked(shuffled, believing=True)["surrogate of loss"]
    assert found.level == "warn"
    assert "no better than the mean" in found.seen


def test_repeats_are_missed_and_then_measured(start):
    campaign = start(10)
    assert checked(campaign)["repeats of loss"].level == "note"
    design = dict(history(campaign, 10)[0][1])
    rows = [("again-1", design, truth(design) + 3), ("again-2", design, truth(design) - 3)]
    campaign.ingest(table(rows), name="again.csv", commit=True)
    found = checked(campaign)["repeats of loss"]
    assert found.level == "ok"
    assert found.numbers["sd"] == pytest.approx(3, abs=1e-3)


def test_two_values_of_one_design_that_cannot_both_be_right(start):
    campaign = start(10, objectives=[{"name": "loss", "goal": "minimize", "unit": "mV", "noise_floor": 2}])
    assert "contradiction in loss" not in checked(campaign)
    design = dict(history(campaign, 10)[0][1])
    campaign.ingest(table([("mixed-up", design, truth(design) + 60)]), name="m.csv", commit=True)
    found = checked(campaign)["contradiction in loss"]
    assert "mixed-up" in found.seen
    assert "siteloop void" in found.next


def test_failures_are_counted_with_what_they_share(start):
    campaign = start(0, batch={"size": 6})
    batch = campaign.recommend()
    with_mn = [r for r in batch if r.design.get("Mn")][:3]
    rest = [r for r in batch if r not in with_mn]
    assert len(with_mn) == 3
    campaign.ingest(results([(r.label, r.design) for r in rest]), name="b.csv", commit=True)
    for r in with_mn[:2]:
        campaign.fail(r.label, mode="cracked")
    assert checked(campaign)["failures"].level == "ok"
    campaign.fail(with_mn[2].label, mode="cracked")
    found = checked(campaign)["failures"]
    assert found.level == "warn"
    assert "cracked: 3" in found.seen
    assert "Mn" in found.next


def test_a_constraint_that_is_never_met(start):
    campaign = start(0, outcome_constraints=[{"name": "decay", "max": 1.0}])
    rows = [(s, d, f"{truth(d):.2f},{5 + i}") for i, (s, d) in enumerate(history(campaign, 6))]
    campaign.ingest(table(rows, "loss (mV),decay"), name="c.csv", commit=True)
    found = checked(campaign)["constraint decay"]
    assert found.level == "warn"
    assert "the nearest has 5" in found.seen


@pytest.mark.parametrize(("samples", "level"), [(60, "warn"), (20, "ok"), (6, "warn")])
def test_a_budget_that_does_not_fit_the_space(start, samples, level):
    campaign = start(0, budget={"samples": samples})
    assert campaign.state.space.count < 120
    assert checked(campaign)["space"].level == level


def batches(campaign: Campaign, shifts: list[float], seed: int = 0) -> None:
    """Measure one batch for each shift, with 1 mV of noise."""
    rng = np.random.default_rng(seed)
    for i, shift in enumerate(shifts):
        rows = [
            (r.label, dict(r.design), f"{truth(r.design) + shift + rng.normal():.3f}") for r in campaign.recommend()
        ]
        campaign.ingest(table(rows), name=f"b{i}.csv", commit=True)


def test_a_shifted_batch_shows_in_its_controls(start):
    campaign = start(6, batch=CONTROL)
    batches(campaign, [0, 0])
    assert checked(campaign)["batch shift in loss"].level == "ok"
    batches(campaign, [25], seed=1)
    found = checked(campaign)["batch shift in loss"]
    assert found.level == "warn"
    assert found.numbers["shift"] == pytest.approx(25, abs=4)
    assert "batch 3" in found.seen


def test_batches_without_controls_cannot_be_compared(start):
    campaign = start(8)
    batches(campaign, [0, 0])
    assert checked(campaign)["batch shift in loss"].level == "note"


def test_intervals_that_miss_what_comes_next_are_told(start):
    campaign = start(8, batch={"size": 8})
    batches(campaign, [90])
    found = checked(campaign)["coverage of loss"]
    assert found.level == "warn"
    assert found.numbers["n"] == 8
    assert "of the last 3" in found.seen
    assert "control" in found.next


def test_gains_smaller_than_the_noise_are_no_gains(start):
    campaign = start(8, acquisition="greedy")
    design = dict(history(campaign, 8)[0][1])
    rows = [(f"again-{i}", design, truth(design) + step) for i, step in enumerate((-80, 0, 80))]
    campaign.ingest(table(rows), name="again.csv", commit=True)
    top = min(o.value for o in campaign.state.observations("loss"))
    made = [(r.label, dict(r.design), top - 2) for r in campaign.recommend()]
    campaign.ingest(table(made), name="b.csv", commit=True)
    found = checked(campaign)["gains in loss"]
    assert found.level == "warn"
    assert found.numbers["gain"] == pytest.approx(2)
    assert "measure b1-01 again" in found.next


def test_a_lead_within_the_noise_is_to_be_measured_again(start):
    campaign = start(10)
    best, second = sorted(campaign.state.observations("loss"), key=lambda o: o.value)[:2]
    found = checked(campaign, believing=True)["lead in loss"]
    assert found.numbers["lead"] == pytest.approx(second.value - best.value)
    design = {"Mn": 1.0}
    rows = [(f"again-{i}", design, truth(design) + step) for i, step in enumerate((-300, 0, 300))]
    campaign.ingest(table(rows), name="again.csv", commit=True)
    found = checked(campaign, believing=True)["lead in loss"]
    assert found.level == "note"
    assert found.next.startswith("measure ")
