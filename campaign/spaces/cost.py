"""What one recommendation over a space will take, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from campaign.spaces.base import Space
from campaign.spaces.structures import StructureSpace

FIXED_SECONDS = 5.0
SECONDS_PER_CANDIDATE = 12e-6
SECONDS_PER_STRUCTURE = 0.17
PROCESSES = 2
"""That encode structures."""
JOINT = 4096
"""Candidates up to which all are believed jointly; of more, `FINALISTS` are, and the others are only screened."""
FINALISTS = 1024
JOINT_SECONDS = 4.0
PROCESS_MB = 500.0
JOINT_COPIES = 4


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

    Measured on this loop with six and nine components and 60 measurements on one core: 3 s of imports and 2 s of
    fitting, 12 µs a candidate for screening (3,108,105 took 34 s and 500 MB with imports), and for the joint belief of
    n candidates 4 s (n / 4096)^2 and four copies of an n x n matrix. Each structure of 48 atoms takes the default
    encoder 0.17 s in one of two processes.
    """
    n = space.count
    joint = n if n <= JOINT else FINALISTS
    seconds = FIXED_SECONDS + SECONDS_PER_CANDIDATE * n + JOINT_SECONDS * (joint / JOINT) ** 2
    structures = space.structure_count if isinstance(space, StructureSpace) else 0
    memory = PROCESS_MB + 8e-6 * JOINT_COPIES * joint**2
    return Estimate(n, seconds, memory, SECONDS_PER_STRUCTURE * structures / PROCESSES)
