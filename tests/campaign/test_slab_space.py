"""Spaces of doped slabs: counted exactly, numbered lazily, found under symmetry; what a candidate is and may become."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher

from campaign.spaces import DopedSlab, Space, StructureSpace, build_space, estimate, variables
from campaign.spaces.slab.composed import CompositionSpace
from campaign.spaces.slab.decorated import DecorationSpace
from campaign.spaces.slab.numbering import Decorations
from campaign.spec import load_spec
from campaign.spec_words import describe
from db.errors import InvalidInput
from lab_io.schema import Column

NINE = ["Ti", "V", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn", "Mo"]
LARGE = {"builder": "coooh", "lateral": [4, 3]}
SMALL = {"builder": "coooh", "lateral": [2, 3]}


def space_spec(host: dict[str, Any] = LARGE, dopants: list[str] = NINE, **more: Any) -> dict[str, Any]:
    count = more.pop("count", {"min": 2, "max": 4})
    return {"type": "doped_slab", "host": host, "sites": {"element": "Co"}, "dopants": dopants, "count": count, **more}


def build(*args: Any, **more: Any) -> Any:
    return DopedSlab.model_validate(space_spec(*args, **more)).build({})


def problems_of(**space: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_spec(
            {
                "spec_version": 1,
                "campaign": "c",
                "seed": 1,
                "space": space,
                "objectives": [{"name": "eta", "goal": "minimize"}],
            }
        )
    return "\n".join(map(str, caught.value.problems))


WALK = build(per_composition=16)
EVERY = build(SMALL, ["Zn", "Ti", "Fe"], count={"min": 0, "max": 3})
MIXES = build(dopants=["Zn", "Ti", "Fe"], per_composition=5, candidate="composition", count={"min": 1, "max": 3})


def number_of(space: Any, index: int) -> int:
    return int(space.X(np.array([index]))[0, 0])


def test_the_walk_through_space_is_counted_exactly() -> None:
    assert isinstance(WALK, DecorationSpace)
    assert isinstance(WALK, StructureSpace)
    assert WALK.strata() == {"2 dopants": 513, "3 dopants": 2_640, "4 dopants": 7_920}
    assert WALK.count == len(WALK) == WALK.structure_count == 11_073
    X = WALK.X(np.arange(WALK.count))
    assert X.shape == (11_073, 1)
    assert len(np.unique(X)) == WALK.count
    names = WALK.stratum(np.arange(WALK.count))
    assert {name: names.count(name) for name in WALK.strata()} == WALK.strata()
    assert variables(WALK) == ("decoration",)
    assert WALK.side_columns() == (Column("decoration", "category"),)


def test_unique_decorations_are_as_many_as_least_ones() -> None:
    space = build(count={"min": 2, "max": 3}, per_composition=1)
    ranks = Decorations(12, 9, 3)
    least = set()
    for k in (2, 3):
        sets = np.array(list(itertools.combinations(range(12), k)))
        codes = np.array(list(itertools.product(range(9), repeat=k)))
        every = np.repeat(sets, len(codes), axis=0), np.tile(codes, (len(sets), 1))
        least |= set(ranks.least(*every, space.host.group)[0].tolist())
    assert space.unique_decorations == len(least)


def test_distinct_elements_and_repeats() -> None:
    assert sum(build(per_composition=1, repeats=False).strata().values()) == 36 + 84 + 126
    two = build(per_composition=1, distinct_elements={"min": 2, "max": 2})
    assert two.strata() == {"2 dopants": 36, "3 dopants": 72, "4 dopants": 108}
    assert build(per_composition=1).count == 45 + 165 + 495


def test_every_unique_decoration_of_a_small_cell_agrees_with_brute_force() -> None:
    group, n = EVERY.host.group, len(EVERY.host.sites)
    words = itertools.product([None, "Fe", "Ti", "Zn"], repeat=n)
    orbits = {
        frozenset(tuple(word[i] for i in p) for p in group.tolist())
        for word in words
        if sum(w is not None for w in word) <= 3
    }
    assert EVERY.count == EVERY.unique_decorations == len(orbits)
    seen = set()
    for index in range(EVERY.count):
        placed = EVERY.placed(number_of(EVERY, index))
        word = tuple(placed.get(f"M{i + 1}") for i in range(n))
        seen.add(next(orbit for orbit in orbits if word in orbit))
    assert seen == orbits


@pytest.mark.parametrize("space", [EVERY, MIXES], ids=["decorations", "compositions"])
def test_numbering_and_finding_agree(space: Any) -> None:
    X = space.X(np.arange(space.count))
    assert len(np.unique(X)) == space.count
    for index in range(space.count):
        candidate = space.candidate(index)
        assert space.locate(candidate.design) == index == space.find(int(X[index, 0]))
        assert space.design_candidate(candidate.design) == candidate
        assert (space.x_of(candidate.design) == X[index]).all()
        assert space.stratum(np.array([index])) == [candidate.stratum]


def test_chunks_and_single_candidates_agree() -> None:
    whole = WALK.X(np.arange(WALK.count))
    pieces = np.concatenate([WALK.X(chunk) for chunk in WALK.chunks(1_000)])
    assert (whole == pieces).all()
    order = np.random.default_rng(0).permutation(WALK.count)[:500]
    assert (WALK.X(order) == whole[order]).all()


@given(st.data())
def test_symmetric_equivalents_are_one_candidate(data: st.DataObject) -> None:
    k = data.draw(st.integers(0, 4))
    sites = data.draw(st.permutations(range(12)))[:k]
    elements = data.draw(st.lists(st.sampled_from(NINE), min_size=k, max_size=k))
    moved = WALK.host.group[data.draw(st.integers(0, len(WALK.host.group) - 1))][list(sites)]
    texts = [" ".join(f"{e}@M{s + 1}" for e, s in zip(elements, at, strict=True)) or "undoped" for at in (sites, moved)]
    one, other = (WALK.design_candidate({"decoration": text}) for text in texts)
    assert one == other
    assert WALK.design_candidate(one.design) == one
    assert one.stratum == ("1 dopant" if k == 1 else f"{k} dopants")
    x = int(WALK.x_of(one.design)[0])
    assert sorted(WALK.placed(x).values()) == sorted(elements)


def test_equivalents_are_the_same_structure_and_others_are_not() -> None:
    same = StructureMatcher(primitive_cell=False, attempt_supercell=False, scale=False, ltol=1e-3, stol=1e-2).fit
    host = EVERY.host
    pairs = list(itertools.combinations(range(6), 2))
    slabs = {pair: host.decorated(pair, ["Zn", "Zn"]) for pair in pairs}
    x = {pair: EVERY.x_of({"decoration": f"Zn@M{pair[0] + 1} Zn@M{pair[1] + 1}"})[0] for pair in pairs}
    for one, other in itertools.combinations(pairs, 2):
        assert same(slabs[one], slabs[other]) == (x[one] == x[other])


def test_a_space_of_millions_is_numbered_without_being_listed() -> None:
    elements = [*NINE, "W", "Ru", "Ir", "Al", "Mg", "Sc", "Ga", "Ge", "Sn", "Nb", "Ta", "Re", "Os", "Rh", "Pd", "Pt"]
    space = build(
        {"builder": "coooh", "lateral": [4, 4], "layers": 2},
        elements,
        per_composition=100,
        count={"min": 4, "max": 5},
        repeats=False,
        max_candidates=10_000_000,
    )
    assert space.count == 100 * (math.comb(25, 4) + math.comb(25, 5))
    for index in (0, 1_264_999, 1_265_000, space.count - 1):
        candidate = space.candidate(index)
        assert space.locate(candidate.design) == index
        assert len(set(candidate.design["decoration"].split())) == int(candidate.stratum[0])


def test_the_order_of_dopants_and_the_rest_of_the_spec_do_not_change_identities() -> None:
    other = build(dopants=[*NINE[::-1], "W"], per_composition=16, count={"min": 2, "max": 3})
    for index in range(0, 3_000, 97):
        candidate = WALK.candidate(index)
        at = other.locate(candidate.design)
        assert at is not None
        assert other.candidate(at) == candidate
    assert other.fingerprint() != WALK.fingerprint()
    assert build({**LARGE, "vacuum": 12}, per_composition=16).candidate(0).id != WALK.candidate(0).id


def test_building_again_gives_the_same_space() -> None:
    again = build(per_composition=16)
    assert again.fingerprint() == WALK.fingerprint()
    some = np.arange(0, WALK.count, 11)
    assert (again.X(some) == WALK.X(some)).all()


@pytest.mark.parametrize(
    "text", ["Ti@M3 Zn@M7", "Zn@M7 Ti@M3", "ti@m3,zn@7", " Ti @ M3;  Zn@M7 ", "Co@M1 + Ti@M3 + Zn@M7"]
)
def test_decorations_are_read_as_people_write_them(text: str) -> None:
    assert WALK.design_candidate({"decoration": text}) == WALK.design_candidate({"decoration": "Ti@M3 Zn@M7"})


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ({"decoration": "Ti@M3 Zm@M7"}, "'Zm' is not a dopant of this space. Fix: use one of Cr"),
        ({"decoration": "Ti@M13"}, "there is no site M13. Fix: the sites are M1 to M12"),
        ({"decoration": "Ti@M3 Zn@M3"}, "the site M3 is taken twice"),
        ({"decoration": "Ti2 Zn1"}, "'Ti2 Zn1' cannot be read. Fix: write elements and sites"),
        ({"decoration": "Ti@M1 Ti@M2 Ti@M3 Ti@M4 Ti@M5"}, "5 dopants are more than the 4"),
        ({"decoration": " "}, "is missing from the design"),
        ({"dopants": "Ti2"}, "'dopants' is not a column of the space"),
    ],
)
def test_what_is_no_decoration(design: dict[str, str], message: str) -> None:
    assert WALK.locate(design) is None
    for method in (WALK.design_candidate, WALK.x_of):
        with pytest.raises(InvalidInput, match=message):
            method(design)


def test_compositions_are_read_as_people_write_them() -> None:
    texts = ["Ti2 Zn1", "Zn Ti2", "Ti2Zn", "Ti1, Zn1, Ti1", "Co9 Ti2 Zn"]
    assert len({MIXES.design_candidate({"dopants": text}).id for text in texts}) == 1
    for text, message in (("Ti4", "4 dopants are more"), ("Ni2", "'Ni' is not a dopant"), ("Ti@M1", "cannot be read")):
        with pytest.raises(InvalidInput, match=message):
            MIXES.x_of({"dopants": text})


def test_a_structure_says_which_atom_is_what() -> None:
    x = int(WALK.x_of({"decoration": "Ti@M1 Zn@M2"})[0])
    (structure,) = WALK.structures(x)
    labels = structure.site_properties["label"]
    assert sum(structure.site_properties["dopant"]) == 2
    assert sum(structure.site_properties["sublattice"]) == 12
    dopants = {label for label, dopant in zip(labels, structure.site_properties["dopant"], strict=True) if dopant}
    assert dopants == {f"{element}@{site}" for site, element in WALK.placed(x).items()}
    assert WALK.formula(x) == "Co10 Ti1 Zn1 O24 H12"
    assert structure.composition.get_el_amt_dict() == {"Co": 10, "Ti": 1, "Zn": 1, "O": 24, "H": 12}
    assert WALK.substitutions(x) == (("Co", "Ti"), ("Co", "Zn"))
    assert WALK.constituents(np.array([x])) == ("Ti", "Zn")


def test_reversions_and_swaps_change_one_site() -> None:
    x = int(WALK.x_of({"decoration": "Ti@M1 Zn@M2 Ti@M7"})[0])
    placed = WALK.placed(x)
    back = WALK.reversion(x)
    assert [(c.site, c.old, c.new) for c in back] == [(site, e, "Co") for site, e in placed.items()]
    assert len(WALK.swaps(x)) == 3 * 8
    for change in (*back, *WALK.swaps(x)):
        after = {**placed, change.site: change.new}
        text = " ".join(f"{element}@{site}" for site, element in after.items())
        assert change.old == placed[change.site]
        assert change.x == WALK.x_of({"decoration": text})[0]
    single = WALK.reversion(back[0].x)[0].x
    assert WALK.structures(WALK.reversion(single)[0].x)[0].composition == WALK.host.structure.composition
    assert WALK.reversion(0) == WALK.swaps(0) == []
    for names in (WALK.structures, WALK.swaps, WALK.reversion, WALK.formula):
        with pytest.raises(ValueError, match="is no rank"):
            names(10**9)


def test_neighbours_are_one_substitution_away_and_mutual() -> None:
    for space in (EVERY, MIXES):
        for index in range(0, space.count, 7):
            near = space.neighbours(index).tolist()
            changed = {space.find(c.x) for c in space.swaps(number_of(space, index))} - {None}
            assert near == sorted(changed)
            assert index not in near
            assert all(index in space.neighbours(n) for n in near)
    assert len(EVERY.neighbours(EVERY.count - 1)) > 0


def test_neighbouring_sites_by_name() -> None:
    x = int(WALK.x_of({"decoration": "Ti@M1 Zn@M2"})[0])
    (ti, zn) = (next(s for s, e in WALK.placed(x).items() if e == element) for element in ("Ti", "Zn"))
    near = dict(WALK.neighbourhood(x, ti))
    assert len(near) == 6
    assert near[zn] == "Zn"
    assert sorted(near.values()) == ["Co"] * 5 + ["Zn"]


def test_a_composition_is_an_ensemble_of_its_decorations() -> None:
    assert isinstance(MIXES, CompositionSpace)
    assert isinstance(MIXES, StructureSpace)
    assert MIXES.strata() == {"1 dopant": 3, "2 dopants": 6, "3 dopants": 10}
    assert MIXES.candidate(0).design == {"dopants": "Fe1"}
    x = int(MIXES.x_of({"dopants": "Ti2 Zn1"})[0])
    slabs = MIXES.structures(x)
    assert len(slabs) == 5
    amounts = {"Co": 9, "Ti": 2, "Zn": 1, "O": 24, "H": 12}
    assert all(slab.composition.get_el_amt_dict() == amounts for slab in slabs)
    decorations = {tuple(label for label in s.site_properties["label"] if "Co@" not in label) for s in slabs}
    assert len(decorations) == 5
    assert MIXES.structures(x) == slabs
    assert MIXES.structure_count == 3 * 2 + 6 * 5 + 10 * 5  # the hydroxyls make two kinds of site
    assert [(c.site, c.old, c.new) for c in MIXES.reversion(x)] == [(None, "Ti", "Co"), (None, "Zn", "Co")]
    fewer = {c.old: c.x for c in MIXES.reversion(x)}
    assert fewer["Ti"] == MIXES.x_of({"dopants": "Ti1 Zn1"})[0]
    assert MIXES.formula(fewer["Zn"]) == "Co10 Ti2 O24 H12"
    assert {(c.old, c.new) for c in MIXES.swaps(x)} == {("Ti", "Fe"), ("Ti", "Zn"), ("Zn", "Fe"), ("Zn", "Ti")}
    assert len(MIXES.structures(0)) == 1


def test_distances_are_shares_of_the_material() -> None:
    designs = ["Ti@M1 Zn@M2", "Zn@M5 Ti@M1", "Fe@M1 Zn@M2", "Ti@M1"]
    X = np.array([WALK.x_of({"decoration": text}) for text in designs])
    points = WALK.coordinates(X)
    away = np.abs(points - points[0]).sum(axis=1)
    assert away == pytest.approx([0, 0, 1 / 12, 1 / 12])


def test_notes_warn_where_arrangement_means_nothing() -> None:
    notes = build({"builder": "coooh", "lateral": [2, 2], "layers": 3}, per_composition=4).notes()
    assert notes[0].startswith("12 Co sites under ")
    assert notes[1].startswith("warning: in this cell every site of a layer is next to every other")
    assert WALK.notes() == ("12 Co sites under 12 symmetry operations: 287,259 of the decorations differ by symmetry",)


def test_a_spec_in_words() -> None:
    text = {
        "spec_version": 1,
        "campaign": "c",
        "seed": 1,
        "space": space_spec(per_composition=16, host={**LARGE, "vacuum": "1.5 nm"}),
        "objectives": [{"name": "eta", "goal": "minimize"}],
    }
    spec = load_spec(text)
    space: Space = build_space(spec.space)
    assert (
        "11,073 decorations of 705 compositions: 2 to 4 dopants among 9 (Ti, V, Cr, Mn, Fe, Ni, Cu, Zn and Mo) on the "
        "Co sites of beta-CoOOH (001), 4 x 3, 1 layer, at most 16 of each composition"
    ) in describe(spec, space)
    assert load_spec(spec.resolved()) == spec
    assert spec.resolved()["space"]["host"]["vacuum"] == pytest.approx(15)
    from_file = space_spec({"file": "a.cif"})
    assert load_spec({**text, "space": from_file}).space.files() == ("a.cif",)
    assert load_spec(load_spec({**text, "space": from_file}).resolved()).space.host.file == "a.cif"
    small = MIXES.spec.describe(MIXES.count)
    assert small.startswith("19 compositions: 1 to 3 dopants among 3")
    assert small.endswith("each an ensemble of at most 5 decorations")


def test_encoding_is_estimated_by_itself_as_it_is_paid_once() -> None:
    assert estimate(WALK).encoding_seconds == pytest.approx(0.17 * WALK.count / 2)
    assert estimate(WALK).seconds < 60
    assert estimate(build(SMALL, ["Ti"], count={"min": 1, "max": 1})).encoding_seconds < 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host": {"builder": "cooh", "lateral": [4, 3]}}, "'cooh' is no builder. Fix: did you mean coooh"),
        ({"host": {"lateral": [4, 3]}}, "the host has neither `builder` nor `file`"),
        ({"host": "coooh.cif"}, "found 'coooh.cif'. Fix: write `{builder: coooh"),
        ({"host": {"builder": "coooh", "lateral": [3, 3]}}, "cannot be shared by two faces.*make one of the two even"),
        ({"host": {"builder": "coooh", "lateral": [4, 3], "layer": 1}}, "'layer' is unknown here. Fix: .*layers"),
        ({"host": {"builder": "coooh", "lateral": [4, 3], "vacuum": "15 V"}}, "vacuum.*'?V"),
        ({"host": {"builder": "coooh", "lateral": [4, 3], "layers": 4}}, "4 is not a whole number from 1 to 3"),
        ({"host": {"builder": "fcc111", "metal": "Fe", "size": [3, 3, 3]}}, "'Fe' is not an fcc metal"),
        (
            {
                "host": {
                    "builder": "fcc111",
                    "metal": "Pt",
                    "size": [3, 3, 3],
                    "adsorbate": {"species": "H", "site": "hollow"},
                }
            },
            "fcc111 has no site hollow. Fix: use one of ontop, bridge, fcc, hcp",
        ),
        ({"host": {"file": "../a.cif"}}, "'../a.cif' is not a file in the folder of the spec"),
        ({"host": {"file": "a.csv"}}, "'a.csv' is not a structure file"),
        ({"host": {"file": "a.cif", "sha256": "12"}}, "SHA-256 that the file must have"),
        ({"host": {"file": "a.cif", "slab": {"miller": [0, 0, 0]}}}, "is no plane"),
        ({"dopants": ["Ti", "Zq"]}, "'Zq' is not the symbol of an element"),
        ({"dopants": ["Ti", "Ti"]}, "Ti is listed twice"),
        ({"dopants": ["Ti", "Co"]}, "Co is the element of the sites, not a dopant"),
        ({"sites": {"element": "cobalt"}}, "'cobalt' is not the symbol of an element"),
        ({"count": {"min": 3, "max": 2}}, "3 is more than max, 2"),
        ({"count": {"min": 2, "max": 9}}, "9 is not a whole number from 1 to 8"),
        ({"distinct_elements": {"min": 5, "max": 6}}, "4 atoms of 9 dopants cannot be 5 different elements"),
        ({"repeats": False, "dopants": ["Ti"]}, "2 different elements out of 1 are impossible"),
        ({"candidate": "site"}, "'site' is not one of decoration, composition"),
        ({"per_composition": 0}, "0 is not a whole number from 1 to 1000"),
    ],
)
def test_what_is_wrong_with_a_spec(changes: dict[str, Any], message: str) -> None:
    found = problems_of(**{**space_spec(), **changes})
    assert "\n" not in found, found
    assert re.search(message, found), found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "287,259 structures are more than max_candidates, 50,000"),
        ({"host": SMALL, "count": {"min": 7, "max": 8}}, "8 dopants do not fit on 6 sites of Co"),
        (
            {"repeats": False, "distinct_elements": {"min": 1, "max": 1}},
            "satisfies count, distinct_elements and repeats",
        ),
        (
            {"host": {"builder": "coooh", "lateral": [4, 4], "layers": 2}, "repeats": False},
            "863,040 arrangements of 4 dopants are too many to list; at most",
        ),
        ({"host": {"builder": "coooh", "lateral": [6, 6], "layers": 3}, "count": {"min": 8, "max": 8}}, "exactly"),
    ],
)
def test_what_cannot_be_built(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        DopedSlab.model_validate({**space_spec(), **changes}).build({})


def test_reading_a_spec_imports_neither_pymatgen_nor_torch() -> None:
    code = "import sys, campaign.spec; print([m for m in ('pymatgen', 'ase', 'spglib', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
