"""Structures worth encoding: a large space is screened in two stages, by a rough model and then by the chosen encoder.

The first stage believes the same data of shares of elements and of neighbouring pairs (see `campaign.rough`), ranks
every candidate by its optimistic bound (by its variance where the least known is sought), and lets pass the best, what
an even draw over the strata takes, so that the rough model hides no region, and what passed for earlier batches, which
is encoded. All of it follows from the ledger.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from botorch.models.model import Model, ModelList

from acquisition.shortlist import Promise, shortlist
from campaign.belief import Belief
from campaign.filling import drawn
from campaign.rough import ShareEncoder, rough
from campaign.spaces import StructureSpace
from campaign.spaces.base import Ints
from campaign.state import State
from surrogates.fitted import fit
from surrogates.recipes.gp import GP

KEY = "survivors"
"""Under which the settings of a batch say what passed for it and for no batch before."""
WHOLE = 4096
"""Structures of a space up to which all are encoded."""
EVEN_SHARE = 0.25
"""Of the survivors, drawn evenly from the strata."""
CHUNK = 4096


@dataclass
class Passed:
    """What the first stage did, filled in by `survivors`; nothing where there was none."""

    notes: list[str] = field(default_factory=list)
    """For the reader."""
    settings: dict[str, Any] = field(default_factory=dict)
    """For the ledger."""


def staged(state: State) -> bool:
    """Whether a campaign's structures are too many to encode them all, and need not be."""
    space = state.space
    if not isinstance(space, StructureSpace) or state.spec.encoder.survivors == "all":
        return False
    energies = any(rule.rule == "formation_energy_proxy" for rule in state.spec.filters)  # it has encoded them all
    return space.structure_count > WHOLE and not energies


def survivors(
    state: State,
    belief: Belief,
    indices: Ints,
    *,
    wanted: int,
    seed: int,
    passed: Passed | None = None,
    stage: Callable[[str], None] = lambda _: None,
) -> Ints:
    """The candidates that go on to the chosen encoder, ascending; all of a space of no more than 4,096 structures.

    Args:
        state: the campaign.
        belief: what it believes with the chosen encoder; here its data are learned from.
        indices: positions of the open candidates.
        wanted: how many are to be chosen.
        seed: of the fits.
        passed: told what was passed over.
        stage: told how far it is.
    """
    space, most = state.space, state.spec.encoder.survivors
    if not isinstance(space, StructureSpace) or most == "all" or not staged(state):
        return indices
    size = max(wanted, most * space.count // space.structure_count)
    if len(indices) <= size:
        return indices
    stage("screen by elements and neighbours")
    seeds = [state.spec.seed, 2]  # the same draw for every batch, so that it is encoded once
    even = np.intersect1d(drawn(space, int(EVEN_SHARE * size), seeds), indices)
    rest = np.setdiff1d(indices, even)
    doubtful = state.spec.acquisition.type == "max_variance"
    promise, shares = _promise(space, belief, even if len(even) > 1 else indices[:CHUNK], seed, doubtful)
    chunks = (shares(rest[start : start + CHUNK]) for start in range(0, len(rest), CHUNK))
    best = rest[shortlist(promise, chunks, size - len(even)).numpy()]
    chosen = np.union1d(even, best)
    before = encoded_before(state)
    kept = np.union1d(chosen, np.intersect1d(before, indices))
    what = f"{len(kept):,} of {len(indices):,} open candidates"
    stage(f"screened {what} go on to the encoder")
    if passed is not None:
        passed.notes.append(
            f"{len(indices) - len(kept):,} of {len(indices):,} open candidates were passed over, unpromising to a "
            "Gaussian process on elements and neighbouring dopants; `survivors` under `encoder` says how many are not"
        )
        new = np.setdiff1d(chosen, before)
        passed.settings[KEY] = {
            "space": space.fingerprint(),
            "passed_over": len(indices) - len(kept),
            "new": _told(new),
        }
    return kept


def encoded_before(state: State) -> Ints:
    """Positions, ascending, of the survivors of the batches so far, as the ledger has them."""
    here = state.space.fingerprint()
    found = [b.settings[KEY] for b in state.batches if b.settings.get(KEY, {}).get("space") == here]
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *(_read(told["new"]) for told in found)]))


def _promise(
    space: StructureSpace, belief: Belief, sample: Ints, seed: int, doubtful: bool
) -> tuple[Promise, Callable[[Ints], torch.Tensor]]:
    """What candidates promise by their shares, and the shares of positions in the space, `n x k`."""
    of = rough(space)
    encode = ShareEncoder(of.names)

    def learned(number: int) -> Model:
        data = belief.all[number].data
        bags = encode(torch.from_numpy(of.shares(data.X)), data.strata)
        return fit(GP(), bags, data.targets, strata=data.strata, seed=seed).botorch_model(encode)

    def shares(indices: Ints) -> torch.Tensor:
        return torch.from_numpy(of.shares(space.X(indices)))

    models = [learned(number) for number in range(len(belief.all))]  # what is yes or no is left to the second stage
    bounds = [c.bound for c in belief.quantities]
    seeking = belief.best_measured() == -np.inf
    model = models[0] if len(models) == 1 else ModelList(*models)
    some = shares(sample)
    return Promise.of(model, some, belief.goals, constraints=bounds, seeking=seeking, doubtful=doubtful), shares


def _told(indices: Ints) -> str:
    """Ascending positions as a short text: their differences, compressed."""
    return b64encode(zlib.compress(np.diff(indices, prepend=0).astype("<i8").tobytes(), 9)).decode()


def _read(text: str) -> Ints:
    """The positions that `_told` wrote."""
    return np.cumsum(np.frombuffer(zlib.decompress(b64decode(text)), dtype="<i8")).astype(np.int64)
