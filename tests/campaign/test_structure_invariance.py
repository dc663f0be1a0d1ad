"""The same structures, turned, moved and with their atoms in another order, give the same recommendations."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from scipy.spatial.transform import Rotation

from campaign import Campaign
from campaign.spaces import DopedSlab
from campaign.spec import load_spec

SPACE = {
    "type": "doped_slab",
    "host": {"builder": "coooh", "lateral": [2, 2]},
    "sites": {"element": "Co"},
    "dopants": ["Ti", "Ni", "Zn"],
    "count": {"min": 1, "max": 2},
}


def slabs() -> list[Atoms]:
    space = DopedSlab.model_validate(SPACE).build({})
    found = []
    for i in range(space.count):
        (structure,) = space.structures(int(space.X(np.array([i]))[0, 0]))
        atoms = Atoms(structure.labels, positions=structure.cart_coords, cell=structure.lattice.matrix, pbc=True)
        atoms.info["name"] = f"slab{i}"
        found.append(atoms)
    return found


def turned(atoms: Atoms, seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    turn = Rotation.random(rng=rng).as_matrix()
    moved = atoms.copy()
    moved.set_cell(atoms.cell @ turn.T)
    moved.set_positions((atoms.positions + rng.normal(size=3)) @ turn.T)
    moved = moved[rng.permutation(len(moved))]
    moved.info["name"] = atoms.info["name"]
    return moved


@pytest.fixture
def batch(tmp_path: Path) -> Callable[[list[Atoms], str], list[tuple[str, float]]]:
    def recommended(found: list[Atoms], name: str) -> list[tuple[str, float]]:
        folder = tmp_path / name
        folder.mkdir()
        text = io.StringIO()
        ase.io.write(text, found, format="extxyz")
        (folder / "slabs.extxyz").write_text(text.getvalue())
        spec = load_spec(
            {
                "spec_version": 1,
                "campaign": "turned",
                "seed": 1,
                "space": {
                    "type": "structure_files",
                    "structures": ["slabs.extxyz"],
                    "id": "name",
                    "host": ["Co", "O", "H"],
                },
                "encoder": {"type": "chgnet", "sites": "all"},
                "objectives": [{"name": "eta", "goal": "minimize"}],
                "model": "gp",
                "acquisition": "greedy",
            }
        )
        campaign = Campaign.start(spec, folder=folder, db=f"sqlite:///{folder}/lab.db")
        rows = [
            f"{a.info['name']},{400 - 30 * (a.numbers == 30).sum() + 5 * (a.numbers == 22).sum()}" for a in found[::2]
        ]
        table = "\n".join(["structure,eta", *rows]).encode()
        campaign.ingest(table, name="history.csv", commit=True)
        return [(str(r.design["structure"]), r.prediction["eta"]["median"]) for r in campaign.recommend(3)]

    return recommended


def test_turned_moved_and_reordered_structures_are_the_same(batch):
    as_made = slabs()
    first = batch(as_made, "made")
    second = batch([turned(atoms, i) for i, atoms in enumerate(as_made)], "turned")
    assert [name for name, _ in first] == [name for name, _ in second]
    assert [value for _, value in first] == pytest.approx([value for _, value in second], abs=0.5)
