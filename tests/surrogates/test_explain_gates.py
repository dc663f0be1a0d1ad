"""Gates: what withholds an explanation, what makes it indicative, and that chance does not pass as skill."""

import math
import re

import pytest
import torch

from surrogates.explain import Skill, judge, skill

GOOD = {
    "measured": 120,
    "skill": Skill(0.6, 7.0, 120),
    "concentration": 3.0,
    "instances": 20,
    "agreement": 0.8,
    "distance": 0.4,
}


def test_an_explanation_that_passes_every_gate_is_reliable():
    verdict = judge(**GOOD)
    assert verdict.state == "reliable"
    assert verdict.reasons == ()
    assert [check.gate for check in verdict.checks] == ["skill", "domain", "concentration", "agreement", "measured"]


def test_the_thresholds_themselves_pass():
    edge = {"measured": 40, "skill": Skill(0.1, 2.0, 40), "agreement": 0.5, "distance": 1.0}
    for concentration in (2.0, 5.0):
        assert judge(**{**GOOD, **edge, "concentration": concentration}).state == "reliable"


@pytest.mark.parametrize(
    ("change", "state", "numbers"),
    [
        ({"skill": Skill(0.02, 1.4, 120)}, "withheld", ("1.4", "0.02", "120", "2")),
        ({"skill": Skill(-0.3, -4.0, 120)}, "withheld", ("-4.0", "-0.30", "2")),
        ({"skill": Skill(math.nan, math.nan, 2)}, "withheld", ("nan", "2")),
        ({"distance": 1.2}, "withheld", ("1.20", "1")),
        ({"distance": math.nan}, "withheld", ("nan", "1")),
        ({"distance": 1.2, "unit": "share"}, "indicative", ("1.20", "1")),
        ({"concentration": 1.6}, "withheld", ("1.6", "2")),
        ({"concentration": math.nan}, "withheld", ("nan", "2")),
        ({"concentration": 9.8}, "indicative", ("9.8", "5")),
        ({"agreement": 0.3}, "indicative", ("0.30", "0.5")),
        ({"agreement": -0.2}, "withheld", ("-0.20", "0.5")),
        ({"agreement": math.nan}, "withheld", ("nan", "0.5")),
        ({"measured": 39}, "indicative", ("39", "40")),
    ],
)
def test_a_failing_gate_says_its_number_and_its_threshold(change, state, numbers):
    verdict = judge(**{**GOOD, **change})
    assert verdict.state == state
    (reason,) = verdict.reasons
    found = re.findall(r"-?\d+\.?\d*|nan", reason)
    assert set(numbers) <= set(found)


def test_the_strictest_gate_decides_and_is_named_first():
    verdict = judge(**{**GOOD, "measured": 12, "concentration": 1.1, "agreement": 0.4})
    assert verdict.state == "withheld"
    assert len(verdict.reasons) == 3
    assert verdict.reasons[0].startswith("concentration 1.1")


@pytest.mark.parametrize("concentration", [1.0, 3.0, math.nan])
def test_concentration_is_not_asked_of_bags_of_few_instances(concentration):
    assert judge(**{**GOOD, "instances": 5, "concentration": concentration}).state == "reliable"
    assert judge(**{**GOOD, "instances": 6, "concentration": 1.0}).state == "withheld"


def test_skill_is_r2_against_the_mean_of_the_other_rows():
    y = torch.tensor([0.0, 1.0, 2.0, 5.0], dtype=torch.float64)
    p = torch.tensor([0.5, 1.0, 1.0, 4.0], dtype=torch.float64)
    others = torch.tensor([8 / 3, 7 / 3, 2.0, 1.0], dtype=torch.float64)
    gain = (y - others) ** 2 - (y - p) ** 2
    found = skill(p, y)
    assert math.isclose(found.score, float(1 - ((y - p) ** 2).mean() / ((y - others) ** 2).mean()))
    assert math.isclose(found.margin, float(gain.mean() / gain.std() * 2))
    assert found.count == 4


def test_a_constant_has_no_skill_and_what_was_not_measured_does_not_count():
    y = torch.randn(50, generator=torch.Generator().manual_seed(0)).double()
    assert skill((y.sum() - y) / 49, y).score == pytest.approx(0, abs=1e-12)
    with_gaps = torch.cat([y, torch.full((5,), torch.nan)])
    p = torch.cat([y + 0.1, torch.zeros(5)])
    assert skill(p, with_gaps) == skill(y + 0.1, y)


@pytest.mark.parametrize("y", [[], [1.0, 2.0], [3.0, 3.0, 3.0, 3.0]])
def test_too_little_to_compare_has_no_skill(y):
    y = torch.tensor(y, dtype=torch.float64)
    assert math.isnan(skill(y, y).margin)
    assert judge(**{**GOOD, "skill": skill(y, y)}).state == "withheld"


def test_skill_refuses_unequal_shapes():
    with pytest.raises(ValueError, match="m each"):
        skill(torch.zeros(3, 1), torch.zeros(3))


def test_predictions_learned_from_shuffled_labels_rarely_pass_as_skill():
    """Ridge regressions over folds on labels that have nothing to do with the inputs."""
    rng = torch.Generator().manual_seed(0)
    passed, trials = 0, 400
    for _ in range(trials):
        x = torch.randn(60, 4, generator=rng, dtype=torch.float64)
        y = torch.randn(60, generator=rng, dtype=torch.float64)
        predicted = torch.empty_like(y)
        for fold in range(5):
            held = torch.arange(60) % 5 == fold
            seen, centre = x[~held], y[~held].mean()
            gram = seen.T @ seen + 20 * torch.eye(4, dtype=torch.float64)
            predicted[held] = centre + x[held] @ torch.linalg.solve(gram, seen.T @ (y[~held] - centre))
        passed += skill(predicted, y).margin >= 2
    assert passed / trials <= 0.025 + 3 * (0.025 * 0.975 / trials) ** 0.5
