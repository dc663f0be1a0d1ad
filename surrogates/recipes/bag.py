"""What recipes over bags of instances share: encoder, pooling, head, and the ensemble that they are trained as.

A recipe of its own is a pooling: a `PooledNetwork` with its parameters and a `BagRecipe` that makes it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import silu

from surrogates.bags import Bags
from surrogates.conformal import Score
from surrogates.ensemble import BagNetwork, Ensemble, standardise, train_ensemble
from surrogates.networks.heads import HEADS, Head, HeadName
from surrogates.networks.parts import PartNetwork
from surrogates.recipes.base import Learned, Problem, Recipe, Trained
from surrogates.training import TRAINED, Parameters, Schedule


def weight(rng: torch.Generator, rows: int, columns: int, gain: float = 1.0) -> Tensor:
    """Initial weights `rows x columns`: uniform, with the variance of He et al. 2015 over 2."""
    return gain * math.sqrt(3 / rows) * (2 * torch.rand(rows, columns, generator=rng, dtype=TRAINED) - 1)


@dataclass(frozen=True)
class PooledNetwork(ABC):
    """Instance encoder, pooling, head: (features, mask, weights, side) to predictions."""

    features: int
    side: int
    targets: int
    hidden: int
    instance_encoder: bool
    head_name: HeadName

    @property
    def head(self) -> Head:
        """What it predicts."""
        return HEADS[self.head_name]

    @property
    def width(self) -> int:
        """Width of an encoded instance."""
        return self.hidden if self.instance_encoder else self.features

    @property
    def pooled(self) -> int:
        """Width of a pooled vector."""
        return self.width

    def inputs(self, bags: Bags) -> tuple[Tensor, ...]:
        """What it sees of bags: features `n x k x d`, mask and weights `n x k`, side information `n x s`."""
        return bags.features, bags.mask, bags.weights, bags.side

    def start_pool(self, rng: torch.Generator) -> Parameters:
        """Initial parameters of one member's pooling; by default it has none."""
        return {}

    @abstractmethod
    def pool(
        self, p: Mapping[str, Tensor], instances: Tensor, mask: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """An aggregator of `surrogates.networks.pooling`."""

    def start(self, rng: torch.Generator) -> Parameters:
        """Initial parameters of one member; the head starts at a standard normal."""
        h, head = self.hidden, self.head
        encode = {"encode": weight(rng, self.features, h), "encode_bias": torch.zeros(h, dtype=TRAINED)}
        return {
            **(encode if self.instance_encoder else {}),
            **self.start_pool(rng),
            "mix": weight(rng, self.pooled + self.side, h),
            "mix_bias": torch.zeros(h, dtype=TRAINED),
            "head": weight(rng, h, self.targets * head.outputs, gain=0.1),
            "head_bias": head.start().to(TRAINED).repeat(self.targets),
        }

    def prepare(self, p: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Parameters with the scaling of features folded into the encoder, once: fewer numbers to scale than features.

        Whoever applies the same parameters many times does this before.
        """
        if not self.instance_encoder or "features_sd" not in p:
            return p
        encode = p["encode"] / p["features_sd"].unsqueeze(-1)
        shift = torch.bmm(p["features_mean"].unsqueeze(1), encode).squeeze(1)
        kept = {name: tensor for name, tensor in p.items() if name not in ("features_mean", "features_sd")}
        return {**kept, "encode": encode, "encode_bias": p["encode_bias"] - shift}

    def encode(self, p: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """Encoded instances `P x b x k x width` of scaled features `P x b x k x d`."""
        if not self.instance_encoder:
            return features
        flat = torch.baddbmm(p["encode_bias"].unsqueeze(1), features.flatten(1, 2), p["encode"])
        return silu(flat, inplace=not flat.requires_grad).unflatten(1, features.shape[1:3])

    def encode_and_pool(
        self, p: Mapping[str, Tensor], features: Tensor, mask: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Pooled vectors and attention of scaled features; for a pooling that is faster together with the encoder."""
        return self.pool(p, self.encode(p, features), mask, weights)

    def _pool(self, p: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor | None, Tensor]:
        p, features = self.prepare(p), inputs[0]
        side = standardise(p, "side", inputs[3])
        if not self.instance_encoder:
            features = standardise(p, "features", features)
        pooled, attention = self.encode_and_pool(p, features, inputs[1], inputs[2])
        return pooled, attention, side

    def __call__(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """Predictions of scaled targets, `P x b x t x o`."""
        p = parameters
        pooled, _, side = self._pool(p, inputs)
        mixed = silu(torch.baddbmm(p["mix_bias"].unsqueeze(1), torch.cat([pooled, side], dim=-1), p["mix"]))
        raw = torch.baddbmm(p["head_bias"].unsqueeze(1), mixed, p["head"])
        return self.head.predict(raw.unflatten(-1, (self.targets, self.head.outputs)))

    def attention(self, parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor | None:
        """How much each instance counts, `P x b x k`; None if the pooling cannot say."""
        return self._pool(parameters, inputs)[1]


@dataclass(frozen=True)
class BagRecipe(Recipe):
    """A pooled network, as an ensemble over folds.

    Raises:
        ValueError: a setting is out of range.
    """

    score: ClassVar[Score] = "cqr"
    joint: ClassVar[bool] = True

    hidden: int = 32
    """Width of the instance encoder and of the head."""
    members: int = 3
    """Members for each of the five folds."""
    epochs: int = 200
    """Passes over the training rows at most, over which the learning rate falls to 0."""
    batch: int = 16
    """Rows of one step."""
    rate: float = 1e-2
    """Learning rate at the start."""
    decay: float = 1e-2
    """Weight decay."""
    patience: int = 40
    """Epochs without improvement after which a member stops."""
    warmup: int = 0
    """Steps over which the learning rate rises; 0 starts with all of it."""
    refit: bool = False
    """Whether further members, trained on everything, predict in place of those of the folds."""
    head: HeadName = "quantiles"
    """Nine quantiles, mean and variance, or the probability of a class."""
    instance_encoder: bool = True
    """Whether instances are encoded before they are pooled."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in set(self.setting_names()) - {"rate", "decay", "warmup"}:
            setting = getattr(self, name)
            if isinstance(setting, int) and not isinstance(setting, bool) and setting < 1:
                raise ValueError(f"{name} must be at least 1, not {setting}")
        if self.refit and self.calibration != "cross":
            raise ValueError(f"refit goes with calibration cross, not with {self.calibration}")
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, not {self.head!r}")
        if self.warmup < 0:
            raise ValueError(f"warmup must not be negative, not {self.warmup}")
        if self.rate <= 0 or self.decay < 0:
            raise ValueError(f"rate must be positive and decay not negative, not {self.rate} and {self.decay}")

    @abstractmethod
    def network(self, **sizes: Any) -> PooledNetwork:
        """The network with the recipe's settings; sizes are the fields of `PooledNetwork`."""

    def _network(self, problem: Problem) -> BagNetwork:
        features, side = problem.bags.features.shape[2], problem.bags.side.shape[1]
        network = self.network(
            features=features,
            side=side,
            targets=problem.value.shape[1],
            hidden=self.hidden,
            instance_encoder=self.instance_encoder,
            head_name=self.head,
        )
        return network if problem.bags.part is None else PartNetwork(network)

    def train(self, problem: Problem, seed: int) -> Trained:
        """Train all members in one batched computation."""
        schedule = Schedule(self.epochs, self.batch, self.rate, self.decay, self.patience, self.warmup)
        return train_ensemble(
            self._network(problem),
            problem,
            members_per_fold=self.members,
            refit=self.refit,
            schedule=schedule,
            seed=seed,
        )

    def restore(self, tensors: Mapping[str, Tensor], problem: Problem) -> Learned:
        """The same members."""
        return Ensemble(self._network(problem), dict(tensors), problem)
