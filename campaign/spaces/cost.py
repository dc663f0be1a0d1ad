"""What one recommendation over a space will take, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.spaces.base import Space
from campaign.spaces.structures import StructureSpace

FIXED_SECONDS = 4.0
SECONDS_PER_CANDIDATE = 20e-6
SECONDS_PER_STRUCTURE = 0.17
PROCESSES = 2
"""That encode structures."""
JOINT = 4096
"""Candidates that are believed jointly; the others are only screened."""
JOINT_SECONDS = 7.0
PROCESS_MB = 300.0
JOINT_COPIES = 10


@dataclass(frozen=True, slots=True)
class Estimate:
    """A rough forecast, good to a factor of two or so on a desktop processor."""

    candidates: int
    seconds: float
    """Processor seconds on one core, with about a hundred measurements, everything encoded before."""
    memory_mb: float
    encoding_seconds: float = 0.0
    """For all structures of the space, once; on two cores."""


def estimate(space: Space) -> Estimate:
    """What one recommendation will take.

    Measured on this loop with seven components and 60 to 100 measurements on one core: 3 s of imports and 1 s of
    fitting, 20 µs a candidate for screening, and for the joint belief of the n <= 4,096 candidates that are left 7 s
    (n / 4096)^2 and ten copies of an n x n matrix: 2,121 candidates took 3.3 s and 680 MB, 74,613 took 8.6 s and 1,650
    MB, imports apart. Each structure of 48 atoms takes the default encoder 0.17 s in one of two processes.
    """
    n = space.count
    joint = min(n, JOINT)
    seconds = FIXED_SECONDS + SECONDS_PER_CANDIDATE * n + JOINT_SECONDS * (joint / JOINT) ** 2
    structures = space.structure_count if isinstance(space, StructureSpace) else 0
    memory = PROCESS_MB + 8e-6 * (JOINT_COPIES * joint**2 + n)
    return Estimate(n, seconds, memory, SECONDS_PER_STRUCTURE * structures / PROCESSES)
