"""A transformer encoder over a bag's instances and a class token, as functions over stacked parameters.

Pre-normalised layers (Xiong et al. 2020) of multi-head self-attention and a feed-forward part. The normalisation has no
gain or bias of its own: the linear map that follows each one has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, silu

from surrogates.training import TRAINED

WIDENING = 2
"""Width of the feed-forward part, in widths of a token."""
REACH = 8
"""Places apart from which on tokens are equally far."""
PREFERENCE = 2.0
"""By how much a head prefers a neighbour at the start; attention is multiplied by its exponential."""


def layer_shapes(width: int) -> dict[str, tuple[int, int]]:
    """Shapes of the weights of one layer of one member; each has a bias, `<name>_bias`, as long as its second number.

    Layers of ordered tokens have `places` too.
    """
    inner = WIDENING * width
    return {"ask": (width, 3 * width), "answer": (width, width), "widen": (width, inner), "narrow": (inner, width)}


def start_places(heads: int) -> Tensor:
    """What distances matter to each head at the start, `heads x (2 REACH + 1)`.

    The first head prefers the next token and the second the one before, so that what is next to each other is easy to
    learn; the others prefer none.
    """
    places = torch.zeros(heads, 2 * REACH + 1, dtype=TRAINED)
    for head, distance in zip(range(heads), (1, -1), strict=False):
        places[head, REACH + distance] = PREFERENCE
    return places


def run_layer(
    p: Mapping[str, Tensor], layer: int, tokens: Tensor, present: Tensor, heads: int, asking: int | None = None
) -> tuple[Tensor, Tensor]:
    """One layer, with attention of the first `asking` tokens (by default all) to all tokens.

        a_ij proportional to weight_j exp(q_i . k_j / sqrt(h / heads) + bias of the head for the distance j - i)

    where the bias (Shaw et al. 2018, Raffel et al. 2020) is that of ordered tokens alone, and distances beyond `REACH`
    count as `REACH`.

    Args:
        p: parameters, `P x ...`; those of a layer are called `layer<number>.<name>`.
        layer: its number.
        tokens: `P x b x k x h`.
        present: logarithm of each token's weight, `P x b x k`; -inf where there is none.
        heads: a divisor of h.
        asking: how many tokens, from the first on, are updated.

    Returns:
        The updated tokens, `P x b x asking x h`, and their scores before the weights, `P x b x heads x asking x k`.
    """
    k, h = tokens.shape[2:]
    asking = k if asking is None else asking
    normal = layer_norm(tokens, (h,))
    weights, bias = p[f"layer{layer}.ask"], p[f"layer{layer}.ask_bias"]

    def heads_of(which: Tensor, columns: slice) -> Tensor:
        return _linear(which, weights[..., columns], bias[..., columns]).unflatten(-1, (-1, heads, h // heads))

    query = heads_of(normal[:, :, :asking], slice(h))[..., 0, :, :]
    key, value = heads_of(normal, slice(h, None)).unbind(-3)
    score = torch.einsum("pbqhd,pbkhd->pbhqk", query / math.sqrt(h // heads), key)
    places = p.get(f"layer{layer}.places")
    if places is not None:
        place = torch.arange(k)
        distance = (place - place[:asking, None]).clamp(-REACH, REACH) + REACH
        score = score + places[:, None, :, distance]
    attention = torch.softmax(score + present[:, :, None, None], dim=-1)
    heard = torch.einsum("pbhqk,pbkhd->pbqhd", attention, value).flatten(-2)
    tokens = tokens[:, :, :asking] + _linear(heard, p[f"layer{layer}.answer"], p[f"layer{layer}.answer_bias"])
    wide = silu(_linear(layer_norm(tokens, (h,)), p[f"layer{layer}.widen"], p[f"layer{layer}.widen_bias"]))
    return tokens + _linear(wide, p[f"layer{layer}.narrow"], p[f"layer{layer}.narrow_bias"]), score


def _linear(tokens: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Tokens `P x b x k x i` by weights `P x i x o` and bias `P x o`."""
    flat = torch.baddbmm(bias.unsqueeze(1), tokens.flatten(1, 2), weights)
    return flat.unflatten(1, tokens.shape[1:3])
