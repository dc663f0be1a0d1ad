"""Designs that are routes, with or without a composition and other columns, as bags of ordered step tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from surrogates.bags import Bags
from surrogates.encoders.elements import SMOOTHING, principal_axes, smooth_sqrt
from surrogates.encoders.steps import StepEncoder

COMPONENTS = 4
"""Principal components of the fraction-weighted element descriptors beside a route."""
EXACT = 12
"""Decimals to which fractions are found again from their square roots."""


@dataclass(frozen=True)
class Slot:
    """A parameter of a step in the code of a route."""

    features: tuple[str, ...]
    """Names of the parameters of `StepEncoder` that it fills: one for a number, one for each word of a category."""
    words: bool = False
    """Whether the code holds the place of a word, from 0, instead of a number."""


@dataclass(frozen=True)
class RouteEncoder:
    """Designs as bags of kind `route`: the tokens are those of `StepEncoder`, all other columns are side information.

    A route is coded in X place by place: the number of the step, from 1, then one column for each of its slots; zeros
    behind its end. Fractions become square roots, which a kernel sees as Hellinger geometry, and principal components
    of the fraction-weighted element descriptors. The map is differentiable in fractions, numbers of parameters and side
    columns.

    Raises:
        ValueError: slots name a parameter that the step encoder has not, or are not given for every step.
    """

    steps: StepEncoder
    """Names and scales of the tokens."""
    slots: tuple[tuple[Slot, ...], ...]
    """Slots of each step."""
    first: int = 0
    """Column of X where the code of the route begins."""
    elements: tuple[str, ...] = ()
    """Components in the order of the first columns of X."""
    side_scale: tuple[Sequence[float], Sequence[float]] = ((), ())
    """Shift and scale of each column that is neither fraction nor code: side = (x - shift) / scale."""

    def __post_init__(self) -> None:
        if len(self.slots) != len(self.steps.steps):
            raise ValueError(f"{len(self.steps.steps)} steps need as many lists of slots, not {len(self.slots)}")
        named = {name for slots in self.slots for slot in slots for name in slot.features}
        if unknown := sorted(named - set(self.steps.parameters)):
            raise ValueError(f"the step encoder has no parameter {', '.join(unknown)}")

    @property
    def code(self) -> tuple[int, int]:
        """Places of the code, and columns of each."""
        return self.steps.length, 1 + max(map(len, self.slots))

    @property
    def width(self) -> int:
        """Number of columns of X."""
        places, each = self.code
        return len(self.elements) + places * each + len(self.side_scale[0])

    def __call__(self, X: Tensor, stratum: Sequence[str] | None = None) -> Bags:
        """Encode designs.

        Args:
            X: designs, `... x d`, float64; leading dimensions are flattened, row-major.
            stratum: of each row; by default all are in "".

        Raises:
            ValueError: X has another number of columns, or a row without a route.
        """
        if X.shape[-1] != self.width:
            raise ValueError(f"X must have {self.width} columns, not {X.shape[-1]}")
        X = X.reshape(-1, self.width)
        places, each = self.code
        code = X[:, self.first : self.first + places * each].unflatten(1, (places, each))
        step = code[..., 0].round().long()
        return Bags.of(
            self._features(code, step),
            mask=step > 0,
            side=self._side(X),
            labels=self._labels(step),
            stratum=stratum,
            kind="route",
        )

    def designs(self, bags: Bags) -> Tensor:
        """The designs that these bags encode, `n x d`: the inverse of encoding, up to rounding."""
        k, (places, each) = len(self.elements), self.code
        roots, rest = bags.side[:, :k], bags.side[:, k + self._axes.shape[1] :]
        fractions = (roots.square() - SMOOTHING).clamp_min(0).round(decimals=EXACT)
        shift, scale = (rest.new_tensor(part) for part in self.side_scale)
        rest = rest * scale + shift
        count = len(self.steps.steps)
        step = torch.where(bags.mask, bags.features[..., :count].argmax(-1) + 1, 0)
        code = bags.features.new_zeros(len(bags), places, each)
        code[..., 0] = step.to(code)
        low, extent = self._scale
        for s, slots in enumerate(self.slots):
            here = step == s + 1
            for j, slot in enumerate(slots):
                columns = [self._columns[name] for name in slot.features]
                found = bags.features[here][:, [count + c for c in columns]]
                value = found.argmax(-1).to(code) if slot.words else found[:, 0] * extent[columns[0]] + low[columns[0]]
                code[..., 1 + j][here] = value
        before = self.first - k
        return torch.cat([fractions, rest[:, :before], code.flatten(1), rest[:, before:]], dim=1)

    def _features(self, code: Tensor, step: Tensor) -> Tensor:
        """Tokens `n x places x f`, as `StepEncoder` has them."""
        low, extent = self._scale
        tokens = [(step == s + 1).to(code) for s in range(len(self.slots))]
        values = [torch.zeros_like(code[..., 0]) for _ in self.steps.parameters]
        given = [torch.zeros_like(code[..., 0]) for _ in self.steps.parameters]
        for s, slots in enumerate(self.slots):
            here = step == s + 1
            for j, slot in enumerate(slots):
                for word, name in enumerate(slot.features):
                    column = self._columns[name]
                    number = (code[..., 1 + j] - low[column]) / extent[column]
                    there = here & (code[..., 1 + j].round() == word) if slot.words else here
                    value = torch.ones_like(number) if slot.words else number
                    values[column] = torch.where(there, value, values[column])
                    given[column] = torch.where(there, torch.ones_like(number), given[column])
        return torch.stack([*tokens, *values, *given], dim=-1)

    def _side(self, X: Tensor) -> Tensor:
        k, (places, each) = len(self.elements), self.code
        fractions = X[:, :k].clamp_min(0)
        rest = torch.cat([X[:, k : self.first], X[:, self.first + places * each :]], dim=1)
        shift, scale = (X.new_tensor(part) for part in self.side_scale)
        return torch.cat([smooth_sqrt(fractions), fractions @ self._axes.to(X), (rest - shift) / scale], dim=1)

    def _labels(self, step: Tensor) -> tuple[tuple[str, ...], ...]:
        """`2 anneal` for each place of each route, "" behind its end; made once for each order of steps."""
        different, which = torch.unique(step, dim=0, return_inverse=True)
        names = ("", *self.steps.steps)
        labels = [
            tuple(f"{place} {names[s]}" if s else "" for place, s in enumerate(row, 1)) for row in different.tolist()
        ]
        return tuple(labels[i] for i in which.reshape(-1).tolist())

    @cached_property
    def _axes(self) -> Tensor:
        return principal_axes(self.elements, COMPONENTS) if self.elements else torch.zeros(0, 0, dtype=torch.float64)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.steps.parameters)}

    @property
    def _scale(self) -> tuple[Sequence[float], Sequence[float]]:
        return self.steps.parameter_scale or ((), ())
