"""What the ledger remembers, as frozen values without a database behind them.

Identities: a candidate is a design; a recommendation is a candidate in a batch; a sample is what was made for a
recommendation, or by hand; a measurement belongs to a sample. Everything is matched by id, never by equal floats. The
state of a thing (pending, failed, measured, void) is derived from events and is never a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Design = Mapping[str, float | str]
"""A candidate in the columns of its space: `{"Ni": 0.5, "Fe": 0.5}`; columns that are zero may be left out."""


@dataclass(frozen=True, slots=True)
class SpecRevision:
    """The spec of a campaign as it was in force from one event to the next."""

    id: str
    campaign: str
    revision: int
    """1 for the spec that the campaign started with."""
    spec: Mapping[str, Any]
    """The spec in full, defaults included, as plain JSON values."""
    sources: Mapping[str, str]
    """File name in the spec -> SHA-256 of its bytes (`Source`)."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A file that came through the door, kept byte for byte under its hash."""

    sha256: str
    name: str
    """What the file was called; metadata only, never used as a path."""
    content: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A design: what could be made."""

    id: str
    """Content hash of the design; the same design has the same id in every campaign."""
    design: Design
    stratum: str
    """Density regime, as the space names it: `"3 elements"`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A set of candidates recommended together."""

    id: str
    campaign: str
    number: int
    """1, 2, 3 ... within the campaign."""
    spec_revision: int
    snapshot: str
    """Hash of the data that the batch was computed from."""
    code_version: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    """How it was chosen: recipe, acquisition, working levels, reason of the model choice."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A candidate in a batch, with what was believed about it when it was proposed."""

    id: str
    campaign: str
    batch: str
    rank: int
    label: str
    """The sample_id on the worksheet: `b1-03`."""
    candidate: str
    design: Design
    stratum: str
    prediction: Mapping[str, Any]
    """Per objective: median, intervals by level, probability of beating the incumbent."""
    rationale: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was made: a target design, and whose recommendation it answers, if any."""

    id: str
    campaign: str
    label: str
    """The lab's own name for it, unique within the campaign."""
    candidate: str
    design: Design
    """The target. A measured composition is a `Measurement` with metric `composition`."""
    stratum: str
    recommendation: str | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One append-only observation of one sample. A correction is a new row that supersedes an old one."""

    id: str
    campaign: str
    sample: str
    metric: str
    """An objective's name, or `composition`."""
    value: float | None
    """In `unit`; None for a composition."""
    unit: str | None
    sd: float | None = None
    """Standard deviation stated by the lab, in `unit`."""
    qualifier: str = "="
    """`=`, or `<` / `>` for a censored value."""
    replicate: str | None = None
    composition: Mapping[str, float] | None = None
    """Measured fractions, for metric `composition`."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    """SHA-256 of the file it came from."""
    cell: str | None = None
    """Where in that file: `D4`."""
    supersedes: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One link of a campaign's hash chain."""

    campaign: str
    seq: int
    """1, 2, 3 ... without gaps."""
    kind: str
    payload: Mapping[str, Any]
    by: str
    at: str
    """UTC, ISO 8601 with microseconds."""
    prev_hash: str
    hash: str
    hash_version: int = 1


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A fitted surrogate, known by what it was fitted from; a cache, never the truth."""

    recipe_hash: str
    data_hash: str
    seed: int
    campaign: str
    objective: str
    recipe: Mapping[str, Any]
    scores: Mapping[str, Any] = field(default_factory=dict)
    """Out-of-fold scores and the reason of the choice."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model said of a candidate; a cache."""

    candidate: str
    recipe_hash: str
    data_hash: str
    seed: int
    objective: str
    body: Mapping[str, Any]
    """Median, intervals by level, posterior mean and sd."""
