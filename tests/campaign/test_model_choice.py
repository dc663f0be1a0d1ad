"""Every recipe runs in a campaign, from its name and settings in the spec."""

import pytest

SHORT = {"hidden": 8, "members": 1, "epochs": 5}
MODELS = {
    "gp": {"additive_side": True},
    "forest": {"trees": 10},
    "mean_pool": SHORT | {"head": "normal", "members": 2},
    "max_pool": SHORT | {"refit": True},
    "gated_attention": SHORT | {"gate": 4, "members": 2},
    "multihead_attention": SHORT | {"heads": 2, "seeds": 4},
    "transformer": SHORT | {"heads": 2, "layers": 1},
    "blend": {"recipes": ["gp", {"type": "forest", "trees": 10}]},
}


@pytest.mark.parametrize("tag", MODELS)
def test_a_recipe_is_named_with_its_settings(start, tag):
    campaign = start(12, model={"type": tag, "settings": MODELS[tag]})
    batch = campaign.recommend(3)
    assert len({r.candidate for r in batch}) == 3
    chosen = batch.batch.settings["models"]["loss"]
    assert chosen["recipe"] == tag
    if tag == "blend":
        assert [part["type"] for part in chosen["settings"]["recipes"]] == ["gp", "forest"]
    else:
        assert MODELS[tag].items() <= chosen["settings"].items()
    assert chosen["reason"] == f"{tag}, as the spec says"
    for r in batch:
        interval = r.prediction["loss"]["intervals"]["0.8"]
        assert interval["lower"] < interval["upper"]
        assert interval["guarantee"].startswith("empirical")
