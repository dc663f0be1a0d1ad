"""Several objectives in a campaign: reference points, the measured front, what a recommendation is for, the report."""

import csv
import io

import pytest
from small_campaign import ELEMENTS, history, spec_of, truth

from acquisition.hypervolume import hypervolume
from campaign.pareto import measured_front
from campaign.pareto_figures import front_png, panel
from campaign.sentences import sentences
from campaign.spec import load_spec
from campaign.status import state_line
from db.errors import InvalidInput

LOSS = {"name": "loss", "goal": "minimize", "unit": "mV"}
LIFE = {"name": "life", "goal": "maximize", "unit": "h"}
COLOUR = {"name": "colour", "goal": "match", "unit": "nm", "target": 500.0, "tolerance": 5.0}


def life(design):
    return 100 * float(design.get("Mn", 0)) + 50 * float(design.get("Co", 0))


def colour(design):
    return 400 + 200 * float(design.get("Fe", 0))


MEASURES = {"loss": truth, "life": life, "colour": colour}


def results(samples, objectives, signs=None, shift=None):
    text = io.StringIO()
    writer = csv.writer(text)
    heads = [f"{o['name']} ({o['unit']})" for o in objectives]
    writer.writerow(["sample_id", *ELEMENTS, *heads])
    for label, design in samples:
        values = [(signs or {}).get(o["name"], 1.0) * MEASURES[o["name"]](design) for o in objectives]
        writer.writerow([label, *(f"{design.get(e, 0):.6g}" for e in ELEMENTS), *(f"{v:.6f}" for v in values)])
    return text.getvalue().encode()


@pytest.fixture
def begin(start):
    """A campaign with 8 samples of several objectives."""

    def make(*objectives, signs=None, n=8, **changes):
        campaign = start(0, objectives=list(objectives), **changes)
        campaign.ingest(results(history(campaign, n), objectives, signs), name="history.csv", commit=True)
        return campaign

    return make


def measure(campaign, batch, *objectives):
    made = [(r.label, r.design) for r in batch]
    campaign.ingest(results(made, objectives), name="batch.csv", commit=True)


def test_the_front_grows_batch_by_batch_and_is_told_in_the_status(begin):
    campaign = begin(LOSS, LIFE)
    for _ in range(2):
        measure(campaign, campaign.recommend(), LOSS, LIFE)
    found = campaign.status()
    front = found["front"]
    volumes = front["hypervolume_by_batch"]
    assert len(volumes) == 3
    assert volumes == sorted(volumes)
    assert volumes[-1] == front["hypervolume"] > 0
    assert f"front of {len(front['front'])}, hypervolume " in state_line(found)
    values = [(p["values"]["loss"], p["values"]["life"]) for p in front["front"]]
    assert not any(a != b and a[0] <= b[0] and a[1] >= b[1] for a in values for b in values)
    every = {s.label: s.design for s in campaign.state.samples}
    for name, design in every.items():
        beaten = any(loss <= truth(design) + 1e-3 and h >= life(design) - 1e-3 for loss, h in values)
        assert beaten, name


def test_the_volume_is_in_the_users_units(begin):
    campaign = begin(LOSS | {"reference_point": 600}, LIFE | {"reference_point": "0 h"})
    measured = measured_front(campaign.state)
    assert measured.reference == (600.0, 0.0)
    total, reached = 0.0, 600.0
    for point in sorted(measured.members, key=lambda p: -p.values[1]):
        total += max(reached - point.values[0], 0.0) * point.values[1] if point.values[0] < reached else 0.0
        reached = min(reached, point.values[0])
    assert measured.volumes(0)[-1] == pytest.approx(total)
    assert hypervolume(measured.scores(measured.points), measured.origin) == pytest.approx(total)


def test_a_stated_reference_point_is_used_and_an_inferred_one_is_said_to_be(begin):
    campaign = begin(LOSS | {"reference_point": 450}, LIFE)
    batch = campaign.recommend(dry_run=True)
    (note,) = [n for n in batch.notes if "hypervolume" in n]
    assert "loss 450 mV, life" in note
    assert note.endswith("(inferred)")
    reference = campaign.status()["front"]["reference"]
    assert reference["loss"] == {"value": 450.0, "stated": True}
    assert reference["life"]["stated"] is False


def test_minimising_is_maximising_the_negative(begin, monkeypatch):
    monkeypatch.setattr("campaign.propose.batch_seed", lambda *_: 5)  # else it follows from the values
    lost = LOSS | {"reference_point": 450}
    gained = LOSS | {"goal": "maximize", "reference_point": -450}
    one = begin(lost, LIFE)
    other = begin(gained, LIFE, signs={"loss": -1.0})
    assert [r.design for r in one.recommend()] == [r.design for r in other.recommend()]
    assert one.status()["front"]["hypervolume"] == pytest.approx(other.status()["front"]["hypervolume"])


def test_a_recommendation_says_which_part_of_the_front_it_is_for(begin):
    campaign = begin(LOSS, LIFE)
    for r in campaign.recommend():
        place = r.rationale["front"]
        on_front = {p["sample"] for p in campaign.status()["front"]["front"]}
        assert {n["sample"] for n in place["neighbours"]} <= on_front
        assert 0 <= place["probability"] <= 1
        (line,) = [text for text in sentences(r) if "the front" in text]
        if place["part"] == "end":
            assert place["wanted"][place["objective"]] in line
        for n in place["neighbours"]:
            assert n["sample"] in line


@pytest.mark.parametrize("third", [COLOUR, COLOUR | {"reference_point": 450}])
def test_a_match_is_one_of_three_goals(begin, third):
    campaign = begin(LOSS, LIFE, third)
    measure(campaign, campaign.recommend(), LOSS, LIFE, third)
    measured = measured_front(campaign.state)
    worst = third.get("reference_point", measured.reference[2])
    assert float(measured.origin[2]) == pytest.approx(5.0 - abs(worst - 500.0))
    assert campaign.status()["front"]["hypervolume"] > 0


def test_noise_makes_membership_uncertain(begin):
    campaign = begin(LOSS | {"noise_floor": 40}, LIFE | {"noise_floor": 10})
    measured = measured_front(campaign.state)
    assert all(0 <= p <= 1 for p in measured.probabilities)
    on = [p for p, best in zip(measured.probabilities, measured.best, strict=True) if best]
    off = [p for p, best in zip(measured.probabilities, measured.best, strict=True) if not best]
    assert max(on) > max(off)
    assert any(0.05 < p < 0.95 for p in measured.probabilities)
    assert measured_front(begin(LOSS, LIFE).state).probabilities is None


def test_what_violates_a_constraint_is_on_no_front(start, begin):
    bound = [{"name": "colour", "min": 430.0, "unit": "nm", "source": "measured"}]
    free = begin(LOSS, LIFE)
    campaign = start(0, objectives=[LOSS, LIFE], outcome_constraints=bound)
    rows = results(history(campaign, 8), [LOSS, LIFE, COLOUR])
    campaign.ingest(rows, name="history.csv", commit=True)
    kept = {p.sample for p in measured_front(campaign.state).points}
    every = {s.label: s.design for s in free.state.samples}
    assert kept == {label for label, design in every.items() if colour(design) >= 430.0}
    assert len(campaign.recommend()) == 3


def test_one_objective_has_no_front(start):
    campaign = start()
    assert campaign.status()["front"] is None
    assert all("front" not in r.rationale for r in campaign.recommend())


def test_the_report_draws_the_front_and_the_batch(begin, tmp_path):
    campaign = begin(LOSS, LIFE)
    batch = campaign.recommend()
    page = campaign.report(tmp_path / "report.html").read_text()
    assert page.count('alt="life against loss: measured') == 1
    assert 'id="front-0-1"' in page
    shown = panel(campaign.state, measured_front(campaign.state), (0, 1))
    assert [e.label for e in shown.batch] == [r.label for r in batch]
    assert all(low <= m <= high for e in shown.batch for m, (low, high) in zip(e.medians, e.ends, strict=True))
    for x, y in shown.steps:
        assert not any(a < x - 1e-9 and b > y + 1e-9 for a, b in shown.places)  # nothing measured lies beyond the line
    assert front_png(shown) == front_png(shown)


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ([LOSS | {"reference_point": 400}], "there is one"),
        ([LOSS, COLOUR | {"reference_point": 503}], "as good as the target"),
        ([LOSS | {"reference_point": "4 MPa"}, LIFE], "mV"),
    ],
)
def test_a_reference_point_that_means_nothing_is_refused(objectives, message):
    with pytest.raises(InvalidInput, match=message):
        load_spec(spec_of(objectives=objectives))


def test_a_reference_point_may_be_a_quantity():
    spec = load_spec(spec_of(objectives=[LOSS | {"reference_point": "0.45 V"}, LIFE]))
    assert spec.objectives[0].reference_point == pytest.approx(450.0)
    assert load_spec(spec.resolved()) == spec
