"""A belief about what is yes or no for a sample: a classifier of outcomes, over the designs of a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from botorch.models.model import Model
from numpy.typing import NDArray

from campaign.encoding import encode_ahead
from campaign.state import State
from db.records import Sample
from surrogates.encoders.base import Encoder
from surrogates.success import Success, learn_success


@dataclass(frozen=True)
class Classified:
    """What is believed about an outcome that a sample has or has not."""

    success: Success
    encode: Encoder

    @cached_property
    def model(self) -> Model:
        """The liability of a further sample, over designs; above zero it has the outcome."""
        return self.success.botorch_model(self.encode)

    def probability(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability that samples of designs `n x d` have the outcome, `n`."""
        return self.success.probability(self.encode(torch.as_tensor(X, dtype=torch.float64))).numpy()


def classify(state: State, samples: Sequence[Sample], outcomes: Sequence[bool], encode: Encoder) -> Success:
    """Learn which designs have an outcome.

    Args:
        state: the campaign.
        samples: what was tried.
        outcomes: whether each of them has the outcome; some have, and some have not.
        encode: what turns designs into bags.
    """
    X, strata = designs_of(state, samples)
    encode_ahead(encode, X)
    return learn_success(encode(torch.as_tensor(X, dtype=torch.float64), stratum=strata), list(outcomes))


def designs_of(state: State, samples: Sequence[Sample]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Designs as measured, `n x d`, and their strata."""
    designs = [state.space.design_candidate(state.composition(s)) for s in samples]
    return np.array([state.space.x_of(c.design) for c in designs]), tuple(c.stratum for c in designs)
