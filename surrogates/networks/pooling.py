"""Aggregators: from instances to one vector a bag, and how much each instance counts in it.

All take the instances h, `P x b x k x h`, a mask, `... x b x k`, bool, and weights, `... x b x k`, not negative, both
broadcast over members. What is masked or of weight 0 contributes nothing; every bag has an instance that does.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import silu

CACHE = 1 << 17
"""Numbers of one intermediate result, which with a few others stays in a processor's second-level cache."""


def mean(instances: Tensor, mask: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean (Zaheer et al. 2017): the vectors `P x b x h`, and the shares of the weights, `P x b x k`."""
    share = weights * mask
    share = (share / share.sum(-1, keepdim=True)).expand(instances.shape[:-1])
    return (share.unsqueeze(-2) @ instances).squeeze(-2), share


def maximum(instances: Tensor, mask: Tensor, weights: Tensor) -> tuple[Tensor, None]:
    """Largest value of every channel over the instances, `P x b x h`; a weight counts only by being above 0."""
    present = (mask & (weights > 0)).unsqueeze(-1)
    return instances.masked_fill(~present, -torch.inf).amax(-2), None


def gated_attention(
    instances: Tensor,
    mask: Tensor,
    weights: Tensor,
    V: Tensor,
    U: Tensor,
    w: Tensor,
    encode: Tensor | None = None,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Gated attention pooling (Ilse, Tomczak and Welling 2018, eq. 9), masked and weighted by how much there is.

        a_i proportional to weight_i exp(w . (tanh(V h_i) * sigmoid(U h_i))),    z = sum_i a_i h_i

    Args:
        instances: h; or, with `encode`, what h = silu(x encode + bias) is made from, `P x b x k x d`.
        mask: as above.
        weights: as above.
        V: `P x h x a`.
        U: `P x h x a`.
        w: `P x a x 1`.
        encode: `P x d x h`.
        bias: `P x h`.

    Returns:
        The pooled vectors `P x b x h`, and the attention `P x b x k`, which sums to 1 over the instances of a bag.
    """
    found: tuple[Tensor, Tensor] = _Gated.apply(instances, encode, bias, V, U, w, mask, weights)
    return found


class _Gated(Function):
    """Encoding and gated attention, and their gradient, a few members at a time: as many as a cache holds.

    Written out for speed: V and U are one product, tanh x = 2 sigmoid(2 x) - 1 comes from the same pass as the sigmoid,
    intermediate results are overwritten, and what follows finds them in the cache.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        encode: Tensor | None,
        bias: Tensor | None,
        V: Tensor,
        U: Tensor,
        w: Tensor,
        mask: Tensor,
        weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        shape, doubled = x.shape[:3], torch.cat([2 * V, U], dim=-1)
        there, amount = mask.expand(shape), weights.expand(shape)
        keep, kept, pooled, attention = any(ctx.needs_input_grad), [], [], []
        for part in _parts(shape, V.shape[1]):
            before = h = x[part].flatten(1, 2)
            if encode is not None and bias is not None:
                before = torch.baddbmm(bias[part].unsqueeze(1), h, encode[part])
                h = silu(before, inplace=not keep)
            both = torch.bmm(h, doubled[part]).sigmoid_()
            left, right = both.chunk(2, dim=-1)
            left.mul_(2).sub_(1)
            score = (left * right).mul_(w[part].mT).sum(-1)
            attention.append(_attend(score.unflatten(1, shape[1:]), there[part], amount[part]))
            pooled.append((attention[-1].unsqueeze(-2) @ h.unflatten(1, shape[1:])).squeeze(-2))
            if keep:
                kept += [before, h, both]
        found = torch.cat(pooled), torch.cat(attention)
        ctx.save_for_backward(x, encode, V, U, w, weights, found[1], *kept)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dpooled: Tensor, dattention: Tensor) -> tuple[Tensor | None, ...]:
        x, encode, V, U, w, weights, attention, *kept = ctx.saved_tensors
        shape, both_ways = x.shape[:3], torch.cat([V, U], dim=-1).mT
        slopes: dict[str, list[Tensor]] = {name: [] for name in ("x", "encode", "bias", "V", "U", "w", "score")}
        for i, part in enumerate(_parts(shape, V.shape[1])):
            before, h, both = kept[3 * i : 3 * i + 3]
            left, right = both.chunk(2, dim=-1)
            share, above = attention[part], dpooled[part].unsqueeze(-2)
            slope = dattention[part] + (above @ h.unflatten(1, shape[1:]).mT).squeeze(-2)
            slope = share * (slope - (share * slope).sum(-1, keepdim=True))
            dscore = slope.flatten(1)
            rise = torch.empty_like(both)
            into_left, into_right = rise.chunk(2, dim=-1)
            torch.mul(left, right, out=into_left)
            dw = torch.bmm(dscore.unsqueeze(1), into_left).mT
            through = dscore.unsqueeze(-1) * w[part].mT
            torch.mul(into_left, through, out=into_right).addcmul_(into_right, right, value=-1)
            torch.mul(through, right, out=into_left).addcmul_(into_left, left.square(), value=-1)
            dV, dU = torch.bmm(h.mT, rise).chunk(2, dim=-1)
            dh = (share.unsqueeze(-1) * above).flatten(1, 2).baddbmm_(rise, both_ways[part])
            if encode is not None:
                torch.ops.aten.silu_backward.grad_input(dh, before, grad_input=dh)
                slopes["encode"].append(torch.bmm(x[part].flatten(1, 2).mT, dh))
                slopes["bias"].append(dh.sum(1))
            if ctx.needs_input_grad[0]:
                dx = dh if encode is None else torch.bmm(dh, encode[part].mT)
                slopes["x"].append(dx.unflatten(1, shape[1:]))
            for name, found in (("V", dV), ("U", dU), ("w", dw), ("score", slope)):
                slopes[name].append(found)
        whole = {name: torch.cat(found) if found else None for name, found in slopes.items()}
        dweights = torch.where(weights > 0, whole.pop("score") / weights, 0.0).sum_to_size(weights.shape)
        return *whole.values(), None, dweights


def _parts(shape: torch.Size, width: int) -> list[slice]:
    """Members that are worked on together, of `P x b x k` instances of a width."""
    together = max(1, CACHE // max(1, shape[1:].numel() * width))
    return [slice(start, start + together) for start in range(0, shape[0], together)]


def multihead_attention(
    instances: Tensor, mask: Tensor, weights: Tensor, seeds: Tensor, keys: Tensor, values: Tensor, heads: int
) -> tuple[Tensor, Tensor]:
    """Pooling by multi-head attention of learned seeds (Lee et al. 2019, eq. 11), weighted by how much there is.

    For every seed and head, with q, K and V the head's part of a seed, of `keys` and of `values`:

        a_i proportional to weight_i exp(q . K h_i / sqrt(h / heads)),    z = sum_i a_i V h_i

    A learned seed needs no projection of its own; the layer that follows mixes heads and seeds, and there is neither
    residual nor normalisation.

    Args:
        instances: h.
        mask: as above.
        weights: as above.
        seeds: `P x s x h`.
        keys: `P x h x h`.
        values: `P x h x h`.
        heads: a divisor of h.

    Returns:
        The pooled vectors `P x b x (s h)`, and the attention averaged over seeds and heads, `P x b x k`, sum 1.
    """
    members, b, k, h = instances.shape
    flat = instances.reshape(members, b * k, h)
    K, V = (torch.bmm(flat, part).reshape(members, b, k, heads, h // heads) for part in (keys, values))
    queries = seeds.unflatten(-1, (heads, h // heads)) / math.sqrt(h // heads)
    score = torch.einsum("pbkhd,pshd->pbshk", K, queries)
    attention = _attend(score, mask[..., None, None, :], weights[..., None, None, :])
    pooled = torch.einsum("pbshk,pbkhd->pbshd", attention, V)
    return pooled.flatten(2), attention.mean((2, 3))


def _attend(score: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Attention proportional to weight exp(score) over the last dimension."""
    share = weights * torch.softmax(score.masked_fill(~(mask & (weights > 0)), -torch.inf), dim=-1)
    return share / share.sum(-1, keepdim=True)
