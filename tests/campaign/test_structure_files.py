"""Structures listed in files as a space: names, strata, identities, neighbours, and problems at their place."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from pydantic import ValidationError

from campaign.spaces import StructureFiles, StructureSpace, build_space, estimate, read_sources, variables
from campaign.spaces.slab.builders import coooh
from campaign.spaces.structure_files import StructureFilesSpace
from db.errors import InvalidInput
from lab_io.schema import Column

SLAB = coooh((2, 2), 1, 12.0)


def doped(*dopants: str, **info: Any) -> Atoms:
    symbols = [site.specie.symbol for site in SLAB]
    symbols[: len(dopants)] = dopants
    return Atoms(symbols, scaled_positions=SLAB.frac_coords, cell=SLAB.lattice.matrix, pbc=True, info=info)


def extxyz(*frames: Atoms) -> bytes:
    text = io.StringIO()
    write(text, list(frames), format="extxyz")
    return text.getvalue().encode()


FRAMES = (
    doped("Ti", "Zn", name="tizn", regime="low"),
    doped("Ti", name="ti", regime="low"),
    doped("Fe", name="fe", regime="high"),
    doped(name="host", regime="none"),
)
SOURCES = {"many.extxyz": extxyz(*FRAMES), "sub/one.cif": coooh((2, 2), 1, 14.0).to(fmt="cif").encode()}


def space(files: tuple[str, ...] = ("many.extxyz", "sub/one.cif"), **more: Any) -> StructureFilesSpace:
    spec = StructureFiles.model_validate({"type": "structure_files", "structures": files, **more})
    return StructureFilesSpace(spec, SOURCES)


def test_every_structure_is_a_candidate() -> None:
    found = space()
    assert isinstance(found, StructureSpace)
    assert found.count == len(found) == found.structure_count == 5
    assert variables(found) == ("structure",)
    names = ["many#1", "many#2", "many#3", "many#4", "sub/one"]
    assert [found.candidate(i).design["structure"] for i in range(5)] == names
    assert found.side_columns() == (Column("structure", "category", None, tuple(names)),)
    assert found.strata() == {"3 elements": 2, "4 elements": 2, "5 elements": 1}
    assert found.X(np.array([3, 0])).tolist() == [[3], [0]]
    for i in range(5):
        candidate = found.candidate(i)
        assert found.locate(candidate.design) == i
        assert found.design_candidate(candidate.design) == candidate
        assert found.x_of(candidate.design).tolist() == [i]
    assert found.spec.describe(5) == "5 structures of many.extxyz and sub/one.cif"
    assert estimate(found).seconds > 4


def test_names_and_strata_from_the_file() -> None:
    found = space(("many.extxyz",), id="name", group="regime")
    assert found.candidate(1).design == {"structure": "ti"}
    assert found.strata() == {"high": 1, "low": 2, "none": 1}
    assert found.candidate(1).id == space().candidate(1).id  # what it is, not what it is called
    assert found.fingerprint() != space().fingerprint()


def test_dopants_are_what_the_host_has_not() -> None:
    found = space(host=["Co", "O", "H"])
    assert found.strata() == {"0 dopants": 2, "1 dopant": 2, "2 dopants": 1}
    (structure,) = found.structures(0)
    dopants = [s.properties["label"] for s in structure if s.properties["dopant"]]
    assert dopants == ["Ti1", "Zn1"]
    assert all(site.properties["surface"] and site.properties["layer"] == 0 for site in structure)
    assert len(set(structure.site_properties["label"])) == len(structure)
    assert found.formula(0) == "Ti1 Zn1 Co2 O8 H4"
    assert found.constituents(np.array([0.0])) == ("Ti", "Zn", "Co", "O", "H")
    with pytest.raises(ValueError, match="5 is no structure"):
        found.structures(5)


def test_a_crystal_has_no_surface() -> None:
    salt = Atoms("NaCl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[3.5] * 3, pbc=True)
    spec = StructureFiles.model_validate({"type": "structure_files", "structures": ["salt.xyz"]})
    (structure,) = StructureFilesSpace(spec, {"salt.xyz": extxyz(salt)}).structures(0)
    assert not any(structure.site_properties["surface"])


def test_neighbours_differ_on_one_site() -> None:
    found = space()
    assert found.neighbours(1).tolist() == [0, 2, 3]  # Ti beside Ti Zn, Fe and Co; the other cell is another place
    assert found.neighbours(4).tolist() == []
    points = found.coordinates(found.X(np.arange(5)))
    assert np.abs(points - points[1]).sum(axis=1) == pytest.approx([1 / 16, 0, 1 / 16, 1 / 16, 1 / 16])


def test_a_name_that_is_not_there() -> None:
    assert space().locate({"structure": "many#9"}) is None
    with pytest.raises(InvalidInput, match=r"there is no structure 'many#9'\. Fix: did you mean many#"):
        space().x_of({"structure": "many#9"})


def test_all_problems_at_once() -> None:
    sources = {"a.extxyz": extxyz(FRAMES[0], doped("Ti", name="tizn"), FRAMES[0]), "b.cif": b"nothing"}
    spec = StructureFiles.model_validate(
        {"type": "structure_files", "structures": [*sources], "id": "name", "group": "regime", "max_candidates": 1}
    )
    with pytest.raises(InvalidInput) as caught:
        build_space(spec, sources)
    text = "\n".join(map(str, caught.value.problems))
    assert "a.extxyz, structure 2: has no 'regime'" in text
    assert "a.extxyz, structure 3: the same name as in a.extxyz, structure 1" in text
    assert "a.extxyz, structure 3: the same structure as in a.extxyz, structure 1" in text
    assert "b.cif: the file" in text
    assert "2 structures are more than max_candidates, 1" in text


def test_files_are_read_from_the_folder_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "many.extxyz").write_bytes(SOURCES["many.extxyz"])
    spec = StructureFiles.model_validate({"type": "structure_files", "structures": ["many.extxyz"]})
    assert build_space(spec, read_sources(spec, tmp_path)).count == 4
    for wrong in (["../a.cif"], ["a.cif", "a.cif"], ["a.txt"], []):
        with pytest.raises(ValidationError):
            StructureFiles.model_validate({"type": "structure_files", "structures": wrong})
    with pytest.raises(ValidationError, match="'Xx' is not the symbol"):
        StructureFiles.model_validate({"type": "structure_files", "structures": ["a.cif"], "host": ["Xx"]})
