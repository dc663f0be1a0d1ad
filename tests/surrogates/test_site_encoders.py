"""Site encoders on CHGNet, whose weights come with its package, and on a small potential that counts."""

from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import numpy as np
import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from scipy.spatial.transform import Rotation
from toy_potentials import Dies, Distances, FailsOnZinc

from surrogates import MeanPool, Targets, fit
from surrogates.bags import content_hash
from surrogates.encoders import structures
from surrogates.encoders.cache import FeatureCache
from surrogates.encoders.chgnet import CHGNetPotential
from surrogates.encoders.potentials import SiteFeatures
from surrogates.encoders.shelf import BagShelf
from surrogates.encoders.sites import SiteChoice, encode_sites, site_bags, stream_sites, structure_key
from surrogates.encoders.structures import SiteEncoder


def slab(dopants=(), adsorbate=False):
    """A 2 x 2 square layer of Co on O, with an optional H above; dopants by metal site."""
    lattice = Lattice.tetragonal(5.6, 12.0)
    metals = [(x, y, 0.5) for x in (0.0, 0.5) for y in (0.0, 0.5)]
    oxygens = [(x + 0.25, y + 0.25, 0.42) for x, y, _ in metals]
    given = dict(dopants)
    symbols = [given.get(i, "Co") for i in range(4)] + ["O"] * 4 + ["H"] * adsorbate
    where = metals + oxygens + [(0.02, 0.01, 0.64)] * adsorbate
    n = len(symbols)
    properties = {
        "label": [f"{s}@M{i + 1}" if i < 4 else f"{s}{i}" for i, s in enumerate(symbols)],
        "dopant": [i in given for i in range(n)],
        "sublattice": [i < 4 for i in range(n)],
        "surface": [i < 4 for i in range(n)],
        "adsorbate": [i == 8 for i in range(n)],
    }
    return Structure(lattice, symbols, where, site_properties=properties)


DOPANTS = ("Ti", "Fe", "Ni", "Cu", "Zn")


def slabs(n):
    """Distinct ones."""
    pairs = [{i: a, j: b} for a in DOPANTS for b in DOPANTS for i in range(4) for j in range(i)]
    return [slab(pair) for pair in pairs[:n]]


def equal(these, those):
    return all(torch.equal(a.features, b.features) and a.energy == b.energy for a, b in zip(these, those, strict=True))


# ---- CHGNet ----


@pytest.fixture(scope="module")
def chgnet():
    return CHGNetPotential()


def test_chgnet_says_the_same_of_a_structure_however_it_is_turned(chgnet, capfd):
    structure = slab({0: "Ti", 3: "Zn"}, adsorbate=True)
    (plain,) = chgnet([structure])
    assert plain.features.shape == (9, chgnet.width)
    assert plain.features.dtype == torch.float32
    assert -9 < plain.energy < -2
    scale = float(plain.features.abs().max())
    rng = np.random.default_rng(5)
    order = rng.permutation(len(structure))
    turn = Rotation.random(rng=rng).as_matrix()
    turned = Structure(
        structure.lattice.matrix @ turn.T, structure.species, structure.cart_coords @ turn.T, coords_are_cartesian=True
    )
    moved = structure.copy().translate_sites(range(9), [0.13, 0.41, 0.77])
    for other, rows in (
        (turned, slice(None)),
        (moved, slice(None)),
        (Structure.from_sites([structure[i] for i in order]), order),
    ):
        (encoded,) = chgnet([other])
        assert float((encoded.features - plain.features[rows]).abs().max()) < 1e-4 * scale
        assert encoded.energy == pytest.approx(plain.energy, abs=1e-4)
    titanium, cobalt, *_ = plain.features
    assert float((titanium - cobalt).abs().max()) > 0.1 * scale
    assert capfd.readouterr() == ("", "")


def test_chgnet_features_can_be_learnt_from_and_come_back_from_disk(chgnet, tmp_path):
    structures = slabs(3)
    fresh = encode_sites(structures, chgnet, FeatureCache(tmp_path))
    assert equal(encode_sites(structures, chgnet, FeatureCache(tmp_path)), fresh)
    assert equal(fresh, chgnet(structures))
    assert not fresh[0].features.is_inference()


def test_chgnet_refuses_what_it_says_nothing_of(chgnet):
    with pytest.raises(ValueError, match="every atom of H1 must have a neighbour within 6 angstrom"):
        chgnet([Structure(Lattice.cubic(15), ["H"], [[0, 0, 0]])])
    mixed = Structure(Lattice.cubic(3), [{"Ni": 0.5, "Fe": 0.5}], [[0, 0, 0]])
    for ask in (lambda: chgnet([mixed]), lambda: structure_key(mixed)):
        with pytest.raises(ValueError, match="partly occupied"):
            ask()


# ---- keys, cache, workers ----


@given(shift=st.lists(st.integers(-2, 2), min_size=3, max_size=3), site=st.integers(0, 7))
@settings(max_examples=25)
def test_keys_know_images_of_a_site_and_nothing_else(shift, site):
    structure = slab({1: "Ni"})
    image = structure.copy()
    image.translate_sites([site], shift, to_unit_cell=False)
    assert structure_key(image) == structure_key(structure)
    assert structure_key(structure.copy(site_properties={})) == structure_key(structure)
    moved = structure.copy().translate_sites([site], [1e-4, 0, 0])
    strained = structure.copy().apply_strain(1e-4)
    other = structure.copy().replace(site, "Pt")
    swapped = Structure.from_sites(list(structure)[::-1])
    keys = {structure_key(s) for s in (structure, moved, strained, other, swapped)}
    assert len(keys) == 5


def test_rounding_at_the_edge_of_the_cell_is_no_other_structure():
    here, there = (Structure(Lattice.cubic(3), ["Ni", "O"], [[x, -0.0, 0.5], [0.5, 0.5, 0]]) for x in (1e-9, 1 - 1e-9))
    assert structure_key(here) == structure_key(there)


def test_duplicates_and_what_was_encoded_before_are_not_encoded_again():
    potential, cache, seen = Distances(), {}, []
    structures = slabs(12)
    first = encode_sites(structures[:7] * 3, potential, cache, progress=lambda *now: seen.append(now))
    assert len(potential.calls) == 7
    assert equal(first[:7], first[14:])
    assert seen[-1] == (21, 21, 7)
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    again = encode_sites(structures, potential, cache)
    assert len(potential.calls) == 12
    assert equal(again, encode_sites(structures, Distances(), {}))
    encode_sites(structures, Distances(name="another"), cache)
    assert len(cache) == 24


def test_an_interruption_keeps_what_is_done(tmp_path):
    structures = slabs(30)
    with pytest.raises(KeyboardInterrupt):
        encode_sites(structures, Distances(fails_at=20), FeatureCache(tmp_path), workers=1)
    potential = Distances()
    resumed = encode_sites(structures, potential, FeatureCache(tmp_path), workers=1)
    assert len(potential.calls) == 30 - 16
    assert equal(resumed, encode_sites(structures, Distances(), {}))


def test_workers_give_the_same_and_keep_what_is_done_when_one_fails():
    structures = slabs(48)
    structures.insert(24, slab({0: "Zn"}))
    cache, seen = {}, []
    with pytest.raises(ValueError, match="no zinc"):
        encode_sites(structures, FailsOnZinc(), cache, workers=2)
    assert len(cache) >= 8
    potential = Distances()
    resumed = stream_sites(iter(structures), potential, cache, workers=1, progress=lambda *now: seen.append(now))
    assert equal(encode_sites(structures, Distances(), {}, workers=1), list(resumed))
    assert len(potential.calls) <= 49 - 8
    assert structure_key(structures[24]) in potential.calls
    assert seen[0][2] == 0  # what was found is not counted as encoded
    assert seen[-1] == (49, None, 49 - seen[0][0])


def test_a_worker_that_dies_is_told_of():
    with pytest.raises(BrokenProcessPool, match="workers=1"):
        encode_sites(slabs(40), Dies(), {}, workers=2)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        encode_sites(slabs(1), Distances(), {}, workers=0)


# ---- bags ----


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (SiteChoice(), "Ti@M1 Co@M2 Co@M3 Co@M4 O4 O5 O6 O7 H8"),
        (SiteChoice(adsorbates=False), "Ti@M1 Co@M2 Co@M3 Co@M4 O4 O5 O6 O7"),
        (SiteChoice("sublattice"), "Ti@M1 Co@M2 Co@M3 Co@M4 H8"),
        (SiteChoice("surface", adsorbates=False), "Ti@M1 Co@M2 Co@M3 Co@M4"),
        (SiteChoice("dopants"), "Ti@M1 H8"),
        (SiteChoice("near", cutoff=2.3), "Ti@M1 O4 O5 O6 O7 H8"),
        (SiteChoice("near", cutoff=3.0, adsorbates=False), "Ti@M1 Co@M2 Co@M3 O4 O5 O6 O7"),
    ],
)
def test_sites_are_chosen_across_the_cell_edge(choice, expected):
    structure = slab({0: "Ti"}, adsorbate=True)
    bags = site_bags([(structure,)], Distances()([structure]), choice)
    assert " ".join(bags.labels[0]) == expected


def test_what_cannot_be_chosen_is_said():
    bare = Structure(Lattice.cubic(3), ["Ni"], [[0, 0, 0]])
    encoded = [SiteFeatures(torch.ones(1, 3), 0.0)]
    with pytest.raises(ValueError, match="sites without the property 'sublattice'"):
        site_bags([(bare,)], encoded, SiteChoice("sublattice"))
    with pytest.raises(ValueError, match="site 0 of Ni1 lacks the property 'label'"):
        site_bags([(bare,)], encoded, SiteChoice())
    for which in ("dopants", "near"):
        with pytest.raises(ValueError, match=f"no site of the choice '{which}'"):
            site_bags([(slab(),)], Distances()([slab()]), SiteChoice(which))
    with pytest.raises(ValueError, match="8 sites and features of 1"):
        site_bags([(slab(),)], encoded, SiteChoice())
    with pytest.raises(ValueError, match="1 structures and features of 2"):
        site_bags([(bare,)], encoded * 2, SiteChoice())
    with pytest.raises(ValueError, match="sites must be one of all, sublattice"):
        SiteChoice("metals")
    with pytest.raises(ValueError, match="cutoff must be a distance above 0"):
        SiteChoice("near", cutoff=float("nan"))


def test_decorations_of_a_candidate_share_its_weight():
    groups = [(slab({0: "Ti"}), slab({1: "Ti"})), (slab({0: "Ni", 1: "Fe", 2: "Cu"}),)]
    encoded = encode_sites([s for group in groups for s in group], Distances(), {})
    bags = site_bags(groups, iter(encoded), SiteChoice("dopants"), stratum=["1 dopant", "3 dopants"])
    assert bags.weights.tolist() == [[0.5, 0.5, 0.0], [1.0, 1.0, 1.0]]
    assert bags.mask.tolist() == [[True, True, False], [True, True, True]]
    assert bags.labels == (("Ti@M1", "Ti@M2", ""), ("Ni@M1", "Fe@M2", "Cu@M3"))
    assert bags.stratum == ("1 dopant", "3 dopants")
    assert torch.equal(bags.features[0, 1], encoded[1].features[1])


# ---- candidates by number ----


@pytest.fixture
def encoder():
    everything = slabs(40)
    asked = []

    def structures(x):
        asked.append(x)
        return (everything[x],) if x % 2 else (everything[x], everything[(x + 1) % 40])

    built = SiteEncoder(structures, Distances(), SiteChoice("dopants"))
    return built, asked


def column(*numbers):
    return torch.tensor(numbers, dtype=torch.float64).unsqueeze(-1)


def test_candidates_are_encoded_once_and_found_again(encoder):
    encode, asked = encoder
    bags = encode(column(5, 2, 5, 7))
    assert sorted(asked) == [2, 5, 7]
    assert bags.mask.sum(1).tolist() == [2, 4, 2, 2]
    assert torch.equal(encode.designs(bags), column(5, 2, 5, 7))
    narrow = encode(column(7, 5))
    assert narrow.mask.shape[1] == 2
    assert torch.equal(encode.designs(narrow.to(torch.float64)), column(7, 5))
    assert len(encode(column(*range(10)).reshape(2, 5, 1))) == 10
    assert sorted(asked) == list(range(10))
    with pytest.raises(ValueError, match="1 of 1 bags are not in the pool"):
        encode.designs(encoder[0].__class__(lambda x: (slab({3: "Pt"}),), Distances())(column(0)))
    with pytest.raises(UnsupportedError, match="discrete"):
        encode(column(1).requires_grad_(True))
    for wrong in (0.5, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="is no row of any pool"):
            encode(column(wrong))
    with pytest.raises(ValueError, match="one column"):
        encode(torch.zeros(3, 2))


def test_shelved_bags_are_found_again_without_building_a_structure(encoder, tmp_path):
    encode, asked = encoder
    before = replace(encode, shelf=BagShelf(tmp_path))
    bags = before(column(*range(9)))
    before(column(11))
    asked.clear()
    after = replace(encode, shelf=BagShelf(tmp_path))
    found = after(column(*range(9)))
    assert content_hash(found.features, found.weights, found.mask) == content_hash(
        bags.features, bags.weights, bags.mask
    )
    assert found.labels == bags.labels
    assert after.energies == before.energies
    assert torch.equal(after.designs(after(column(11, 3))), column(11, 3))
    assert asked == []


def test_a_torn_shelf_is_filled_again(encoder, tmp_path):
    encode, asked = encoder
    bags = replace(encode, shelf=BagShelf(tmp_path))(column(1, 2))
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    asked.clear()
    again = replace(encode, shelf=BagShelf(tmp_path))(column(1, 2))
    assert asked == [1, 2]
    assert torch.equal(again.features, bags.features)


def test_a_space_larger_than_a_shelving_is_found_again_as_a_whole(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(structures, "SHELVED", 4)
    encode, asked = encoder
    bags = replace(encode, shelf=BagShelf(tmp_path))(column(*range(11)))
    assert len(list(tmp_path.iterdir())) == 3
    asked.clear()
    again = replace(encode, shelf=BagShelf(tmp_path))(column(*range(11)))
    assert asked == []
    assert torch.equal(again.features, bags.features)


def test_a_model_believes_candidates_by_number(encoder):
    encode, _ = encoder
    X = column(*range(30))
    bags = encode(X)
    value = (bags.features[..., 0] * bags.weights).sum(1) / bags.weights.sum(1)
    fitted = fit(MeanPool(hidden=8, members=2, epochs=60), bags, Targets.exact(value.double()), seed=0)
    posterior = fitted.botorch_model(encode).posterior(column(*range(40)).reshape(20, 2, 1))
    assert posterior.mean.shape == (20, 2, 1)
    assert float(torch.corrcoef(torch.stack([posterior.mean.flatten()[:30], value.double()]))[0, 1]) > 0.8
