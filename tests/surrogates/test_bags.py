import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates.bags import Bags, Targets


def make(n=4, k=3, d=2, s=1, labels=("a", "b", "c")):
    numbers = torch.arange(n * k * d, dtype=torch.float64)
    mask = torch.ones(n, k, dtype=torch.bool)
    weights = torch.full((n, k), 1 / k, dtype=torch.float64)
    side = torch.arange(n * s, dtype=torch.float64).reshape(n, s)
    return Bags(numbers.reshape(n, k, d), mask, weights, side, labels, tuple(f"s{i}" for i in range(n)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.zeros(4, 3)}, "features must be n x k x d, not 4 x 3"),
        ({"mask": torch.ones(4, 2, dtype=torch.bool)}, "mask must be n x k = 4 x 3 like the features, not 4 x 2"),
        ({"mask": torch.ones(4, 3)}, "mask must be of dtype bool"),
        ({"weights": torch.ones(4)}, "weights must be n x k = 4 x 3 like the features, not 4"),
        ({"weights": -torch.ones(4, 3)}, "weights 4 x 3 hold a negative number"),
        ({"side": torch.zeros(3, 1)}, "side must be n x s with n = 4, not 3 x 1"),
        ({"side": torch.full((4, 1), torch.nan)}, "side 4 x 1 hold a number that is not finite"),
        ({"labels": ("a", "b")}, "labels must name 3 instances"),
        ({"labels": (("a", "b", "c"),) * 3}, "one tuple for each of 4 bags"),
        ({"stratum": ("x",)}, "stratum must name 4 bags, not 1"),
        ({"weights": torch.tensor([[1.0] * 3, [1.0] * 3, [0.0] * 3, [1.0] * 3])}, "bag 2 has no instance"),
    ],
)
def test_bags_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(make(), **change)


@given(st.lists(st.integers(0, 3), max_size=6))
def test_indexing_by_list_tensor_and_mask_agree(rows):
    bags = make(labels=tuple(("a", "b", str(i)) for i in range(4)))
    picked = bags[rows] if rows else bags[torch.zeros(4, dtype=torch.bool)]
    assert len(picked) == len(rows)
    assert picked.stratum == tuple(f"s{i}" for i in rows)
    assert [names[2] for names in picked.labels] == [str(i) for i in rows]
    assert torch.equal(picked.features, bags.features[rows])
    as_mask = torch.zeros(4, dtype=torch.bool)
    as_mask[rows] = True
    assert bags[as_mask].hash == bags[torch.tensor(sorted(set(rows)), dtype=torch.long)].hash


def test_a_slice_and_a_number_index_bags():
    assert make()[1:3].stratum == ("s1", "s2")
    assert make()[2].stratum == ("s2",)


def test_the_hash_follows_content_only():
    assert make().hash == make().hash == make().to("cpu").hash
    bags = make()
    others = [
        replace(bags, features=bags.features + 1e-12),
        replace(bags, stratum=("t", *bags.stratum[1:])),
        replace(bags, labels=("a", "b", "d")),
        replace(bags, side=bags.side.float()),
    ]
    assert len({bags.hash, *(other.hash for other in others)}) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": torch.zeros(3)}, "value must be n x t, not 3"),
        ({"value": torch.full((3, 1), torch.inf)}, "infinite"),
        ({"variance": torch.ones(3, 2)}, "variance must be 3 x 1 like value, not 3 x 2"),
        ({"variance": -torch.ones(3, 1)}, "negative"),
        ({"censor": torch.zeros(1, 1)}, "censor must be 3 x 1"),
        ({"censor": torch.full((3, 1), 2)}, "-1, 0 or 1"),
        ({"groups": ("a",)}, "groups must name 3 samples, not 1"),
    ],
)
def test_targets_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(Targets.exact(torch.zeros(3)), **change)


def test_the_hash_of_targets_follows_values_variances_marks_and_groups():
    targets = Targets.exact(torch.tensor([1.0, 2.0]))
    others = [
        Targets.exact(torch.tensor([1.0, torch.nan])),
        Targets.exact(torch.tensor([1.0, 2.0]), groups=("a", "a")),
        Targets.exact(torch.tensor([1.0, 2.0]), variance=torch.ones(2)),
        replace(targets, censor=torch.tensor([[0], [1]], dtype=torch.int8)),
    ]
    assert len({targets.hash, *(other.hash for other in others)}) == 5
