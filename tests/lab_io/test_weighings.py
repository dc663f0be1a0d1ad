"""Weighing sheets that come back: complete samples are taken, everything else is told with its cell."""

from __future__ import annotations

import pytest

from lab_io.findings import Status
from lab_io.fixes import Fixes
from lab_io.tables import read_table
from lab_io.weighings import is_weighing, read_weighings

DESIGNS = {"b1-01": {"Ni": 0.5, "Co": 0.5}, "b1-02": {"Ni": 1.0}, "12": {"Ni": 1.0}}
HEADER = (
    "sample_id,element,precursor,assay (%),target mass (mg),actual mass (mg),concentration (mol/L),actual volume (µL)"
)


def read(*lines: str, header: str = HEADER, recorded=None, fixes=()):
    table = read_table("\n".join([header, *lines]).encode(), "w.csv")
    assert is_weighing(table)
    return read_weighings(table, DESIGNS, DESIGNS, recorded or {}, Fixes.parse(fixes))


def told(*lines: str, **options) -> list[str]:
    return [str(p) for row in read(*lines, **options) for p in row.problems]


def test_masses_and_volumes_make_a_composition():
    mass, volume = "b1-01,Ni,NiCl2,98,132.3,132.3,,", "b1-01,Co,CoCl2,,,,0.5,1500"
    (row,) = read(mass, volume)
    assert (row.status, row.number) == (Status.ACCEPTED, 2)
    nickel = 132.3 * 0.98 / 129.599
    expected = {"Ni": nickel / (nickel + 0.75), "Co": 0.75 / (nickel + 0.75)}
    assert row.result.weighed.composition == pytest.approx(expected, abs=1e-4)
    liquid = row.result.weighed.masses[1]
    assert (liquid.volume, liquid.concentration, liquid.mass) == (1500, 0.5, None)
    (gram,) = read("b1-02,,NiCl2,0.1296 g", header="sample,element,precursor,actual mass (mg)")
    assert gram.result.weighed.masses[0].mass == pytest.approx(129.6)
    (again,) = read(mass, volume, recorded={"b1-01": row.result.weighed.composition})
    assert again.status is Status.SKIPPED
    (other,) = read(mass, volume, recorded={"b1-01": {"Ni": 0.4, "Co": 0.6}})
    assert other.status is Status.QUESTION


def test_two_lots_of_one_element_add_up_and_zero_is_a_mass():
    (row,) = read("12,Ni,NiCl2,100,,60,,", "12,Ni,NiCl2,100,,69.6,,")
    assert row.result.weighed.composition == {"Ni": 1.0}
    (row,) = read("b1-01,Ni,NiCl2,100,130,0,,", "b1-01,Co,CoCl2,100,130,130,,", fixes=["as-stated"])
    assert row.result.weighed.composition == {"Co": 1.0}
    assert row.status is Status.FIXED


def test_a_sample_of_which_nothing_is_filled_in_is_pending():
    (row,) = read("b1-02,Ni,NiCl2,98,130,,,")
    assert (row.status, row.result.status) == (Status.PENDING, "pending")
    assert told("nobody,Ni,NiCl2,98,130,,,") == []


@pytest.mark.parametrize(
    ("lines", "cell", "what"),
    [
        (["b1-01,Ni,NiCl2,98,130,130,,", "b1-01,Co,CoCl2,98,130,,,"], "F3", "is missing"),
        (["b1-01,Ni,NiCl2,98,130,130,,"], "B2", "no row is about it"),
        (["b1-02,Ni,NiCl2·xH2O,98,130,130,,"], "C2", "how many molecules"),
        (["b1-02,Ni,CoCl2,98,130,130,,"], "B2", "has no Ni"),
        (["b1-02,,CoCl2,98,130,130,,"], "B2", "nothing of what the sample"),
        (["b1-02,Ni,NiCl2,980,130,130,,"], "D2", "not possible"),
        (["b1-02,Ni,NiCl2,98,130,-130,,"], "F2", "below zero"),
        (["b1-02,Ni,NiCl2,98,130,1300,,"], "F2", "far from the target"),
        (["b1-02,Ni,NiCl2,98,130,130,1,5"], "F2", "a mass and a volume"),
        (["b1-02,Ni,NiCl2,98,130,,,500"], "G2", "without a concentration"),
        (["b1-02,Ni,NiCl2,98,,0,,"], "F2", "nothing was weighed"),
        (["b1-03,Ni,NiCl2,98,130,130,,"], "A2", "is no sample of the campaign"),
    ],
)
def test_what_cannot_be_taken_is_told_with_its_cell(lines, cell, what):
    (problem,) = told(*lines)
    assert problem.startswith(f"w.csv, {cell}: ")
    assert what in problem
