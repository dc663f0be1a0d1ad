"""Learning from failed syntheses, through the loop: nothing without failures, and lower odds beyond a boundary."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from small_campaign import ELEMENTS, history, spec_of, truth

from campaign import Campaign
from campaign.belief import believe
from campaign.cards import card
from campaign.ranking import ranked
from campaign.spec import load_spec
from campaign.status import status
from db.errors import InvalidInput


def fails(design: Mapping[str, Any]) -> bool:
    """Nothing with much nickel can be made; the best designs have half of it."""
    return float(design.get("Ni", 0.0)) > 0.45


def table(
    samples: Sequence[tuple[str, Mapping[str, Any]]],
    failing: Callable[[Mapping[str, Any]], bool] = fails,
    *,
    mode: str = "phase-separated",
    state: str = "failed",
    sign: float = 1.0,
) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", *ELEMENTS, "loss (mV)", "status", "failure_mode"])
    for label, design in samples:
        known = ["", state, mode] if failing(design) else [f"{sign * truth(design):.3f}", "ok", ""]
        writer.writerow([label, *(f"{design.get(e, 0):.6g}" for e in ELEMENTS), *known])
    return text.getvalue().encode()


def begun(start: Any, n: int = 16, failing: Any = fails, *, mode: str = "phase-separated", **changes: Any) -> Campaign:
    campaign = start(0, **{"explain": "none", **changes})
    campaign.ingest(table(history(campaign, n), failing, mode=mode), name="history.csv", commit=True)
    return campaign


def few(count: int) -> Callable[[Mapping[str, Any]], bool]:
    """The first `count` designs asked for fail."""
    left = [count]

    def failing(design: Mapping[str, Any]) -> bool:
        left[0] -= 1
        return left[0] >= 0

    return failing


def told(batch: Any) -> list[Any]:
    return [(dict(r.design), dict(r.prediction), dict(r.rationale)) for r in batch]


@pytest.mark.parametrize("n_failed", [0, 1])
def test_without_failures_nothing_changes_bit_for_bit(start: Any, n_failed: int) -> None:
    batches = [begun(start, failing=few(n_failed), feasibility=f).recommend() for f in ("learned", "none")]
    assert told(batches[0]) == told(batches[1])
    assert batches[0].notes == batches[1].notes
    assert batches[0].batch.settings == batches[1].batch.settings
    assert card(batches[0][0], batches[0].space)["success"] is None


@pytest.mark.parametrize("mode", ["instrument failure", "Spilt on the bench", "power cut", "film lost"])
def test_accidents_speak_against_no_design(start: Any, mode: str) -> None:
    campaign = begun(start, mode=mode)
    seen = status(campaign.state)["syntheses"]
    assert seen["failed"] == 0
    assert seen["accidents"] > 2
    assert campaign.state.spec.feasibility.blames("no precipitate")
    assert believe(campaign.state, seed=1).success is None


def test_void_samples_say_nothing_and_the_spec_may_name_other_accidents(start: Any) -> None:
    campaign = begun(start, feasibility={"type": "learned", "accidents": ["thunder"]}, mode="spilt")
    known = status(campaign.state)["syntheses"]
    assert known["learned"]
    failed = next(s for s in campaign.state.samples if campaign.state.status(s.id) == "failed")
    campaign.void(failed.label, reason="mislabelled")
    assert status(campaign.state)["syntheses"]["failed"] == known["failed"] - 1


def test_beyond_a_boundary_success_is_less_likely_and_the_card_says_so(start: Any) -> None:
    campaign = begun(start, 24)
    state = campaign.state
    X = state.space.X(np.arange(state.space.count))
    success = believe(state, seed=1).success
    assert success is not None
    p, can = success.probability(X), np.array([not fails(state.space.candidate(i).design) for i in range(len(X))])
    assert p[can].mean() > p[~can].mean() + 0.4
    batch = campaign.recommend()
    assert any("successful synthesis is learned from" in note for note in batch.notes)
    settings = batch.batch.settings["success"]
    assert settings["made"] + settings["failed"] == 24
    for r in batch:
        found = card(r, batch.space)
        where = state.space.locate(r.design)
        assert found["success"]["probability"] == pytest.approx(p[where], abs=1e-9)
        assert any("Made successfully with probability" in line for line in found["text"])
    assert "P(made)" in batch.to_frame()
    assert "success" in ranked(campaign.state, 2)[0][0]


def test_fewer_failures_are_recommended(start: Any) -> None:
    def failures(feasibility: str) -> int:
        campaign = begun(start, 20, feasibility=feasibility)
        for round in range(3):
            batch = campaign.recommend()
            campaign.ingest(table([(r.label, r.design) for r in batch]), name=f"b{round}.csv", commit=True)
        return sum(fails(r.design) for r in campaign.state.recommendations)

    assert failures("learned") < failures("none")


def test_what_is_unlikely_to_be_made_comes_last_and_says_so(start: Any) -> None:
    campaign = begun(start, 24)
    batch = campaign.recommend(campaign.state.space.count)
    late = [r.rationale["success"]["late"] for r in batch]
    assert late == sorted(late)
    assert 0 < sum(late) < len(late)
    for r, is_late in zip(batch, late, strict=True):
        assert any("comes after all others" in text for text in card(r, batch.space)["text"]) == is_late


def test_minimising_and_maximising_the_mirror_image_are_the_same(start: Any) -> None:
    down = begun(start).recommend()
    campaign = start(0, explain="none", objectives=[{"name": "loss", "goal": "maximize", "unit": "mV"}])
    campaign.ingest(table(history(campaign, 16), sign=-1.0), name="history.csv", commit=True)
    belief = believe(campaign.state, seed=down.batch.seed)
    assert belief.success is not None
    X = np.stack([campaign.state.space.x_of(r.design) for r in down])
    assert belief.success.probability(X).tolist() == [r.rationale["success"]["probability"] for r in down]


def test_the_order_of_results_is_nothing(start: Any) -> None:
    one = begun(start).recommend()
    campaign = start(0, explain="none")
    samples = history(campaign, 16)
    for name, part in (("late", samples[8:]), ("early", samples[:8])):
        campaign.ingest(table(part[::-1]), name=f"{name}.csv", commit=True)
    assert told(campaign.recommend()) == told(one)


@pytest.mark.parametrize("acquisition", ["qLogEI", "UCB", "Thompson", "greedy", "max_variance"])
def test_every_acquisition_takes_it(start: Any, acquisition: str) -> None:
    batch = begun(start, acquisition=acquisition).recommend()
    assert len(batch) == 3
    assert not any(r.rationale["success"]["late"] for r in batch)


def test_a_large_pool_is_cut_with_it(start: Any, monkeypatch: Any) -> None:
    whole = begun(start).recommend()
    monkeypatch.setattr("campaign.screen.JOINT_LIMIT", 10)  # the cut itself keeps more, and so all of this pool
    assert told(begun(start).recommend()) == told(whole)


def test_it_stands_beside_constraints(start: Any) -> None:
    campaign = start(0, explain="none", outcome_constraints=[{"name": "cost", "max": 2.0}])
    rows = table(history(campaign, 16)).decode().splitlines()
    cost = ["cost", *("" if ",failed," in row else "1.5" for row in rows[1:])]
    rows = [f"{row},{value}" for row, value in zip(rows, cost, strict=True)]
    campaign.ingest("\n".join(rows).encode(), name="history.csv", commit=True)
    batch = campaign.recommend()
    found = card(batch[0], batch.space)
    assert found["feasibility"]["constraints"].keys() == {"cost"}
    assert 0 < found["success"]["probability"] < 1


def test_the_report_counts_syntheses(start: Any, tmp_path: Any) -> None:
    campaign = begun(start)
    page = campaign.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "the probability of success is learned from them" in page


def test_the_spec_says_whether_to_learn() -> None:
    assert load_spec(spec_of()).feasibility.type == "learned"
    spec = load_spec(spec_of(feasibility={"type": "learned", "min_probability": 0.2}))
    assert load_spec(spec.resolved()) == spec
    with pytest.raises(InvalidInput, match="learned and none"):
        load_spec(spec_of(feasibility="sometimes"))
