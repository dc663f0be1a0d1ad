"""The one training loop: all members of an ensemble as one batched computation.

Parameters are stacked, `P x ...`, so that a step of all members is a few batched products. Every member has its own
seed, rows, shuffling and early stopping, and ends with the weights of its best epoch; its result is that of training
it alone. Nothing here knows what network is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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


Progress = Callable[[int, int, int], None]
"""Told after every epoch: epochs done, epochs at most, members still in training. It may raise, which ends training."""
BLOCK = 1 << 19
"""Numbers of a batch, over its members, up to which members are trained together: what a processor's cache holds."""

LARGEST = 31 << 20
"""Bytes, just below the 32 MiB up to which the GNU C library learns from a freed block."""


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
    warmup: int = 0
    """Steps over which the rate rises, linearly; small batches then bear a high rate."""


@dataclass
class _State:
    """Members in training: flat parameters and moments `P x N`, and steps taken `P x 1`."""

    flat: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor

    def of(self, members: Tensor) -> _State:
        return _State(*(tensor[members] for tensor in vars(self).values()))

    def put(self, members: Tensor, state: _State) -> None:
        for mine, theirs in zip(vars(self).values(), vars(state).values(), strict=True):
            mine[members] = theirs


def train(
    network: Network,
    data: Sequence[Tensor],
    targets: Tensor,
    members: Sequence[Member],
    constants: Mapping[str, Tensor],
    loss: Loss,
    schedule: Schedule,
    start: Mapping[str, Tensor] | None = None,
    progress: Progress | None = None,
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
        progress: told after every epoch.

    Returns:
        The trained parameters, `P x ...`, of each member's best epoch.

    Raises:
        ValueError: a parameter to start from has another shape.
    """
    reuse_memory()
    generators = [generator("member", member.seed) for member in members]
    starts = [_begin(network.start(rng), start or {}) for rng in generators]
    shapes = {name: tensor.shape for name, tensor in starts[0].items()}
    flat = torch.stack([torch.cat([start[name].reshape(-1) for name in shapes]) for start in starts])
    count = len(members)
    state = _State(flat, torch.zeros_like(flat), torch.zeros_like(flat), torch.zeros(count, 1, dtype=TRAINED))
    finished = flat.clone()
    live = torch.tensor(sorted(range(count), key=lambda i: len(members[i].train)))
    best, since = torch.full((count,), torch.inf, dtype=TRAINED), torch.zeros(count, dtype=torch.long)
    together = max(1, BLOCK // (schedule.batch * max(tensor[0].numel() for tensor in data)))

    def losses(flat: Tensor, fixed: Parameters, own: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
        outputs = network({**_unflatten(flat, shapes), **fixed}, [tensor[rows] for tensor in data])
        return (loss(outputs, own) * weight).sum(1) / weight.sum(1).clamp_min(1)

    for epoch in range(schedule.epochs):
        rate = schedule.rate * 0.5 * (1 + math.cos(math.pi * epoch / schedule.epochs))
        for block in live.split(together):
            now, fixed = state.of(block), {name: tensor[block] for name, tensor in constants.items()}
            rows, weight = _pad([_shuffled(members[i].train, generators[i]) for i in block.tolist()])
            own = targets[block.unsqueeze(1), rows]
            for batch, share, values in _batches(schedule.batch, rows, weight, own):
                leaf = now.flat.detach().requires_grad_(True)
                with torch.enable_grad():
                    total = losses(leaf, fixed, values, batch, share).sum()
                (gradient,) = torch.autograd.grad(total, leaf)
                _step(now, gradient, rate, schedule, share.amax(1, keepdim=True))
            rows, weight = _pad([members[i].stop for i in block.tolist()])
            with torch.no_grad():
                stopping = losses(now.flat, fixed, targets[block.unsqueeze(1), rows], rows, weight)
            better = stopping < best[block]
            finished[block[better]] = now.flat[better]
            best[block] = torch.where(better, stopping, best[block])
            since[block] = torch.where(better, 0, since[block] + 1)
            state.put(block, now)
        live = live[since[live] < schedule.patience]
        if progress is not None:
            progress(epoch + 1, schedule.epochs, len(live))
        if not len(live):
            break
    return {name: tensor.clone() for name, tensor in _unflatten(finished, shapes).items()}


def _step(state: _State, gradient: Tensor, rate: float, schedule: Schedule, active: Tensor) -> None:
    """One step of AdamW in place; a member without rows in this batch, `active` (`P x 1`) 0, stays as it is."""
    state.steps += active
    rates = rate * active * (state.steps / max(1, schedule.warmup)).clamp_max(1)
    state.first.lerp_(gradient, (1 - BETAS[0]) * active)
    state.second.lerp_(gradient.square_(), (1 - BETAS[1]) * active)
    spread = (state.second / (1 - BETAS[1] ** state.steps)).sqrt_().add_(EPSILON)
    move = (state.first / spread).mul_(rates / (1 - BETAS[0] ** state.steps))
    state.flat.mul_(1 - schedule.decay * rates).sub_(move)


def reuse_memory() -> None:
    """Have the C library keep memory that is freed for the next step, which else waits for fresh pages in each.

    The GNU library returns what is free at the end of its heap to the system, until a larger block was freed once
    (mallopt(3), M_TRIM_THRESHOLD); this one is never written to, and costs nothing.
    """
    torch.empty(LARGEST, dtype=torch.uint8)


def _batches(size: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(tensor.split(size, 1) for tensor in tensors), strict=True)


def _shuffled(rows: Tensor, rng: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=rng)]


def _begin(fresh: Parameters, start: Mapping[str, Tensor]) -> Parameters:
    given = {name: start[name].to(TRAINED) for name in fresh if name in start}
    for name, tensor in given.items():
        if tensor.shape != fresh[name].shape:
            raise ValueError(f"pretrained {name} is {tuple(tensor.shape)}; the network's is {tuple(fresh[name].shape)}")
    return fresh | given


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
