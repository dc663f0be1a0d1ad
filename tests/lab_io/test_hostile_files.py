"""Files made to harm: refused with a message, within bounded memory, whatever they pretend to be."""

import contextlib
import io
import resource
import struct
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from messy_pack import GOOD, HEADER, bomb, patched, text_table, workbook
from messy_xls import compound, old_workbook

from campaign import yaml
from campaign.files import read_file, read_inside
from campaign.mapping import read_mapping
from db.errors import InvalidInput
from lab_io.cells import Fault
from lab_io.tables import MAX_BYTES, read_table

SHEET = "xl/worksheets/sheet1.xml"
PLENTY = 200 << 20
"""Bytes that Python may hold at most while a bomb is looked at; they unpack to more."""


def refusal(content: bytes, name: str = "r.xlsx") -> str:
    with pytest.raises(InvalidInput) as caught:
        read_table(content, name)
    return str(caught.value)


def frugal(content: bytes, name: str = "r.xlsx") -> str:
    """The refusal, for little memory."""
    tracemalloc.start()
    try:
        said = refusal(content, name)
        assert tracemalloc.get_traced_memory()[1] < PLENTY
    finally:
        tracemalloc.stop()
    return said


def test_a_zip_bomb_is_measured_and_not_unpacked_into_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "unpacks to more" in frugal(bomb())
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * (1 if sys.platform == "darwin" else 1024) < PLENTY


def test_an_archive_that_lies_about_its_sizes() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<a/>" + b" " * (30 << 20))
    content = bytearray(file.getvalue())
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 100)  # the directory says 100 bytes
    assert "r.xlsx" in refusal(bytes(content))


def test_many_parts_and_nested_archives() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(2100):
            archive.writestr(f"xl/{i}.xml", b"")
    assert "parts" in refusal(file.getvalue())
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.xlsx", bomb())
    assert "not an XLSX" in refusal(outer.getvalue())


@pytest.mark.parametrize(
    "declaration",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><worksheet ',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><worksheet ',
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><worksheet ',
    ],
)
def test_entities_and_outside_documents(declaration: bytes) -> None:
    content = patched(workbook(HEADER, GOOD), SHEET, b"<worksheet ", declaration)
    assert "XML" in refusal(content)


def test_a_sheet_without_end() -> None:
    far = b'<row r="200001"><c r="A200001"><v>1</v></c></row></sheetData>'
    assert "limit is 200,000 rows" in refusal(patched(workbook(HEADER, GOOD), SHEET, b"</sheetData>", far))
    wide = b'<row r="9"><c r="ZZZ9"><v>1</v></c></row></sheetData>'
    assert "columns" in refusal(patched(workbook(HEADER, GOOD), SHEET, b"</sheetData>", wide))
    spread = b'<row r="190000"><c r="SF190000"><v>1</v></c></row></sheetData>'
    assert "spans" in refusal(patched(workbook(HEADER, GOOD), SHEET, b"</sheetData>", spread))
    number = struct.pack("<HHHHH", 0x203, 14, 1, 1, 0)  # the number in B2
    moved = struct.pack("<HHHHH", 0x203, 14, 65_535, 255, 0)
    assert "spans" in frugal(old_workbook(HEADER, GOOD).replace(number, moved), "r.xls")


def test_old_workbooks_whose_sectors_run_in_circles() -> None:
    content = bytearray(old_workbook(HEADER, GOOD))
    struct.pack_into("<I", content, 512 + 4 * 2, 2)  # the stream's first sector follows itself
    with contextlib.suppress(InvalidInput):  # what it holds stands in that sector
        read_table(bytes(content), "r.xls")
    content = bytearray(old_workbook(HEADER, GOOD))
    struct.pack_into("<I", content, 48, 2**31)  # the directory lies nowhere
    assert "damaged" in refusal(bytes(content), "r.xls")
    assert "r.xls" in refusal(compound(b"\x09\x08\xff\xff"), "r.xls")


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.6])
@pytest.mark.parametrize("name", ["r.xlsx", "r.xls"])
def test_truncated_workbooks(share: float, name: str) -> None:
    content = workbook(HEADER, GOOD) if name == "r.xlsx" else old_workbook(HEADER, *[GOOD] * 50)
    cut = content[: int(len(content) * share)]
    assert name in refusal(cut, name)


def test_large_files_and_endless_lines() -> None:
    assert "MiB" in refusal(b"a" * (MAX_BYTES + 1), "r.csv")
    assert "r.csv" in refusal(b"a,b\n" + b'"' + b"x" * 5_000_000, "r.csv")
    assert "columns" in refusal(b"a," * 200_000 + b"b\n1,2\n", "r.csv")
    assert "rows" in refusal(b"a\n" * 200_002, "r.csv")
    assert "characters" in refusal(b"a,b\n1," + b"x" * 50_000 + b"\n", "r.csv")


def test_formulas_and_links_in_cells_are_text_or_faults() -> None:
    cells = ("=cmd|' /C calc'!A0", '=HYPERLINK("http://x")', "@SUM(1)", "=DDE(1)")
    table = read_table(text_table(("a", "b"), *[(i, c) for i, c in enumerate(cells)], separator=";"), "r.csv")
    assert [r.cells[1] for r in table.rows] == list(cells)
    book = read_table(workbook(("a", "b"), *[(i, c) for i, c in enumerate(cells)]), "r.xlsx")
    assert [isinstance(r.cells[1], Fault) for r in book.rows] == [True, True, False, True]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "C:\\x.csv", "..\\x.csv", "\\\\host\\x", "a/../../b"]
)
def test_paths_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="outside"):
        read_inside(tmp_path, name, 1000)


def test_links_pipes_and_nul(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidInput, match="outside"):
        read_inside(tmp_path / "in", "link.csv", 1000)
    with pytest.raises(InvalidInput, match="not a file"):
        read_file(Path("/dev/zero"), "zero", 1000)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_file(Path("a\0b"), "nul", 1000)


def test_yaml_bombs() -> None:
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{c}: &{c} [*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p},*{p}]\n"
        for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for text in (laughs, "[" * 20_000, "a:\n" * 20_000, "- " * 50_000, "? " * 50_000, "{a: " * 40_000):
        for read in (lambda t: yaml.load(t, "s.yaml"), lambda t: read_mapping(t.encode(), "m.yaml")):
            with pytest.raises(InvalidInput) as caught:
                read(text)
            assert len(str(caught.value.problems[0])) < 400
            assert len(caught.value.problems) <= 200
    with pytest.raises(InvalidInput, match="1 MiB"):
        read_mapping(b"#" * (2 << 20), "m.yaml")
