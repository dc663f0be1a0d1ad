"""What a new user ran into: limits as good as the best, headers below a title, a mapping that remembers its fixes."""

from pathlib import Path

from openpyxl import Workbook


def test_a_limit_as_good_as_the_best_is_told(plate):
    Path("limit.csv").write_text("sample_id,Ni,Fe,overpotential (mV)\nlow,0.4,0.6,<300\nhigh,0.3,0.7,<390\n")
    assert plate("ingest", "oer-plate", "limit.csv", "--commit").code == 0
    assert "not counted: low (<300)" in plate("status", "oer-plate").out
    assert plate("status", "oer-plate", "--json").json["objectives"]["overpotential"]["beyond"] == ["low (<300)"]


def test_the_fix_that_is_offered_for_a_title_works_and_is_kept_in_a_draft(plate):
    book = Workbook()
    for row in (["Plate of May"], [], ["sample_id", "Ni", "Fe", "overpotential (mV)"], ["t1", 0.4, 0.6, 345]):
        book.active.append(row)
    book.save("title.xlsx")
    said = plate("ingest", "oer-plate", "title.xlsx")
    assert said.code == 3
    assert "--accept-fix header-row=3" in said.err + said.out
    assert plate("ingest", "oer-plate", "title.xlsx", "--accept-fix", "header-row=3").code == 0
    draft = ["mapping", "draft", "oer-plate", "title.xlsx", "--accept-fix", "header-row=3", "-o", "lab.yaml"]
    assert plate(*draft).code == 0
    assert plate("ingest", "oer-plate", "title.xlsx", "--mapping", "lab.yaml").code == 0


def test_a_sample_is_void_once(plate):
    assert plate("void", "oer-plate", "a", "--reason", "spilt").code == 0
    again = plate("void", "oer-plate", "a", "--reason", "spilt")
    assert again.code == 3
    assert "void already" in again.err
