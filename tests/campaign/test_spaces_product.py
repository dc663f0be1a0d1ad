"""Processes and products: counted and numbered lazily, named in the user's units, and read back as typed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign.spaces import build_space
from campaign.spec import check_space, load_spec
from campaign.spec_words import describe
from db.errors import InvalidInput

HEAT = {
    "type": "process",
    "variables": {
        "T": {"min": "300 degC", "max": 400, "step": "50 K", "unit": "degC"},
        "t": {"values": [4, "30 min", 1], "unit": "h"},
        "gas": {"values": ["Ar", "N2"]},
        "cycles": {"min": 1, "max": 3, "divisions": 2},
    },
}
ALLOY = {"type": "composition_grid", "elements": ["Ni", "Fe", "Co"], "divisions": 4}
ROUTE = {
    "type": "process_sequence",
    "vocabulary": {"melt": None, "anneal": {"T": {"values": [900, 1000], "unit": "K"}}},
    "length": {"max": 3},
    "rules": ["starts_with melt"],
}
HEA = """
type: product
parts:
  - name: alloy
    type: composition_grid
    elements: [Al, V, Cr, Mn, Fe, Co, Ni, Cu]
    divisions: 20
    max_elements: 6
    bounds: {Ni: {min: 0.1, max: 0.5}, Al: {max: 0.15}}
  - name: route
    type: process_sequence
    vocabulary:
      arc_melt:   {remelts: {values: [3, 5]}, atmosphere: {values: [Ar]}}
      homogenize: {T: {values: [1273, 1373, 1473], unit: K}, t: {values: [12, 24], unit: h}}
      cold_roll:  {reduction: {min: 0.2, max: 0.8, divisions: 6}}
      anneal:     {T: {values: [973, 1073, 1173], unit: K}, t: {values: [0.5, 1, 4], unit: h}}
      quench:     {medium: {values: [water, air]}}
    length: {min: 2, max: 6}
    rules: ["starts_with arc_melt", "anneal immediately_before quench", "max 2 cold_roll",
            "cold_roll requires_before homogenize"]
"""


def spec_of(space):
    objective = {"name": "uts", "goal": "maximize", "unit": "MPa"}
    return load_spec({"spec_version": 1, "campaign": "c", "seed": 1, "space": space, "objectives": [objective]})


def built(space):
    return build_space(spec_of(space).space)


def joined(**parts):
    return {"type": "product", "parts": [{"name": name, **part} for name, part in parts.items()]}


def test_a_process_is_every_combination_in_the_users_units():
    space = built(HEAT)
    T, t, gas, cycles = (300.0, 350.0, 400.0), (0.5, 1.0, 4.0), ("Ar", "N2"), (1.0, 2.0, 3.0)
    expected = [dict(zip(("cycles", "gas", "T", "t"), row, strict=True)) for row in product(cycles, gas, T, t)]
    assert [space.candidate(i).design for i in range(space.count)] == expected
    assert space.columns == ("cycles", "T", "t", "gas=Ar", "gas=N2")
    assert space.X(np.array([0, 53])).tolist() == [[1, 300, 0.5, 1, 0], [3, 400, 4, 0, 1]]
    assert [(c.name, c.kind, c.unit, c.allowed) for c in space.side_columns()] == [
        ("cycles", "number", None, ()),
        ("gas", "category", None, ("Ar", "N2")),
        ("T", "number", "degC", ()),
        ("t", "number", "h", ()),
    ]
    assert len({space.candidate(i).id for i in range(space.count)}) == space.count


def test_the_order_in_which_keys_are_written_is_nothing():
    turned = {**ROUTE, "vocabulary": dict(reversed(ROUTE["vocabulary"].items()))}
    heat = {**HEAT, "variables": dict(reversed(HEAT["variables"].items()))}
    space = built(joined(heat=heat, alloy=ALLOY, route=turned))
    assert space.columns == PRODUCT.columns
    assert [space.candidate(i) for i in (0, 777, 9999)] == [PRODUCT.candidate(i) for i in (0, 777, 9999)]


def test_columns_of_worksheets_cannot_be_variables():
    with pytest.raises(InvalidInput, match="'batch' is also a column of every worksheet"):
        spec_of({"type": "process", "variables": {"batch": {"values": [1, 2]}}})
    with pytest.raises(InvalidInput, match="'notes' is also a column of every worksheet"):
        spec_of(joined(alloy=ALLOY, notes=ROUTE))


def test_the_unit_is_part_of_what_a_design_is():
    kelvin = {"type": "process", "variables": {"T": {"values": [300], "unit": "K"}}}
    celsius = {"type": "process", "variables": {"T": {"values": [300], "unit": "degC"}}}
    assert built(kelvin).candidate(0).id != built(celsius).candidate(0).id


def test_steps_are_exact_and_typed_values_snap_to_them():
    space = built({"type": "process", "variables": {"x": {"min": 0.2, "max": 0.8, "divisions": 6}}})
    assert [space.candidate(i).design["x"] for i in range(7)] == [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    thirds = built({"type": "process", "variables": {"x": {"min": 0, "max": 1, "divisions": 3}}})
    assert thirds.locate({"x": "0.333"}) == 1
    assert thirds.design_candidate({"x": 0.333}) == thirds.candidate(1)
    assert thirds.locate({"x": 0.34}) is None
    assert thirds.x_of({"x": 0.34}).tolist() == [0.34]


def test_neighbours_of_a_setting():
    space = built(HEAT)
    index = space.locate({"T": 300, "t": 1, "gas": "Ar", "cycles": 2})
    near = [space.candidate(int(i)).design for i in space.neighbours(index)]
    moved = [{"T": 350.0}, {"t": 0.5}, {"t": 4.0}, {"gas": "N2"}, {"cycles": 1.0}, {"cycles": 3.0}]
    base = space.candidate(index).design
    assert sorted(map(str, near)) == sorted(str({**base, **move}) for move in moved)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"values": ["a", 3]}, r"values\[1\]: 3 is no word, and others are"),
        ({"values": ["3 K", "5"], "unit": "mV"}, "the unit 'K' does not convert to 'mV'"),
        ({"values": [1, 2, 1]}, r"values\[2\]: 1.0 is listed twice"),
        ({"values": ["a, b"]}, "cannot be a word"),
        ({"min": 1, "max": 2}, "a range needs one of `divisions` and `step`"),
        ({"min": 300, "max": 420, "step": 50}, "steps of 50 from 300 do not end at 420. Fix: write `max: 400`"),
        ({"min": 3, "max": 2, "divisions": 2}, "2 is less than min, 3"),
        ({"values": [1], "min": 2}, "`min` goes with a range, and `values` are listed"),
        ({}, "it says neither values nor a range"),
        ({"min": 0, "max": 1, "divsions": 3}, "did you mean divisions"),
    ],
)
def test_a_setting_that_cannot_be_used_says_so(setting, said):
    with pytest.raises(InvalidInput, match=said):
        spec_of({"type": "process", "variables": {"x": setting}})


def test_a_design_of_a_process_that_cannot_be_read_says_all_that_is_wrong():
    with pytest.raises(InvalidInput) as caught:
        built(HEAT).x_of({"T": "hot", "t": 1, "gas": "Arr", "p": 3})
    assert {p.where for p in caught.value.problems} == {"T", "gas", "cycles", "p"}


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_a_combination_is_found_again_from_its_design_and_its_numbers(seed):
    space = PRODUCT
    index = seed % space.count
    candidate = space.candidate(index)
    assert space.locate(candidate.design) == index
    assert space.locate({name: str(value) for name, value in candidate.design.items()}) == index
    assert space.design_candidate(candidate.design) == candidate
    np.testing.assert_array_equal(space.x_of(candidate.design), space.X(np.array([index]))[0])
    assert space.stratum(np.array([index])) == [candidate.stratum]


PRODUCT = built(joined(heat=HEAT, alloy=ALLOY, route=ROUTE))


def test_a_product_counts_its_parts_and_names_their_columns():
    assert PRODUCT.count == 54 * 15 * (1 + 3 + 9)
    assert sum(PRODUCT.strata().values()) == PRODUCT.count
    assert list(PRODUCT.strata()) == ["1 element", "2 elements", "3 elements"]
    assert PRODUCT.components == ("Ni", "Fe", "Co")
    assert [c.name for c in PRODUCT.side_columns()] == ["heat.cycles", "heat.gas", "heat.T", "heat.t", "route"]
    assert PRODUCT.columns[:8] == ("Ni", "Fe", "Co", "heat.cycles", "heat.T", "heat.t", "heat.gas=Ar", "heat.gas=N2")
    assert len(PRODUCT.columns) == 8 + 3 * 2
    x = PRODUCT.X(np.arange(PRODUCT.count))
    assert len(np.unique(x, axis=0)) == PRODUCT.count
    assert x[:, :3].sum(axis=1) == pytest.approx(1)
    names = PRODUCT.constituents(PRODUCT.X(np.array([PRODUCT.count - 1]))[0])
    assert names == ("heat.gas=N2", "Ni", "melt")


def test_neighbours_of_a_combination_change_one_part():
    index = PRODUCT.count // 2
    base = PRODUCT.candidate(index).design
    routes, heats = built(ROUTE), built(HEAT)
    near = [PRODUCT.candidate(int(i)).design for i in PRODUCT.neighbours(index)]
    groups = {"route": 0, "heat": 0, "alloy": 0}
    for design in near:
        apart = {n.split(".")[0] if "." in n or n == "route" else "alloy" for n in {**base, **design}
                 if base.get(n) != design.get(n)}  # fmt: skip
        (part,) = apart
        groups[part] += 1
    assert groups["route"] == len(routes.neighbours(routes.locate({"route": base["route"]})))
    heat = {n.removeprefix("heat."): v for n, v in base.items() if n.startswith("heat.")}
    assert groups["heat"] == len(heats.neighbours(heats.locate(heat)))
    assert groups["alloy"] > 0


def test_what_is_wrong_with_a_design_is_said_in_the_names_of_the_product():
    with pytest.raises(InvalidInput) as caught:
        PRODUCT.x_of({"Ni": 0.5, "Fe": 0.2, "heat.T": "hot", "heat.t": 1, "heat.gas": "Ar", "T": 3, "route": "mlt"})
    where = {p.where for p in caught.value.problems}
    assert where == {"T", "heat.T", "heat.cycles", "Ni and Fe", "route, step 1"}


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"a": ALLOY, "b": ALLOY}, "a has fractions already"),
        ({"a": ROUTE, "b": ROUTE}, "a has a route already"),
        ({"Ni": HEAT, "b": ALLOY}, "Ni is also an element of the product"),
        ({"a.b": HEAT}, "'a.b' cannot be the name of a part"),
    ],
)
def test_parts_that_do_not_go_together(parts, said):
    with pytest.raises(InvalidInput, match=said):
        spec_of(joined(**parts))
    twice = {"type": "product", "parts": [{"name": "a", **HEAT}, {"name": "a", **ROUTE}]}
    with pytest.raises(InvalidInput, match="a is the name of two parts"):
        spec_of(twice)


def test_the_alloy_with_a_route_loads_and_is_counted_without_being_listed():
    from campaign import yaml

    spec = spec_of(yaml.load(HEA, "hea.yaml").value)
    space = build_space(spec.space)
    compositions, routes = 229_083, 1_547_656
    assert space.count == compositions * routes
    assert load_spec(spec.resolved()) == spec
    assert (
        f"route ({routes:,} routes of 2 to 6 steps out of anneal, arc_melt, cold_roll, homogenize and quench"
        in describe(spec, space)
    )
    some = np.sort(np.random.default_rng(0).integers(0, space.count, 200))
    x = space.X(some)
    for row, index in zip(x, some, strict=True):
        design = space.candidate(int(index)).design
        assert space.locate(design) == index
        np.testing.assert_array_equal(space.x_of(design), row)


def test_a_table_is_a_part_with_its_fractions_first_and_its_columns_named_after_it():
    table = {"type": "candidate_table", "file": "inks.csv", "columns": {"Ni": "fraction", "Fe": "fraction",
             "solvent": "category"}}  # fmt: skip
    spec = spec_of(joined(heat=HEAT, ink=table))
    assert spec.space.files() == ("inks.csv",)
    assert {"heat.T", "Ni", "ink.solvent"} <= set(spec.space.design_names())
    space = build_space(spec.space, {"inks.csv": b"Ni,Fe,solvent\n0.5,0.5,DMF\n0.2,0.8,water\n"})
    assert space.count == 54 * 2
    assert space.components == ("Ni", "Fe")
    design = space.candidate(1).design
    assert design == {
        **{"heat.cycles": 1.0, "heat.gas": "Ar", "heat.T": 300.0, "heat.t": 0.5},
        **{"Ni": 0.2, "Fe": 0.8, "ink.solvent": "water"},
    }
    assert [space.locate(space.candidate(i).design) for i in range(space.count)] == list(range(space.count))
    with pytest.raises(InvalidInput, match="alloy has fractions already"):
        build_space(spec_of(joined(alloy=ALLOY, ink=table)).space, {"inks.csv": b"Ni,Fe,solvent\n0.5,0.5,DMF\n"})


def test_filters_look_at_the_composition_of_a_product():
    from campaign.filters import Sieve

    spec = load_spec(
        {
            "spec_version": 1,
            "campaign": "c",
            "seed": 1,
            "space": joined(heat=HEAT, alloy=ALLOY),
            "objectives": [{"name": "uts", "goal": "maximize"}],
            "filters": [{"rule": "excluded_elements", "elements": ["Co"], "mode": "hard"}],
        }
    )
    space = build_space(spec.space)
    check_space(spec, space)
    kept = Sieve(spec.filters, space, {}).kept(np.arange(space.count))
    assert len(kept) == 54 * 5
    assert all(space.X(kept)[:, 2] == 0)
