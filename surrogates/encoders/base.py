"""What every encoder is: from designs to bags, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from surrogates.bags import Bags


class Encoder(Protocol):
    """A deterministic map between designs X, `... x d`, and bags, one for each row, leading dimensions flattened."""

    def __call__(self, X: Tensor, stratum: Sequence[str] | None = None) -> Bags:
        """Encode designs."""
        ...

    def designs(self, bags: Bags) -> Tensor:
        """The designs that these bags encode, `n x d`."""
        ...
