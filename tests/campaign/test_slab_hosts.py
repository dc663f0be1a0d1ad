"""Hosts: geometry of the recipes, layers and names, and the group of the sites with hydrogen and without."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from ase.spacegroup import crystal
from pymatgen.core import Lattice, Structure

from campaign.spaces.slab import builders
from campaign.spaces.slab.hosts import Host, host_of
from campaign.spaces.slab.spec import DopedSlab
from campaign.spaces.slab.symmetry import site_permutations
from db.errors import InvalidInput


def spec(host: dict[str, Any], element: str = "Co", **more: Any) -> DopedSlab:
    settings = {"dopants": ["Ti", "Zn"], "count": {"min": 1, "max": 2}, **more}
    sites = settings.pop("sites", {"element": element})
    return DopedSlab.model_validate({"type": "doped_slab", "host": host, "sites": sites, **settings})


def coooh(lateral: tuple[int, int], layers: int = 1, **more: Any) -> Host:
    return spec({"builder": "coooh", "lateral": lateral, "layers": layers}, **more).build_host({})


def indices(structure: Structure, symbol: str) -> list[int]:
    return [i for i, site in enumerate(structure) if site.specie.symbol == symbol]


@pytest.mark.parametrize(("lateral", "layers"), [((4, 3), 1), ((3, 4), 1), ((4, 4), 2), ((2, 2), 3)])
def test_coooh_is_stoichiometric_and_six_fold(lateral: tuple[int, int], layers: int) -> None:
    slab = builders.coooh(lateral, layers, 15.0)
    n = lateral[0] * lateral[1] * layers
    assert slab.composition.get_el_amt_dict() == {"Co": n, "O": 2 * n, "H": n}
    distance = slab.distance_matrix + 9 * np.eye(len(slab))
    assert distance.min() > 0.9
    bonds = np.sort(distance[np.ix_(indices(slab, "Co"), indices(slab, "O"))], axis=1)
    assert bonds[:, :6] == pytest.approx(np.full((n, 6), 1.90), abs=0.01)
    assert bonds[:, 6].min() > 3
    hydroxyl = np.sort(distance[np.ix_(indices(slab, "H"), indices(slab, "O"))], axis=1)[:, 0]
    assert sorted(set(hydroxyl.round(2).tolist())) == ([0.98] if layers == 1 else [0.98, 1.25])
    height = slab.cart_coords[:, 2]
    assert slab.lattice.c - np.ptp(height) == pytest.approx(15.0)
    top, bottom = (height > height.max() - 0.1).sum(), (height < height.min() + 0.1).sum()
    assert top == bottom == lateral[0] * lateral[1] // 2


def test_coooh_layers_are_those_of_the_crystal() -> None:
    bulk = crystal(
        ["Co", "O", "H"],
        [(0, 0, 0), (0, 0, builders.Z_O), (0, 0, 0.5)],
        spacegroup=166,
        cellpar=[builders.A, builders.A, builders.C, 90, 90, 120],
    ).repeat((2, 2, 1))
    slab = builders.coooh((2, 2), 3, 15.0)
    middle = sorted(indices(slab, "Co"), key=lambda i: slab.cart_coords[i, 2])[4]
    near = sorted((n.specie.symbol, round(n.nn_distance, 4)) for n in slab.get_neighbors(slab[middle], 4.0))
    rows = bulk.get_distances(0, range(1, len(bulk)), mic=True)
    first = sorted(
        (s, round(float(d), 4)) for s, d in zip(bulk.get_chemical_symbols()[1:], rows, strict=True) if d < 3.0
    )
    assert [pair for pair in near if pair[1] < 2.0] == [pair for pair in first if pair[1] < 2.0]
    planes = {s: sorted({round(float(z), 3) for z in slab.cart_coords[indices(slab, s), 2]}) for s in ("Co", "O")}
    assert np.diff(planes["Co"]) == pytest.approx([builders.C / 3] * 2, abs=1e-3)
    assert len(planes["O"]) == 6


def test_the_group_of_the_sites_is_that_of_the_slab_with_its_hydrogen() -> None:
    host = coooh((4, 3))
    assert len(host.group) == 12
    bare = host.structure.copy()
    bare.remove_species(["H"])
    assert len(site_permutations(bare, indices(bare, "Co"))) == 24
    rows = {tuple(p) for p in host.group.tolist()}
    assert tuple(range(12)) in rows
    assert all(sorted(p) == list(range(12)) for p in rows)
    assert {tuple(np.array(p)[list(q)].tolist()) for p in rows for q in rows} == rows  # closed
    assert len(coooh((4, 4), 2).group) == 32


def test_permutations_keep_distances_and_the_hydroxyls_above() -> None:
    host = coooh((4, 3))
    sites = list(host.sites)
    distance = host.structure.distance_matrix
    hydrogen = np.sort(distance[np.ix_(sites, indices(host.structure, "H"))], axis=1)
    for p in host.group:
        assert distance[np.ix_(sites, sites)] == pytest.approx(distance[np.ix_(np.array(sites)[p], np.array(sites)[p])])
        assert hydrogen == pytest.approx(hydrogen[p], abs=1e-6)


def test_layers_names_and_faces() -> None:
    host = coooh((2, 2), 2)
    structure = host.decorated([0, 5], ["Ti", "Zn"])
    by_label = {site.properties["label"]: site for site in structure}
    assert len(by_label) == len(structure) == 32
    assert by_label["Ti@M1"].properties | {"label": ""} == {
        "label": "",
        "dopant": True,
        "sublattice": True,
        "surface": True,
        "adsorbate": False,
        "layer": 0,
    }
    assert by_label["Zn@M6"].properties["layer"] == 1
    assert by_label["Ti@M1"].z > by_label["Zn@M6"].z
    assert by_label["Co@M2"].specie.symbol == "Co"
    assert not by_label["O12"].properties["sublattice"]
    undoped = [site.properties["label"] for site in host.decorated([], [])]
    assert [label.split("@")[-1] for label in undoped] == [s.properties["label"].split("@")[-1] for s in structure]
    first = [by_label[label].frac_coords for label in ("Ti@M1", "Co@M2", "Co@M3")]
    assert first[1][0] > first[0][0]  # along a first, then along b
    assert first[2][1] > first[0][1]


def test_neighbours_of_a_layer() -> None:
    host = coooh((4, 3))
    assert (host.adjacent.sum(axis=1) == 6).all()
    assert (host.adjacent == host.adjacent.T).all()
    assert not host.all_adjacent
    two = coooh((4, 4), 2)
    assert (two.adjacent.sum(axis=1) == 6).all()  # none of the other layer
    assert coooh((2, 2), 3).all_adjacent


def test_metals_with_adsorbates() -> None:
    host = spec(
        {
            "builder": "fcc111",
            "metal": "Pt",
            "size": [3, 3, 3],
            "adsorbate": {"species": "CO", "site": "ontop"},
            "vacuum": "1.2 nm",
        },
        "Pt",
        sites={"element": "Pt", "layers_from_top": 1},
    ).build_host({})
    assert host.structure.composition.formula == "Pt27 C1 O1"
    assert len(host.sites) == 9
    assert (host.layers[list(host.sites)] == 0).all()
    assert host.adsorbate.sum() == 2
    assert host.surface.sum() == 9  # the top layer, neither the bottom one nor the adsorbate
    carbon, oxygen = indices(host.structure, "C")[0], indices(host.structure, "O")[0]
    distance = host.structure.distance_matrix
    assert distance[carbon, list(host.sites)].min() == pytest.approx(1.36 + 0.76)
    assert distance[carbon, oxygen] == pytest.approx(1.15)
    assert host.structure.lattice.c - np.ptp(host.structure.cart_coords[:, 2]) == pytest.approx(12)
    assert len(host.group) == 6  # C3v about the carbon
    bare = spec({"builder": "fcc100", "metal": "Cu", "size": [3, 3, 4]}, "Cu").build_host({})
    assert len(bare.sites) == 36
    assert bare.surface.sum() == 18
    assert np.bincount(bare.layers).tolist() == [9, 9, 9, 9]


@pytest.mark.parametrize("site", ["bridge", "fcc", "hcp"])
def test_an_adsorbate_is_bound_as_its_radius_says(site: str) -> None:
    slab, added = builders.fcc("fcc111", "Pt", (3, 3, 3), 15.0, ("O", site))
    assert added == 1
    assert slab.distance_matrix[-1, :-1].min() == pytest.approx(1.36 + 0.66, abs=1e-3)


def rutile() -> Structure:
    return Structure.from_spacegroup(
        "P4_2/mnm", Lattice.tetragonal(4.49, 3.11), ["Ir", "O"], [[0, 0, 0], [0.308, 0.308, 0]]
    )


def test_a_slab_is_cut_from_a_file() -> None:
    content = rutile().to(fmt="cif").encode()
    digest = hashlib.sha256(content).hexdigest()
    cut = {"file": "hosts/a.cif", "slab": {"miller": [1, 1, 0], "min_thickness": 8}, "supercell": [2, 1, 1]}
    host = spec(cut, "Ir").build_host({"hosts/a.cif": content})
    assert host.structure.lattice.c - np.ptp(host.structure.cart_coords[:, 2]) > 10
    assert host.structure.lattice.alpha == pytest.approx(90)
    assert len(host.sites) == len(indices(host.structure, "Ir"))
    renamed = spec({**cut, "file": "b.cif", "sha256": digest}, "Ir").build_host({"b.cif": content})
    assert renamed.fingerprint == host.fingerprint  # the content counts
    assert spec({**cut, "supercell": [1, 2, 1]}, "Ir").build_host({"hosts/a.cif": content}).fingerprint != (
        host.fingerprint
    )
    with pytest.raises(InvalidInput, match="another one than the spec says"):
        spec({**cut, "sha256": "0" * 64}, "Ir").build_host({"hosts/a.cif": content})


def test_a_slab_that_crosses_the_cell_keeps_its_order() -> None:
    slab = builders.coooh((4, 4), 2, 15.0)
    shifted = slab.copy()
    shifted.translate_sites(range(len(slab)), [0, 0, 0.55], to_unit_cell=True)
    assert (host_of(shifted, 0, "Co", None, "").layers == host_of(slab, 0, "Co", None, "").layers).all()


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ({"element": "Fe"}, "the host has no Fe: it is made of Co, O and H"),
        ({"element": "Co", "layers_from_top": 3}, "the host has 1 of the 3 layers of Co"),
    ],
)
def test_a_sublattice_that_is_not_there(sites: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        coooh((4, 3), sites=sites)


def test_a_slab_that_is_too_large() -> None:
    with pytest.raises(InvalidInput, match="576 atoms, at most 500"):
        coooh((12, 12))
