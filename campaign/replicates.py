"""Measured designs that a batch makes again, because their noise decides what is best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from acquisition.replicates import repeats
from campaign.belief import Belief
from campaign.state import State
from db.records import Candidate

Replicate = tuple[Candidate, dict[str, Any]]
"""A design to make again, and why."""


def replicates(
    state: State,
    belief: Belief,
    n: int,
    seed: int,
    allowed: Callable[[Candidate], bool] = lambda _: True,
    beside: Sequence[Candidate] = (),
) -> list[Replicate]:
    """At most `n` measured designs to make again; one may come twice.

    Args:
        state: the campaign.
        belief: what is believed of the noise-free values.
        n: how many.
        seed: of the joint samples.
        allowed: which candidates may be repeated; failed and vetoed ones never are.
        beside: what the same batch makes again in any case, its controls.

    Returns:
        None where no measured design may be repeated or none has an exact value.
    """
    labels: dict[str, list[str]] = {}
    designs: dict[str, Candidate] = {}
    exact = {label for b in belief.objectives for label in b.data.exact.labels}
    for s in state.samples:
        candidate = Candidate(s.candidate, s.design, s.stratum)
        if s.label in exact and s.candidate not in state.decisions.vetoes and allowed(candidate):
            labels.setdefault(s.candidate, []).append(s.label)
            designs[s.candidate] = candidate
    names = list(designs)
    X = np.array([state.space.x_of(designs[name].design) for name in names]).reshape(len(names), -1)
    if n and len(X) and (eligible := belief.eligible(X)).any():
        names, X = [name for name, may in zip(names, eligible, strict=True) if may], X[eligible]
    if not n or not len(X):
        return []
    due = [r.candidate for r in state.awaited] + [c.id for c in beside]
    waiting = [names.index(candidate) for candidate in due if candidate in names]
    with torch.no_grad():
        beliefs = [b.model.posterior(torch.from_numpy(X)) for b in belief.objectives]
    rows, shares = repeats(
        torch.cat([p.mean for p in beliefs], dim=-1),
        torch.stack([p.distribution.covariance_matrix for p in beliefs]),
        [b.noise_variance() for b in belief.objectives],
        belief.goals,
        n,
        seed=seed,
        waiting=waiting,
    )
    return [
        (
            designs[names[row]],
            {"role": "replicate", "repeats": labels[names[row]], "variance_reduction": share, "warnings": []},
        )
        for row, share in zip(rows, shares, strict=True)
    ]
