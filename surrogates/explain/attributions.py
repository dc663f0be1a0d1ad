"""Attributions: what each instance of a bag does to the prediction, by seven methods under one interface.

All methods with a sign share one convention: the value is the contribution of the instance as it is, the prediction
with it less the prediction without it or with another in its place, in units of the target. What a reversion would
change is therefore the negative of its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from botorch.exceptions.errors import UnsupportedError
from torch import Tensor

from surrogates.bags import Bags

CHUNK = 2**14
"""Instances that are predicted together."""
ROUNDING = 1e-9
"""Share of a prediction that is no change: the same bag beside others may differ by as much."""
NODES = 16
"""Points of the Gauss-Legendre rule along the path of integrated gradients."""

Unit = Literal["share", "target"]


class Explainable(Protocol):
    """What an explanation asks of a fitted model; every `Learned` answers it."""

    def member_locations(self, bags: Bags) -> Tensor:
        """Each member's central prediction, `P x n x t`, float64."""
        ...

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """Weight of each instance, mean and sd over members, `n x k` each; UnsupportedError if there is none."""
        ...


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each instance does to the prediction, 0 where there is no instance."""

    method: str
    value: Tensor
    """Mean over the members, `n x k`, float64; NaN where the method has no answer (see `leave_one_out`)."""
    sd: Tensor
    """Standard deviation over the members, `n x k`; NaN if there is one member. Of paired differences: each member's
    own contribution, so that what members disagree about in general does not count."""
    signed: bool
    """Whether the sign says up or down; if not, the value is a magnitude."""
    unit: Unit
    """`share`: of a bag's attention, which sums to 1. `target`: units of the target."""


def present(bags: Bags) -> Tensor:
    """Whether there is an instance and any of it, `n x k`."""
    return bags.mask & (bags.weights > 0)


def reference_instance(bags: Bags) -> Tensor:
    """The weighted mean of all instances, `d`: one about which nothing particular is known.

    It need not be like any instance that exists: the mean of two elements is none.
    """
    share = bags.weights * bags.mask
    return (share.unsqueeze(-1) * bags.features).sum((0, 1)) / share.sum()


def attribute(
    learned: Explainable,
    bags: Bags,
    method: str,
    *,
    target: int = 0,
    reference: Tensor | None = None,
    background: Bags | None = None,
) -> Attribution:
    """What each instance of each bag does to the prediction.

    With f the prediction, x the bag, r the reference instance and x[i <- r] the bag with instance i replaced by it
    at the same weight:

    - `attention`: the weight that the pooling gives the instance; the same for every target. It says where the model
      looks, not what it makes of it (Jain and Wallace 2019).
    - `saliency`: |s * df/dx_i|, the norm over features, each in its sd s over the background. Not in raw units, in
      which a feature would count by the unit it is written in (Simonyan et al. 2014).
    - `input_x_gradient`: (x_i - r) . df/dx_i, the first-order estimate of the reversion (Shrikumar et al. 2017).
    - `integrated_gradients`: (x_i - r) . the mean of df/dx_i along the straight path from the bag whose every instance
      is r to x. A bag's values add up to f(x) - f(all r) (Sundararajan et al. 2017, eq. 1 and proposition 1).
    - `occlusion`: f(x) - f(x[i <- mean instance]), the loss when nothing particular is known of the instance (Zeiler
      and Fergus 2014). It needs no chemistry, and its replacement may be like nothing that can be made.
    - `leave_one_out`: f(x) - f(x without i); NaN for the only instance of a bag, which cannot be left out. The outline
      of a bag tells of the sample as it is and stays, here and wherever features change.
    - `reversion`: f(x) - f(x[i <- r]) for an r that must be named, such as the host's site: the arithmetic of
      occlusion, but the answer to a question that can be asked of a sample.

    Cost in predictions of a bag: one for attention; k for occlusion, leave_one_out and reversion; one backward pass
    for each member for the gradients, and 16 times that along the path.

    Args:
        learned: the model.
        bags: what is explained, `n` bags.
        method: one of `METHODS`.
        target: column of the targets.
        reference: `d`, `k x d` or `n x k x d`, in the units of the features; by default the mean instance of the
            background. Required by reversion; taken by input_x_gradient and integrated_gradients alone besides.
        background: the bags over which mean and sd of the instances are taken, usually those trained on; by default
            the bags given, which is too few if they are few.

    Raises:
        ValueError: unknown method, no such target, a reference that is missing, misplaced or of the wrong shape.
        UnsupportedError: the model has no attention, no gradient in the features, or does not read them at all, as
            those that know a composition by its elements' names; leave_one_out explains every model.
    """
    if method not in METHODS:
        raise ValueError(f"unknown attribution method {method!r}; expected one of {', '.join(METHODS)}")
    if reference is not None and method not in _REFERENCED:
        hint = "; for a reference of your own take reversion" if method == "occlusion" else ""
        raise ValueError(f"{method} takes no reference instance{hint}")
    if reference is None and method == "reversion":
        raise ValueError("reversion needs the reference instance to revert to; without one take occlusion")
    here = present(bags)
    if method == "attention":
        value, sd = (tensor.detach().double() for tensor in learned.attention(bags))
        return Attribution(method, value.where(here, 0.0), sd.where(here, 0.0), signed=False, unit="share")
    background = bags if background is None else background
    reference = spread_reference(reference_instance(background) if reference is None else reference, bags)
    each = torch.cat(
        [_METHODS[method](_Case(learned, *part, background)) for part in _parts(bags, reference, target)], 1
    )
    each = each.where(here, 0.0)
    sd = each.std(0) if len(each) > 1 else torch.full_like(each[0], torch.nan)
    return Attribution(method, each.mean(0), sd, signed=method != "saliency", unit="target")


def spread_reference(reference: Tensor, bags: Bags) -> Tensor:
    """A reference `d`, `k x d` or `n x k x d` as `n x k x d` in the features' dtype.

    Raises:
        ValueError: it has another shape, or a number that is not finite.
    """
    n, k, d = bags.features.shape
    if tuple(reference.shape) not in {(d,), (k, d), (n, k, d)}:
        shape = " x ".join(map(str, reference.shape)) or "a single number"
        raise ValueError(f"reference must be d, k x d or n x k x d with n, k, d = {n}, {k}, {d}, not {shape}")
    if not reference.isfinite().all():
        raise ValueError("reference holds a number that is not finite")
    return reference.detach().to(bags.features).expand(n, k, d)


def locations(learned: Explainable, bags: Bags, target: int) -> Tensor:
    """Each member's prediction of one target, `P x n`.

    Raises:
        ValueError: there is no such target.
    """
    found = learned.member_locations(bags)
    if not 0 <= target < found.shape[-1]:
        raise ValueError(f"target must be a column from 0 to {found.shape[-1] - 1}, not {target}")
    return found[..., target]


@dataclass(frozen=True, eq=False)
class _Case:
    """Some of the bags, with what a method needs."""

    learned: Explainable
    bags: Bags
    reference: Tensor
    target: int
    background: Bags


def _parts(bags: Bags, reference: Tensor, target: int) -> Iterator[tuple[Bags, Tensor, int]]:
    for rows in torch.arange(len(bags)).split(max(1, CHUNK // bags.features.shape[1])):
        yield bags[rows], reference[rows], target


def _gradients(case: _Case, features: Tensor) -> Tensor:
    """Gradient of each member's prediction in the features, `P x n x k x d`, float64."""
    features = features.detach().requires_grad_()
    with torch.enable_grad():
        located = locations(case.learned, replace(case.bags, features=features), case.target)
        if not located.requires_grad:
            raise UnsupportedError("this model has no gradient in the features of instances; take leave_one_out")
        found = [torch.autograd.grad(member.sum(), features, retain_graph=True)[0] for member in located]
    return torch.stack(found).double()


def _saliency(case: _Case) -> Tensor:
    return (_gradients(case, case.bags.features) * _feature_sd(case.background)).norm(dim=-1)


def _feature_sd(bags: Bags) -> Tensor:
    """Standard deviation of each feature over the instances that are there, `d`."""
    return bags.features[present(bags)].double().std(0, correction=0)


def _input_x_gradient(case: _Case) -> Tensor:
    away = (case.bags.features - case.reference).double()
    return (away * _gradients(case, case.bags.features)).sum(-1)


def _integrated_gradients(case: _Case) -> Tensor:
    away = case.bags.features - case.reference
    places, shares = (0.5 * part for part in np.polynomial.legendre.leggauss(NODES))
    mean = sum(
        float(share) * _gradients(case, case.reference + float(0.5 + place) * away)
        for place, share in zip(places, shares, strict=True)
    )
    return (away.double() * mean).sum(-1)


def _replaced(case: _Case) -> Tensor:
    """Contribution of each instance against the reference in its place, `P x n x k`."""

    def change(bags: Bags, rows: Tensor, columns: Tensor) -> Bags:
        features = bags.features.clone()
        features[torch.arange(len(rows)), columns] = case.reference[rows, columns]
        return replace(bags, features=features)

    here = present(case.bags)
    found = _contributions(case, here, change)
    if bool((case.bags.features != case.reference)[here].any()) and not _reads_features(case, found):
        raise UnsupportedError(
            "the prediction does not change whatever instances are put in: this model goes by labels and weights, or "
            "has learned a constant; take leave_one_out"
        )
    return found


def _reads_features(case: _Case, contributions: Tensor) -> bool:
    """Whether replacing instances, one or all of them, changes any prediction by more than rounding."""
    whole = locations(case.learned, case.bags, case.target).detach()
    nothing = locations(case.learned, replace(case.bags, features=case.reference), case.target).detach()
    rounding = ROUNDING * float(whole.abs().max())
    return bool((contributions.abs() > rounding).any() or ((whole - nothing).abs() > rounding).any())


def _leave_one_out(case: _Case) -> Tensor:
    def change(bags: Bags, rows: Tensor, columns: Tensor) -> Bags:
        mask = bags.mask.clone()
        mask[torch.arange(len(rows)), columns] = False
        return replace(bags, mask=mask)

    here = present(case.bags)
    alone = here.sum(1, keepdim=True) == 1
    return _contributions(case, here & ~alone, change).where(~alone, torch.nan)


@torch.no_grad()
def _contributions(case: _Case, asked: Tensor, change: Callable[[Bags, Tensor, Tensor], Bags]) -> Tensor:
    """Prediction less that of the bag with one instance changed, for the instances asked, `P x n x k`."""
    whole = locations(case.learned, case.bags, case.target)
    found = whole.new_zeros(*whole.shape, asked.shape[1])
    for cells in asked.nonzero().split(max(1, CHUNK // asked.shape[1])):
        rows, columns = cells.unbind(1)
        changed = locations(case.learned, change(case.bags[rows], rows, columns), case.target)
        found[:, rows, columns] = whole[:, rows] - changed
    return found


_METHODS: dict[str, Callable[[_Case], Tensor]] = {
    "saliency": _saliency,
    "input_x_gradient": _input_x_gradient,
    "integrated_gradients": _integrated_gradients,
    "occlusion": _replaced,
    "leave_one_out": _leave_one_out,
    "reversion": _replaced,
}
_REFERENCED = ("input_x_gradient", "integrated_gradients", "reversion")
METHODS = ("attention", *_METHODS)
"""The methods of `attribute`."""
