"""Tables as labs really send them: the errors of spreadsheets, each with what a check must make of it.

The campaign behind them mixes Ni, Fe, Co, Mn, Ce and La, measures an overpotential in mV, and knows no sample yet. Only
the standard library and openpyxl are used.
"""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from messy_xls import Error, old_workbook

ELEMENTS = ("Ni", "Fe", "Co", "Mn", "Ce", "La")
METRIC, UNIT = "overpotential", "mV"
HEADER = ("sample_id", *ELEMENTS, f"{METRIC} ({UNIT})")
GOOD = ("s1", 0.5, 0.5, 0, 0, 0, 0, 263)
OTHER = ("s2", 0, 0.3, 0.7, 0, 0, 0, 301.5)


@dataclass(frozen=True)
class Expected:
    """What a check must say."""

    status: Literal["accepted", "fixed", "skipped", "pending", "question", "rejected", "refused"]
    """Of the worst row; `refused` when the file cannot be read as a table at all."""
    where: str = ""
    """End of the address of some problem with `word` in it: `H2`; empty when there is none."""
    word: str = ""
    """A word of that problem's text; of a remark, where the table is accepted."""


@dataclass(frozen=True)
class Case:
    """One table."""

    name: str
    filename: str
    content: bytes
    expect: Expected
    fixes: tuple[str, ...] = ()
    """What answers it."""
    after: str = "fixed"
    """The status of the worst row then."""
    campaign: str = "plain"
    """Which campaign it is for: a key of `messy_rows.CAMPAIGNS`."""
    row: str = ""
    """The kind of error, one of `messy_rows.ROWS`."""


def text_table(*rows: Sequence[object], separator: str = ",", encoding: str = "utf-8") -> bytes:
    """Rows as a text table, without quotes."""
    return "".join(separator.join(str(c) for c in row) + "\n" for row in rows).encode(encoding)


def workbook(*rows: Sequence[Any], edit: Any = None) -> bytes:
    """Rows as an XLSX workbook; `edit` may change the sheet before it is saved."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(list(row))
    if edit is not None:
        edit(sheet)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def row(value: object, *, label: object = "s1", fractions: Sequence[object] = GOOD[1:7]) -> tuple[object, ...]:
    """A row of the plain table with one thing changed."""
    return (label, *fractions, value)


def bomb() -> bytes:
    """A workbook that unpacks to 300 MB of spaces."""
    file = io.BytesIO(workbook(HEADER, GOOD))
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("xl/media/image1.png", "w", force_zip64=True) as part,
    ):
        for _ in range(300):
            part.write(b" " * (1 << 20))
    return file.getvalue()


def patched(content: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """A workbook with bytes of one part replaced."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == part:
                assert old in data, (part, old)
                data = data.replace(old, new, 1)
            target.writestr(name, data)
    return file.getvalue()


_SHEET = "xl/worksheets/sheet1.xml"


def _text_cases() -> list[Case]:
    """One cell, row or header of a CSV table at a time."""
    made: list[Case] = []

    def add(name: str, content: bytes, status: Any, where: str = "", word: str = "") -> None:
        made.append(Case(name, "results.csv", content, Expected(status, where, word)))

    def cell(name: str, value: object, status: Any, word: str = "") -> None:
        add(name, text_table(HEADER, row(value)), status, "H2" if word else "", word)

    cell("plain", 263, "accepted")
    cell("unit in the cell", "0.263 V", "accepted")
    cell("uncertainty", "270±5", "accepted")
    cell("uncertainty typed", "270 +/- 5", "accepted")
    cell("above the limit", ">900", "accepted")
    cell("not determined", "n.d.", "pending")
    cell("full-width digits", "２６３", "accepted")
    cell("thousands by a space", "1 234.5", "accepted")
    cell("about", "~270", "question", "approximate")
    cell("not a number", "263?", "rejected", "not a number")
    cell("a range", "260-270", "rejected", "not a number")
    cell("nan", "nan", "rejected", "finite")
    cell("infinite", "1e999", "rejected", "finite")
    cell("superscript", "26²", "rejected", "not a number")
    cell("other dimension", "263 mA", "rejected", "convert")
    cell("unknown unit", "263 mv", "rejected", "unit")
    cell("spreadsheet error as text", "#REF!", "rejected", "spreadsheet error")
    cell("date as text", "3-May", "rejected", "date")
    cell("formula as text", "=H3*1000", "rejected", "formula")
    cell("negative", -263, "rejected", "below 0")

    add(
        "overpotential in volts",
        text_table(HEADER, row(0.263), (*OTHER[:7], 0.3015)),
        "question",
        "H1",
        "like values in V",
    )
    add("comma or thousands", text_table(HEADER, row('"1,234"')), "question", "H2", "thousands")
    add("decimal comma", text_table(HEADER, ("s1", "0,5", "0,5", 0, 0, 0, 0, "263,5"), separator=";"), "accepted")
    mixed = text_table(HEADER, row("263,5"), ("s2", *OTHER[1:7], "301.5"), separator=";")
    add("mixed decimal signs", mixed, "rejected", "csv", "mixed")
    add("decimal comma in a comma table", text_table(HEADER, row("263,5")), "rejected", "A2", "semicolons")
    add("no unit anywhere", text_table((*HEADER[:-1], METRIC), GOOD), "question", "H1", "no unit")
    add("unknown unit in the header", text_table((*HEADER[:-1], f"{METRIC} (mv)"), GOOD), "rejected", "H1", "mV")
    add("other dimension in the header", text_table((*HEADER[:-1], f"{METRIC} (K)"), GOOD), "rejected", "H1", "convert")
    add("against a reference", text_table((*HEADER[:-1], f"{METRIC} (V vs RHE)"), GOOD), "rejected", "H1", "reference")
    add("header typo", text_table((*HEADER[:-1], "overpotental (mV)"), GOOD), "question", "H1", "overpotential")
    add("no results", text_table(HEADER[:-1], GOOD[:-1]), "rejected", "row 1", "no column holds results")
    add("neither label nor composition", text_table(HEADER[-1:], (263,)), "rejected", "row 1", "which sample")
    add(
        "Cyrillic element",
        text_table(("sample_id", "Ni", "\u0421o", HEADER[-1]), ("s1", 0.5, 0.5, 263)),
        "rejected",
        "C1",
        "CYRILLIC",
    )
    add(
        "shouted element",
        text_table(("sample_id", "Ni", "CO", HEADER[-1]), ("s1", 0.5, 0.5, 263)),
        "question",
        "C1",
        "Co",
    )
    add("sum of fractions", text_table(HEADER, row(263, fractions=(0.5, 0.4, 0, 0, 0, 0))), "question", "B2", "add up")
    add("negative fraction", text_table(HEADER, row(263, fractions=(1.1, -0.1, 0, 0, 0, 0))), "rejected", "B2", "-0.1")
    add("percent unsaid", text_table(HEADER, row(263, fractions=(50, 50, 0, 0, 0, 0))), "question", "B1", "percent")
    add("percent said", text_table(("Ni (at.%)", "Fe (at.%)", HEADER[-1]), (50, 50, 263)), "accepted")
    add("weight percent said", text_table(("Ni (wt%)", "Fe (wt%)", HEADER[-1]), (50, 50, 263)), "accepted")
    add("two bases", text_table(("Ni (wt%)", "Fe (at.%)", HEADER[-1]), (50, 50, 263)), "rejected", "B2", "by weight")
    add("oxide formula", text_table(("formula", HEADER[-1]), ("NiFe2O4", 263)), "rejected", "A2", "O")
    add("shouted formula", text_table(("formula", HEADER[-1]), ("Ni0.5CO0.5", 263)), "rejected", "A2", "Co")
    add("unfinished formula", text_table(("formula", HEADER[-1]), ("Ni0.5Fe0.4", 263)), "question", "A2", "add up")
    add("no formula", text_table(("formula", HEADER[-1]), ("sample 5!", 263)), "rejected", "A2", "formula")
    both = text_table(("formula", *HEADER), ("Ni0.2Fe0.8", *GOOD))
    add("formula against fractions", both, "rejected", "A2", "fraction columns")
    add("no composition", text_table(HEADER, row(263, fractions=[""] * 6)), "rejected", "A2", "composition")
    add("label became a date", text_table(HEADER, row(263, label="2-Jan")), "question", "A2", "date")
    add("identical rows", text_table(HEADER, GOOD, GOOD), "skipped")
    add("contradicting rows", text_table(HEADER, GOOD, row(280)), "question", "H3", "replicate")
    add("two columns of one metric", text_table((*HEADER, f"{METRIC} (V)"), (*GOOD, 0.263)), "rejected", "I1", "both")
    add("column named twice", text_table((*HEADER, HEADER[-1]), (*GOOD, 280)), "refused", "I1", "also in")
    add("unnamed column", text_table((*HEADER[:3], "", *HEADER[4:]), GOOD), "refused", "D1", "no name")
    add("title above the header", text_table(("Results of May",), HEADER, GOOD), "refused", "csv", "title")
    add("no header", text_table(GOOD[1:], OTHER[1:]), "refused", "csv", "numbers instead")
    add("header only", text_table(HEADER), "refused", "csv", "no rows")
    add("missing cell", text_table(HEADER, GOOD[:-2]), "rejected", "A2", "cells")
    add("average row", text_table(HEADER, GOOD, ("mean", "", "", "", "", "", "", 263)), "question", "A3", "averages")
    add("note below", text_table(HEADER, GOOD) + b"\nmeasured on Friday,,,,,,,\n", "question", "A4", "note")
    add(
        "units row",
        text_table(
            (*HEADER[:-1], METRIC),
            ("", "at.%", "at.%", "", "", "", "", "mV"),
            row(263, fractions=(50, 50, "", "", "", "")),
        ),
        "accepted",
    )
    add(
        "failed without a value",
        text_table((*HEADER, "status", "failure_mode"), (*row(""), "failed", "film gone")),
        "accepted",
    )
    add("failed with a value", text_table((*HEADER, "status"), (*GOOD, "failed")), "question", "I2", "has a value")
    add("unknown status", text_table((*HEADER, "status"), (*GOOD, "okish")), "rejected", "I2", "status")
    add(
        "failure mode alone",
        text_table((*HEADER, "failure_mode"), (*row(""), "film gone")),
        "question",
        "I2",
        "failure mode",
    )
    tidy = ("sample_id", *ELEMENTS, "metric", "value", "unit")
    add("tidy", text_table(tidy, (*GOOD[:7], METRIC, 0.263, "V")), "accepted")
    add("tidy, unknown metric", text_table(tidy, (*GOOD[:7], "tafel", 40, "mV")), "rejected", "H2", "metric")
    add("tidy, no unit", text_table(tidy, (*GOOD[:7], METRIC, 263, "")), "question", "I1", "no unit")
    add("byte order mark and tabs", text_table(HEADER, GOOD, separator="\t", encoding="utf-8-sig"), "accepted")
    add("Windows-1252", text_table((*HEADER, "notes"), (*GOOD, "25 °C"), encoding="cp1252"), "accepted")
    add("UTF-16", text_table(HEADER, GOOD, encoding="utf-16"), "accepted")
    add("separator stated", b"sep=;\n" + text_table(HEADER, GOOD, separator=";"), "accepted")
    add("open quote", text_table(HEADER, row('"263')), "refused", "csv", "quote")
    add("empty file", b"", "refused", "csv", "empty")
    add("blank file", b"\n\n  \n", "refused", "csv", "empty")
    add("binary", bytes(range(256)), "refused", "csv", "text")
    add("web page", b"<html><table><tr><td>263</td></tr></table></html>", "refused", "csv", "web page")
    add("endless cell", text_table((*HEADER, "notes"), (*GOOD, "x" * 20_000)), "refused", "I2", "characters")
    return made


def _workbook_cases() -> list[Case]:
    """What only typed cells can get wrong."""
    made: list[Case] = []

    def add(name: str, content: bytes, status: Any, where: str = "", word: str = "") -> None:
        made.append(Case(name, "results.xlsx", content, Expected(status, where, word)))

    def error(sheet: Any) -> None:
        sheet["H2"] = "#DIV/0!"
        sheet["H2"].data_type = "e"

    def second(sheet: Any) -> None:
        sheet.parent.create_sheet("more").append(["sample_id"])

    def hidden(sheet: Any) -> None:
        sheet.row_dimensions[3].hidden = True

    good = workbook(HEADER, GOOD, OTHER)
    add("typed", good, "accepted")
    add("date in a value", workbook(HEADER, row(dt.datetime(2026, 5, 3))), "rejected", "H2", "date")
    add("date in a fraction", workbook(HEADER, ("s1", dt.date(2026, 5, 3), *GOOD[2:])), "rejected", "B2", "date")
    add("date as a label", workbook(HEADER, row(263, label=dt.date(2026, 1, 2))), "rejected", "A2", "date")
    add("error value", workbook(HEADER, row(0), edit=error), "rejected", "H2", "#DIV/0!")
    add("formula never computed", workbook(HEADER, row("=1000*0.263")), "rejected", "H2", "formula")
    add("logical value", workbook(HEADER, row(True)), "rejected", "H2", "TRUE")
    add("hidden row", workbook(HEADER, GOOD, OTHER, edit=hidden), "question", "A3", "hidden")
    merged = workbook(HEADER, GOOD, OTHER, edit=lambda sheet: sheet.merge_cells("H2:H3"))
    add("merged cells", merged, "question", "H2", "merged")
    add("several sheets", workbook(HEADER, GOOD, edit=second), "refused", "xlsx", "several sheets")
    add("number as text", workbook(HEADER, row("263,5")), "accepted")
    add("number as a column name", workbook((*HEADER, 5), (*GOOD, 1)), "refused", "I1", "not text")
    far = patched(good, _SHEET, b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>')
    add("cell at the end of the world", far, "refused", "xlsx", "1,048,576")
    entity = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet '
    add("entities", patched(good, _SHEET, b"<worksheet ", entity), "refused", "xlsx", "XML")
    add("cut off", good[: len(good) // 2], "refused", "xlsx", "damaged")
    add("zip bomb", bomb(), "refused", "xlsx", "unpacks")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("readme.txt", "hello")
    add("other archive", archive.getvalue(), "refused", "xlsx", "not an XLSX")

    def old(name: str, content: bytes, *told: Any, **more: Any) -> None:
        made.append(Case(name, "results.xls", content, Expected(*told), **more))

    old("old workbook", old_workbook(HEADER, GOOD, OTHER), "accepted")
    old("old workbook, error value", old_workbook(HEADER, row(Error(7))), "rejected", "H2", "#DIV/0!")
    hidden_row = old_workbook(HEADER, GOOD, OTHER, hidden=[2])
    old("old workbook, hidden row", hidden_row, "question", "A3", "hidden", fixes=("read-hidden",))
    old("old workbook, password", old_workbook(HEADER, GOOD, password=True), "refused", "xls", "password")
    old("old workbook, cut off", old_workbook(HEADER, GOOD)[:700], "refused", "xls", "damaged")
    old("old document, no workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "refused", "xls", ".xlsx")
    return made


PACK: list[Case] = [*_text_cases(), *_workbook_cases()]
