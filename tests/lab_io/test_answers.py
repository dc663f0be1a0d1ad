"""Answers in tables of results: yes or no in the spellings of programs and people, and nothing that is guessed."""

from __future__ import annotations

import io

import pytest

from lab_io.results import check_results
from lab_io.schema import Expectation, Metric
from lab_io.tables import read_table
from lab_io.worksheets import Worksheet, WorksheetRow, render

EXPECT = Expectation(
    elements=("Ni", "Fe"),
    metrics=(Metric("loss", "mV"), Metric("single_phase", boolean=True)),
    labels={"b1-01": {"Ni": 0.5, "Fe": 0.5}, "b1-02": {"Ni": 1.0}},
)


def checked(content, expect=EXPECT, **options):
    return check_results(read_table(content.encode(), "lab.csv"), expect, **options)


def answers(check):
    assert check.ok, check.problems
    return [r.values["single_phase"].value if "single_phase" in r.values else None for r in check.results]


@pytest.mark.parametrize(("yes", "no"), [("yes", "no"), ("TRUE", "False"), ("1", "0"), ("1.0", "0.0"), ("Y", " n ")])
def test_yes_and_no_in_the_spellings_of_programs_and_people(yes, no):
    found = checked(f"sample_id,loss (mV),single phase\nb1-01,300,{yes}\nb1-02,301,{no}\n")
    assert answers(found) == [1.0, 0.0]
    assert [r.values["single_phase"].told for r in found.results] == ["yes", "no"]


def test_an_empty_cell_is_no_answer_and_a_decimal_comma_is_no_matter():
    found = checked("sample_id;loss (mV);single_phase\nb1-01;300,5;\nb1-02;301,25;1,0\n")
    assert answers(found) == [None, 1.0]


@pytest.mark.parametrize("cell", ["ja", "nein", "maybe", "2", "0.5", "yes?", "~1", "<1", "1 mV", "1±0", "x", "fcc"])
def test_anything_else_is_refused_with_what_to_write(cell):
    found = checked(f"sample_id,loss (mV),single_phase\nb1-01,300,{cell}\nb1-02,301,yes\n")
    assert found.summary()["rejected"] == 1
    (problem,) = found.problems
    assert problem.where == "lab.csv, C2"
    assert repr(cell) in problem.what
    assert "write yes or no" in problem.fix


def test_a_table_of_metrics_and_values_holds_answers_too():
    rows = "b1-01,single_phase,yes,\nb1-01,loss,300,mV\nb1-02,single_phase,no,\n"
    found = checked(f"sample_id,metric,value,unit\n{rows}")
    assert answers(found) == [1.0, None, 0.0]
    wrong = checked("sample_id,metric,value,unit\nb1-01,single_phase,yes,mV\n")
    assert "stands beside it" in wrong.problems[0].what


def test_a_unit_in_the_header_is_refused_and_there_is_no_standard_deviation():
    found = checked("sample_id,single_phase (mV)\nb1-01,yes\n")
    assert "no unit for single_phase" in str(found.problems[0])
    found = checked("sample_id,single_phase,single_phase sd\nb1-01,yes,1\n")
    assert found.notices


def test_another_answer_than_the_one_on_record_is_asked_about():
    known = Expectation(
        EXPECT.elements, (), EXPECT.metrics, EXPECT.labels, recorded={("b1-01", "single_phase", None): (1.0, "=")}
    )
    found = checked("sample_id,single_phase\nb1-01,no\n", known)
    assert "on record as yes, the table says no" in found.problems[0].what
    assert checked("sample_id,single_phase\nb1-01,1\n", known).summary()["skipped"] == 1


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_a_worksheet_offers_the_column_and_reads_back(format):
    row = WorksheetRow("b1-01", 1, "NiFe", {"Ni": 0.5, "Fe": 0.5}, {"single_phase": {"probability": 0.75}})
    sheet = Worksheet("alloys", 1, EXPECT.elements, (), EXPECT.metrics, rows=(row,))
    content = render(sheet, format)
    table = read_table(content, f"batch.{format}")
    place = table.header.index("single_phase (yes/no)")
    expected = table.rows[0].cells[table.header.index("predicted chance that single_phase is good enough")]
    assert float(expected) == 0.75
    if format == "xlsx":
        from openpyxl import load_workbook

        page = load_workbook(io.BytesIO(content))["batch"]
        assert '"yes,no"' in [v.formula1 for v in page.data_validations.dataValidation]
        page.cell(2, place + 1).value = True
        out = io.BytesIO()
        page.parent.save(out)
        filled = out.getvalue()
    else:
        lines = content.decode("utf-8-sig").splitlines()
        cells = lines[1].split(",")
        cells[place] = "yes"
        filled = "\n".join([lines[0], ",".join(cells)]).encode()
    found = check_results(read_table(filled, f"batch.{format}"), EXPECT)
    assert answers(found) == [1.0]
