"""Worksheets: what is written comes back."""

import csv
import io
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from db.errors import InvalidInput
from lab_io.results import Check, Column, Expectation, Metric, check_results
from lab_io.tables import read_table
from lab_io.worksheets import Worksheet, WorksheetRow, escaped, render

DESIGNS = {
    "b1-01": {"Ni": 0.5, "Fe": 0.5, "anneal_T": 973.0, "medium": "air"},
    "=b1-02": {"Co": 1 / 3, "Fe": 2 / 3, "anneal_T": 1073.5, "medium": "-water"},
}
COLUMNS = (Column("anneal_T", "number", "K"), Column("medium", "category", None, ("air", "-water")))
METRICS = (Metric("overpotential", "mV"), Metric("score"))
EXPECT = Expectation(("Ni", "Fe", "Co"), COLUMNS, METRICS, labels=DESIGNS, pending=frozenset(DESIGNS))
PREDICTIONS = {
    "overpotential": {
        "median": 263.25,
        "intervals": {"0.8": {"lower": 240.5, "upper": 290.0}, "0.95": {"withheld": "needs 7 more"}},
    }
}
SHEET = Worksheet(
    campaign="=oer",
    batch=1,
    elements=EXPECT.elements,
    columns=COLUMNS,
    metrics=METRICS,
    cost_unit="EUR",
    rows=(
        WorksheetRow("b1-01", 1, "Ni0.5Fe0.5", DESIGNS["b1-01"], PREDICTIONS, 12.5),
        WorksheetRow("=b1-02", 2, "Co0.333Fe0.667", DESIGNS["=b1-02"], PREDICTIONS),
    ),
)


def verify(checked: Check) -> None:
    assert checked.ok, checked.problems
    one, two = checked.results
    assert (one.label, two.label) == ("b1-01", "=b1-02")
    assert one.design == DESIGNS["b1-01"]
    assert one.values["overpotential"].value == 271.5
    assert one.values["score"].value == 3
    assert one.conditions == {"notes": "smells of nickel"}
    assert (two.status, two.failure_mode) == ("failed", "film gone")
    assert two.conditions == {}
    assert checked.still_pending == ()
    assert checked.notices == ()


def filled_csv(decimal: str, separator: str) -> bytes:
    rows = list(csv.reader(io.StringIO(render(SHEET, "csv").decode("utf-8-sig"), newline="")))
    at = {name: i for i, name in enumerate(rows[0])}
    rows[1][at["overpotential (mV)"]], rows[1][at["score"]] = "271.5", "3"
    rows[1][at["notes"]] = "smells of nickel"
    rows[2][at["status"]], rows[2][at["failure_mode"]] = "failed", "film gone"
    texts = (at["sample_id"], at["candidate"])
    for row in rows[1:]:
        row[:] = [c if i in texts else c.replace(".", decimal) for i, c in enumerate(row)]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize(("decimal", "separator"), [(".", ","), (".", "\t"), (",", ";")])
def test_a_filled_csv_comes_back(decimal: str, separator: str) -> None:
    verify(check_results(read_table(filled_csv(decimal, separator), "b1.csv"), EXPECT))


def test_a_filled_workbook_comes_back() -> None:
    book = load_workbook(io.BytesIO(render(SHEET, "xlsx")))
    sheet = book["batch"]
    at = {cell.value: cell.column for cell in sheet[1]}
    sheet.cell(2, at["overpotential (mV)"], 271.5)
    sheet.cell(2, at["score"], 3)
    sheet.cell(2, at["notes"], "smells of nickel")
    sheet.cell(3, at["status"], "failed")
    sheet.cell(3, at["failure_mode"], "film gone")
    file = io.BytesIO()
    book.save(file)
    verify(check_results(read_table(file.getvalue(), "b1.xlsx"), EXPECT))


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_an_empty_worksheet_is_all_pending(kind: str) -> None:
    checked = check_results(read_table(render(SHEET, kind), f"b1.{kind}"), EXPECT)
    assert checked.ok, checked.problems
    assert checked.blank
    assert [r.result.conditions for r in checked.rows if r.result] == [{}, {}]  # nothing of ours in the lab's columns
    assert checked.notices == ()
    assert checked.still_pending == ("=b1-02", "b1-01")


@pytest.mark.parametrize("kind", ["csv", "xlsx", "json"])
def test_equal_worksheets_have_equal_bytes(kind: str) -> None:
    assert render(SHEET, kind) == render(SHEET, kind)


def test_the_workbook_has_typed_cells_and_says_where_it_is_from() -> None:
    book = load_workbook(io.BytesIO(render(SHEET, "xlsx")))
    sheet = book["batch"]
    header = [cell.value for cell in sheet[1]]
    row: dict[str, Any] = dict(zip(header, sheet[3], strict=True))
    assert header[:6] == ["sample_id", "rank", "candidate", "Ni", "Fe", "Co"]
    assert row["Fe"].value == 2 / 3
    assert row["Ni"].value == 0
    assert row["predicted overpotential 80% from (mV)"].value == 240.5
    assert row["predicted overpotential 95% to (mV)"].value is None
    assert row["overpotential (mV)"].value is None
    assert (row["sample_id"].value, row["sample_id"].data_type) == ("'=b1-02", "s")
    assert sheet["A1"].font.bold
    assert sheet.freeze_panes == "B2"
    assert [c.value for c in book["about"]["B"]][:2] == ["'=oer", 1]


def test_json_holds_everything_as_it_is() -> None:
    document = json.loads(render(SHEET, "json"))
    assert (document["campaign"], document["batch"]) == ("=oer", 1)
    row = document["rows"][1]
    assert row["sample_id"] == "=b1-02"
    assert row["design"] == {"Ni": 0.0, "Fe": 2 / 3, "Co": 1 / 3, "anneal_T": 1073.5, "medium": "-water"}
    assert row["predictions"]["overpotential"]["median"] == 263.25
    assert [r["planned_cost"] for r in document["rows"]] == [{"value": v, "unit": "EUR"} for v in (12.5, None)]
    assert row["notes"] is None
    assert row["results"]["overpotential"] == {"value": None, "unit": "mV"}


def test_other_formats_are_refused() -> None:
    with pytest.raises(InvalidInput, match="csv, xlsx, json"):
        render(SHEET, "pdf")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_no_text_can_run_as_a_formula(text: str) -> None:
    assert not escaped(text).startswith(("=", "+", "-", "@", "\t", "\r", "\0"))
    sheet = Worksheet("c", 1, rows=(WorksheetRow("s1", 1, text, {}),))
    for kind in ("csv", "xlsx"):
        table = read_table(render(sheet, kind), f"b.{kind}")
        assert table.rows[0].cells[0] == "s1"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@x", "\tx", "\rx"])
def test_the_guard_comes_off_again(text: str) -> None:
    sheet = Worksheet("c", 1, rows=(WorksheetRow("s1", 1, text, {}),))
    assert read_table(render(sheet, "csv"), "b.csv").rows[0].cells[2] == text


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, lab_io.results, lab_io.worksheets\n"
        "heavy = ('torch', 'pandas', 'pymatgen', 'pint', 'openpyxl', 'sqlalchemy', 'python_calamine', 'numpy')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
