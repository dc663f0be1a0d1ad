"""Filters: what each rule says, that hard ones are counted, and that nothing measured is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml
from small_campaign import history, results, spec_of

from campaign import Campaign
from campaign.cards import card
from campaign.filters import (
    ChargeBalance,
    ExcludedElements,
    Facts,
    FormationEnergyProxy,
    IonicRadiusMismatch,
    Material,
    PrecursorAvailable,
    Sieve,
    Tally,
    composition_of,
    preview,
    proxies,
)
from campaign.filters.inventory import precursors
from campaign.filters.radii import shannon_radius
from campaign.spaces import build_space
from campaign.spec import load_spec
from campaign.spec_words import describe
from db.errors import InvalidInput

INVENTORY = b"element,precursor,stock (g)\nNi,Ni(NO3)2.6H2O,12.5\nFe,Fe(NO3)3.9H2O,0\nCo,CoCl2,3\nMn,MnCl2,\n"
NOTHING = Facts({}, {})
NO_IRON = {"rule": "excluded_elements", "elements": ["Fe"], "mode": "hard", "reason": "kept out of the KOH"}


class Slab:
    """What filters ask of a structure space: three candidates of CoOOH with other metals in it."""

    components: tuple[str, ...] = ()
    formulas = ("Co11 Ti1 O24 H12", "Co11 Zn1 O24 H12", "Co10 Ti1 Zn1 O24 H12")
    count = 3

    def X(self, indices: Any) -> Any:  # noqa: N802
        return np.asarray(indices, dtype=float)[:, None]

    def formula(self, x: int) -> str:
        return self.formulas[x]

    def substitutions(self, x: int) -> tuple[tuple[str, str], ...]:
        return tuple(("Co", dopant) for dopant in ("Ti", "Zn") if dopant in self.formulas[x])


def slab(x: int) -> Material:
    return composition_of(Slab(), np.array([float(x)]))


def metals(**amounts: float) -> Material:
    return Material(tuple(sorted(amounts.items())))


def test_filters_see_fractions_or_the_full_formula() -> None:
    space = build_space(load_spec(spec_of()).space)
    design = {"Ni": 0.5, "Fe": 0.5}
    assert composition_of(space, space.x_of(design)) == metals(Ni=0.5, Fe=0.5)
    assert slab(1).amounts == (("Co", 11.0), ("H", 12.0), ("O", 24.0), ("Zn", 1.0))
    assert slab(2).substitutions == (("Co", "Ti"), ("Co", "Zn"))


def test_charge_balance_with_mixed_valence() -> None:
    rule = ChargeBalance()
    assert rule.judge(slab(0), 0, NOTHING).passed is True  # Ti4+ beside one Co2+
    short = rule.judge(slab(1), 1, NOTHING)
    assert (short.passed, short.value) == (False, -1.0)  # Zn2+ would need a Co4+
    assert rule.judge(slab(2), 2, NOTHING).passed is True
    assert rule.judge(metals(Na=1, Cl=1), None, NOTHING).passed is True
    assert rule.judge(metals(Na=1, Cl=2), None, NOTHING).value == -1.0
    assert rule.judge(metals(Ni=0.5, Fe=0.5), None, NOTHING).passed is None
    with_oxygen = ChargeBalance(anions={"O": 1.5}).judge(metals(Fe=0.5, Co=0.5), None, NOTHING)
    assert with_oxygen.passed is True
    eight = metals(**dict.fromkeys(("Co", "Ti", "Fe", "Ni", "Mn", "Cr", "V", "Mo"), 1.0), O=12)
    assert rule.judge(eight, None, NOTHING).passed is True  # at once, whatever the number of elements


def test_radii_are_shannons_against_the_host_or_the_mean() -> None:
    assert shannon_radius("Co", 3, "VI", "high") == 0.61
    assert shannon_radius("Co", 3, "VI", "low") == 0.545
    assert shannon_radius("Zn", 3, "VI", "high") == 0.74  # only Zn2+ has one
    low = IonicRadiusMismatch(max=0.2, spin="low").judge(slab(2), 2, NOTHING)
    assert (low.passed, low.value) == (False, pytest.approx(0.74 / 0.545 - 1, abs=1e-6))
    assert IonicRadiusMismatch(max=0.4, spin="low").judge(slab(2), 2, NOTHING).passed is True
    mean = 0.5 * 0.645 + 0.5 * 0.61
    blend = IonicRadiusMismatch().judge(metals(Fe=0.5, Co=0.5), None, NOTHING)
    assert blend.value == pytest.approx(0.645 / mean - 1, abs=1e-6)
    assert IonicRadiusMismatch().judge(metals(He=1.0), None, NOTHING).passed is None


def test_precursors_are_those_in_stock() -> None:
    rule = PrecursorAvailable(inventory="inventory.csv")
    facts = Facts({"inventory.csv": INVENTORY}, {})
    assert precursors(INVENTORY, "inventory.csv").keys() == {"Ni", "Co", "Mn"}  # no stock stated is stock
    assert rule.judge(metals(Ni=0.5, Co=0.5), None, facts).passed is True
    missing = rule.judge(slab(0), 0, facts)
    assert (missing.passed, missing.value) == (False, "Ti")  # O and H come from water
    assert "sha256" in missing.reason
    with pytest.raises(InvalidInput) as caught:
        precursors(b"element,precursor,stock\nNi,a,1\nXx,b,2\nCo,c,many\n", "inventory.csv")
    assert [p.where for p in caught.value.problems] == ["inventory.csv, A3", "inventory.csv, C4"]
    with pytest.raises(InvalidInput, match="no column precursor"):
        precursors(b"element\nNi\n", "inventory.csv")


def test_the_energy_proxy_is_what_composition_does_not_explain() -> None:
    amounts = {x: slab(x) for x in range(3)}
    chemical = {"Co": -7.0, "Ti": -9.0, "Zn": -2.0, "O": -5.0, "H": -3.0}
    linear = {x: sum(n * chemical[e] for e, n in m.amounts) / sum(n for _, n in m.amounts) for x, m in amounts.items()}
    assert list(proxies(linear, amounts).values()) == pytest.approx([0, 0, 0], abs=1e-9)
    twice = {**amounts, 3: amounts[2]}  # two arrangements of one composition
    found = proxies({**linear, 3: linear[2] + 0.2}, twice)
    assert found[3] - found[2] == pytest.approx(0.2)
    sieve = Sieve([FormationEnergyProxy(max=0.01, mode="hard")], Slab(), {}, {0: -5.0, 1: -5.0})
    assert [sieve.verdicts(np.array([x]))[0].passed for x in (0.0, 1.0, 2.0)] == [True, True, None]
    assert sieve.kept(np.arange(3)).tolist() == [0, 1, 2]  # what has no energy stays
    assert FormationEnergyProxy(max=0).judge(slab(0), 7, NOTHING).passed is None


def test_hard_filters_take_out_and_count_and_what_cannot_be_judged_stays() -> None:
    space = build_space(load_spec(spec_of()).space)
    everything = np.arange(space.count)
    iron = sum("Fe" in space.candidate(int(i)).design for i in everything)
    no_fe = ExcludedElements(elements=("Fe",), mode="hard")
    shelf = PrecursorAvailable(inventory="i.csv", mode="hard")
    tally = Tally()
    kept = Sieve([no_fe, shelf, ChargeBalance(mode="hard")], space, {"i.csv": INVENTORY}).kept(everything, tally)
    assert (tally.looked_at, tally.removed, len(kept)) == (space.count, iron, space.count - iron)
    assert tally.by_rule == {"excluded_elements": iron, "precursor_available": iron}  # charge_balance cannot tell
    assert f"{iron} of {space.count} candidates" in tally.sentence()
    only_said = Sieve([ExcludedElements(elements=("Fe",))], space, {})
    assert len(only_said.kept(everything)) == space.count
    assert preview(only_said) == [f"excluded_elements (annotate): marks {iron} candidates"]


def test_hard_filters_keep_candidates_out_of_every_batch_and_nothing_measured_is_lost(start: Any) -> None:
    campaign = start(0, filters=[NO_IRON])
    first = campaign.recommend()
    assert not any("Fe" in r.design for r in first)
    assert any("excluded_elements" in note for note in first.notes)
    old = history(campaign, 10)
    with_iron = [label for label, design in old if "Fe" in design]
    assert with_iron
    campaign.ingest(results(old), name="history.csv", commit=True)
    second = campaign.recommend(more=True)
    assert not any("Fe" in r.design for r in second)
    assert any("hard filters took out" in note and "excluded_elements" in note for note in second.notes)
    assert {o.sample.label for o in campaign.state.observations("loss")} >= set(with_iron)
    assert campaign.state.batches[1].settings["models"]["loss"]["measured"] == 10
    with pytest.raises(InvalidInput, match="hard filters took out"):
        start(0, filters=[{**NO_IRON, "elements": ["Fe", "Ni", "Co", "Mn"]}]).recommend()


def test_annotations_are_on_the_card_and_change_no_choice(start: Any) -> None:
    rules = [{"rule": "excluded_elements", "elements": ["Fe", "Co"]}, "charge_balance", "ionic_radius_mismatch"]
    plain, noted = start(8).recommend(), start(8, filters=rules).recommend()
    assert [r.design for r in plain] == [r.design for r in noted]
    for r in noted:
        shown = card(r, noted.space)
        assert [v["rule"] for v in shown["filters"]] == ["excluded_elements", "charge_balance", "ionic_radius_mismatch"]
        excluded, balance, radius = shown["filters"]
        assert excluded["passed"] == (not {"Fe", "Co"} & r.design.keys())
        assert any(text.startswith("Mind: excluded_elements") for text in shown["text"]) != excluded["passed"]
        assert balance["passed"] is None
        assert "pymatgen" in radius["source"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("charge_balanced", "did you mean charge_balance"),
        ({"rule": "excluded_elements"}, "`elements` is missing"),
        ({"rule": "excluded_elements", "elements": ["Xx"]}, "'Xx' is no chemical element"),
        ({"rule": "excluded_elements", "elements": ["Fe"], "mode": "soft"}, "'soft' is not one of annotate, hard"),
        ({"rule": "precursor_available", "inventory": "/etc/passwd"}, "not a file in the folder"),
        ({"rule": "ionic_radius_mismatch", "max": 0}, "above 0"),
        ({"mode": "hard"}, "has no `rule`"),
    ],
)
def test_what_is_said_of_an_invalid_filter(rule: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_spec(spec_of(filters=[rule]))
    assert any(message in str(p) for p in caught.value.problems), caught.value.problems


def test_energies_are_refused_where_there_are_no_structures(start: Any) -> None:
    with pytest.raises(InvalidInput, match="needs the energies of structures, and composition_grid has none"):
        start(0, filters=[{"rule": "formation_energy_proxy", "max": 0.1}])


def test_validate_counts_what_filters_take_out_and_the_inventory_is_pinned(tmp_path: Any, capsys: Any) -> None:
    from flows.cli.app import run

    rules = [{"rule": "precursor_available", "inventory": "inventory.csv", "mode": "hard"}]
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec_of(filters=rules)))
    assert run(["validate", str(path)]) != 0
    (tmp_path / "inventory.csv").write_bytes(INVENTORY)
    capsys.readouterr()
    assert run(["validate", str(path)]) == 0
    assert "precursor_available (hard): takes out" in capsys.readouterr().out
    campaign = Campaign.start(path, db=f"sqlite:///{tmp_path}/db.db", by="tests")
    (tmp_path / "inventory.csv").unlink()
    assert not any("Fe" in r.design for r in campaign.recommend())
    text = describe(campaign.state.spec, campaign.state.space)
    assert "filters: precursor_available (hard)" in text
