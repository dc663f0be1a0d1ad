"""`model: auto` weighs a blend of its recipes like any of them, and starts from it where it was chosen before."""

import pytest
from small_campaign import results

import campaign.belief
import surrogates.choice
from campaign.belief import believe, last_choice
from surrogates.choice import ENOUGH
from surrogates.mixture import MixtureBelief
from surrogates.recipes import recipe_from, recipe_hash
from surrogates.recipes.bag import BagRecipe

SHORT = {"type": "mean_pool", "hidden": 8, "members": 2, "epochs": 5}
EACH = ({"type": "gp"}, SHORT)
BLEND = recipe_from({"type": "blend", "recipes": EACH, "safe": "first"})


@pytest.fixture(autouse=True)
def short_networks(monkeypatch):
    monkeypatch.setattr(campaign.belief, "AUTO_RECIPES", EACH)


@pytest.fixture
def trained(monkeypatch):
    """The networks that were trained."""
    found = []
    train = BagRecipe.train
    monkeypatch.setattr(BagRecipe, "train", lambda *args: found.append(args[0].type) or train(*args))
    return found


def test_a_blend_is_compared_and_costs_no_further_training(start, trained):
    started = start(ENOUGH, model="auto")
    choice = believe(started.state, seed=1).objectives[0].choice
    assert set(choice.scores) == {recipe_hash(recipe_from(r)) for r in (*EACH, BLEND.to_json())}
    assert trained == ["mean_pool"]
    assert choice.recipe.type == "gp"  # a network of five epochs adds nothing that counts


def test_fewer_samples_than_enough_are_the_first_recipe_s(start, trained):
    assert believe(start(12, model="auto").state, seed=1).objectives[0].choice.recipe.type == "gp"
    assert not trained


def test_what_was_chosen_is_believed_again_with_its_parts(start, monkeypatch):
    """Until the next comparison the blend of the ledger is fitted as it was, whatever a blend is by default."""
    monkeypatch.setattr(surrogates.choice, "_decide", lambda *args: (BLEND, "the blend replaces gp"))
    started = start(ENOUGH, model="auto")
    batch = started.recommend(3)
    objective = started.state.objectives[0]
    stored = last_choice(started.state, objective)["without_history"]
    assert recipe_from(stored) == BLEND
    made = [(f"new-{i}", r.design) for i, r in enumerate(batch)]
    started.ingest(results(made), name="new.csv", commit=True)
    belief = believe(started.state, seed=2).objectives[0]
    assert belief.choice.recipe == BLEND
    assert belief.choice.reason == "blend, as chosen at 40 measurements; compared again at 50"
    assert isinstance(belief.model, MixtureBelief)
    for r in batch:
        assert r.rationale["objectives"]["loss"]["attention"]["gate"] in ("withheld", "indicative", "reliable")
