import torch
from hypothesis import given
from hypothesis import strategies as st

from surrogates.splits import NEVER, assign_folds, generator, hold_back

GROUPS = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60)


@given(GROUPS, st.integers(0, 99))
def test_folds_keep_groups_whole_and_are_never_empty(groups, seed):
    folds = assign_folds(groups, seed)
    names = set(groups)
    if len(names) == 1:
        assert set(folds.tolist()) == {NEVER}
        return
    assert {len({int(f) for f, g in zip(folds, groups, strict=True) if g == name}) for name in names} == {1}
    assert sorted(set(folds.tolist())) == list(range(min(5, len(names))))
    assert torch.equal(folds, assign_folds(groups, seed))


def test_folds_of_single_rows_are_even_and_follow_the_seed():
    groups = [str(i) for i in range(53)]
    sizes = torch.bincount(assign_folds(groups, 1))
    assert sizes.max() - sizes.min() <= 1
    assert not torch.equal(assign_folds(groups, 1), assign_folds(groups, 2))


@given(GROUPS, st.integers(0, 99))
def test_what_stops_a_member_shares_no_group_with_what_it_learns_from(groups, seed):
    rows = torch.arange(0, len(groups), 2)
    train, stop = hold_back(groups, rows, 0.2, generator("test", seed))
    learned, stopping = ({groups[i] for i in part.tolist()} for part in (train, stop))
    if len({groups[i] for i in rows.tolist()}) < 5:
        assert torch.equal(train, rows)
        assert torch.equal(stop, rows)
    else:
        assert sorted([*train.tolist(), *stop.tolist()]) == rows.tolist()
        assert learned
        assert stopping
        assert not learned & stopping


def test_generators_are_their_own():
    before = torch.random.get_rng_state()
    first = torch.rand(3, generator=generator("a", 1))
    assert torch.equal(first, torch.rand(3, generator=generator("a", 1)))
    assert not torch.equal(first, torch.rand(3, generator=generator("a", 2)))
    assert torch.equal(before, torch.random.get_rng_state())
