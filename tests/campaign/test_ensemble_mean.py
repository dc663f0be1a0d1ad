"""Compositions of which the mean of their decorations' predictions is predicted, from the spec to the rationale."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_structures_loop import SPACE, Near, history, spec_of

from campaign import Campaign
from campaign.belief import believe
from campaign.encoding import CHGNetEncoder, check_encoder
from campaign.spaces import build_space
from db.errors import InvalidInput

MEAN = {"encoder": {"type": "chgnet", "ensemble": "mean"}, "space": SPACE | {"candidate": "composition"}}
NETWORK = {"type": "gated_attention", "settings": {"members": 1, "epochs": 10, "hidden": 8}}


@pytest.fixture(autouse=True)
def potential(monkeypatch):
    monkeypatch.setattr(CHGNetEncoder, "potential", lambda self: Near())
    monkeypatch.setattr("campaign.encoding.WORKERS", 1)


@pytest.mark.parametrize("model", ["gp", NETWORK], ids=["gp", "network"])
def test_a_round_predicts_the_mean_over_decorations_and_explains_it(model, tmp_path):
    campaign = Campaign.start(spec_of(**MEAN, model=model, batch={"size": 1}), db=f"sqlite:///{tmp_path}/lab.db")
    history(campaign, ("1 dopant", "2 dopants", "3 dopants"), n=6)
    (item,) = campaign.recommend()
    rationale = item.rationale["objectives"]["eta"]
    assert {effect["site"] for effect in rationale["effects"]} == {None}
    assert all(effect["sd"] > 0 for effect in rationale["effects"])
    belief = believe(campaign.state, seed=0).objectives[0]
    space = campaign.state.space
    x = int(space.x_of(item.design)[0])
    bags = belief.bags(np.array([[float(x)]]), [item.stratum])
    decorations = len(space.structures(x))
    assert bags.parts == space.largest_ensemble == 5
    assert int(bags.part[bags.mask].max()) == decorations - 1
    alone = [replace(bags, mask=bags.mask & (bags.part == j)) for j in range(decorations)]
    middles = torch.stack([belief.choice.fitted.quantiles(one)[0, 0] for one in alone])
    whole = belief.choice.fitted.quantiles(bags)[0, 0]
    assert float(middles[:, 4].std()) > 0
    torch.testing.assert_close(whole[4], middles[:, 4].mean(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": SPACE}, "is no ensemble"),
        ({"space": {"type": "structure_files", "structures": ["a.cif"]}}, "is no ensemble"),
        ({"model": "forest"}, "trees"),
        ({"model": "blend"}, "trees"),
        ({"encoder": {"type": "chgnet", "ensemble": "median"}}, "union, mean"),
    ],
)
def test_what_has_no_mean_is_refused(changes, message):
    with pytest.raises(InvalidInput, match=message):
        spec_of(**(MEAN | changes))


def test_too_many_decorations_are_refused_with_what_to_write():
    spec = spec_of(**(MEAN | {"space": MEAN["space"] | {"per_composition": 17}}))
    with pytest.raises(InvalidInput, match="17 decorations") as error:
        check_encoder(build_space(spec.space), spec.encoder)
    assert "per_composition: 16" in error.value.problems[0].fix
