"""A workbook to fill in: its header and what was planned cannot be overwritten by a slip; results can be typed."""

import io

from openpyxl import load_workbook

from lab_io.results import check_results
from lab_io.schema import Column, Expectation, Metric
from lab_io.tables import read_table
from lab_io.worksheets import Worksheet, WorksheetRow, render

DESIGN = {"Ni": 0.5, "Fe": 0.5, "anneal": 973.0}
METRICS = (Metric("overpotential", "mV"), Metric("single_phase", boolean=True))
EXPECT = Expectation(("Ni", "Fe"), (Column("anneal", "number", "K"),), METRICS, labels={"b1-01": DESIGN})
SHEET = Worksheet("oer", 1, EXPECT.elements, EXPECT.columns, METRICS, rows=(WorksheetRow("b1-01", 1, "x", DESIGN),))
FREE = ("overpotential (mV)", "single_phase (yes/no)", "status", "failure_mode", "notes")


def book():
    return load_workbook(io.BytesIO(render(SHEET, "xlsx")))


def test_headers_and_plans_are_locked_and_results_are_free():
    sheet = book()["batch"]
    assert sheet.protection.sheet
    assert sheet.protection.password is None
    head, row = sheet[1], sheet[2]
    assert all(cell.protection.locked for cell in head)
    assert {h.value for h, cell in zip(head, row, strict=True) if not cell.protection.locked} == set(FREE)
    columns = sheet.column_dimensions
    assert all(not dimension.protection.locked for dimension in columns.values())
    assert max(dimension.max for dimension in columns.values()) == 16384  # room for columns of the lab's own
    assert not sheet.protection.insertColumns
    assert book()["about"].protection.sheet is False


def test_a_number_is_explained_and_an_answer_is_chosen():
    rules = {str(rule.sqref): rule for rule in book()["batch"].data_validations.dataValidation}
    where = {cell.value: f"{cell.column_letter}2" for cell in book()["batch"][1]}
    number, answer = rules[where["overpotential (mV)"]], rules[where["single_phase (yes/no)"]]
    assert (number.type, number.promptTitle) == (None, "overpotential")
    assert "in mV" in number.prompt
    assert (answer.type, answer.formula1) == ("list", '"yes,no"')


def test_a_filled_sheet_with_a_column_and_a_row_of_the_labs_own_is_read():
    filled = book()
    sheet = filled["batch"]
    column = {cell.value: cell.column for cell in sheet[1]}
    sheet.cell(2, column["overpotential (mV)"], "263 ± 4")
    sheet.cell(1, sheet.max_column + 1, "operator")
    sheet.cell(2, sheet.max_column, "mk")
    for name, value in {"sample_id": "own", "Ni": 1, "Fe": 0, "anneal (K)": 900, "overpotential (mV)": 301}.items():
        sheet.cell(3, column[name], value)
    out = io.BytesIO()
    filled.save(out)
    checked = check_results(read_table(out.getvalue(), "back.xlsx"), EXPECT)
    assert checked.ok, checked.problems
    one, two = checked.results
    assert (one.values["overpotential"].sd, one.conditions) == (4.0, {"operator": "mk"})
    assert (two.label, two.values["overpotential"].value) == ("own", 301.0)
