"""Tables cell by cell, with their addresses."""

import datetime as dt
import io
import zipfile

import pytest
from messy_pack import GOOD, HEADER, patched, text_table, workbook
from messy_xls import old_workbook

from db.errors import InvalidInput
from lab_io import tables, workbooks
from lab_io.old_cells import _plain, _restored
from lab_io.tables import address, cell_text, read_table
from lab_io.workbooks import Fault


def refusal(content: bytes, name: str = "r.csv", **options: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_table(content, name, **options)
    return str(caught.value)


def test_addresses() -> None:
    assert [address(4, c) for c in (0, 3, 25, 26, 701, 702)] == ["A4", "D4", "Z4", "AA4", "ZZ4", "AAA4"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separator_and_addresses(separator: str) -> None:
    table = read_table(f"a{separator}b\nx{separator}1\n\ny{separator}2\n".encode(), "r.csv")
    assert table.separator == separator
    assert table.header == ("a", "b")
    assert [(r.number, r.cells) for r in table.rows] == [(2, ("x", "1")), (4, ("y", "2"))]
    assert table.where(4, 1) == "r.csv, B4"


def test_commas_in_a_semicolon_table_do_not_confuse() -> None:
    table = read_table(b"a;note, with comma;b\nx;1,5;2\ny;2,5;3\n", "r.csv")
    assert table.header == ("a", "note, with comma", "b")


def test_quoted_cells_keep_separators_and_line_breaks() -> None:
    table = read_table(b'a,b\n"x, ""y""","1\n2"\n', "r.csv")
    assert table.rows[0].cells == ('x, "y"', "1\n2")


def test_cells_of_a_workbook_keep_their_types() -> None:
    table = read_table(workbook(("a", "b", "c", "d"), ("x", 1, True, dt.date(2026, 5, 3))), "r.xlsx")
    assert table.format == "xlsx"
    assert table.rows[0].cells == ("x", 1.0, True, dt.date(2026, 5, 3))
    assert table.where(2, 1) == "r.xlsx, Sheet!B2"


def test_formulas_with_a_stored_value_are_read_and_others_are_faults() -> None:
    content = workbook(("a", "b"), ("x", "=1+1"), ("y", "=1+2"))
    content = patched(content, "xl/worksheets/sheet1.xml", b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>")
    table = read_table(content, "r.xlsx")
    assert table.rows[0].cells[1] == 2.0
    assert isinstance(table.rows[1].cells[1], Fault)


def test_a_table_may_start_anywhere() -> None:
    def shift(sheet: object) -> None:
        sheet.move_range("A1:B2", rows=2, cols=1)  # type: ignore[attr-defined]

    table = read_table(workbook(("a", "b"), ("x", 1), edit=shift), "r.xlsx")
    assert table.header == ("", "a", "b")
    assert table.rows[0].number == 4
    assert table.rows[0].cells == ("", "x", 1.0)


ODS = """<?xml version="1.0"?><office:document-content
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"><office:body><office:spreadsheet>
<table:table table:name="s"><table:table-row><table:table-cell office:value-type="string"><text:p>a</text:p>
</table:table-cell><table:table-cell office:value-type="string"><text:p>b</text:p></table:table-cell></table:table-row>
<table:table-row><table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell>
<table:table-cell office:value-type="float" office:value="2.5"><text:p>2,5</text:p></table:table-cell></table:table-row>
<table:table-row {row}><table:table-cell office:value-type="string"><text:p>y</text:p></table:table-cell>
<table:table-cell table:formula="of:=1/0" office:value-type="string" office:string-value=""
 calcext:value-type="error"><text:p>#DIV/0!</text:p></table:table-cell></table:table-row>
<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="16384"/>
</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"""


def ods(row: str = "") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml", ODS.replace("\n", " ").replace("> <", "><").replace(" </", "</").format(row=row)
        )
        archive.writestr(
            "META-INF/manifest.xml",
            '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
        )
    return file.getvalue()


def test_open_document_tables() -> None:
    table = read_table(ods(), "r.ods")
    assert table.format == "ods"
    assert [r.cells for r in table.rows] == [("x", 2.5), ("y", Fault("#DIV/0!"))]
    hidden = read_table(ods('table:visibility="filter"'), "r.ods").rows[1].finding
    assert hidden is not None
    assert "hidden" in hidden.problem.what
    assert "limit" in refusal(ods('table:number-rows-repeated="900000"'))


def test_a_sheet_can_be_named_and_hidden_or_about_sheets_are_passed_over() -> None:
    def more(sheet: object) -> None:
        book = sheet.parent  # type: ignore[attr-defined]
        book.create_sheet("about").append(["anything"])
        secret = book.create_sheet("secret")
        secret.append(["c"])
        secret.append([1])
        secret.sheet_state = "hidden"

    content = workbook(("a", "b"), ("x", 1), edit=more)
    assert read_table(content, "r.xlsx").header == ("a", "b")
    assert read_table(content, "r.xlsx", sheet="secret").header == ("c",)
    assert "Sheet, about, secret" in refusal(content, sheet="none")
    assert "no sheets" in refusal(b"a,b\n1,2\n", sheet="s")


def test_a_row_of_units_is_told_from_data() -> None:
    assert read_table(b"a,b,c\n,mV,(K)\nx,1,2\n", "r.csv").units == (None, "mV", "K")
    assert read_table(b"a,b\nat.%,mV\n50,2\n", "r.csv").units == ("at.%", "mV")


@pytest.mark.parametrize("line", ["A,,", "A,,K", "s1,,", "1,,", "s1,m2,", "mm,,"])
def test_a_row_of_data_is_not_taken_for_units(line: str) -> None:
    table = read_table(f"sample,b,operator\n{line}\n".encode(), "r.csv")
    assert table.units == (None, None, None)
    assert table.rows[0].cells == tuple(line.split(","))


def test_all_header_problems_at_once() -> None:
    said = refusal(b"a,,a,d\n1,2,3,4\n")
    assert "B1: a column with data has no name" in said
    assert "C1: the column name 'a' is also in A1" in said


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("avg,,263", "averages"),
        ("Mittelwert,,263", "averages"),
        ("mean of 3,,263", "averages"),
        ("* measured twice,,", "note"),
        ("Note: old cell,,", "note"),
        ("x,263", "2 cells"),
        ("x,1,2,3", "4 cells"),
    ],
)
def test_rows_that_are_no_data_are_marked(line: str, word: str) -> None:
    row = read_table(f"a,b,c\nx,1,2\n{line}\n".encode(), "r.csv").rows[1]
    assert row.finding is not None
    assert word in row.finding.problem.what
    assert row.finding.problem.where == "r.csv, A3"


def test_a_label_alone_is_data_and_not_a_note() -> None:
    assert read_table(b"a,b,c\nb1-03,,\n", "r.csv").rows[0].finding is None


def test_the_guard_against_formulas_is_taken_away() -> None:
    table = read_table(b"a,b\n'=x,'-y\n'z,''=\n", "r.csv")
    assert [r.cells for r in table.rows] == [("=x", "-y"), ("'z", "'=")]  # a guard before a guard, one of them goes


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "columns" in refusal(text_table(range(600), range(600)).replace(b"0,", b"c,", 1))
    monkeypatch.setattr(tables, "MAX_ROWS", 3)
    assert "4 rows" in refusal(b"a,b\n" + b"1,2\n" * 3)
    monkeypatch.setattr(tables, "MAX_BYTES", 10)
    assert "MiB" in refusal(b"a,b\n" + b"1,2\n" * 3)
    monkeypatch.setattr(workbooks, "MAX_ENTRIES", 3)
    monkeypatch.setattr(tables, "MAX_BYTES", 10**6)
    assert "parts" in refusal(workbook(HEADER, GOOD))


def test_too_many_cells_or_merged_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    content = workbook(HEADER, GOOD, edit=lambda sheet: (sheet.merge_cells("A5:A6"), sheet.merge_cells("B5:B6")))
    monkeypatch.setattr(workbooks, "MAX_MERGED", 1)
    assert "merged" in refusal(content)
    monkeypatch.setattr(workbooks, "MAX_CELLS", 10)
    assert "spans" in refusal(content)


def test_text_of_cells() -> None:
    cells = (12.0, 0.1, True, "  Ni\u00a0x ", dt.datetime(2026, 5, 3, 12), dt.time(3, 4), Fault("#REF!"), 1e300)
    assert [cell_text(c) for c in cells] == [
        "12",
        "0.1",
        "TRUE",
        "Ni x",
        "2026-05-03T12:00:00",
        "03:04:00",
        "#REF!",
        "1e+300",
    ]


def test_an_old_workbook_keeps_types_and_dates_survive_the_way_through_the_child() -> None:
    table = read_table(old_workbook(("a", "b"), ("x", 2.5), (None, 1)), "r.xls")
    assert table.format == "xls"
    assert [r.cells for r in table.rows] == [("x", 2.5), ("", 1.0)]
    typed = [dt.datetime(2026, 5, 3, 12), dt.date(2026, 5, 3), dt.time(3, 4), dt.timedelta(hours=2), "x", 1.5, True]
    assert [_restored(_plain(c)) for c in typed] == typed
