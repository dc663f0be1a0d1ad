"""What one recommendation over a space will take, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.spaces.base import Space

FIXED_SECONDS = 6.0
SECONDS_PER_CANDIDATE = 75e-6
PROCESS_MB = 430.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A rough forecast, good to a factor of two or so on a desktop processor."""

    candidates: int
    seconds: float
    """Processor seconds on one core, with about a hundred measurements."""
    memory_mb: float


def estimate(space: Space) -> Estimate:
    """What one recommendation will take: a fixed part to fit and choose a model, and a part for each candidate.

    The slope is that of a BoTorch Gaussian process with qLogNEI over six components (60 measurements, a batch of five,
    one core): 2.8 s for 20,000 and 8.6 s for 100,000 candidates, with 425 MB for both since candidates are scored in
    chunks. The fixed part is what fitting and cross-validating the surrogates adds.
    """
    n = space.count
    return Estimate(
        n, FIXED_SECONDS + SECONDS_PER_CANDIDATE * n, PROCESS_MB + 1e-6 * 8 * min(n, 65_536) * len(space.columns)
    )
