"""A campaign over doped slabs: encoded once, explained by site, strata kept apart; with a small potential in the place
of CHGNet."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from campaign import Campaign
from campaign.belief import believe
from campaign.describe import describe
from campaign.encoding import CHGNetEncoder
from campaign.ranking import ranked
from campaign.site_rationale import contrast
from campaign.spec import CampaignSpec, load_spec
from db.errors import InvalidInput
from surrogates.encoders.potentials import SiteFeatures


@dataclass
class Near:
    """Element and sums of neighbouring elements by distance; counts what it encodes, in all processes of a test."""

    encoded: ClassVar[list[str]] = []
    name: str = "near"
    width: int = 4
    elements: tuple[str, ...] = field(default=("Co", "Ti", "Zn"))

    def __call__(self, structures: list[Any]) -> list[SiteFeatures]:
        found = []
        for structure in structures:
            self.encoded.append(structure.formula)
            close = torch.from_numpy(np.exp(-np.asarray(structure.distance_matrix) / 2)).float()
            kinds = torch.tensor([[float(s.specie.symbol == e) for e in self.elements] for s in structure])
            heavy = torch.tensor(structure.atomic_numbers).float() / 30
            features = torch.cat([heavy.unsqueeze(1), close @ kinds], dim=1)
            found.append(SiteFeatures(features, -float(features.square().mean())))
        return found


@pytest.fixture(autouse=True)
def small_potential(monkeypatch):
    monkeypatch.setattr(CHGNetEncoder, "potential", lambda self: Near())
    monkeypatch.setattr("campaign.encoding.WORKERS", 1)
    Near.encoded.clear()


SPACE = {
    "type": "doped_slab",
    "host": {"builder": "coooh", "lateral": [4, 3]},
    "sites": {"element": "Co"},
    "dopants": ["Ti", "Zn"],
    "count": {"min": 1, "max": 3},
    "per_composition": 5,
}


def spec_of(**changes: Any) -> CampaignSpec:
    values = {
        "spec_version": 1,
        "campaign": "slabs",
        "seed": 3,
        "space": SPACE,
        "objectives": [{"name": "eta", "goal": "minimize", "unit": "mV"}],
        "batch": {"size": 4},
        "model": "gp",
    }
    return load_spec(values | changes)


@pytest.fixture
def start(tmp_path):
    def make(**changes: Any) -> Campaign:
        return Campaign.start(spec_of(**changes), db=f"sqlite:///{tmp_path}/lab{len(list(tmp_path.iterdir()))}.db")

    return make


def truth(structure: Any) -> float:
    """Each Zn helps, the more the nearer it is to a Ti."""
    sites = [s for s in structure if s.properties["dopant"]]
    titanium = [s for s in sites if s.specie.symbol == "Ti"]
    zinc = [s for s in sites if s.specie.symbol == "Zn"]
    return 400 - sum(10 + max((50 * math.exp(2.8 - s.distance(t)) for t in titanium), default=0) for s in zinc)


def table(campaign: Campaign, samples: list[tuple[str, Any]]) -> bytes:
    space = campaign.state.space
    text = io.StringIO()
    writer = csv.writer(text)
    (column,) = space.spec.design_names()
    writer.writerow(["sample_id", column, "eta (mV)"])
    for label, design in samples:
        structures = space.structures(int(space.x_of(design)[0]))
        writer.writerow([label, design[column], f"{np.mean([truth(s) for s in structures]):.2f}"])
    return text.getvalue().encode()


def history(campaign: Campaign, strata: tuple[str, ...], n: int = 24) -> None:
    space = campaign.state.space
    rows = np.arange(space.count)
    rows = rows[[stratum in strata for stratum in space.stratum(rows)]][:: max(1, space.count // (2 * n))][:n]
    made = [(f"old-{i}", space.candidate(int(row)).design) for i, row in enumerate(rows)]
    campaign.ingest(table(campaign, made), name="history.csv", commit=True)


def test_a_round_recommends_explains_and_encodes_nothing_twice(start):
    campaign = start()
    history(campaign, ("1 dopant", "2 dopants", "3 dopants"))
    batch = campaign.recommend()
    assert len({r.candidate for r in batch}) == 4
    assert len(Near.encoded) > campaign.state.space.count  # all candidates, and what they become by one change
    Near.encoded.clear()
    again = campaign.recommend(more=True, dry_run=True)
    assert len(Near.encoded) <= 4 * (3 * 2)  # only what other recommendations become
    why = batch[0].rationale["objectives"]["eta"]
    assert {e["name"] for e in why["effects"]} == set(next(iter(batch[0].design.values())).split())
    assert not {r.candidate for r in batch} & {r.candidate for r in again}


def test_effects_are_differences_of_the_joint_belief(start):
    campaign = start()
    history(campaign, ("1 dopant", "2 dopants", "3 dopants"))
    state = campaign.state
    belief = believe(state, seed=1)
    candidate = state.space.design_candidate({"decoration": "Ti@M1 Zn@M2"})
    _, (rationale,) = describe(state, belief, [candidate])
    why = rationale["objectives"]["eta"]
    x = int(state.space.x_of(candidate.design)[0])
    back = {f"{c.old}@{c.site}": c.x for c in state.space.reversion(x)}
    for effect in why["effects"]:
        mean, covariance = belief.objectives[0].joint(np.array([[x], [back[effect["name"]]]], dtype=float))
        assert effect["kind"] == "reversion"  # slabs with one dopant are among the data
        assert effect["change"] == pytest.approx(mean[1] - mean[0], abs=1e-6)
        assert effect["sd"] == pytest.approx(contrast(np.array([[-1.0, 1.0]]), mean, covariance)[1][0], abs=1e-6)
    zinc = next(e for e in why["effects"] if e["element"] == "Zn")
    assert zinc["change"] > 0  # without it the overpotential is higher
    assert zinc["beside"] == ["Ti@M1"]
    assert zinc["surface"]


def test_where_turning_back_leaves_the_data_swaps_come_first(start):
    campaign = start(space=SPACE | {"count": {"min": 2, "max": 3}})
    history(campaign, ("2 dopants", "3 dopants"))
    state = campaign.state
    candidates = [state.space.design_candidate({"decoration": t}) for t in ("Ti@M1 Zn@M2", "Ti@M1 Zn@M2 Zn@M5")]
    _, (two, three) = describe(state, believe(state, seed=1), candidates)
    assert {e["kind"] for e in two["objectives"]["eta"]["effects"]} == {"swaps"}
    assert {e["kind"] for e in three["objectives"]["eta"]["effects"]} == {"reversion"}
    assert all("reversion" in e["ways"] for e in two["objectives"]["eta"]["effects"])


def test_a_density_without_measurements_is_recommended_last(start):
    campaign = start()
    history(campaign, ("2 dopants",), n=6)
    assert {r.stratum for r in campaign.recommend()} == {"2 dopants"}
    left = campaign.state.space.strata()["2 dopants"] - len(campaign.state.tried())
    batch = campaign.recommend(left, more=True, dry_run=True)
    assert {r.stratum for r in batch} == {"2 dopants"}
    batch = campaign.recommend(left + 2, more=True, dry_run=True)
    assert [r.stratum == "2 dopants" for r in batch] == [True] * left + [False, False]
    flagged = [r for r in batch if r.stratum != "2 dopants"]
    assert all("nothing with" in " ".join(r.rationale["warnings"]) for r in flagged)


def test_an_energy_filter_does_not_depend_on_what_was_encoded_before(start):
    rule = {"rule": "formation_energy_proxy", "max": 0.0, "mode": "hard"}
    campaign = start(filters=[rule])
    history(campaign, ("1 dopant", "2 dopants", "3 dopants"), n=8)
    first, second = (campaign.recommend(3, dry_run=True) for _ in range(2))
    assert [r.design for r in first] == [r.design for r in second]
    assert first.notes == second.notes
    assert all(v["passed"] for r in first for v in r.rationale["filters"])
    assert any("hard filters took out" in note for note in first.notes)


def test_what_a_hard_filter_takes_out_is_no_substitution(start):
    swaps = {}
    for mode in ("annotate", "hard"):
        campaign = start(filters=[{"rule": "excluded_elements", "elements": ["Ti"], "mode": mode}])
        history(campaign, ("1 dopant", "2 dopants", "3 dopants"), n=8)
        state = campaign.state
        candidate = state.space.design_candidate({"decoration": "Zn@M1 Zn@M2"})
        _, (why,) = describe(state, believe(state, seed=1), [candidate])
        swaps[mode] = [s["swap"] for s in why["objectives"]["eta"]["substitutions"]]
    assert any(swap.endswith("-> Ti") for swap in swaps["annotate"])
    assert swaps["hard"] == []


def test_a_slab_without_dopants_has_no_site_to_explain(start):
    campaign = start(space=SPACE | {"count": {"min": 0, "max": 2}})
    history(campaign, ("1 dopant", "2 dopants"), n=8)
    state = campaign.state
    _, (why,) = describe(state, believe(state, seed=1), [state.space.design_candidate({"decoration": "undoped"})])
    assert why["objectives"]["eta"]["effects"] == []


def test_an_encoder_that_cannot_work_is_refused_before_anything_is_written(start, tmp_path):
    missing = {"type": "uma", "checkpoint": str(tmp_path / "none.pt")}
    for encoder, space, what in (
        (missing, SPACE, "there is no checkpoint file"),
        ({"type": "chgnet", "sites": "dopants"}, SPACE | {"count": {"min": 1, "max": 2}}, "no site of the choice"),
    ):
        with pytest.raises(InvalidInput) as caught:
            start(encoder=encoder, space=space)
        assert what in str(caught.value)


def test_compositions_are_ensembles_of_their_decorations(start):
    campaign = start(space=SPACE | {"candidate": "composition"})
    history(campaign, ("1 dopant", "2 dopants", "3 dopants"), n=6)
    (first, *_) = campaign.recommend(2)
    why = first.rationale["objectives"]["eta"]
    assert {e["name"] for e in why["effects"]} <= {"Ti", "Zn"}
    assert all(e["site"] is None for e in why["effects"])


def test_an_interrupted_screen_goes_on_where_it_was(start, monkeypatch):
    campaign = start()
    history(campaign, ("1 dopant", "2 dopants", "3 dopants"), n=6)

    def stop(text: str) -> None:
        if text.startswith("encoded 16"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ranked(campaign.state, 5, stage=stop)
    before = len(Near.encoded)
    monkeypatch.setattr("campaign.encoding._kept", {})  # as in another process
    found = campaign.screen(5)
    assert len(found) == 5
    assert len(Near.encoded) == campaign.state.space.count
    assert 16 <= before < campaign.state.space.count


def test_a_decoration_that_is_none_is_refused_by_row(start):
    campaign = start()
    sheet = b"sample_id,decoration,eta (mV)\na,Ti@M99,400\nb,Ti@M1,390\n"
    check = campaign.ingest(sheet, name="sheet.csv")
    assert not check.ok
    (problem,) = check.problems
    assert "sheet.csv, row 2" in problem.where
    assert "M99" in str(problem)
    with pytest.raises(InvalidInput):
        campaign.ingest(sheet, name="sheet.csv", commit=True)
    assert not campaign.state.samples


@pytest.mark.parametrize(("space", "explain"), [(SPACE, "element_direction"), (None, "site_reversion")])
def test_an_explanation_must_fit_the_space(space, explain):
    grid = {"type": "composition_grid", "elements": ["Ni", "Fe"], "divisions": 4}
    with pytest.raises(InvalidInput) as caught:
        spec_of(space=space or grid, explain=explain)
    assert "explain" in caught.value.problems[0].where
