"""Structure files: what each format gives, and what is refused and why."""

from __future__ import annotations

import io

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp.inputs import Poscar

from db.errors import InvalidInput
from lab_io import structures
from lab_io.structures import is_structure_file, read_structures

SALT = Structure(Lattice.cubic(5.64), ["Na"] * 4 + ["Cl"] * 4, [
    [0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0],
    [0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5],
])  # fmt: skip

FM3M = b"""data_salt
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64(1)
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 Na 0 0 0 1
Cl1 Cl 0.5 0.5 0.5 1
"""


def extxyz(*frames: Atoms) -> bytes:
    text = io.StringIO()
    write(text, list(frames), format="extxyz")
    return text.getvalue().encode()


def salt(**info: object) -> Atoms:
    return Atoms("Na4Cl4", scaled_positions=SALT.frac_coords, cell=[5.64] * 3, pbc=True, info=info)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.cif", SALT.to(fmt="cif").encode()),
        ("a.CIF", FM3M),
        ("POSCAR", Poscar(SALT).get_str().encode()),
        ("hosts/a.vasp", Poscar(SALT, comment="Säure").get_str().encode("latin-1")),
        ("a.extxyz", extxyz(salt())),
        ("a.xyz", b"\xef\xbb\xbf" + extxyz(salt())),
    ],
)
def test_every_format_gives_the_same_structure(name: str, content: bytes) -> None:
    assert is_structure_file(name)
    (record,) = read_structures(content, name)
    assert record.structure.composition == SALT.composition
    assert record.structure.lattice.abc == pytest.approx((5.64, 5.64, 5.64))
    assert np.sort(record.structure.distance_matrix[0]) == pytest.approx(np.sort(SALT.distance_matrix[0]), abs=1e-4)
    assert not record.structure.site_properties


def test_oxidation_states_are_left_out() -> None:
    (record,) = read_structures(FM3M.replace(b" Na ", b" Na1+ ").replace(b" Cl ", b" Cl1- "), "a.cif")
    assert {site.specie.symbol for site in record.structure} == {"Na", "Cl"}


def test_many_structures_with_what_is_said_of_them() -> None:
    content = extxyz(salt(name="first", eta_mV=312.0, flags=[1, 2]), salt(name="second", regime="low"))
    one, other = read_structures(content, "many.extxyz")
    assert dict(one.info) == {"name": "first", "eta_mV": 312.0}
    assert dict(other.info) == {"name": "second", "regime": "low"}


def disordered() -> bytes:
    mixed = Structure(Lattice.cubic(3.5), [{"Ni": 0.5, "Fe": 0.5}, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    return mixed.to(fmt="cif").encode()


def doubled() -> bytes:
    return extxyz(salt(), Atoms("NaCl", positions=[[0, 0, 0], [0, 0, 0.2]], cell=[5] * 3, pbc=True))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "does not say which kind of structure file"),
        ("a.cif", b"", "a.cif: the file (cannot be read|holds no structure)"),
        ("a.cif", b"data_x\nloop_\n_atom_site_label\nNa\n", "a.cif: the file (cannot be read|holds no structure)"),
        ("a.cif", b"\x00\x01\x02", "the file is not text"),
        ("a.vasp", b"1\n2\n", "the file cannot be read"),
        ("a.vasp", Poscar(SALT).get_str().replace("Na Cl\n", "").encode(), "the file names no elements"),
        ("a.extxyz", b"2\n\nNa 0 0 0\n", "the file cannot be read"),
        ("a.extxyz", b"1\n\nNa 0 0 0\n", "structure 1 has no periodic cell"),
        ("a.extxyz", b"", "the file (cannot be read|holds no structure)"),
        ("a.cif", disordered(), "a site is partly occupied"),
        ("a.extxyz", doubled(), r"a.extxyz, structure 2: Na \(atom 1\) and Cl \(atom 2\) are 0.20 Å apart"),
        ("a.extxyz", extxyz(salt()).replace(b"5.64", b"nan"), "cannot"),
        ("a.extxyz", extxyz(salt()).replace(b"Na ", b"Qq "), "the file cannot be read"),
        ("a.vasp", b"\n" * 30_000, "too many lines"),
        ("a.cif", b" " * (3 << 20), "3.0 MiB"),
    ],
)
def test_what_cannot_be_used(name: str, content: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_structures(content, name)


def test_too_many_atoms_or_structures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structures, "MAX_ATOMS", 7)
    with pytest.raises(InvalidInput, match="8 atoms are too many, at most 7"):
        read_structures(extxyz(salt()), "a.extxyz")
    monkeypatch.setattr(structures, "MAX_STRUCTURES", 1)
    with pytest.raises(InvalidInput, match="too many structures"):
        read_structures(extxyz(salt(), salt()), "a.extxyz")
