from dataclasses import dataclass, replace

import pytest
import torch

import surrogates.choice as module
from surrogates import GP, Targets, fit
from surrogates.choice import ENOUGH, Score, choose, needs_rescoring, score
from surrogates.conformal import OutOfFold
from surrogates.quantiles import normal_quantiles
from surrogates.recipes import recipe_hash


@dataclass(frozen=True)
class Pretender(GP):
    """A recipe whose out-of-fold medians are wrong by a set amount, on average and from row to row."""

    off: float = 0.0
    jitter: float = 0.0


@pytest.fixture
def fits(monkeypatch):
    """Replaces fitting by made-up out-of-fold predictions; records the recipes that were fitted."""
    made = []

    def pretend(recipe, bags, targets, *, strata=None, seed, known=()):
        made.append(recipe)
        value = targets.value[:, 0]
        rng = torch.Generator().manual_seed(round(100 * recipe.off))
        wrong = recipe.off + recipe.jitter * torch.rand(len(value), generator=rng, dtype=torch.float64)
        quantiles = normal_quantiles(value + wrong, torch.full_like(value, 0.1)).unsqueeze(1)
        seen = OutOfFold(quantiles, targets.value, ("",) * len(value), 5)
        base = fit(GP(), bags[:2], Targets.exact(value[:2]), seed=0)
        return replace(
            base, recipe=recipe, data_hash="d", out_of_fold=seen, problem=replace(base.problem, value=targets.value)
        )

    monkeypatch.setattr(module, "fit", pretend)
    return made


def pick(bags, values, candidates, **more):
    return choose(candidates, bags, Targets.exact(values), seed=0, **more)


def test_the_better_recipe_replaces_the_present_one(fits, bags, values):
    simple, good = Pretender(off=0.5), Pretender(off=0.1)
    choice = pick(bags, values, [simple, good])
    assert choice.recipe == good
    assert choice.fitted.recipe == good
    assert "replaces" in choice.reason
    assert choice.scores[recipe_hash(good)].mean < choice.scores[recipe_hash(simple)].mean
    assert fits == [simple, good]


def test_in_doubt_the_present_one_stays(fits, bags, values):
    """A gain below one standard error of the paired difference changes nothing, whichever is present."""
    one, other = Pretender(off=0.30, jitter=3.0), Pretender(off=0.31, jitter=3.0)
    a, b = (score(module.fit(r, bags, Targets.exact(values), seed=0)) for r in (one, other))
    gain = a.losses - b.losses
    assert abs(float(gain.mean())) < float(gain.std()) / len(gain) ** 0.5
    assert pick(bags, values, [one, other]).recipe == one
    assert pick(bags, values, [one, other], incumbent=other).recipe == other
    better, worse = (one, other) if a.mean < b.mean else (other, one)
    assert "stays" in pick(bags, values, [one, other], incumbent=worse).reason
    assert "best out-of-fold loss" in pick(bags, values, [one, other], incumbent=better).reason


def test_the_comparison_is_paired():
    """Rows differ much in loss, but one recipe is a little better on every row: that is no doubt."""
    one, other = Pretender(off=0.5), Pretender(off=0.45)
    spread = torch.where(torch.arange(48) % 2 == 0, 1.0, 50.0)
    scores = {recipe_hash(one): Score(spread + 0.05), recipe_hash(other): Score(spread)}
    assert module._decide(one, other, scores, 48)[0] == other


def test_few_data_take_the_simplest_without_comparing(fits, bags, values):
    n = ENOUGH - 1
    simple, good = Pretender(off=0.5), Pretender(off=0.1)
    choice = pick(bags[:n], values[:n], [simple, good], incumbent=good)
    assert choice.recipe == simple
    assert choice.scores == {}
    assert choice.reason == "gp: from 40 measured samples on other models are compared, there are 39"
    assert fits == [simple]


def test_a_single_candidate_is_fitted_and_said_to_be_so(fits, bags, values):
    only = Pretender()
    assert pick(bags, values, [only]).reason == "gp is the only candidate"
    assert pick(bags, values, [only], incumbent=only).reason == "gp, chosen before, is the only candidate"
    with pytest.raises(ValueError, match="no recipe to choose from"):
        pick(bags, values, [])


def test_real_recipes_are_compared(bags, values, small_gated):
    choice = pick(bags, values, [GP(), small_gated])
    assert choice.recipe == GP()
    assert set(choice.scores) == {recipe_hash(GP()), recipe_hash(small_gated)}
    assert choice.fitted.out_of_fold.predictions.shape == (48, 1, 9)


def test_scores_are_out_of_fold_and_free_of_units(bags, values):
    plain, scaled = (score(fit(GP(), bags, Targets.exact(f * values), seed=0)) for f in (1.0, 1000.0))
    assert plain.losses.shape == (48,)
    assert scaled.mean == pytest.approx(plain.mean, rel=1e-3)
    assert 0 < plain.mean < 0.28  # what the quantiles of the target itself would lose


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [(10, 39, False), (39, 40, True), (40, 49, False), (40, 50, True), (100, 124, False), (100, 125, True)],
)
def test_rescoring_is_due_at_forty_and_after_growth_by_a_quarter(then, now, expected):
    assert needs_rescoring(then, now) is expected
