"""What a first batch is spread among: every stratum, however small beside the others."""

import json
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from campaign import Campaign
from campaign.filling import _shares, drawn
from campaign.screen import open_sample
from campaign.spaces.grid import CompositionGrid

GRID = {"type": "composition_grid", "elements": ["Ni", "Fe", "Co", "Mn", "La", "Ce"], "divisions": 16}
SPACE = CompositionGrid(**GRID, max_elements=4).build({})


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=6), st.integers(1, 5000))
def test_shares_add_up_and_no_stratum_is_left_out(counts, size):
    size = min(size, sum(counts) - 1)
    shares = _shares(np.array(counts), size)
    assert sum(shares) == size
    assert all(0 <= share <= count for share, count in zip(shares, counts, strict=True))
    assert all(share >= min(count, size // 2 // len(counts)) for share, count in zip(shares, counts, strict=True))
    assert shares[int(np.argmax(counts))] >= max(shares) - 2  # what is largest stays so, but for rounding


def test_small_strata_are_drawn_whole_and_always_the_same():
    strata = SPACE.strata()
    assert strata["1 element"] == 6
    assert SPACE.count > 6000
    found = drawn(SPACE, 1000, 3)
    assert len(found) == len(set(found.tolist())) == 1000
    assert (np.diff(found) > 0).all()
    counts = Counter(SPACE.stratum(found))
    assert counts["1 element"] == 6
    assert min(counts[name] for name in ("2 elements", "3 elements")) >= 125
    assert max(counts, key=counts.__getitem__) == max(strata, key=strata.__getitem__)
    assert np.array_equal(drawn(SPACE, 1000, 3), found)
    assert not np.array_equal(drawn(SPACE, 1000, 4), found)


def test_within_a_stratum_the_draw_is_even():
    every = np.flatnonzero(np.array(SPACE.stratum(np.arange(SPACE.count))) == "2 elements")
    hits = sum(np.isin(every, drawn(SPACE, 400, seed)).astype(int) for seed in range(60))
    taken = hits.sum() / 60
    expected = taken / len(every)
    z = (hits - 60 * expected) / np.sqrt(60 * expected * (1 - expected))
    assert abs(z.mean()) < 0.1
    assert 0.7 < z.var() < 1.3


def test_only_what_is_open_and_allowed_is_drawn(tmp_path):
    values = {
        "spec_version": 1,
        "campaign": "wide",
        "seed": 3,
        "space": GRID | {"max_elements": 4},
        "objectives": [{"name": "loss", "goal": "minimize"}],
    }
    (tmp_path / "spec.yaml").write_text(json.dumps(values))
    state = Campaign.start(tmp_path / "spec.yaml", db=f"sqlite:///{tmp_path}/lab.db").state
    only = np.arange(0, SPACE.count, 2)
    found = open_sample(state, 300, 1, only=only)
    assert len(found) == 300
    assert np.isin(found, only).all()
    assert Counter(state.space.stratum(found))["1 element"] == sum(s == "1 element" for s in SPACE.stratum(only))
