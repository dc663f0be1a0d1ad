"""Every table of the messy pack gets the status, address and word that it should, and is answered by consent."""

import pytest
from messy_pack import Case
from messy_rows import ALL, ROWS, check_table, faults

from lab_io.fixes import Fixes


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    assert faults(case) == []


def test_pack_is_large_named_once_and_has_every_kind_of_error() -> None:
    assert len(ALL) >= 40
    assert len({case.name for case in ALL}) == len(ALL)
    assert {case.row for case in ALL} == {"", *ROWS}


@pytest.mark.parametrize(
    ("name", "fixes", "values"),
    [
        ("its swapped twin", ("swapped",), {"eta_10": 224, "eta_100": 263, "tafel_slope": 39.2}),
        ("its swapped twin", ("as-stated",), {"eta_10": 263, "eta_100": 224, "tafel_slope": 39.2}),
        ("all values in V", ("V->mV",), {"eta_10": 224, "eta_100": 263, "tafel_slope": 39.2}),
        ("potential in mV", ("RHE->overpotential",), {"eta_10": 224, "eta_100": 263, "tafel_slope": 39.2}),
        ("potential in V", ("RHE->overpotential",), {"eta_10": 224, "eta_100": 263, "tafel_slope": 39.2}),
        ("about, by consent", ("approximate",), {"overpotential": 270}),
    ],
)
def test_what_is_changed_by_consent_is_right_and_told(
    name: str, fixes: tuple[str, ...], values: dict[str, float]
) -> None:
    case = next(c for c in ALL if c.name == name)
    (row,) = check_table(case, Fixes.parse(fixes)).rows
    assert row.result is not None
    assert {m: v.value for m, v in row.result.values.items()} == pytest.approx(values)
    told = row.result.conditions.get("fixes", "")
    assert bool(row.notes) == bool(told) == (fixes != ("as-stated",))
    assert told.startswith(fixes[0]) or not told


@pytest.mark.parametrize(
    ("name", "fixes", "composition"),
    [
        ("weights under the name of fractions", ("wt%",), {"Ni": 0.5, "La": 0.5}),
        ("weights said", (), {"Ni": 0.5, "La": 0.5}),
        ("element columns exchanged", ("as-stated",), {"Ni": 0.8, "Co": 0.2}),
    ],
)
def test_measured_compositions_by_weight_and_exchanged(
    name: str, fixes: tuple[str, ...], composition: dict[str, float]
) -> None:
    case = next(c for c in ALL if c.name == name)
    (result,) = check_table(case, Fixes.parse(fixes)).results
    assert result.composition == pytest.approx(composition, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "fixes", "design"),
    [
        ("fractions short of 1", ("renormalise",), {"Ni": 5 / 9, "Fe": 4 / 9}),
        ("no column of the host", ("balance=Co",), {"Ni": 0.2, "Fe": 0.1, "Co": 0.7}),
        ("a formula short of 1", ("renormalise",), {"Ni": 5 / 9, "Fe": 4 / 9}),
        ("an oxide", ("ignore=O",), {"Ni": 1 / 3, "Fe": 2 / 3}),
        ("merged headers", ("header-rows=2",), {"Ni": 0.5, "Fe": 0.5}),
    ],
)
def test_targets_by_consent(name: str, fixes: tuple[str, ...], design: dict[str, float]) -> None:
    case = next(c for c in ALL if c.name == name)
    assert check_table(case, Fixes.parse(fixes)).results[0].design == pytest.approx(design)
