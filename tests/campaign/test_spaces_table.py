"""Candidate tables: typed columns, identities shared with grids, strata, and problems at their cells."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.spaces import CandidateTable, CompositionGrid, GridSpace, TableSpace, build_space, read_sources, variables
from db.errors import InvalidInput, Problem
from lab_io.schema import Column

MIXED = b"""name,Ni,Fe,T (K),solvent,family
a,1,0,353.15,water,x
b,0.5,0.5,353.15,water,y
c,0.5,0.5,393.15,DMF,y
d,0.25,0.75,393.15,DMF,x
e,0.25,0.75,353.15,DMF,x
"""
COLUMNS = {"Ni": "fraction", "Fe": "fraction", "T": {"type": "number", "unit": "degC"}, "solvent": "category"}


def table(content: bytes, file: str = "list.csv", **spec: Any) -> TableSpace:
    return TableSpace(CandidateTable.model_validate({"type": "candidate_table", "file": file, **spec}), content)


def problems_of(content: bytes, **spec: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        table(content, **spec)
    return [str(p) for p in caught.value.problems]


def test_columns_of_every_kind() -> None:
    space = table(MIXED, columns=COLUMNS, id="name")
    assert space.components == ("Ni", "Fe")
    assert variables(space) == ("Ni", "Fe", "T", "solvent")
    assert space.columns == ("Ni", "Fe", "T", "solvent=DMF", "solvent=water")
    assert space.X(np.array([0, 3])).tolist() == [
        [1, 0, pytest.approx(80), 0, 1],
        [0.25, 0.75, pytest.approx(120), 1, 0],
    ]
    assert space.candidate(0).design == {"Ni": 1, "T": pytest.approx(80), "solvent": "water"}
    assert space.strata() == {"1 element": 1, "2 elements": 4}
    assert space.side_columns() == (
        Column("T", "number", "degC"),
        Column("solvent", "category", None, ("DMF", "water")),
    )
    ((name, low, high),) = space.numeric_ranges()
    assert (name, low, high) == ("T", pytest.approx(80), pytest.approx(120))
    shift, scale = space.side_scale()
    assert shift.tolist() == [pytest.approx(80), 0, 0]
    assert scale.tolist() == [pytest.approx(40), 1, 1]


def test_other_elements_another_word_and_the_whole_range_are_equally_far() -> None:
    space = table(b"Ni,Fe,T,solvent\n1,0,300,DMF\n0,1,300,DMF\n1,0,400,DMF\n1,0,300,water\n")
    points = space.coordinates(space.X(np.arange(4)))
    assert np.abs(points - points[0]).sum(axis=1).tolist() == [0, 1, 1, 1]


def test_kinds_are_inferred_and_the_header_names_the_unit() -> None:
    space = table(MIXED, id="name", group="family")
    assert space.columns == ("Ni", "Fe", "T", "solvent=DMF", "solvent=water")
    assert space.side_columns()[0] == Column("T", "number", "K")
    assert space.strata() == {"x": 3, "y": 2}
    assert space.stratum(np.array([1, 0])) == ["y", "x"]


def test_no_composition_is_needed() -> None:
    space = table(b"T,t\n300,1\n300,2\n400,1\n")
    assert space.components == ()
    assert space.strata() == {"all": 3}
    assert space.neighbours(0).tolist() == [1, 2]
    assert space.neighbours(1).tolist() == [0]


def test_components_need_not_be_elements() -> None:
    space = table(b"PVDF,PEO\n0.5,0.5\n1,0\n", columns={"PVDF": "fraction", "PEO": "fraction"})
    assert space.strata() == {"1 component": 1, "2 components": 1}


def test_decimal_commas_and_percent() -> None:
    space = table(b"Ni (at.%);Fe (at.%);pH\n12,5;87,5;7,4\n50;50;7\n")
    assert space.X(np.array([0, 1])).tolist() == [[0.125, 0.875, 7.4], [0.5, 0.5, 7.0]]


def test_the_same_composition_has_the_same_id_as_on_a_grid() -> None:
    thirds = table(b"Fe,Ni,Co\n0.333,0.333,0.333\n0.5,0.5,0\n")
    spec = {"type": "composition_grid", "elements": ["Ni", "Fe", "Co"]}
    three, two = (GridSpace(CompositionGrid.model_validate({**spec, "divisions": d})) for d in (3, 2))
    assert thirds.candidate(0).id == three.design_candidate({"Ni": 1 / 3, "Fe": 1 / 3, "Co": 1 / 3}).id
    assert thirds.candidate(1).id == two.design_candidate({"Ni": 0.5, "Fe": 0.5}).id


def test_units_belong_to_the_identity() -> None:
    kelvin, celsius = table(b"T (K)\n80\n90\n"), table(b"T (degC)\n80\n90\n")
    assert kelvin.candidate(0).id != celsius.candidate(0).id


@given(st.data())
def test_every_row_is_found_again(data: st.DataObject) -> None:
    space = TABLE
    index = data.draw(st.integers(0, space.count - 1))
    candidate = space.candidate(index)
    typed = {k: str(v) if data.draw(st.booleans()) else v for k, v in candidate.design.items()}
    assert space.locate(typed) == index
    assert space.design_candidate(typed) == candidate
    assert (space.x_of(typed) == space.X(np.array([index]))[0]).all()
    assert all(index in space.neighbours(int(n)) for n in space.neighbours(index))


TABLE = table(MIXED, columns=COLUMNS, id="name")


def test_designs_beside_the_table() -> None:
    beside = {"Ni": 0.4, "Fe": 0.59, "T": 100, "solvent": "DMF"}
    assert TABLE.locate(beside) is None
    candidate = TABLE.design_candidate(beside)
    assert candidate.stratum == "2 elements"
    assert TABLE.x_of(beside)[:2].sum() == pytest.approx(1)
    assert TABLE.design_candidate(candidate.design).id == candidate.id


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ({"Ni": 1, "T": 80, "solvent": "Water"}, "did you mean water"),
        ({"Ni": 1, "T": "hot", "solvent": "water"}, "'hot' is not a number"),
        ({"Ni": 1, "solvent": "water"}, "T: is missing"),
        ({"Ni": 1, "T": 80, "solvent": "water", "Pt": 0.5}, "'Pt' is not a component"),
        ({"Ni": 0.5, "T": 80, "solvent": "water"}, "sum to 0.5"),
    ],
)
def test_what_is_no_design(design: dict[str, Any], message: str) -> None:
    assert TABLE.locate(design) is None
    with pytest.raises(InvalidInput, match=message):
        TABLE.design_candidate(design)


def test_all_problems_come_with_their_cells() -> None:
    found = problems_of(b"Ni,Fe,T,s\n0.5,half,1,a\n0.5,,<3,a\n1.5,0,3,\n", columns=COLUMNS | {"s": "category"}, id="x")
    assert found == [
        "space.columns: list.csv has no column 'solvent'. Fix: use one of Ni, Fe, T, s",
        "space.id: list.csv has no column 'x'. Fix: use one of Ni, Fe, T, s",
    ]
    kinds = {"Ni": "fraction", "Fe": "fraction", "T": "number", "s": "category"}
    found = problems_of(b"Ni,Fe,T,s\n0.5,half,1,a\n0.5,,<3,a\n1.5,0,3,\n", columns=kinds)
    assert [p.split(":")[0] for p in found] == [f"list.csv, {cell}" for cell in ("A4", "B2", "B3", "C3", "D4")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"Ni,Fe\n", "no rows"),
        (b"Ni,Fe\n0.5,0.5\n0.2,0.8\n0.5,0.5\n", "list.csv, row 4: the same candidate as in list.csv, row 2"),
        (b"Ni,Fe\n0.5,0.4\n", "list.csv, A2: the fractions of this row sum to 0.9"),
        (b"Ni,Ni\n0.5,0.5\n", "is also in A1"),
        (b"Ni (at.%),Ni\n50,0.5\n", "Ni is also the column of list.csv, A1"),
        (b"T (K),T (K)\n1,2\n", "is also in A1"),
        (b"s\n" + b"".join(b"w%d\n" % i for i in range(300)), "300 different words, too many for a category"),
        (b"\x00\x01\x02", "not text"),
        (b"PK\x03\x04 broken", "list.csv"),
    ],
)
def test_tables_that_cannot_be_used(content: bytes, message: str) -> None:
    assert message in "\n".join(problems_of(content))


def test_a_unit_of_another_dimension_is_refused() -> None:
    (found,) = problems_of(b"T (mV)\n80\n", columns={"T": {"type": "number", "unit": "degC"}})
    assert "list.csv, A1" in found
    assert "does not convert" in found


@given(st.binary(max_size=100) | st.text("NiFe,;.\n0123'\"<±-", max_size=80).map(str.encode))
def test_any_bytes_are_a_space_or_a_problem(content: bytes) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        table(content)
    except InvalidInput as error:
        problems = error.problems
    assert all(p.where and p.what and p.fix for p in problems)


@pytest.mark.parametrize("name", ["../x.csv", "/etc/x.csv", "C:\\x.csv", "a\\..\\..\\x.csv", "x.pdf", ".csv/..", ""])
def test_files_stay_in_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        CandidateTable(type="candidate_table", file=name)


def test_sources_are_read_beside_the_spec_and_links_do_not_lead_out(tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "list.csv").write_bytes(MIXED)
    spec = CandidateTable(type="candidate_table", file="data/list.csv", id="name")
    sources = read_sources(spec, folder)
    assert sources == {"data/list.csv": MIXED}
    assert build_space(spec, sources).count == 5
    with pytest.raises(InvalidInput, match="not given"):
        build_space(spec)
    (tmp_path / "secret.csv").write_bytes(MIXED)
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(InvalidInput, match="outside the folder"):
        read_sources(CandidateTable(type="candidate_table", file="link.csv"), folder)
    with pytest.raises(InvalidInput, match="No such file"):
        read_sources(CandidateTable(type="candidate_table", file="gone.csv"), folder)
    (folder / "folder.csv").mkdir()
    with pytest.raises(InvalidInput, match="not a file"):
        read_sources(CandidateTable(type="candidate_table", file="folder.csv"), folder)


def test_fingerprints_follow_spec_and_bytes() -> None:
    assert table(MIXED, id="name").fingerprint() == table(MIXED, id="name").fingerprint()
    assert table(MIXED, id="name").fingerprint() != table(MIXED, id="name", group="family").fingerprint()
    assert table(b"T\n1\n2\n").fingerprint() != table(b"T\n1\n3\n").fingerprint()
