from itertools import pairwise

import pytest
import torch

from surrogates.recipes.gated import GatedNetwork
from surrogates.recipes.multihead import MultiheadNetwork
from surrogates.recipes.plain import MaxNetwork, MeanNetwork
from surrogates.training import Member, Schedule, train


class Line:
    """y = a x + b, for tests."""

    def start(self, rng):
        return {"a": torch.randn(1, 1, generator=rng), "b": torch.zeros(1)}

    def __call__(self, parameters, inputs):
        return torch.baddbmm(parameters["b"].unsqueeze(1), inputs[0], parameters["a"])


def squared(outputs, value):
    return (outputs - value).square().mean(-1)


def line_data(n=40):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(n, 1, generator=rng)
    return x, 2 * x - 1 + 0.01 * torch.randn(n, 1, generator=rng)


def members(count, n=40):
    rows = torch.arange(n)
    return [Member(i, rows[rows % 5 != i % 5][: n // 2 + i], rows[rows % 5 == i % 5]) for i in range(count)]


def test_members_learn_their_own_targets():
    x, y = line_data()
    targets = torch.stack([y, -y])
    found = train(Line(), [x], targets, members(2), {}, squared, Schedule(300, 8, 0.05, 0.0, 300))
    assert found["a"].flatten().tolist() == pytest.approx([2, -2], abs=0.02)
    assert found["b"].flatten().tolist() == pytest.approx([-1, 1], abs=0.02)


def bag_problem():
    rng = torch.Generator().manual_seed(5)
    features = torch.randn(40, 3, 4, generator=rng)
    mask = torch.ones(40, 3, dtype=torch.bool)
    data = [features, mask, torch.full((40, 3), 1 / 3), torch.randn(40, 1, generator=rng)]
    value = features[:, :, 0].amax(1, keepdim=True)
    ones = {f"{name}_{part}": torch.full((4, width), float(part == "sd"))
            for name, width in (("features", 4), ("side", 1)) for part in ("mean", "sd")}  # fmt: skip
    return data, value.expand(4, 40, 1), ones


SIZES = {"features": 4, "side": 1, "targets": 1, "hidden": 8, "instance_encoder": True, "head_name": "quantiles"}
NETWORKS = {
    "mean": MeanNetwork(**SIZES),
    "max": MaxNetwork(**SIZES),
    "gated": GatedNetwork(**SIZES, gate=4),
    "multihead": MultiheadNetwork(**SIZES, heads=2, seeds=3),
}


@pytest.mark.parametrize("patience", [3, 60])
@pytest.mark.parametrize("name", NETWORKS)
def test_stacked_training_equals_training_one_by_one(name, patience):
    from surrogates.quantiles import pinball

    data, targets, constants = bag_problem()
    network = NETWORKS[name]
    schedule = Schedule(epochs=60, batch=8, rate=0.02, decay=0.01, patience=patience)

    def loss(outputs, value):
        return pinball(outputs, value).mean(-1)

    everyone = members(4)
    together = train(network, data, targets, everyone, constants, loss, schedule)
    outputs = network({**together, **constants}, [t.expand(4, *t.shape) for t in data])
    for i, member in enumerate(everyone):
        mine = {name: tensor[i : i + 1] for name, tensor in constants.items()}
        alone = train(network, data, targets[i : i + 1], [member], mine, loss, schedule)
        single = network({**alone, **mine}, [t.unsqueeze(0) for t in data])
        assert torch.allclose(single[0], outputs[i], atol=1e-3)
        assert not torch.allclose(single[0], outputs[i - 1], atol=1e-2)


def test_the_weights_are_those_of_the_best_epoch():
    """Rows that stop the member contradict those that train it: its best epoch is the first one."""
    x = torch.ones(10, 1)
    y = torch.cat([torch.full((5, 1), 9.0), torch.full((5, 1), -9.0)])
    member = [Member("m", torch.arange(5), torch.arange(5, 10))]
    one = train(Line(), [x], y.unsqueeze(0), member, {}, squared, Schedule(1, 5, 0.1, 0.0, 50))
    many = train(Line(), [x], y.unsqueeze(0), member, {}, squared, Schedule(1000, 5, 0.1, 0.0, 50))
    assert float(many["a"] + many["b"]) == pytest.approx(float(one["a"] + one["b"]), abs=1e-3)


def test_training_is_deterministic_and_leaves_the_global_generator_alone():
    x, y = line_data()
    before = torch.random.get_rng_state()
    runs = [train(Line(), [x], y.unsqueeze(0), members(1), {}, squared, Schedule(5, 8, 0.05, 0.0, 5)) for _ in range(2)]
    assert torch.equal(runs[0]["a"], runs[1]["a"])
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("warmup", [0, 40])
def test_blocks_and_uneven_members_do_not_change_a_member(monkeypatch, warmup):
    """Members that do not fit into one block are trained in several; 1 row a batch leaves some without a batch."""
    x, y = line_data()
    rows = torch.arange(40)
    uneven = [Member(i, rows[:size], rows[30:]) for i, size in enumerate((25, 9, 17))]
    schedule = Schedule(6, 1, 0.05, 0.01, 6, warmup)
    whole = train(Line(), [x], y.expand(3, 40, 1), uneven, {}, squared, schedule)
    monkeypatch.setattr("surrogates.training.BLOCK", 2)
    parts = train(Line(), [x], y.expand(3, 40, 1), uneven, {}, squared, schedule)
    assert torch.allclose(whole["a"], parts["a"], atol=1e-6)
    for i, member in enumerate(uneven):
        alone = train(Line(), [x], y.expand(1, 40, 1), [member], {}, squared, schedule)
        assert torch.allclose(alone["a"][0], whole["a"][i], atol=1e-6)


def test_progress_is_told_after_every_epoch_and_can_stop_training():
    x, y = line_data()
    told = []
    schedule = Schedule(300, 8, 0.05, 0.0, 5)
    train(Line(), [x], y.expand(3, 40, 1), members(3), {}, squared, schedule, progress=lambda *now: told.append(now))
    assert [epoch for epoch, _, _ in told] == list(range(1, len(told) + 1))
    assert told[-1][2] == 0
    assert told[-1][0] < 300 == told[0][1]
    assert all(before[2] >= after[2] for before, after in pairwise(told))

    def stop(epoch, epochs, live):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Line(), [x], y.unsqueeze(0), members(1), {}, squared, schedule, progress=stop)
