from threading import Thread

import pytest
import torch

from surrogates.encoders.cache import PER_FILE, FeatureCache


def tensors(n, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return {f"{seed}-{i:04d}": torch.randn(3 + i % 4, 5, generator=rng) for i in range(n)}


def same(cache, expected):
    return set(cache) == set(expected) and all(torch.equal(cache[key], value) for key, value in expected.items())


def test_it_is_a_mapping_that_outlives_its_process(tmp_path):
    given = tensors(2 * PER_FILE + 5)
    cache = FeatureCache(tmp_path / "deep" / "features")
    cache.update(given)
    cache["alone"] = torch.ones(2, 2)
    for opened in (cache, FeatureCache(tmp_path / "deep" / "features")):
        assert len(opened) == len(given) + 1
        assert same(opened, given | {"alone": torch.ones(2, 2)})
        assert "other" not in opened
        with pytest.raises(KeyError):
            opened["other"]
    assert len(list(cache.folder.iterdir())) == 4


def test_a_key_can_be_taken_out_and_replaced(tmp_path):
    given = tensors(6)
    cache = FeatureCache(tmp_path)
    cache.update(given)
    gone, changed, *_ = given
    del cache[gone], given[gone]
    cache[changed] = given[changed] = torch.zeros(1, 1)
    assert same(cache, given)
    with pytest.raises(KeyError):
        del cache[gone]
    assert gone not in FeatureCache(tmp_path)


@pytest.mark.parametrize("harm", ["torn", "flipped", "empty", "foreign", "gone"])
def test_what_is_damaged_is_absent_and_can_be_written_again(tmp_path, harm):
    first, second = tensors(4, seed=1), tensors(4, seed=2)
    cache = FeatureCache(tmp_path)
    cache.update(first)
    (victim,) = tmp_path.glob("*.safetensors")
    cache.update(second)
    content = victim.read_bytes()
    flipped = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
    match harm:
        case "gone":
            reopened = FeatureCache(tmp_path)
            victim.unlink()
        case _:
            victim.write_bytes({"torn": content[:-7], "flipped": flipped, "empty": b"", "foreign": b"text"}[harm])
            reopened = FeatureCache(tmp_path)
    assert not any(key in reopened for key in first)
    assert same(reopened, second)
    reopened.update(first)
    assert same(reopened, first | second)
    assert same(FeatureCache(tmp_path), first | second)


def test_what_an_interrupted_write_leaves_is_not_read(tmp_path):
    (tmp_path / "0123.part").write_bytes(b"half")
    assert len(FeatureCache(tmp_path)) == 0


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    shares = [tensors(40, seed=seed) for seed in (1, 1, 2, 3)]

    def write(share):
        cache = FeatureCache(tmp_path)
        for key in share:
            cache[key] = share[key]

    threads = [Thread(target=write, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same(FeatureCache(tmp_path), shares[0] | shares[2] | shares[3])
