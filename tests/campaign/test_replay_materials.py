"""Batches of structures, routes and networks computed again: the same to the last bit, whatever was encoded since."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from test_routes_loop import PRODUCT, ROUTE, filled, started
from test_structures_loop import Near, truth

from campaign import Campaign, survivors
from campaign.belief import encoder
from campaign.encoding import CHGNetEncoder, encode_ahead
from campaign.spec import load_spec

SLABS = {
    "type": "doped_slab",
    "host": {"builder": "coooh", "lateral": [4, 3]},
    "sites": {"element": "Co"},
    "dopants": ["Ti", "Zn"],
    "count": {"min": 1, "max": 2},
    "per_composition": 6,
}
SMALL = {"members": 2, "epochs": 4, "hidden": 8}
STRUCTURES = {
    "every one encoded": {"encoder": {"type": "chgnet", "survivors": "all"}},
    "survivors": {"encoder": {"type": "chgnet", "survivors": 10}, "explain": "none"},
    "network": {"model": {"type": "gated_attention", "settings": SMALL}, "explain": "none"},
    "ensembles": {
        "space": SLABS | {"candidate": "composition", "per_composition": 4},
        "encoder": {"type": "chgnet", "ensemble": "mean"},
        "model": {"type": "mean_pool", "settings": SMALL},
        "explain": "none",
    },
}
NETWORKS = {
    "max_pool": (PRODUCT, {"type": "max_pool", "settings": SMALL}),
    "attention": (PRODUCT, {"type": "multihead_attention", "settings": SMALL | {"heads": 2}}),
    "transformer": (ROUTE, {"type": "transformer", "settings": SMALL | {"heads": 2}}),
    "forest": (ROUTE, {"type": "forest", "settings": {"trees": 30}}),
}


@pytest.fixture(autouse=True)
def small_potential(monkeypatch):
    monkeypatch.setattr(CHGNetEncoder, "potential", lambda self: Near())
    monkeypatch.setattr("campaign.encoding.WORKERS", 1)
    monkeypatch.setattr("campaign.encoding._kept", {})
    monkeypatch.setattr(survivors, "WHOLE", 12)


def slabs(tmp_path, **changes):
    """A campaign of slabs with two batches, the first of them measured."""
    spec = {
        "spec_version": 1,
        "campaign": "slabs",
        "seed": 3,
        "space": SLABS,
        "objectives": [{"name": "eta", "goal": "minimize", "unit": "mV"}],
        "batch": {"size": 2},
        "model": "gp",
    }
    campaign = Campaign.start(load_spec(spec | changes), db=f"sqlite:///{tmp_path}/lab.db", by="tests")
    space = campaign.state.space
    rows = np.random.default_rng(5).choice(space.count, min(8, space.count - 4), replace=False)
    measured(campaign, [(f"old-{i}", space.candidate(int(row)).design) for i, row in enumerate(rows)])
    measured(campaign, [(r.label, r.design) for r in campaign.recommend()])
    campaign.recommend()
    return campaign


def measured(campaign, made):
    space = campaign.state.space
    lines = [",".join(["sample_id", *space.spec.design_names(), "eta (mV)"])]
    for label, design in made:
        value = np.mean([truth(s) for s in space.structures(int(space.x_of(design)[0]))])
        lines.append(",".join([label, *design.values(), f"{value:.2f}"]))
    campaign.ingest("\n".join(lines).encode(), name=f"{made[0][0]}.csv", commit=True)


def differences(campaign, *, kept):
    """Of the second batch computed again, with the surrogates that were kept or fitted anew."""
    return campaign.replay(2, from_model=kept).differences


@pytest.mark.parametrize("kind", STRUCTURES)
def test_what_is_encoded_already_does_not_move_a_batch(tmp_path, monkeypatch, kind):
    campaign = slabs(tmp_path, **STRUCTURES[kind])
    for folder in ("features", "bags"):
        shutil.rmtree(campaign.state.artifacts / folder)
    monkeypatch.setattr("campaign.encoding._kept", {})  # as in another process, which has to encode anew
    Near.encoded.clear()
    assert differences(campaign, kept=False) == ()
    assert Near.encoded
    state = campaign.state
    encode_ahead(encoder(state), state.space.X(np.arange(state.space.count)))  # and all that there is
    monkeypatch.setattr("campaign.encoding._kept", {})
    for kept in (False, True):
        assert differences(campaign, kept=kept) == ()


@pytest.mark.parametrize("kind", NETWORKS)
def test_routes_and_networks_replay(tmp_path, kind):
    space, model = NETWORKS[kind]
    campaign = started(tmp_path, space, model=model, batch={"size": 10})
    campaign.ingest(filled(campaign, campaign.recommend()), name="a.csv", commit=True)
    campaign.recommend(3)
    for kept in (False, True):
        assert differences(campaign, kept=kept) == ()
