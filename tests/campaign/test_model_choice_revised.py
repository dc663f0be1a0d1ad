"""A spec that is revised from a recipe to the automatic choice chooses among its own recipes at once."""

from small_campaign import spec_of

from campaign.belief import believe
from campaign.spec import load_spec


def test_the_automatic_choice_does_not_go_on_with_a_recipe_that_it_never_had(start):
    campaign = start(model="forest")
    campaign.recommend()
    campaign.revise(load_spec(spec_of(model="auto")), reason="trees never reach beyond the best", commit=True)
    (belief,) = believe(campaign.state, seed=1).objectives
    assert belief.choice.recipe.type == "gp"
    assert belief.scored_at == 8
