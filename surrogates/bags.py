"""What a surrogate learns from: bags of instances, and the targets measured on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from torch import Tensor

_TENSORS = ("features", "mask", "weights", "side")
Kind = Literal["sites", "composition", "route"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Labels = tuple[str, ...] | tuple[tuple[str, ...], ...]


def content_hash(*parts: Any) -> str:
    """SHA-256 over tensors (shape, dtype and bytes) and plain JSON values, as a hex string."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            tensor = part.detach().cpu().contiguous()
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Bags:
    """Material samples as sets of instances: `n` bags of at most `k` instances.

    Raises:
        ValueError: shapes disagree, a number is not finite, a weight is negative, or a bag has no instance.
    """

    features: Tensor
    """What is known of each instance, `n x k x d`; anything finite where there is none."""
    mask: Tensor
    """Whether there is an instance, `n x k`, bool."""
    weights: Tensor
    """How much of the sample each instance is, `n x k`, not negative: fractions, or ones."""
    side: Tensor
    """What is known of the sample as a whole, `n x s`."""
    labels: Labels
    """Names of the instances: `k` shared by all bags, or `k` for each bag."""
    stratum: tuple[str, ...]
    """Density regime of each bag, `n`."""
    kind: Kind = "sites"
    """What tells samples apart: `sites`, their instances in any order; `composition`, how much there is of each label;
    `route`, their instances in order."""
    part: Tensor | None = None
    """Which part of the bag each instance belongs to, `n x k`, whole numbers from 0 on; what is predicted of the bag is
    the mean of what is predicted of its parts. None where bags have no parts."""
    parts: int = 1
    """How many parts a bag has at most; the same for all bags that a model sees."""
    outline: tuple[Tensor, ...] = ()
    """What the sample is made of in plain shares, each `n x m` and not negative: of its elements, of pairs of
    neighbours. Of bags of sites only; a kernel reads them beside the features."""

    def __post_init__(self) -> None:
        if self.features.ndim != 3:
            raise ValueError(f"features must be n x k x d, not {_shape(self.features)}")
        if not self.features.is_floating_point():
            raise ValueError(f"features must be of a floating dtype, not {self.features.dtype}")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        object.__setattr__(self, "labels", _tuples(self.labels))
        n, k, _ = self.features.shape
        for name, tensor in (("mask", self.mask), ("weights", self.weights)):
            if tensor.shape != (n, k):
                raise ValueError(f"{name} must be n x k = {n} x {k} like the features, not {_shape(tensor)}")
        if self.mask.dtype != torch.bool:
            raise ValueError(f"mask must be of dtype bool, not {self.mask.dtype}")
        if self.side.ndim != 2 or len(self.side) != n:
            raise ValueError(f"side must be n x s with n = {n}, not {_shape(self.side)}")
        if len(self.stratum) != n:
            raise ValueError(f"stratum must name {n} bags, not {len(self.stratum)}")
        names = self.labels if self.shared_labels is None else (self.labels,)
        if self.shared_labels is None and len(names) != n:
            raise ValueError(f"labels must be {k} names shared by all bags, or one tuple for each of {n} bags")
        if any(len(row) != k for row in names):
            raise ValueError(f"labels must name {k} instances, one for each column of the mask")
        self._check_parts()
        self._check_outline()
        for name, tensor in (("features", self.features), ("weights", self.weights), ("side", self.side)):
            if not torch.isfinite(tensor).all():
                raise ValueError(f"{name} {_shape(tensor)} hold a number that is not finite")
        if (self.weights < 0).any():
            raise ValueError(f"weights {_shape(self.weights)} hold a negative number")
        empty = (~(self.mask & (self.weights > 0)).any(1)).nonzero().flatten().tolist()
        if empty:
            raise ValueError(f"bag {empty[0]} has no instance with a weight above 0 ({len(empty)} such bags of {n})")

    def _check_parts(self) -> None:
        if self.part is None:
            return
        if self.part.shape != self.mask.shape or self.part.dtype != torch.int64:
            raise ValueError(f"part must be {_shape(self.mask)} whole numbers like the mask, not {_shape(self.part)}")
        if self.kind != "sites":
            raise ValueError(f"only bags of sites have parts, not those of kind {self.kind!r}")
        wrong = self.mask & ((self.part < 0) | (self.part >= self.parts))
        if wrong.any():
            raise ValueError(f"part holds {int(self.part[wrong][0])}, and a bag has at most {self.parts}, from 0 on")

    def _check_outline(self) -> None:
        if self.outline and self.kind != "sites":
            raise ValueError(f"only bags of sites have an outline, not those of kind {self.kind!r}")
        for shares in self.outline:
            if shares.ndim != 2 or len(shares) != len(self.features):
                raise ValueError(f"outline must be n x m with n = {len(self.features)}, not {_shape(shares)}")
            if not (torch.isfinite(shares) & (shares >= 0)).all():
                raise ValueError(f"outline {_shape(shares)} holds a number that is negative or not finite")

    @classmethod
    def of(
        cls,
        features: Tensor,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
        side: Tensor | None = None,
        labels: Labels | None = None,
        stratum: Iterable[str] | None = None,
        kind: Kind = "sites",
    ) -> Bags:
        """Bags from features alone, `n x k x d`, and whatever else is known.

        By default every instance is there and weighs 1, nothing is known of the sample as a whole, instances are called
        "1" to "k", and all bags are in one stratum. Networks compute in the dtype of the features.

        Raises:
            ValueError: as of the class.
        """
        if features.ndim != 3:
            raise ValueError(f"features must be n x k x d, not {_shape(features)}")
        n, k, _ = features.shape
        return cls(
            features=features,
            mask=torch.ones(n, k, dtype=torch.bool) if mask is None else mask,
            weights=features.new_ones(n, k) if weights is None else weights,
            side=features.new_zeros(n, 0) if side is None else side,
            labels=tuple(str(i + 1) for i in range(k)) if labels is None else labels,
            stratum=("",) * n if stratum is None else tuple(stratum),
            kind=kind,
        )

    @property
    def shared_labels(self) -> tuple[str, ...] | None:
        """The instance names if all bags share them, else None."""
        return None if not self.labels or isinstance(self.labels[0], tuple) else self.labels

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, key: int | slice | Tensor | list[int]) -> Bags:
        """The bags of a slice, a list or tensor of row numbers, or a bool tensor; an int gives one bag."""
        rows = torch.arange(len(self))[key].reshape(-1)
        picked = rows.tolist()
        labels = self.labels if self.shared_labels is not None else tuple(self.labels[i] for i in picked)
        tensors = {name: getattr(self, name)[rows] for name in _TENSORS}
        part = None if self.part is None else self.part[rows]
        outline = tuple(shares[rows] for shares in self.outline)
        stratum = tuple(self.stratum[i] for i in picked)
        return Bags(
            **tensors,
            labels=labels,
            stratum=stratum,
            kind=self.kind,
            part=part,
            parts=self.parts,
            outline=outline,
        )

    def to(self, target: torch.device | torch.dtype | str) -> Bags:
        """The same bags on a device, or with their numbers in a dtype; networks compute in that of the features."""
        numbers = isinstance(target, torch.dtype)
        names = ("features", "weights", "side") if numbers else (*_TENSORS, "part")
        given = {name: getattr(self, name) for name in names}
        outline = self.outline if numbers else tuple(shares.to(target) for shares in self.outline)
        moved = {name: tensor.to(target) for name, tensor in given.items() if tensor is not None}
        return replace(self, **moved, outline=outline)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content; equal content gives the same hash in every process."""
        parts = [] if self.part is None else [self.part, self.parts]
        parts += ["outline", *self.outline] if self.outline else []
        tensors = [getattr(self, name) for name in _TENSORS]
        return content_hash(*tensors, self.labels, self.stratum, self.kind, *parts)


@dataclass(frozen=True, eq=False)
class Targets:
    """Measured values of `n` samples and `t` targets, oriented to larger is better.

    Raises:
        ValueError: shapes disagree, a variance is negative, or a censor mark is none of -1, 0, 1.
    """

    value: Tensor
    """`n x t`; NaN where not measured."""
    variance: Tensor | None
    """Variance of each value, `n x t`, NaN where unknown; None if unknown throughout."""
    censor: Tensor
    """`n x t`: -1 if the true value is below `value`, 1 if above, 0 if it is as measured."""
    groups: tuple[str, ...]
    """Identity of each sample, `n`; no split parts a group."""

    def __post_init__(self) -> None:
        if self.value.ndim != 2:
            raise ValueError(f"value must be n x t, not {_shape(self.value)}")
        if self.value.isinf().any():
            raise ValueError(f"value {_shape(self.value)} holds an infinite number; use NaN for not measured")
        if self.variance is not None:
            if self.variance.shape != self.value.shape:
                raise ValueError(f"variance must be {_shape(self.value)} like value, not {_shape(self.variance)}")
            if (self.variance < 0).any() or self.variance.isinf().any():
                raise ValueError(f"variance {_shape(self.variance)} holds a negative or infinite number")
        if self.censor.shape != self.value.shape:
            raise ValueError(f"censor must be {_shape(self.value)} like value, not {_shape(self.censor)}")
        if (self.censor.abs() > 1).any():
            raise ValueError("censor marks are -1, 0 or 1")
        if len(self.groups) != len(self.value):
            raise ValueError(f"groups must name {len(self.value)} samples, not {len(self.groups)}")

    @classmethod
    def exact(cls, value: Tensor, groups: Iterable[str] | None = None, variance: Tensor | None = None) -> Targets:
        """Targets without censored values: value `n` or `n x t`; by default every row is a group of its own."""
        value = value.reshape(len(value), -1)
        names = tuple(str(i) for i in range(len(value))) if groups is None else tuple(groups)
        spread = None if variance is None else variance.reshape(value.shape)
        return cls(value, spread, torch.zeros_like(value, dtype=torch.int8), names)

    def __len__(self) -> int:
        return len(self.value)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content."""
        return content_hash(self.value, self.variance, self.censor, self.groups)


def _tuples(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"
