"""What to weigh: hydrates, the inventory, masses, rounding, and what stands in the way."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import InvalidInput
from lab_io.counter_ions import conflicts, counter_ions, read_rules
from lab_io.findings import CellError
from lab_io.hydrates import metal_of, parse_hydrate
from lab_io.inventory import read_inventory
from lab_io.precursors import Device, composed, plan
from lab_io.tables import read_table
from lab_io.weighing_sheets import HEADER, to_csv, to_xlsx, weighing_table, wells, worklist

SALTS = ("Co(NO3)2·6H2O", "Fe(NO3)3·9H2O", "Ni(NO3)2·6H2O", "Zn(NO3)2·6H2O", "TiOSO4")
WORKED = {"Co": 0.6, "Ti": 0.1, "Fe": 0.1, "Ni": 0.1, "Zn": 0.1}
RULES = read_rules()


def inventory(*lines: str, header: str = "precursor,assay (%)"):
    return read_inventory("\n".join([header, *lines]).encode(), "inventory.csv")


def problems(*lines: str, header: str = "precursor,assay (%)") -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        inventory(*lines, header=header)
    return [str(p) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("assay", "masses"),
    [
        (100, {"Co": 349.2, "Fe": 80.8, "Ni": 58.2, "Zn": 59.5, "Ti": 32.0}),
        (98, {"Co": 356.4, "Fe": 82.4, "Ni": 59.3, "Zn": 60.7, "Ti": 32.6}),
    ],
)
def test_the_worked_table(assay, masses):
    made = plan({"b1-01": WORKED}, 2.0, inventory(*(f"{salt},{assay}" for salt in SALTS)), RULES)
    (weighing,) = made.weighings
    assert {p.precursor.element: p.rounded for p in weighing.portions} == pytest.approx(masses, abs=1e-9)
    assert weighing.obtained == pytest.approx(WORKED, abs=3e-4)
    assert weighing.obtained != WORKED  # what rounding makes of it is told, not hidden
    molar = {p.precursor.element: p.precursor.formula.molar_mass for p in weighing.portions}
    told = {"Co": 291.03, "Fe": 404.00, "Ni": 290.79, "Zn": 297.49, "Ti": 159.93}
    assert molar == pytest.approx(told, abs=0.03)  # pymatgen has 65.41 for zinc
    assert made.shortages == made.solutions == ()


def test_hexahydrate_in_place_of_nonahydrate_moves_iron_by_15_percent():
    nona, hexa = (inventory(f"Fe(NO3)3·{n}H2O,100").precursors[0] for n in (9, 6))
    assert nona.per_mmol / hexa.per_mmol == pytest.approx(1.154, abs=1e-3)
    cobalt = inventory("Co(NO3)2·6H2O,100").precursors[0]
    weighed = [(cobalt, 0.9 * cobalt.per_mmol), (hexa, 0.1 * nona.per_mmol)]
    assert composed(weighed)["Fe"] == pytest.approx(0.1154 / 1.0154, abs=1e-4)


@pytest.mark.parametrize("sign", ["·", "*", ".", "•", "∙", "⋅", "x", " · ", "×"])
def test_water_is_read_behind_any_sign(sign):
    found = parse_hydrate(f"Co(NO3)2{sign}6H2O")
    assert (found.text, found.water, found.molar_mass) == ("Co(NO3)2·6H2O", 6, pytest.approx(291.03, abs=0.01))


def test_other_formulas():
    assert parse_hydrate("CaSO4.0.5H2O").water == parse_hydrate("CaSO4·0.5H2O").water == 0.5
    assert parse_hydrate("Co(NO₃)₂·6H₂O").text == "Co(NO3)2·6H2O"
    assert parse_hydrate("Ni(OAc)2·4H2O").molar_mass == pytest.approx(248.84, abs=0.01)
    assert parse_hydrate("CoCl2").water == 0
    assert metal_of(parse_hydrate("KMnO4")) == "Mn"
    assert metal_of(parse_hydrate("CoFe2O4")) is None
    for text, told in (
        ("La(NO3)3·xH2O", "how many molecules of water"),
        ("Co(NO3)26H2O", "where the water begins"),
        ("cobalt nitrate", "not a formula"),
        ("Со(NO3)2", "CYRILLIC"),
        ("Xx2O3", "not a formula|no element"),
    ):
        with pytest.raises(CellError, match=told):
            parse_hydrate(text)


def test_everything_wrong_with_an_inventory_is_told_at_once_with_its_cell():
    told = problems(
        "Co,Co(NO3)2·6H2O,98,5",
        "Fe,Co(NO3)2·6H2O,98,5",
        "Ni,La(NO3)3·xH2O,98,5",
        ",CoFe2O4,98,5",
        "Ni,NiCl2,980,5",
        "Zn,ZnCl2,98,-1",
        "Qq,ZnCl2,98,1",
        header="element,precursor,assay (%),stock (g)",
    )
    assert [t.split(":")[0] for t in told] == [f"inventory.csv, {c}" for c in ("A3", "B4", "A5", "C6", "D7", "A8")]
    assert "has no unit" in problems("NiCl2,98", header="precursor,assay")[0]
    assert "has no unit" in problems("NiCl2,5", header="precursor,stock")[0]
    assert "does not say per what" in problems("NiCl2,5", header="precursor,price")[0]
    assert "one currency" in problems("NiCl2,5 EUR/g", "CoCl2,4 USD/g", header="precursor,price")[0]
    assert "is a limit" in problems("NiCl2,>98", header="precursor,assay (%)")[0]


def test_units_of_an_inventory():
    (nickel,) = inventory(
        "NiCl2,0.97,0.5 kg,30,M1", header="precursor,assay,stock (g),price (EUR/25 g),lot no."
    ).precursors
    assert (nickel.element, nickel.assay, nickel.stock) == ("Ni", 0.97, 500_000)
    assert nickel.price == pytest.approx(30 / 25_000)
    (liquid,) = inventory("NiCl2,0.5,20 mL", header="precursor,concentration (mol/L),stock").precursors
    assert (liquid.unit, liquid.per_mmol, liquid.stock) == ("µL", pytest.approx(2000), pytest.approx(20_000))
    semicolons = read_inventory(b"precursor;assay (%)\nNiCl2;97,5\n", "i.csv").precursors[0]
    assert semicolons.assay == pytest.approx(0.975)


amounts = st.dictionaries(st.sampled_from(["Co", "Fe", "Ni", "Zn", "Ti"]), st.floats(0.02, 1.0), min_size=1)


@settings(max_examples=60)
@given(amounts, st.floats(0.5, 20.0), st.floats(50, 100), st.sampled_from([0.01, 0.1, 1.0]))
def test_masses_make_the_target_within_the_rounding(target, amount, assay, step):
    shelf = inventory(*(f"{salt},{assay!r}" for salt in SALTS))
    (weighing,) = plan({"a": target}, amount, shelf, RULES, balance=Device(step, 5.0)).weighings
    exact = composed((p.precursor, p.exact) for p in weighing.portions)
    assert exact == pytest.approx({e: x / sum(target.values()) for e, x in target.items()}, abs=1e-12)
    off = {p.precursor.element: step / 2 / p.precursor.per_mmol for p in weighing.portions}  # mmol
    assert all(abs(p.rounded - p.exact) <= step / 2 * (1 + 1e-9) for p in weighing.portions)
    for element, x in weighing.obtained.items():
        bound = (off[element] + weighing.target[element] * sum(off.values())) / (amount - sum(off.values()))
        assert abs(x - weighing.target[element]) <= bound + 1e-9


def test_counter_ions_are_read_from_formulas_or_stated():
    shelf = inventory(
        "Fe2(SO4)3,", "Co(ClO4)2,", "CoCl2,", "Ni(OAc)2·4H2O,", "NiN2O6,nitrate", "K2SO4,Sulphate",
        header="precursor,counter-ion",
    ).precursors  # fmt: skip
    told = [counter_ions(p, RULES) for p in shelf]
    assert told == [("sulfate",), ("perchlorate",), ("chloride",), ("acetate",), ("nitrate",), ("sulfate",)]


def test_conflicts_come_from_rules_that_the_lab_may_replace():
    shelf = inventory("Ba(NO3)2,", "FeSO4·7H2O,", "La(NO3)3·6H2O,", "NiCl2,Fe", header="precursor,incompatible_with")
    barium, iron, lanthanum, nickel = shelf.precursors
    assert [str(c) for c in conflicts([barium, iron], RULES)] == [
        "FeSO4·7H2O with Ba(NO3)2: sulfate with Ba: its sulfate is sparingly soluble"
    ]
    assert len(list(conflicts([iron, lanthanum], RULES))) == 1
    assert "says not with Fe" in str(next(conflicts([nickel, iron], RULES)))
    assert not list(conflicts([barium, lanthanum], RULES))
    own = read_rules(b"counter_ion,written_as,not_with,reason\nnitrate,NO3,Ba,we say so\n", "own.csv")
    assert [c.reason for c in conflicts([barium, iron], own)] == ["nitrate with Ba: we say so"]
    with pytest.raises(InvalidInput, match="no chemical element"):
        read_rules(b"counter_ion,written_as,not_with,reason\nnitrate,NO3,Bx,\n", "own.csv")
    with pytest.raises(InvalidInput, match="no column reason"):
        read_rules(b"counter_ion,written_as,not_with\nnitrate,NO3,Ba\n", "own.csv")


def test_of_several_precursors_conflicts_then_stock_then_price_then_order_decide():
    header = "precursor,stock (g),price (EUR/g),lot"

    def chosen(*lines):
        found = plan({"a": {"Fe": 0.5, "Ba": 0.5}}, 2.0, inventory(*lines, header=header), RULES).chosen
        return {e: p.lot for e, p in found.items()}

    barium = "Ba(NO3)2,10,1,b"
    assert chosen(barium, "FeSO4·7H2O,10,0.1,s", "FeCl3·6H2O,0.01,9,c")["Fe"] == "c"
    assert chosen(barium, "FeCl3·6H2O,0.01,0.1,little", "FeCl3·6H2O,10,9,much")["Fe"] == "much"
    assert chosen(barium, "FeCl3·6H2O,10,9,dear", "FeCl3·6H2O,10,1,cheap")["Fe"] == "cheap"
    assert chosen(barium, "FeCl3·6H2O,10,1,one", "FeCl3·6H2O,10,1,two")["Fe"] == "one"
    assert chosen(barium, "FeCl3·6H2O,0,1,empty", "FeCl3·6H2O,10,1,full")["Fe"] == "full"
    both = inventory("Fe,BaFe2O4,both", "Fe,FeCl3·6H2O,iron", "Ba,Ba(NO3)2,b", header="element,precursor,lot")
    found = plan({"a": {"Fe": 0.5, "Ba": 0.5}}, 2.0, both, RULES).chosen
    assert {e: p.lot for e, p in found.items()} == {"Fe": "iron", "Ba": "b"}  # what brings two elements is passed over


def test_what_stands_in_the_way_of_a_batch():
    shelf = inventory("Co(NO3)2·6H2O,98,0.5", "Fe(NO3)3·9H2O,98,5", header="precursor,assay (%),stock (g)")
    targets = {"a": {"Co": 0.5, "Fe": 0.5}, "b": {"Co": 0.996, "Fe": 0.004}, "c": {"Co": 0.998, "Fe": 0.002, "Mn": 0.1}}
    made = plan(targets, 1.0, shelf, RULES)
    assert made.missing == ("Mn",)
    (short,) = made.shortages
    assert short.precursor.element == "Co"
    assert short.needed == pytest.approx(sum(p.rounded for w in made.weighings for p in w.portions[:1]))
    (solution,) = made.solutions
    iron = {w.label: w.portions[1].exact for w in made.weighings}
    assert set(solution.portions) == {"b", "c"}
    assert solution.mass >= 5
    for label, volume in solution.portions.items():
        drawn = volume / 1000 * solution.concentration * 404.0 / 0.98
        assert drawn == pytest.approx(iron[label], rel=2e-3)
    with pytest.raises(InvalidInput, match="no precursor of Mn"):
        worklist(made)
    remarks = {(row[0], row[1]): row[-1] for row in weighing_table(made).rows}
    assert "too little to weigh well" in remarks["b", "Fe"]
    assert "not enough in stock" in remarks["a", "Co"]
    assert remarks["c", "Mn"] == "no precursor of Mn in inventory.csv"


def test_sheets_cannot_run_formulas_and_a_worklist_has_a_line_for_each_transfer():
    header = "precursor,lot,hazards,concentration (mol/L)"
    shelf = inventory("NiCl2,=1+1,H301,", "CoCl2,@x,,0.5", header=header)
    made = plan({"a": {"Ni": 0.5, "Co": 0.5}, "b": {"Ni": 1.0}}, 2.0, shelf, RULES)
    lines = list(csv.DictReader(io.StringIO(worklist(made, 24).decode())))
    assert [(x["well"], x["sample_id"], x["precursor"], x["source"]) for x in lines] == [
        ("A1", "a", "NiCl2", "solid"),
        ("A1", "a", "CoCl2", "solution"),
        ("A2", "b", "NiCl2", "solid"),
    ]
    assert lines[1]["volume_uL"] == "2000.0"
    assert lines[1]["mass_mg"] == ""
    assert lines[0]["lot"] == "'=1+1"
    table = weighing_table(made)
    assert table.header == HEADER
    for content in (to_csv(table), to_xlsx(table, [("campaign", "=cmd()")])):
        back = read_table(content, "weigh", sheet=None)
        assert back.rows[0].cells[back.header.index("lot")] == "=1+1"
        assert b"=1+1" not in content or b"'=1+1" in content
    assert to_xlsx(table, []) == to_xlsx(table, [])
    assert wells(25, 48)[-1] == "D1"
    with pytest.raises(InvalidInput, match="use --plate 48"):
        wells(25, 24)
