"""What every recipe is, what it learns from, and what its training leaves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor

from surrogates.bags import Bags
from surrogates.conformal import Score

if TYPE_CHECKING:
    from botorch.models.model import Model

    from surrogates.encoders.elements import CompositionEncoder


@dataclass(frozen=True, eq=False)
class Problem:
    """Usable training data: every value measured and exact, and every row in one fold."""

    bags: Bags
    """`n` bags."""
    value: Tensor
    """`n x t`, float64, larger is better."""
    variance: Tensor | None
    """`n x t` if the variance of every value is known, else None."""
    groups: tuple[str, ...]
    """`n`."""
    fold: Tensor
    """The fold that holds out each row, `n`; -1 if none does."""

    @property
    def folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1


class Learned(Protocol):
    """What training leaves. Everything is deterministic; quantiles are those of a measurement, not yet calibrated."""

    def quantiles(self, bags: Bags) -> Tensor:
        """The head's nine quantiles, `n x t x 9`, float64, differentiable in the bags."""
        ...

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """Weight of each instance, mean and sd over members, `n x k` each; UnsupportedError if there is none."""
        ...

    def botorch_model(self, encoder: CompositionEncoder) -> Model:
        """The belief as a BoTorch model over designs."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """All that was learned, for `Recipe.restore`."""
        ...


@dataclass(frozen=True)
class Trained:
    """The result of one training."""

    learned: Learned
    out_of_fold: Tensor
    """Quantiles of each training row by what did not see its group, `n x t x 9`; NaN for a row never held out."""
    notes: tuple[str, ...] = ()
    """What a reader should know: fits that failed and what was done instead."""


@dataclass(frozen=True)
class Recipe(ABC):
    """A frozen configuration of a surrogate; its fields are its settings."""

    type: ClassVar[str]
    score: ClassVar[Score]
    """How its intervals are calibrated."""

    @abstractmethod
    def train(self, problem: Problem, seed: int) -> Trained:
        """Learn; a pure function of its arguments."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor], problem: Problem) -> Learned:
        """What `Learned.tensors` was made from."""

    @classmethod
    def setting_names(cls) -> tuple[str, ...]:
        """Names of the settings."""
        return tuple(f.name for f in fields(cls))

    def to_json(self) -> dict[str, Any]:
        """Type tag and settings as plain values; `recipe_from` reads it back."""
        return {"type": self.type, **asdict(self)}
