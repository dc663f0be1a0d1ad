"""How good an attribution is: does it find what is there, does the prediction hang on it, do methods agree.

Values may have a sign; concentration, hits and AOPC go by their magnitude. A bag on which a measure is not defined
gets NaN, so that means over bags are `nanmean`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from surrogates.bags import Bags
from surrogates.explain.attributions import CHUNK, Attribution, Explainable, locations, present, spread_reference
from surrogates.splits import generator

SHARE = 0.25
"""Share of a bag that AOPC masks: 12 of 48 sites in the attention study whose measures these are."""
ORDERS = 200
"""Random orders that AOPC is compared with."""


def concentration(value: Tensor, bags: Bags, signal: Tensor | None = None) -> Tensor:
    """How many times more of an attribution lies on the instances that matter than their share of the sample, `n`.

    With a_i the share of |value| and w_i the share of the weights, and S the instances known to matter:

        sum over S of a_i / sum over S of w_i

    Where nobody knows S, the average of a_i / w_i over the attribution itself, sum a_i^2 / w_i. It is the same if the
    attribution lies evenly on S: 1 if it follows the weights as a mean pool does, k / s if on s of k equal instances,
    1 / w if all of it on one.

    Args:
        value: `n x k`.
        bags: `n`.
        signal: S, `n x k`, bool; None if not known.
    """
    share = _magnitude(value, bags)
    share = share / share.sum(1, keepdim=True)
    weight = (bags.weights * bags.mask).double()
    weight = weight / weight.sum(1, keepdim=True)
    if signal is None:
        return (share.square() / weight).where(weight > 0, 0.0).sum(1)
    return (share * signal).sum(1) / (weight * signal).sum(1)


def top_hit(value: Tensor, bags: Bags, signal: Tensor, top: int = 1) -> Tensor:
    """Whether any of the `top` instances of largest magnitude matters, `n`, 0 or 1; signal `n x k`, bool."""
    return (_top(value, bags, top) & signal).any(1).double()


def top_recall(value: Tensor, bags: Bags, signal: Tensor, top: int = 3) -> Tensor:
    """Share of the instances that matter among the `top` of largest magnitude, `n`; signal `n x k`, bool."""
    return (_top(value, bags, top) & signal).sum(1).double() / signal.sum(1)


def agreement(first: Attribution, second: Attribution, bags: Bags) -> Tensor:
    """Spearman's rank correlation of two attributions over the instances of each bag, `n`.

    Of the values with their signs if both have one, else of the magnitudes. NaN where all instances of a bag tie.
    """
    here = present(bags)
    signed = first.signed and second.signed
    ranks = [_ranks(a.value if signed else a.value.abs(), here) for a in (first, second)]
    x, y = (rank - (rank * here).sum(1, keepdim=True) / here.sum(1, keepdim=True) for rank in ranks)
    x, y = x * here, y * here
    return (x * y).sum(1) / (x.square().sum(1) * y.square().sum(1)).sqrt()


@torch.no_grad()
def perturbation_curve(
    learned: Explainable,
    bags: Bags,
    value: Tensor,
    *,
    reference: Tensor,
    steps: int | None = None,
    target: int = 0,
) -> Tensor:
    """How far the prediction moves as instances are masked, largest magnitude first, `n x s`, in units of the target.

    Column j holds |f(x) - f(x with j + 1 instances replaced by the reference)|, f the mean of the members; NaN past the
    last step of a bag.

    Args:
        learned: the model.
        bags: `n` bags.
        value: the attribution, `n x k`.
        reference: `d`, `k x d` or `n x k x d`.
        steps: how many instances are masked; by default a quarter of a bag, rounded up. With all of them masked every
            order has moved the prediction equally far, so the longer the curve the less it tells.
        target: column of the targets.

    Raises:
        ValueError: steps is below 1, no such target, or a reference of the wrong shape.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    reference = spread_reference(reference, bags)
    n, k = bags.mask.shape
    count = present(bags).sum(1, keepdim=True)
    own = (count * SHARE).ceil() if steps is None else count.clamp(max=steps)
    last = int(own.max())
    place = _order(value, bags).argsort(1)
    whole = locations(learned, bags, target).mean(0)
    moved = torch.full((n, last), torch.nan, dtype=torch.float64)
    for cells in (torch.arange(last) < own).nonzero().split(max(1, CHUNK // k)):
        rows, step = cells.unbind(1)
        gone = place[rows] <= step.unsqueeze(1)
        features = torch.where(gone.unsqueeze(-1), reference[rows], bags.features[rows])
        masked = locations(learned, replace(bags[rows], features=features), target).mean(0)
        moved[rows, step] = (whole[rows] - masked).abs()
    return moved


def random_curves(
    learned: Explainable,
    bags: Bags,
    *,
    reference: Tensor,
    seed: int,
    orders: int = ORDERS,
    steps: int | None = None,
    target: int = 0,
) -> Tensor:
    """Perturbation curves of random orders, `orders x n x s`: those of attributions that know nothing.

    Raises:
        ValueError: as `perturbation_curve`.
    """
    rng = generator("random orders", seed)
    draws = torch.rand(orders, *bags.mask.shape, generator=rng, dtype=torch.float64)
    curves = [
        perturbation_curve(learned, bags, value, reference=reference, steps=steps, target=target) for value in draws
    ]
    return torch.stack(curves)


def aopc(curve: Tensor) -> Tensor:
    """Area over the perturbation curve: the mean over the steps that a bag has, `... x s` to `...`.

    Samek et al. 2017, eq. 12, with magnitudes, as a regression may move both ways. It says what the prediction hangs
    on, if the model is right about the bag: outside the training distribution it inflates or collapses with the
    prediction.
    """
    return curve.nanmean(-1)


def interval_over_seeds(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean and Student's interval of a figure over seeds: mean, lower, upper; NaN bounds if there is one seed."""
    from scipy.special import stdtrit

    tensor = torch.tensor(values, dtype=torch.float64)
    n = len(tensor)
    mean = float(tensor.mean())
    if n < 2:
        return mean, float("nan"), float("nan")
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * float(tensor.std()) / n**0.5
    return mean, mean - half, mean + half


def _magnitude(value: Tensor, bags: Bags) -> Tensor:
    return value.double().abs().where(present(bags), 0.0)


def _order(value: Tensor, bags: Bags) -> Tensor:
    """Instances by falling magnitude, `n x k`; ties as they stand, and what is not there last."""
    return value.double().abs().where(present(bags), -1.0).argsort(stable=True, dim=1, descending=True)


def _top(value: Tensor, bags: Bags, top: int) -> Tensor:
    """Whether each instance is one of the `top` of its bag, `n x k`.

    Raises:
        ValueError: top is below 1.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, not {top}")
    return (_order(value, bags).argsort(1) < top) & present(bags)


def _ranks(value: Tensor, here: Tensor) -> Tensor:
    """Ranks among the instances that are there, ties averaged, `n x k`; NaN throughout a bag with a NaN."""
    value = value.double()
    other = here.unsqueeze(1)
    below = (value.unsqueeze(1) < value.unsqueeze(2)) & other
    level = (value.unsqueeze(1) == value.unsqueeze(2)) & other
    rank = below.sum(2) + 0.5 * level.sum(2).double()
    unknown = (value.isnan() & here).any(1, keepdim=True)
    return rank.where(~unknown, torch.nan)
