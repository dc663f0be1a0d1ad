import dataclasses

import pytest
import torch
from botorch.exceptions.errors import UnsupportedError
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogates import GP, Bags, Forest, GatedAttention, MeanPool, NamedPool, Pretrained, Targets, Transformer, fit
from surrogates.pretraining import pretrain
from surrogates.training import Schedule

RECIPE = Transformer(hidden=16, layers=1, heads=2, members=1, calibration="none", epochs=40, patience=20, batch=32)
SCHEDULE = Schedule(epochs=40, batch=64, rate=5e-3, decay=1e-2, patience=20)
BRIEF = Schedule(epochs=1, batch=16, rate=5e-3, decay=1e-2, patience=1)


def alike(n, seed, k=6, d=12):
    """Bags whose instances show, noisily, the same two hidden numbers, on which the value depends."""
    mixing = torch.Generator().manual_seed(99)
    loadings = torch.randn(2, d, generator=mixing, dtype=torch.float64)
    rng = torch.Generator().manual_seed(seed)
    common = torch.randn(n, 1, 2, generator=rng, dtype=torch.float64)
    own = 0.5 * torch.randn(n, k, 2, generator=rng, dtype=torch.float64)
    noise = torch.randn(n, k, d, generator=rng, dtype=torch.float64)
    bags = Bags.of(torch.tanh((common + own) @ loadings) + noise)
    return bags, torch.sin(2 * common[:, 0, 0]) + common[:, 0, 1]


@pytest.fixture(scope="module")
def pretrained():
    return pretrain(RECIPE, alike(600, 0)[0], seed=0, share=0.3, copies=2, schedule=SCHEDULE)


def test_hidden_instances_are_told_better_than_by_the_mean(pretrained):
    assert pretrained.explained > 0.12


@pytest.mark.parametrize("recipe", [MeanPool, GatedAttention])
def test_poolings_learn_it_too(recipe):
    bags = alike(300, 0)[0]
    found = pretrain(recipe(hidden=16), bags, seed=0, share=0.3, copies=2, schedule=SCHEDULE)
    assert found.explained > 0.1


def test_nothing_is_told_where_there_is_nothing_to_tell():
    noise = Bags.of(torch.randn(300, 4, 3, generator=torch.Generator().manual_seed(0)))
    assert abs(pretrain(MeanPool(), noise, seed=0, schedule=dataclasses.replace(SCHEDULE, epochs=10)).explained) < 0.05


def test_few_measured_bags_are_helped_by_many_that_are_not(pretrained):
    """Paired over eight training sets; the 5 % point of Student's t with 7 degrees of freedom is -1.9."""
    bags, value = alike(400, 1)
    gains = []
    for seed in range(8):
        known, y = alike(24, 10 + seed)
        errors = [
            float((fit(RECIPE, known, Targets.exact(y), seed=seed, pretrained=start).quantiles(bags)[:, 0, 4] - value)
                  .square().mean() / value.var())
            for start in (None, pretrained)
        ]  # fmt: skip
        gains.append(errors[1] - errors[0])
    difference = torch.tensor(gains)
    assert difference.mean() / (difference.std() / 8**0.5) < -1.9


def test_members_start_there_and_keep_its_scale(pretrained):
    bags, value = alike(24, 3)
    still = dataclasses.replace(RECIPE, rate=1e-12, epochs=1, members=2, calibration="cross")
    fitted = fit(still, bags, Targets.exact(value), seed=0, pretrained=pretrained)
    for name, tensor in pretrained.tensors.items():
        learned = fitted.learned.parameters[name]
        assert len(learned) == 10
        assert torch.allclose(learned.double(), tensor.double().expand_as(learned), atol=1e-6)
    assert fitted.learned.parameters["head"].std(0).min() > 0


def test_side_information_targets_and_head_may_be_others(pretrained):
    bags, value = alike(24, 3)
    more = dataclasses.replace(bags, side=value.unsqueeze(1))
    targets = Targets.exact(torch.stack([value, -value], 1))
    recipe = dataclasses.replace(RECIPE, head="normal", epochs=2)
    assert fit(recipe, more, targets, seed=0, pretrained=pretrained).quantiles(more).shape == (24, 2, 9)


def test_it_is_a_pure_function_of_its_arguments():
    bags = alike(40, 0)[0]
    before = torch.random.get_rng_state()
    once, again, other = (pretrain(RECIPE, bags, seed=s, schedule=BRIEF) for s in (0, 0, 1))
    assert once.hash == again.hash != other.hash
    assert once.explained == again.explained
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_fit_tells_where_it_started():
    bags, value = alike(24, 3)
    brief = dataclasses.replace(RECIPE, epochs=1)
    starts = [None, *(pretrain(RECIPE, bags, seed=s, schedule=BRIEF) for s in (0, 1))]
    assert len({fit(brief, bags, Targets.exact(value), seed=0, pretrained=start).data_hash for start in starts}) == 3


def test_it_survives_a_file(pretrained, tmp_path):
    pretrained.save(tmp_path / "start.safetensors")
    again = Pretrained.load(tmp_path / "start.safetensors")
    assert (again.hash, again.explained) == (pretrained.hash, pretrained.explained)
    assert not {"mix", "head", "tell", "hidden"} & set(again.tensors)
    with pytest.raises(FileNotFoundError):
        Pretrained.load(tmp_path / "none.safetensors")


def test_another_file_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no pretrained network"):
        Pretrained.load(tmp_path / "other.safetensors")


def test_another_shape_is_refused(pretrained):
    bags, value = alike(24, 3)
    wider = dataclasses.replace(RECIPE, hidden=8)
    with pytest.raises(ValueError, match=r"pretrained .* is \(12, 16\); the network's is \(12, 8\)"):
        fit(wider, bags, Targets.exact(value), seed=0, pretrained=pretrained)


@pytest.mark.parametrize("recipe", [GP(), Forest(trees=5)])
def test_recipes_without_weights_cannot_be_pretrained(recipe, pretrained):
    bags, value = alike(24, 3)
    with pytest.raises(UnsupportedError, match=f"{recipe.type} has no weights that could be pretrained"):
        pretrain(recipe, bags, seed=0)
    with pytest.raises(UnsupportedError, match=f"{recipe.type} has no weights that could be pretrained"):
        fit(recipe, bags, Targets.exact(value), seed=0, pretrained=pretrained)


@settings(max_examples=15)
@given(st.floats(0.01, 1), st.floats(0, 1), st.integers(1, 3))
def test_any_share_may_be_altered_and_what_is_not_there_is_never_seen(share, replaced, copies):
    bags = alike(12, 4)[0]
    mask = torch.rand(12, 6, generator=torch.Generator().manual_seed(1)) < 0.6
    mask[:, 0] = True
    bags = dataclasses.replace(bags, mask=mask)
    loud = dataclasses.replace(bags, features=bags.features.where(mask.unsqueeze(-1), 1e4))
    recipe = GatedAttention(hidden=4, gate=2)
    one, other = (
        pretrain(recipe, b, seed=0, share=share, replaced=replaced, copies=copies, schedule=BRIEF) for b in (bags, loud)
    )
    assert one.explained == pytest.approx(other.explained, abs=1e-4)
    assert all(torch.allclose(one.tensors[name], other.tensors[name], atol=1e-5) for name in one.tensors)


def test_only_named_instances_are_told_where_only_these_are_seen():
    bags = alike(12, 4)[0]
    first = torch.tensor([[True] + [False] * 5]).unsqueeze(-1)
    loud = dataclasses.replace(bags, features=bags.features.where(first, 1e4))
    one, other = (pretrain(NamedPool(names=("1",)), b, seed=0, schedule=BRIEF) for b in (bags, loud))
    assert one.explained == pytest.approx(other.explained, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"share": 0.0}, "share must be above 0 and replaced at least 0, both up to 1, not 0.0 and 1.0"),
        ({"replaced": 1.5}, "both up to 1, not 0.15 and 1.5"),
        ({"copies": 0}, "copies must be at least 1, not 0"),
        ({"groups": ["a"]}, "groups must name each bag, of which there must be some: 1 for 5"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        pretrain(MeanPool(), alike(5, 0)[0], seed=0, **arguments)
