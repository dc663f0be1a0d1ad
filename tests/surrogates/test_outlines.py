"""Outlines: what a sample is made of in plain shares, which kernels read beside the features of its sites."""

from dataclasses import replace

import pytest
import torch

from surrogates import GP, MeanPool, Targets, fit, load
from surrogates.bags import Bags
from surrogates.kernel_inputs import kernel_inputs


def outlined(n=40, seed=0):
    """Bags whose features say nothing of the two shares that the value depends on."""
    rng = torch.Generator().manual_seed(seed)
    share = torch.rand(n, 1, generator=rng, dtype=torch.float64)
    bags = Bags.of(torch.randn(n, 3, 4, generator=rng))
    return replace(bags, outline=(torch.cat([share, 1 - share], 1), share.square())), (3 * share.squeeze(1)).sin()


def test_a_process_learns_from_the_outline_and_a_network_does_not_see_it():
    bags, value = outlined(60)
    train, test = bags[:45], bags[45:]
    fitted = fit(GP(), train, Targets.exact(value[:45]), seed=0)
    missed = (fitted.quantiles(test)[:, 0, 4] - value[45:]).square().mean() / value[45:].var()
    assert missed < 0.05
    network = MeanPool(hidden=8, members=2, epochs=20)
    seen = fit(network, train, Targets.exact(value[:45]), seed=0).quantiles(test)
    turned = replace(test, outline=tuple(shares.flip(0) for shares in test.outline))
    assert torch.equal(seen, fit(network, train, Targets.exact(value[:45]), seed=0).quantiles(turned))


def test_predictions_of_a_saved_fit_are_identical(tmp_path):
    bags, value = outlined()
    fitted = fit(GP(), bags, Targets.exact(value), seed=0)
    fitted.save(tmp_path)
    assert torch.equal(load(tmp_path).quantiles(bags[:7]), fitted.quantiles(bags[:7]))


def test_a_bag_keeps_its_outline_and_the_hash_knows_it():
    bags, _ = outlined()
    assert torch.equal(bags[[3, 1]].outline[1], bags.outline[1][[3, 1]])
    assert bags.hash != replace(bags, outline=()).hash
    assert bags.hash != replace(bags, outline=bags.outline[:1]).hash


def test_every_part_has_the_outline_of_its_bag():
    bags, _ = outlined(6)
    parted = replace(bags, part=torch.tensor([[0, 0, 1]]).expand(6, 3), parts=2)
    inputs = kernel_inputs(parted, 4)
    assert (inputs.widths[0], inputs.outline) == (3, (2, 1))
    each = inputs(parted)[:, :-2].unflatten(1, (2, -1))
    assert torch.equal(each[:, 0, :3], each[:, 1, :3])


def test_outlines_that_do_not_fit_are_refused():
    bags, value = outlined()
    fitted = fit(GP(), bags, Targets.exact(value), seed=0)
    with pytest.raises(ValueError, match=r"an outline of \[\] shares do not fit a model of \[2, 1\]"):
        fitted.quantiles(replace(bags, outline=()))
    with pytest.raises(ValueError, match="negative or not finite"):
        replace(bags, outline=(-bags.outline[0],))
    with pytest.raises(ValueError, match="outline must be n x m with n = 40"):
        replace(bags, outline=(bags.outline[0][:3],))
    with pytest.raises(ValueError, match="only bags of sites have an outline"):
        replace(bags, kind="route")
