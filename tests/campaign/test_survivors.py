"""Two stages of screening structures: what the rough one sees, whom it lets pass, and that the ledger tells it all."""

from __future__ import annotations

import csv
import io
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from test_structures_loop import Near, truth

from campaign import Campaign, survivors
from campaign.belief import believe
from campaign.encoding import CHGNetEncoder
from campaign.rough import ShareEncoder, rough
from campaign.screen import screen
from campaign.spaces.slab.numbering import Decorations
from campaign.spec import load_spec
from campaign.survivors import encoded_before
from db.errors import InvalidInput

COOOH = {
    "type": "doped_slab",
    "host": {"builder": "coooh", "lateral": [4, 3]},
    "sites": {"element": "Co"},
    "dopants": ["Ti", "Zn"],
    "count": {"min": 1, "max": 3},
    "per_composition": 12,
}
METAL = {
    "type": "doped_slab",
    "host": {"builder": "fcc111", "metal": "Pt", "size": [3, 3, 2]},
    "sites": {"element": "Pt"},
    "dopants": ["Cu", "Ni", "Co"],
    "count": {"min": 1, "max": 3},
    "per_composition": 4,
}


@pytest.fixture(autouse=True)
def small_potential(monkeypatch):
    monkeypatch.setattr(CHGNetEncoder, "potential", lambda self: Near())
    monkeypatch.setattr("campaign.encoding.WORKERS", 1)
    monkeypatch.setattr("campaign.encoding._kept", {})
    monkeypatch.setattr(survivors, "WHOLE", 40)
    Near.encoded.clear()


def spec_of(**changes: Any) -> Any:
    values = {
        "spec_version": 1,
        "campaign": "slabs",
        "seed": 3,
        "space": COOOH,
        "objectives": [{"name": "eta", "goal": "minimize", "unit": "mV"}],
        "batch": {"size": 3},
        "encoder": {"type": "chgnet", "survivors": 24},
        "model": "gp",
        "explain": "none",
    }
    return load_spec(values | changes)


@pytest.fixture
def start(tmp_path):
    def make(n: int = 14, **changes: Any) -> Campaign:
        campaign = Campaign.start(spec_of(**changes), db=f"sqlite:///{tmp_path}/lab.db")
        space = campaign.state.space
        rows = np.random.default_rng(5).choice(space.count, n, replace=False)
        ingest(campaign, [(f"old-{i}", space.candidate(int(row)).design) for i, row in enumerate(rows)])
        return campaign

    return make


def ingest(campaign: Campaign, made: list[tuple[str, Any]]) -> None:
    text, space = io.StringIO(), campaign.state.space
    writer = csv.writer(text)
    writer.writerow(["sample_id", *space.spec.design_names(), "eta (mV)"])
    for label, design in made:
        (structure, *_) = space.structures(int(space.x_of(design)[0]))
        writer.writerow([label, *design.values(), f"{truth(structure):.2f}"])
    campaign.ingest(text.getvalue().encode(), name=f"{made[0][0]}.csv", commit=True)


def test_decorations_are_found_many_at_once():
    ranks = Decorations(7, 3, 3)
    every = np.random.default_rng(1).permutation(ranks.starts[-1])
    seen = np.zeros(len(every), dtype=int)
    for rows, sites, codes in ranks.unrank_all(every):
        seen[rows] += 1
        assert np.array_equal(ranks.rank(sites, codes), every[rows])
    assert (seen == 1).all()
    with pytest.raises(ValueError, match="no rank"):
        list(ranks.unrank_all(np.array([ranks.starts[-1]])))


@pytest.mark.parametrize("space", [COOOH, METAL], ids=["coooh", "two layers"])
def test_shares_are_those_of_the_structures(space):
    space = spec_of(space=space).space.build({})
    of = rough(space)
    rows = np.unique(np.linspace(0, space.count - 1, 12).astype(int))
    shares = of.shares(space.X(rows))
    assert shares.shape == (len(rows), len(of.names))
    assert np.allclose(shares.sum(axis=1), 1)
    several = any("layer" in name for name in of.names)
    parts = 3 if several else 2
    for share, x in zip(shares, space.X(rows)[:, 0], strict=True):
        told = dict(zip(of.names, share * parts, strict=True))
        (structure,) = space.structures(int(x))
        lattice = [site for site in structure if site.properties["sublattice"]]
        on = [site.specie.symbol for site in lattice]
        near = space.host.adjacent
        order = {a: i for i, a in enumerate(space.host.sites)}
        place = [order[i] for i, site in enumerate(structure) if site.properties["sublattice"]]
        pairs = [
            tuple(sorted((on[i], on[j])))
            for i in range(len(on))
            for j in range(i)
            if near[place[i], place[j]] and space.host.element not in (on[i], on[j])
        ]
        edges = near.sum() / 2
        for element in space.elements:
            assert told[element] == pytest.approx(on.count(element) / len(on))
        for a in space.dopants:
            for b in space.dopants:
                if a <= b:
                    assert told[f"{a}-{b}"] == pytest.approx(pairs.count((a, b)) / edges)
            if several:
                tops = sum(s.specie.symbol == a and s.properties["layer"] == 0 for s in lattice)
                assert told[f"{a} in layer 1"] == pytest.approx(tops / len(on))


def test_the_encoder_of_shares_turns_back():
    encode = ShareEncoder(("Ti", "Zn", "Ti-Zn"))
    X = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], dtype=torch.float64)
    bags = encode(X.reshape(2, 1, 3), ["a", "b"])
    assert torch.equal(encode.designs(bags), X)
    assert bags.stratum == ("a", "b")


def test_few_are_encoded_and_the_batch_says_so(start):
    campaign = start()
    count = campaign.state.space.count
    batch = campaign.recommend()
    assert len(Near.encoded) <= 24 + 14
    (note,) = [note for note in batch.notes if "passed over" in note]
    assert f"{count - 14 - 24:,} of {count - 14:,}" in note
    state = campaign.state
    passed = encoded_before(state)
    assert len(passed) == 24
    assert {state.space.locate(r.design) for r in batch} <= set(passed.tolist())
    assert set(state.space.stratum(passed)) == set(state.space.strata())


def test_what_passed_once_stays_and_the_ledger_alone_decides(start, tmp_path, monkeypatch):
    campaign = start()
    first = campaign.recommend()
    ingest(campaign, [(r.label, r.design) for r in first])
    before = encoded_before(campaign.state)
    second = campaign.recommend(dry_run=True)
    shutil.rmtree(tmp_path / "lab.db.artifacts", ignore_errors=True)
    monkeypatch.setattr("campaign.encoding._kept", {})  # as in another process
    again, told = Campaign.open("slabs", db=f"sqlite:///{tmp_path}/lab.db"), []
    assert [r.candidate for r in again.recommend(stage=told.append)] == [r.candidate for r in second]
    after = encoded_before(again.state)
    assert set(before.tolist()) < set(after.tolist())
    open_now = len(after) - len(first)
    assert f"screened {open_now} of {again.state.space.count - 17} open candidates go on to the encoder" in told


def test_an_interrupted_second_stage_goes_on_where_it_was(start, monkeypatch):
    campaign = start()

    def stop(text: str) -> None:
        if text.startswith("encoded 16"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        campaign.recommend(stage=stop)
    before = len(Near.encoded)
    monkeypatch.setattr("campaign.encoding._kept", {})
    campaign.recommend()
    assert before < len(Near.encoded) <= 24 + 14


def test_the_rough_model_lets_the_promising_pass(start):
    campaign = start(30, space=COOOH | {"per_composition": None})
    space = campaign.state.space
    values = np.array([truth(space.structures(int(x))[0]) for x in space.X(np.arange(space.count))[:, 0]])
    kept = screen(campaign.state, believe(campaign.state, seed=1), wanted=3)
    measured = [space.locate(s.design) for s in campaign.state.samples]
    best = [i for i in np.argsort(values) if i not in measured][:5]
    assert len(set(best) & set(kept.tolist())) >= 3
    assert values[kept].mean() < np.delete(values, kept).mean()


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": {"type": "chgnet", "survivors": "all"}},
        {"filters": [{"rule": "formation_energy_proxy", "max": 9}]},
    ],
    ids=["all", "energies"],
)
def test_all_are_encoded_where_that_is_asked(start, changes):
    campaign = start(**changes)
    batch = campaign.recommend()
    assert len(Near.encoded) == campaign.state.space.count
    assert not any("passed over" in note for note in batch.notes)
    assert "survivors" not in campaign.state.batches[0].settings


def test_ensembles_count_by_their_structures(start):
    mixes = METAL | {"candidate": "composition", "per_composition": 6}
    campaign = start(4, space=mixes, encoder={"type": "chgnet", "survivors": 30})
    space = campaign.state.space
    assert space.structure_count > 40
    campaign.recommend()
    assert len(encoded_before(campaign.state)) == 30 * space.count // space.structure_count


def test_a_ranking_is_of_the_survivors(start):
    campaign = start()
    found = campaign.screen(6)
    assert len(found) == 6
    assert len(Near.encoded) <= 24 + 14


def test_no_survivors_are_refused():
    with pytest.raises(InvalidInput, match="survivors"):
        spec_of(encoder={"type": "chgnet", "survivors": 0})


def test_where_the_least_known_is_sought_it_is_what_passes(start):
    found = {}
    for name in ("greedy", "max_variance"):
        campaign = start(40, campaign=name, acquisition=name, space=COOOH | {"per_composition": None})
        state, belief = campaign.state, believe(campaign.state, seed=1)
        found[name] = screen(state, belief, wanted=3)
    X = state.space.X(np.concatenate(list(found.values())))
    promise, _ = survivors._promise(state.space, belief, found["greedy"], seed=1, doubtful=True)
    doubt, _ = promise(torch.from_numpy(rough(state.space).shares(X)))
    likely, doubtful = (part.mean() for part in doubt.split([len(rows) for rows in found.values()]))
    assert doubtful > likely
