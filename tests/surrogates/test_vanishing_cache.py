"""A cache that loses what it holds while it is read: structures are encoded again, and come out the same."""

import pytest
import torch
from pymatgen.core import Lattice, Structure
from toy_potentials import Distances

from surrogates.encoders.cache import FeatureCache
from surrogates.encoders.sites import encode_sites, stream_sites


def slabs(n):
    return [Structure(Lattice.cubic(4.0 + 0.1 * i), ["Co", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]) for i in range(n)]


@pytest.mark.parametrize("when", [0, 2, 5])
def test_files_that_vanish_between_reads_are_written_again(tmp_path, when):
    given = slabs(6)
    expected = encode_sites(given, Distances(), {}, workers=1)
    cache = FeatureCache(tmp_path)
    encode_sites(given, Distances(), cache, workers=1)
    found = []
    told = []
    for i, encoded in enumerate(stream_sites(given, Distances(), cache, 1, lambda done, *_: told.append(done))):
        found.append(encoded)
        if i == when:
            for file in tmp_path.iterdir():
                file.unlink()
            cache._tensors.cache_clear()  # as where more files were read since
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.features, other.features)
        assert one.energy == other.energy
    assert max(told) == len(given)  # nothing is counted twice
    again = FeatureCache(tmp_path)
    assert len(again) == (len(given) if when < 5 else 0)  # nothing was read after the last
