"""What a person sees in a cell is what is read: percentages, weight percent, thousands, small numbers."""

import io
import struct
import zipfile
from dataclasses import replace

import pytest
from messy_pack import text_table, workbook
from messy_xls import _record, compound

from lab_io.cells import Percent, cell_text
from lab_io.exports import Export, ExportRow, to_csv
from lab_io.filtering import Wanted
from lab_io.findings import CellError
from lab_io.fixes import Fixes
from lab_io.numbers import parse_number
from lab_io.results import Expectation, Metric, check_results
from lab_io.samples import target_key
from lab_io.schema import Column
from lab_io.tables import read_table
from lab_io.workbooks import is_percent

EXPECT = Expectation(elements=("Ni", "Fe"), metrics=(Metric("retention", "%"),))
HEADER = ("sample_id", "Ni", "Fe", "retention (%)")


def values(content, *, expect=EXPECT, metric="retention", **answers):
    checked = check_results(read_table(content, "r"), expect, **answers)
    assert checked.ok, [str(p) for p in checked.problems]
    return [result.values[metric].value for result in checked.results]


def test_a_number_shown_as_a_percentage_is_read_as_people_see_it():
    def shown(sheet):
        sheet["D2"].number_format, sheet["D3"].number_format = "0%", '0.0%;[Red]"minus "0.0%'
        sheet["D4"].number_format = '0.0" of 100 %"'  # a word, and no format of percentages
        sheet["B2"].number_format = sheet["C2"].number_format = "0%"

    book = workbook(HEADER, ("a", 0.5, 0.5, 0.95), ("b", 0.4, 0.6, 0.073), ("c", 1, 0, 88.0), edit=shown)
    assert values(book) == [95.0, 7.3, 88.0]
    table = read_table(book, "r.xlsx")
    assert [cell_text(row.cells[3]) for row in table.rows] == ["95%", "7.3%", "88"]
    checked = check_results(table, EXPECT, where={"retention (%)": Wanted(least=90.0)})
    assert [str(row.status) for row in checked.rows] == ["accepted", "skipped", "skipped"]


@pytest.mark.parametrize("code", ["0%", "0.00%", "0.0 %", '0"x"%', "[Red]0%"])
def test_formats_that_show_percentages(code):
    assert is_percent(code)


@pytest.mark.parametrize("code", ["General", '0"%"', r"0\%", "[$%-1]0", ""])
def test_formats_that_do_not(code):
    assert not is_percent(code)


def test_percentages_of_an_open_document_are_read_as_shown():
    def cell(kind, value, text):
        stated = f'office:value="{value}"' if kind != "string" else ""
        return f'<table:table-cell office:value-type="{kind}" {stated}><text:p>{text}</text:p></table:table-cell>'

    head = "".join(cell("string", "", name) for name in HEADER)
    row = cell("string", "", "a") + 2 * cell("percentage", 0.5, "50 %") + cell("percentage", 0.95, "95 %")
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    sheet = "".join(f"<table:table-row>{cells}</table:table-row>" for cells in (head, row))
    body = f'<office:body><office:spreadsheet><table:table table:name="s">{sheet}</table:table></office:spreadsheet>'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        content = f"<office:document-content{spaces}>{body}</office:body></office:document-content>"
        archive.writestr("content.xml", f'<?xml version="1.0"?>{content}')
        manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
        archive.writestr("META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{manifest}"/>')
    assert values(file.getvalue()) == [95.0]


def test_percentages_of_an_old_workbook_are_read_as_shown():
    def text(row, column, value):
        raw = value.encode("utf-16-le")
        return _record(0x204, struct.pack("<HHHHB", row, column, 0, len(value), 1) + raw)

    def number(row, column, style, value):
        return _record(0x203, struct.pack("<HHHd", row, column, style, value))

    def compact(value):  # of a hundredth of a whole number ([MS-XLS] 2.5.217)
        return round(value * 100) << 2 | 3

    bof = struct.Struct("<HHHHII")
    book = _record(0x809, bof.pack(0x600, 0x05, 0, 0, 0, 6)) + _record(0x42, struct.pack("<H", 1200))
    book += _record(0x41E, struct.pack("<HHB", 164, 4, 0) + b"0.0%")
    book += b"".join(_record(0xE0, struct.pack("<HH", 0, used).ljust(20, b"\0")) for used in (0, 164))
    at = len(book) + 4 + 8 + 5 + 4
    book += _record(0x85, struct.pack("<IBBBB", at, 0, 0, 5, 0) + b"Sheet") + _record(0x0A, b"")
    cells = b"".join(text(0, j, name) for j, name in enumerate(HEADER)) + text(1, 0, "a") + text(2, 0, "b")
    cells += number(1, 1, 0, 0.5) + number(1, 2, 0, 0.5) + number(1, 3, 1, 0.95)
    run = b"".join(struct.pack("<HI", style, compact(v)) for style, v in ((0, 0.25), (0, 0.75), (1, 0.9)))
    cells += _record(0xBD, struct.pack("<HH", 2, 1) + run + struct.pack("<H", 3))
    page = _record(0x809, bof.pack(0x600, 0x10, 0, 0, 0, 6)) + _record(0x200, struct.pack("<IIHHH", 0, 3, 0, 4, 0))
    assert values(compound(book + page + cells + _record(0x0A, b""))) == [95.0, 90.0]


def test_a_percentage_is_the_number_that_it_shows():
    assert (Percent(0.07).shown, cell_text(Percent(0.29))) == (7.0, "29%")


def test_a_bare_percent_in_a_cell_does_not_contradict_weight_percent_in_the_header():
    rows = ("sample_id", "Ni (wt%)", "Fe (wt%)", "retention (%)"), ("a", "50%", "50 %", 95), ("b", 50, 50, 95)
    checked = check_results(read_table(text_table(*rows), "r.csv"), EXPECT)
    assert checked.results[0].design == pytest.approx(checked.results[1].design)
    assert checked.results[0].design["Ni"] == pytest.approx(0.4876, abs=1e-4)


@pytest.mark.parametrize(("text", "decimal"), [("0,350", "."), ("0.350", ","), ("012,345", "."), ("0 350", ".")])
def test_what_begins_with_a_nought_groups_no_thousands(text, decimal):
    with pytest.raises(CellError, match="is not a number"):
        parse_number(text, decimal=decimal)


def test_a_hidden_row_that_is_read_by_consent_has_no_other_decimal_sign():
    def hide(sheet):
        sheet.row_dimensions[3].hidden = True

    book = workbook(HEADER, ("a", 0.5, 0.5, "39.5"), ("b", 0.4, 0.6, "0,350"), edit=hide)
    checked = check_results(read_table(book, "r.xlsx"), EXPECT, fixes=Fixes.parse(["read-hidden"]))
    assert [str(row.status) for row in checked.rows] == ["accepted", "rejected"]


def test_small_numbers_tell_targets_apart():
    assert target_key({"c": 1e-4}) != target_key({"c": 4e-4})
    assert target_key({"c": 1e-4}) == target_key({"c": 1.0001e-4})
    expect = Expectation(columns=(Column("c", "number", "mol/L"),), metrics=(Metric("retention", "%"),))
    expect = replace(expect, labels={"b1-01": {"c": 4e-4}}, pending=frozenset({"b1-01"}))
    checked = check_results(read_table(text_table(("c (mol/L)", "retention (%)"), (1e-4, 95)), "r.csv"), expect)
    assert checked.results[0].label is None


def test_small_values_that_differ_are_not_the_same_value():
    expect = Expectation(metrics=(Metric("j0", "A/cm^2"),), elements=("Ni",), labels={"a": {"Ni": 1.0}})
    expect = replace(expect, recorded={("a", "j0", None): (2e-13, "=")})
    checked = check_results(read_table(text_table(("sample_id", "j0 (A/cm^2)"), ("a", 5e-13)), "r.csv"), expect)
    assert [str(row.status) for row in checked.rows] == ["question"]


def test_what_is_exported_of_a_measurement_is_read_again():
    said = {"role": "control", "operator": "mk", "made_at": "2026-01-02", "measured_at": "2026-02-03", "notes": "x"}
    row = ExportRow("a", {"Ni": 0.5, "Fe": 0.5}, "retention", 95.0, "%", conditions=said)
    checked = check_results(read_table(to_csv(Export(("Ni", "Fe"), rows=(row,))), "r.csv"), EXPECT)
    assert checked.results[0].conditions == said
    assert checked.notices == ()
