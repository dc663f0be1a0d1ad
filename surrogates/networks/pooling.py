"""Aggregators: from instances to one vector a bag, and how much each instance counts in it.

All take the instances h, `P x b x k x h`, a mask, `... x b x k`, bool, and weights, `... x b x k`, not negative, both
broadcast over members. What is masked or of weight 0 contributes nothing; every bag has an instance that does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
    instances: Tensor, mask: Tensor, weights: Tensor, V: Tensor, U: Tensor, w: Tensor
) -> tuple[Tensor, Tensor]:
    """Gated attention pooling (Ilse, Tomczak and Welling 2018, eq. 9), masked and weighted by how much there is.

        a_i proportional to weight_i exp(w . (tanh(V h_i) * sigmoid(U h_i))),    z = sum_i a_i h_i

    Args:
        instances: h.
        mask: as above.
        weights: as above.
        V: `P x h x a`.
        U: `P x h x a`.
        w: `P x a x 1`.

    Returns:
        The pooled vectors `P x b x h`, and the attention `P x b x k`, which sums to 1 over the instances of a bag.
    """
    members, b, k, h = instances.shape
    flat = instances.reshape(members, b * k, h)
    gate = torch.tanh(torch.bmm(flat, V)) * torch.sigmoid(torch.bmm(flat, U))
    attention = _attend(torch.bmm(gate, w).reshape(members, b, k), mask, weights)
    return (attention.unsqueeze(-2) @ instances).squeeze(-2), attention


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
