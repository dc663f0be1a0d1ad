"""The one training loop: all members of an ensemble as one batched computation.

Parameters are stacked, `P x ...`, so that a step of all members is a few batched products. Every member has its own
seed, rows, shuffling and early stopping, and ends with the weights of its best epoch; its result is that of training
it alone. Nothing here knows what network is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from surrogates.splits import generator

BETAS = (0.9, 0.999)
EPSILON = 1e-8
TRAINED = torch.float32
"""What networks are trained in, whatever the default dtype."""

Parameters = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
"""Outputs and targets, `P x b x ...` each, to a loss of each row, `P x b`."""


class Network(Protocol):
    """A network as a function over stacked parameters."""

    def start(self, rng: torch.Generator) -> Parameters:
        """Initial parameters of one member."""
        ...

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Outputs `P x b x ...` of parameters `P x ...` and inputs `P x b x ...`."""
        ...


@dataclass(frozen=True)
class Member:
    """One member: its own rows and its own seed."""

    seed: object
    """Whatever `splits.generator` takes as a key."""
    train: Tensor
    """Row numbers that it learns from."""
    stop: Tensor
    """Row numbers that decide when it stops."""


@dataclass(frozen=True)
class Schedule:
    """How members are trained: AdamW (Loshchilov and Hutter 2019) with a cosine from `rate` to 0 over `epochs`."""

    epochs: int
    batch: int
    rate: float
    decay: float
    """Weight decay."""
    patience: int
    """Epochs without a better stopping loss after which a member is finished."""


@dataclass
class _State:
    """The members still in training: flat parameters and moments `P x N`, steps taken and best losses `P`."""

    flat: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor
    best: Tensor
    since: Tensor

    def keep(self, rows: Tensor) -> None:
        for name, tensor in vars(self).items():
            setattr(self, name, tensor[rows])


def train(
    network: Network,
    data: Sequence[Tensor],
    targets: Tensor,
    members: Sequence[Member],
    constants: Mapping[str, Tensor],
    loss: Loss,
    schedule: Schedule,
    start: Mapping[str, Tensor] | None = None,
) -> Parameters:
    """Train all members at once.

    Args:
        network: what is trained.
        data: its inputs, `n x ...` each, shared by the members.
        targets: `P x n x ...`; each member's own, because each scales them by its own training rows.
        members: `P` of them.
        constants: further entries of the network's parameters that are not trained, `P x ...`.
        loss: of each row.
        schedule: how.
        start: parameters from which every member starts, of those that the network has by the same name; pretrained.

    Returns:
        The trained parameters, `P x ...`, of each member's best epoch.

    Raises:
        ValueError: a parameter to start from has another shape.
    """
    generators = [generator("member", member.seed) for member in members]
    starts = [_begin(network.start(rng), start or {}) for rng in generators]
    shapes = {name: tensor.shape for name, tensor in starts[0].items()}
    flat = torch.stack([torch.cat([start[name].reshape(-1) for name in shapes]) for start in starts])
    count = len(members)
    finished, live = flat.clone(), torch.arange(count)
    state = _State(
        flat=flat,
        first=torch.zeros_like(flat),
        second=torch.zeros_like(flat),
        steps=torch.zeros(count, 1, dtype=TRAINED),
        best=torch.full((count,), torch.inf, dtype=TRAINED),
        since=torch.zeros(count, dtype=torch.long),
    )
    stop_rows, stop_weight = _pad([member.stop for member in members])

    def losses(flat: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
        parameters = {**_unflatten(flat, shapes), **{name: tensor[live] for name, tensor in constants.items()}}
        outputs = network(parameters, [tensor[rows] for tensor in data])
        each = loss(outputs, targets[live.unsqueeze(1), rows])
        return (each * weight).sum(1) / weight.sum(1).clamp_min(1)

    for epoch in range(schedule.epochs):
        rate = schedule.rate * 0.5 * (1 + math.cos(math.pi * epoch / schedule.epochs))
        orders = [m.train[torch.randperm(len(m.train), generator=generators[i])] for i, m in _pick(members, live)]
        rows, weight = _pad(orders)
        for batch, share in zip(rows.split(schedule.batch, 1), weight.split(schedule.batch, 1), strict=True):
            leaf = state.flat.requires_grad_(True)
            with torch.enable_grad():
                total = losses(leaf, batch, share).sum()
            (gradient,) = torch.autograd.grad(total, leaf)
            _step(state, gradient, rate, schedule.decay, share.any(1, keepdim=True))
        with torch.no_grad():
            now = losses(state.flat, stop_rows[live], stop_weight[live])
        better = now < state.best
        finished[live[better]] = state.flat[better]
        state.best = torch.where(better, now, state.best)
        state.since = torch.where(better, 0, state.since + 1)
        going = state.since < schedule.patience
        if not going.all():
            live = live[going]
            state.keep(going)
            if not len(live):
                break
    return {name: tensor.clone() for name, tensor in _unflatten(finished, shapes).items()}


def _step(state: _State, gradient: Tensor, rate: float, decay: float, active: Tensor) -> None:
    """One step of AdamW; a member without rows in this batch (`active`, `P x 1`) stays as it is."""
    flat = state.flat.detach()
    first = state.first.lerp(gradient, 1 - BETAS[0])
    second = state.second.lerp(gradient.square(), 1 - BETAS[1])
    steps = state.steps + 1
    move = (first / (1 - BETAS[0] ** steps)) / ((second / (1 - BETAS[1] ** steps)).sqrt() + EPSILON)
    moved = flat - rate * (move + decay * flat)
    if active.all():
        state.flat, state.first, state.second, state.steps = moved, first, second, steps
    else:
        state.flat = torch.where(active, moved, flat)
        state.first, state.second = torch.where(active, first, state.first), torch.where(active, second, state.second)
        state.steps = torch.where(active, steps, state.steps)


def _begin(fresh: Parameters, start: Mapping[str, Tensor]) -> Parameters:
    given = {name: start[name].to(TRAINED) for name in fresh if name in start}
    for name, tensor in given.items():
        if tensor.shape != fresh[name].shape:
            raise ValueError(f"pretrained {name} is {tuple(tensor.shape)}; the network's is {tuple(fresh[name].shape)}")
    return fresh | given


def _pick(members: Sequence[Member], live: Tensor) -> list[tuple[int, Member]]:
    return [(i, members[i]) for i in live.tolist()]


def _pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Row numbers of different lengths as one tensor `P x longest`, and weights 1 for real ones, 0 for padding."""
    longest = max(len(r) for r in rows)
    padded = torch.zeros(len(rows), longest, dtype=torch.long)
    weight = torch.zeros(len(rows), longest, dtype=TRAINED)
    for i, r in enumerate(rows):
        padded[i, : len(r)] = r
        weight[i, : len(r)] = 1
    return padded, weight


def _unflatten(flat: Tensor, shapes: Mapping[str, torch.Size]) -> Parameters:
    parts = flat.split([shape.numel() for shape in shapes.values()], dim=1)
    return {name: part.reshape(len(flat), *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
