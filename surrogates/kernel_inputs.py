"""What kernels see of a bag: its fractions and mean descriptors, or its outline and the mean of its features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from surrogates.bags import Bags
from surrogates.encoders.elements import principal_axes, smooth_sqrt
from surrogates.parts import Parts

CONTENT = 8
"""At most so many principal components of the mean features."""


class KernelInputs(Protocol):
    """A differentiable map from bags to the inputs of the kernel."""

    @property
    def widths(self) -> tuple[int, int, int]:
        """Number of square roots of fractions, of principal components and of side columns; of a part if there are."""
        ...

    @property
    def outline(self) -> tuple[int, ...]:
        """How many of the square roots belong to each table of an outline; empty where they are of one composition."""
        ...

    @property
    def parts(self) -> int | None:
        """How many parts a bag has at most, if its inputs are those of its parts and their shares; else None."""
        ...

    def __call__(self, bags: Bags) -> Tensor:
        """The inputs of each bag, `n x sum(widths)`, float64; with `m` parts, `n x (m sum(widths) + m)`."""
        ...


def kernel_inputs(bags: Bags, components: int) -> KernelInputs:
    """The inputs for bags like these.

    Args:
        bags: those that are learned from; the scale of mean features is theirs.
        components: at most so many principal components of the descriptors of a composition.
    """
    if bags.part is not None:
        return PartInputs.of(bags)
    found = CompositionInputs.of(bags, components)
    return found if bags.kind == "composition" and any(found.widths) else ContentInputs.of(bags)


@dataclass(frozen=True)
class CompositionInputs:
    """Maps bags of named components to the inputs of the kernel, `n x (k + p + s)`, float64, differentiable.

    With a single component the fractions tell nothing and only the side columns remain.
    """

    labels: tuple[str, ...]
    side: int
    """Number of side columns."""
    components: int
    """At most so many principal components."""
    parts: ClassVar[None] = None
    outline: ClassVar[tuple[int, ...]] = ()

    @classmethod
    def of(cls, bags: Bags, components: int) -> CompositionInputs:
        """The inputs that bags with shared labels have."""
        return cls(bags.shared_labels or (), bags.side.shape[1], components)

    @property
    def axes(self) -> Tensor:
        """Loadings of the principal components, `k x p`."""
        return principal_axes(self.labels, self.components)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Number of square roots, principal components and side columns."""
        k = len(self.labels)
        return (k, self.axes.shape[1], self.side) if k > 1 else (0, 0, self.side)

    def __call__(self, bags: Bags) -> Tensor:
        """The inputs of each bag.

        Raises:
            ValueError: the bags are of another kind.
        """
        if bags.shared_labels != self.labels or bags.side.shape[1] != self.side:
            raise ValueError(
                f"bags of {bags.labels} with {bags.side.shape[1]} side columns do not fit a model of {self.labels} "
                f"with {self.side}"
            )
        if len(self.labels) == 1:
            return bags.side.double()
        weights = (bags.weights * bags.mask).double()
        weights = weights * (bags.weights.double().sum(1) / weights.sum(1)).unsqueeze(1)
        return torch.cat([smooth_sqrt(weights), weights @ self.axes, bags.side.double()], dim=1)


ROUNDING = 1e-5
"""Features that vary by less than this share of their size are constant: a potential computes in float32."""
NEGLIGIBLE = 1e-3
"""Principal components whose singular value is less than this share of the largest are left out; what comes from
outside the training data would be thrown far along them."""


@dataclass(frozen=True, eq=False)
class ContentInputs:
    """Square roots of the outline, principal components of the weighted mean of the instances' features, side columns.

    Components and side columns have a range of 1. Of a route, the components are also of the features times their
    place, which tells orders apart. If nothing varies, a constant. Means of features know little of which elements are
    neighbours; with the outline beside them a process on doped slabs came to the best 1 % of made-up properties after
    18 experiments instead of 37.
    """

    centre: Tensor
    """Mean of each feature, `d`; of a route `2 d`."""
    axes: Tensor
    """From centred means to components, `d x p`."""
    shift: Tensor
    """Least value of each side column, `s`."""
    scale: Tensor
    """Range of each side column, `s`; 1 if it does not vary."""
    features: int
    """Width of an instance."""
    outline: tuple[int, ...]
    """Shares in each table of the outline."""
    parts: ClassVar[None] = None

    @classmethod
    def of(cls, bags: Bags) -> ContentInputs:
        """The inputs that bags like these have."""
        content, side = _content(bags).detach(), bags.side.double().detach()
        centre, sd = content.mean(0), content.std(0, correction=0)
        varies = sd > ROUNDING * content.abs().amax(0)
        weight = torch.where(varies, 1 / sd, torch.zeros_like(sd))
        _, singular, axes = torch.linalg.svd((content - centre) * weight, full_matrices=False)
        kept = min(CONTENT, max(1, int((singular > NEGLIGIBLE * singular.max()).sum())))
        loadings = weight.unsqueeze(1) * axes[:kept].T
        reached = (content - centre) @ loadings
        reach = reached.amax(0) - reached.amin(0)
        loadings = loadings / torch.where(reach > 0, reach, torch.ones_like(reach))
        largest = loadings.abs().argmax(0)
        extent = side.amax(0) - side.amin(0)
        return cls(
            centre=centre,
            axes=loadings * loadings[largest, torch.arange(kept)].sign(),
            shift=side.amin(0),
            scale=torch.where(extent > 0, extent, torch.ones_like(extent)),
            features=bags.features.shape[2],
            outline=_sizes(bags),
        )

    @property
    def widths(self) -> tuple[int, int, int]:
        """Shares of the outline, the components and side columns."""
        return (sum(self.outline), self.axes.shape[1], len(self.scale))

    def __call__(self, bags: Bags) -> Tensor:
        """The inputs of each bag.

        Raises:
            ValueError: the bags are of another kind.
        """
        if bags.features.shape[2] != self.features or bags.side.shape[1] != len(self.scale):
            raise ValueError(
                f"bags of {bags.features.shape[2]} features with {bags.side.shape[1]} side columns do not fit a model "
                f"of {self.features} features with {len(self.scale)}"
            )
        if _sizes(bags) != self.outline:
            raise ValueError(f"bags with an outline of {_sizes(bags)} shares do not fit a model of {self.outline}")
        roots = [smooth_sqrt(shares.double()) for shares in bags.outline]
        components = (_content(bags) - self.centre) @ self.axes
        return torch.cat([*roots, components, (bags.side.double() - self.shift) / self.scale], dim=1)


@dataclass(frozen=True, eq=False)
class PartInputs:
    """The inputs of each part of a bag, one after the other, and then the share of each part in the bag.

    `surrogates.kernels.PartKernel` makes the covariance of means over parts of them.
    """

    each: ContentInputs
    """The inputs of a part as a bag of its own."""
    parts: int
    """How many parts a bag has at most; a bag that has fewer repeats one with a share of 0."""

    @classmethod
    def of(cls, bags: Bags) -> PartInputs:
        """The inputs that bags like these have."""
        parts = Parts.of(bags)
        return cls(ContentInputs.of(parts.apart(bags)[parts.share.flatten() > 0]), bags.parts)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Those of a part."""
        return self.each.widths

    @property
    def outline(self) -> tuple[int, ...]:
        """That of a part."""
        return self.each.outline

    def __call__(self, bags: Bags) -> Tensor:
        """The inputs of each bag.

        Raises:
            ValueError: the bags are of another kind, or have no or other parts.
        """
        if bags.part is None or bags.parts != self.parts:
            raise ValueError(f"bags of {bags.parts} parts at most do not fit a model of {self.parts}")
        parts = Parts.of(bags)
        inputs = self.each(parts.apart(bags)).unflatten(0, parts.share.shape)
        return torch.cat([inputs.flatten(1), parts.share], dim=1)


def _sizes(bags: Bags) -> tuple[int, ...]:
    return tuple(shares.shape[1] for shares in bags.outline)


def _content(bags: Bags) -> Tensor:
    """Weighted mean of the instances' features, float64, `n x d`; of a route also times their place, `n x 2 d`."""
    weights, features = (bags.weights * bags.mask).double(), bags.features.double()
    share = weights / weights.sum(1, keepdim=True)
    mean = (share.unsqueeze(1) @ features).squeeze(1)
    if bags.kind != "route":
        return mean
    place = bags.mask.double().cumsum(1) / bags.mask.sum(1, keepdim=True)
    return torch.cat([mean, ((share * place).unsqueeze(1) @ features).squeeze(1)], dim=1)
