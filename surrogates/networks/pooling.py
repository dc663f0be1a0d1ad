"""Aggregators: from instances to one vector a bag."""

from __future__ import annotations

import torch
from torch import Tensor


def gated_attention(
    instances: Tensor, mask: Tensor, weights: Tensor, V: Tensor, U: Tensor, w: Tensor
) -> tuple[Tensor, Tensor]:
    """Gated attention pooling (Ilse, Tomczak and Welling 2018, eq. 9), masked and weighted by how much there is.

        a_i proportional to weight_i exp(w . (tanh(V h_i) * sigmoid(U h_i))),    z = sum_i a_i h_i

    Args:
        instances: h, `P x b x k x h`.
        mask: `... x b x k`, bool, broadcast over members.
        weights: `... x b x k`, not negative.
        V: `P x h x a`.
        U: `P x h x a`.
        w: `P x a x 1`.

    Returns:
        The pooled vectors `P x b x h`, and the attention `P x b x k`, which sums to 1 over the instances of a bag.
    """
    members, b, k, h = instances.shape
    flat = instances.reshape(members, b * k, h)
    gate = torch.tanh(torch.bmm(flat, V)) * torch.sigmoid(torch.bmm(flat, U))
    score = torch.bmm(gate, w).reshape(members, b, k).masked_fill(~mask, -torch.inf)
    share = weights * torch.softmax(score, dim=-1)
    attention = share / share.sum(-1, keepdim=True)
    return (attention.unsqueeze(-2) @ instances).squeeze(-2), attention
