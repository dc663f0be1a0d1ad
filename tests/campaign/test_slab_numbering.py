"""Ranks of decorations, least decorations under a group, and counts without listing, against brute force."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.spaces.slab.arrangements import Arrangements, CannotDrawError
from campaign.spaces.slab.numbering import Compositions, Decorations, TooManyError
from campaign.spaces.slab.spec import splits
from campaign.spaces.slab.symmetry import Orbits, labelled


def ring(n: int, *, mirrored: bool = True) -> np.ndarray:
    """The group of a ring of sites: rotations, and reflections where it is mirrored."""
    turns = [np.roll(np.arange(n), -shift) for shift in range(n)]
    return np.array(turns + [turn[::-1] for turn in turns] * mirrored)


def brute_orbits(n: int, group: np.ndarray, parts: tuple[int, ...]) -> set[frozenset[tuple[int, ...]]]:
    """All orbits of the ways to give kinds to sites, as sets of words of length n (0 = bare)."""
    kinds = [kind for kind, part in enumerate(parts, start=1) for _ in range(part)]
    words = set(itertools.permutations([*kinds, *[0] * (n - len(kinds))]))
    return {frozenset(tuple(np.array(word)[p].tolist()) for p in group) for word in words}


@given(st.data())
def test_every_decoration_has_its_rank_and_every_rank_its_decoration(data: st.DataObject) -> None:
    n, elements = data.draw(st.integers(1, 32)), data.draw(st.integers(1, 12))
    most = data.draw(st.integers(0, min(n, 4)))
    ranks = Decorations(n, elements, most)
    rank = data.draw(st.integers(0, ranks.starts[-1] - 1))
    sites, codes = ranks.unrank(rank)
    assert len(sites) <= most
    assert (np.diff(sites) > 0).all()
    assert int(ranks.rank(sites, codes)) == rank
    multisets = Compositions(elements, most)
    rank = data.draw(st.integers(0, multisets.starts[-1] - 1))
    atoms = multisets.unrank(rank)
    assert (np.diff(atoms) >= 0).all()
    assert int(multisets.rank(atoms)) == rank


def test_ranks_number_all_decorations_without_a_gap() -> None:
    ranks = Decorations(5, 3, 3)
    seen = {
        int(ranks.rank(np.array(sites, dtype=int), np.array(codes, dtype=int)))
        for k in range(4)
        for sites in itertools.combinations(range(5), k)
        for codes in itertools.product(range(3), repeat=k)
    }
    assert seen == set(range(1 + 5 * 3 + 10 * 9 + 10 * 27))
    assert ranks.starts == [0, 1, 16, 106, 376]


def test_a_rank_does_not_depend_on_how_many_dopants_are_allowed() -> None:
    sites, codes = np.array([1, 4]), np.array([2, 0])
    assert Decorations(6, 3, 2).rank(sites, codes) == Decorations(6, 3, 5).rank(sites, codes)


def test_what_float64_cannot_tell_apart_is_refused() -> None:
    with pytest.raises(TooManyError, match="more than can be numbered exactly"):
        Decorations(64, 20, 8)
    with pytest.raises(ValueError, match="376 is no rank"):
        Decorations(5, 3, 3).unrank(376)


@given(st.data())
def test_the_least_image_is_the_same_for_all_images(data: st.DataObject) -> None:
    n = data.draw(st.integers(3, 9))
    group, ranks = ring(n), Decorations(n, 4, 3)
    k = data.draw(st.integers(0, 3))
    sites = np.array(data.draw(st.permutations(range(n))))[:k]
    codes = np.array(data.draw(st.lists(st.integers(0, 3), min_size=k, max_size=k)), dtype=int)
    images = group[:, sites].reshape(len(group), k)
    least, at, carried = ranks.least(images, np.tile(codes, (len(group), 1)), group)
    assert len(set(least.tolist())) == 1
    assert (ranks.rank(at, carried) == least).all()
    order = np.argsort(sites)
    assert least[0] <= ranks.rank(sites[order], codes[order])


@pytest.mark.parametrize("group", [ring(6), ring(6, mirrored=False), np.arange(5)[None]], ids=["D6", "C6", "none"])
@pytest.mark.parametrize("parts", [p for k in range(5) for p in splits(k)], ids=str)
def test_counts_and_lists_agree_with_brute_force(group: np.ndarray, parts: tuple[int, ...]) -> None:
    n = group.shape[1]
    orbits = brute_orbits(n, group, parts)
    assert labelled(n, parts) == sum(len(orbit) for orbit in orbits)
    assert Orbits(group).unique(parts) == len(orbits)
    sites, kinds = Arrangements(group, None, "salt").take(parts, "A1")
    found = np.zeros((len(sites), n), dtype=int)
    np.put_along_axis(found, sites, kinds + 1, axis=1)
    assert len(sites) == len(orbits)
    assert {next(o for o in orbits if tuple(word) in o) for word in found.tolist()} == orbits


@pytest.mark.parametrize(
    ("repeats", "counts"), [(True, (5_346, 160_380, 3_247_695)), (False, (4_752, 110_880, 1_496_880))]
)
def test_labelled_decorations_of_twelve_sites_and_nine_dopants(repeats: bool, counts: tuple[int, ...]) -> None:
    for k, expected in zip((2, 3, 4), counts, strict=True):
        patterns = [p for p in splits(k) if repeats or max(p) == 1]
        assert sum(labelled(12, p) * math.comb(9, len(p)) for p in patterns) == expected
    assert Decorations(12, 9, 4).starts[1:] == [1, 109, 5_455, 165_835, 3_413_530]


def test_a_draw_is_of_different_decorations_and_depends_on_the_composition_alone() -> None:
    group = ring(40)
    one, other = (Arrangements(group, 16, "host") for _ in range(2))
    parts = (1, 1, 2)
    assert labelled(40, parts) > 200_000  # so it is drawn, not listed
    other.take(parts, "Fe1 Ti1 Zn2")
    sites, kinds = one.take(parts, "Cr1 Ti1 Zn2")
    again = other.take(parts, "Cr1 Ti1 Zn2")
    assert (sites == again[0]).all()
    assert (kinds == again[1]).all()
    assert not (sites == one.take(parts, "Fe1 Ti1 Zn2")[0]).all()
    ranks = Decorations(40, 3, 4)
    own = ranks.rank(sites, kinds)
    assert len(own) == 16
    assert (np.diff(own) > 0).all()
    assert (ranks.least(sites, kinds, group)[0] == own).all()
    assert (np.sort(kinds, axis=1) == [0, 1, 2, 2]).all()


def test_random_draws_cover_the_sites_evenly() -> None:
    arrangements = Arrangements(np.arange(40)[None], 50, "host")
    seen = Counter(s for i in range(40) for s in arrangements.take((1, 1, 2), f"composition {i}")[0].ravel().tolist())
    expected = 40 * 50 * 4 / 40
    chi2 = sum((seen[site] - expected) ** 2 / expected for site in range(40))
    assert chi2 < 72  # 99.9 % of a chi-squared distribution with 39 degrees of freedom


def test_too_many_to_list_and_too_many_wanted() -> None:
    arrangements = Arrangements(np.arange(40)[None], None, "host")
    arrangements.check((2,))
    with pytest.raises(CannotDrawError, match="at most 274,170 of each composition"):
        arrangements.check((1, 1, 1, 1))
