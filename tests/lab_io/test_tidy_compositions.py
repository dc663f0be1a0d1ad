"""Tidy tables: one row an observation, measured fractions among them, each with its standard deviation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_io.results import check_results
from lab_io.schema import Expectation, Metric
from lab_io.tables import read_table

DESIGNS = {"a": {"Ni": 0.5, "Co": 0.5}, "b": {"Ni": 0.25, "Fe": 0.75}}
EXPECT = Expectation(("Ni", "Fe", "Co"), (), (Metric("loss", "mV"),), labels=DESIGNS)
HEAD = "sample_id,metric,value,unit,sd,operator\n"


def checked(*rows, head=HEAD, **options):
    return check_results(read_table((head + "\n".join(rows)).encode(), "t.csv"), EXPECT, **options)


def only(found):
    assert found.ok, found.problems
    (result,) = [r for r in found.results if r.composition]
    return result


@pytest.mark.parametrize(
    "names", [("Ni", "Co"), ("x_Ni", "x_Co"), ("measured Ni", "Co measured"), ("Ni (ICP)", "Co (EDX)")]
)
def test_fractions_in_rows_are_one_composition(names):
    found = checked("a,loss,263,mV,4,mk", f"a,{names[0]},48,at.%,1,mk", "b,loss,301,mV,,", f"a,{names[1]},52,at.%,2,")
    result = only(found)
    assert result.composition == pytest.approx({"Ni": 0.48, "Co": 0.52})
    assert result.composition_sd == pytest.approx({"Ni": 0.01, "Co": 0.02})
    assert (result.label, result.conditions) == ("a", {"operator": "mk"})
    assert [str(row.status) for row in found.rows] == ["accepted", "accepted", "accepted", "skipped"]
    assert "read with row 3" in found.rows[3].notes[0]


def test_a_wide_table_has_columns_of_standard_deviations_or_plus_minus():
    head = "sample_id,loss (mV),measured Ni (at.%),measured Ni sd (at.%),Co measured\n"
    result = only(checked("a,263,48,0.5,0.52 ± 0.03", head=head))
    assert result.composition_sd == pytest.approx({"Ni": 0.005, "Co": 0.03})


def test_by_weight_the_relative_deviation_stays():
    result = only(checked("a,Ni,49.9,wt%,0.998,", "a,Co,50.1,wt%,,"))
    assert result.composition["Ni"] == pytest.approx(0.5, abs=1e-3)
    assert result.composition_sd == pytest.approx({"Ni": 0.02 * result.composition["Ni"]})


@pytest.mark.parametrize(
    ("rows", "status", "what"),
    [
        (["a,Ni,0.48,,,"], "question", "add up to 0.48"),
        (["a,Ni,48,,,", "a,Co,52,,,"], "question", "percent"),
        (["a,Ni,0.48,,,", "a,Ni,0.5,,,", "a,Co,0.5,,,"], "question", "measured in row 2 already"),
        (["a,Ni,0.48,,-1,", "a,Co,0.52,,,"], "rejected", "from 0 on"),
        (["a,Ni,<0.48,,,", "a,Co,0.52,,,"], "rejected", "cannot be a limit"),
        (["a,Ni,0.48,mV,,", "a,Co,0.52,,,"], "rejected", ""),
        (["a,Zn,0.48,,,"], "rejected", "not a metric"),
        (["a,Fe,0.5,,,", "a,Co,0.5,,,"], "question", "exchanged"),
    ],
)
def test_what_is_wrong_with_a_part_is_said_and_nothing_is_read(rows, status, what):
    found = checked(*rows)
    assert not found.ok
    assert status in {str(row.status) for row in found.rows}
    assert any(what in p.what for p in found.problems), found.problems
    assert not any(r.composition for r in found.results)


def test_replicates_are_compositions_of_their_own_and_asked_about():
    head = "sample_id,metric,value,replicate\n"
    found = checked("a,Ni,0.48,1", "a,Co,0.52,1", "a,Ni,0.5,2", "a,Co,0.5,2", head=head)
    assert any("already measured" in p.what for p in found.problems)


@given(st.lists(st.integers(1, 60), min_size=3, max_size=3), st.permutations(range(4)))
def test_the_order_of_rows_does_not_matter(parts, order):
    total = sum(parts)
    rows = [f"c,{e},{n / total!r},,{n / 1000}," for e, n in zip(("Ni", "Fe", "Co"), parts, strict=True)]
    rows = [[*rows, "c,loss,250,mV,,"][i] for i in order]
    labels = EXPECT.labels | {"c": {e: n / total for e, n in zip(("Ni", "Fe", "Co"), parts, strict=True)}}
    table = read_table((HEAD + "\n".join(rows)).encode(), "t.csv")
    result = only(check_results(table, Expectation(EXPECT.elements, (), EXPECT.metrics, labels=labels)))
    assert result.composition == pytest.approx({e: n / total for e, n in zip(("Ni", "Fe", "Co"), parts, strict=True)})
    assert result.composition_sd == pytest.approx({e: n / 1000 for e, n in zip(("Ni", "Fe", "Co"), parts, strict=True)})
