"""What every recipe is, what it learns from, and what its training leaves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor

from surrogates.bags import Bags
from surrogates.conformal import OWN_CORRECTION, Score
from surrogates.splits import NEVER, SCHEMES, Scheme

if TYPE_CHECKING:
    from botorch.models.model import Model

    from surrogates.encoders.base import Encoder
    from surrogates.history import History


@dataclass(frozen=True, eq=False)
class Problem:
    """Usable training data: in every row some value is measured and exact, and every row is in one fold."""

    bags: Bags
    """`n` bags."""
    value: Tensor
    """`n x t`, float64, larger is better; NaN where not measured."""
    variance: Tensor | None
    """`n x t`, NaN for a target of which some value has none; None if that is so for all."""
    groups: tuple[str, ...]
    """`n`."""
    fold: Tensor
    """The fold that holds out each row, `n`; -1 if none does."""
    start: Mapping[str, Tensor] | None = None
    """Parameters of a pretrained network, from which every member starts; used by networks, and once."""
    history: tuple[History, ...] = ()
    """Earlier campaigns; used by a recipe that `uses_history`. None of their rows is among the rows above."""
    trained: Mapping[Recipe, Trained] = field(default_factory=dict)
    """What recipes left that were trained on this very problem before; used by a blend of them, and once."""

    def known_variance(self, target: int) -> Tensor | None:
        """Variance of each row of a target, `n`; None if it is not known of every value."""
        if self.variance is None:
            return None
        measured = ~self.value[:, target].isnan()
        return None if self.variance[measured, target].isnan().any() else self.variance[:, target]

    @property
    def folds(self) -> int:
        """Number of folds: 0 if no row is ever held out, 1 if one part calibrates (split)."""
        return int(self.fold.max()) + 1

    @property
    def learnable(self) -> Tensor:
        """The rows that what predicts may see, `n`, bool: all, or those that no split keeps for calibration."""
        return self.fold == NEVER if self.folds == 1 else self.fold >= NEVER


class Learned(Protocol):
    """What training leaves. Everything is deterministic; predictions are of a measurement, not yet calibrated."""

    def quantiles(self, bags: Bags) -> Tensor:
        """Nine quantiles, `n x t x 9`, float64, differentiable in the bags; UnsupportedError if it has classes."""
        ...

    def probability(self, bags: Bags) -> Tensor:
        """Probability of each class, `n x t`, float64; UnsupportedError if it has quantiles."""
        ...

    def member_locations(self, bags: Bags) -> Tensor:
        """Central prediction of each member, `P x n x t`, float64, differentiable in the bags."""
        ...

    def fold_predictions(self, bags: Bags) -> Tensor:
        """Predictions by the models that left out each fold, `K x n x t x 9`."""
        ...

    def attention(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """Weight of each instance, mean and sd over members, `n x k` each; UnsupportedError if there is none."""
        ...

    def botorch_model(self, encoder: Encoder) -> Model:
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
    """Prediction for each training row by what did not see its group, `n x t x 9`; NaN for a row never held out."""
    notes: tuple[str, ...] = ()
    """What a reader should know: fits that failed and what was done instead."""


@dataclass(frozen=True)
class Recipe(ABC):
    """A frozen configuration of a surrogate; its fields are its settings.

    Raises:
        ValueError: a setting is out of range.
    """

    type: ClassVar[str]
    score: ClassVar[Score]
    """How its intervals are calibrated."""
    joint: ClassVar[bool] = False
    """Whether it learns several targets together; otherwise one after the other."""

    knows_distance: ClassVar[bool] = False
    """Whether its quantiles widen by themselves away from the training data."""
    uses_history: ClassVar[bool] = False
    """Whether it learns from earlier campaigns, without which it cannot be trained."""

    calibration: Scheme = "cross"
    """What intervals are calibrated on: every row, out of fold; a quarter kept apart; or nothing."""
    own_correction: int = OWN_CORRECTION
    """Residuals from which a stratum is corrected on its own."""

    def __post_init__(self) -> None:
        if self.calibration not in SCHEMES:
            raise ValueError(f"calibration must be one of {', '.join(SCHEMES)}, not {self.calibration!r}")
        if self.own_correction < 1:
            raise ValueError(f"own_correction must be at least 1, not {self.own_correction}")

    @property
    def averages(self) -> bool:
        """Whether it can learn of a bag the mean of what it says of the bag's parts."""
        return True

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
