"""What a surrogate sees of a design: elements with their fractions, or sites as an interatomic potential sees them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from campaign.grammar import Choice, Frozen, Whole
from campaign.spaces import Space, StructureSpace
from campaign.spaces.slab.spec import Length

if TYPE_CHECKING:
    from surrogates.encoders.base import Encoder
    from surrogates.encoders.potentials import Potential
    from surrogates.encoders.structures import SiteEncoder

WORKERS = 2
"""Processes that encode structures."""
KEPT = 2
"""Encoders kept in memory with what they encoded: those of the present campaign, for round after round."""


class _Sites(Frozen):
    """Which sites a surrogate sees."""

    sites: Literal["all", "sublattice", "dopants", "surface", "near"] = "sublattice"
    """Which sites form the bag: `all`, the `sublattice` that takes dopants (the default), the `dopants`, the `surface`,
    or those `near` a dopant or an adsorbate; adsorbates always belong to it."""
    cutoff: Length = 3.5
    """With `near`: how near, in angstrom; 3.5 if left out."""


class CHGNetEncoder(_Sites):
    """CHGNet 0.3.0 (Deng et al. 2023): 64 features of each site. Its weights are installed with it."""

    type: Literal["chgnet"] = "chgnet"

    def potential(self) -> Potential:
        """The potential."""
        from surrogates.encoders.chgnet import CHGNetPotential

        return CHGNetPotential()


class UMAEncoder(_Sites):
    """UMA through fairchem-core: the rotation-invariant part of its node embedding, of each site."""

    type: Literal["uma"] = "uma"
    checkpoint: str
    """A checkpoint file, or the name of a model to be downloaded, such as `uma-s-1p1`; a trusted one, for loading it
    runs code."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 that the file must have, 64 hexadecimal digits; not checked if left out."""
    task: Literal["oc20", "omat", "omol", "odac", "omc"] = "oc20"
    """What kind of structures it takes them for; oc20, catalysts, if left out."""
    charge: Whole = 0
    """Total charge of a structure; 0 if left out."""
    spin: Whole = 0
    """Spin multiplicity of a structure; 0, unknown, if left out."""

    def potential(self) -> Potential:
        """The potential."""
        from surrogates.encoders.uma import UMAPotential

        return UMAPotential(self.checkpoint, task=self.task, charge=self.charge, spin=self.spin, sha256=self.sha256)


AnyEncoder = Annotated[CHGNetEncoder | UMAEncoder, Field(discriminator="type"), Choice()]


def encoder_of(space: Space, encoder: CHGNetEncoder | UMAEncoder, artifacts: Path) -> Encoder:
    """The encoder of a space.

    Args:
        space: of the designs.
        encoder: what the spec says of structures.
        artifacts: folder in whose `features/` those of structures are kept.
    """
    if isinstance(space, StructureSpace):
        return site_encoder(space, encoder, artifacts)
    from surrogates.encoders.elements import CompositionEncoder

    shift, scale = space.side_scale()
    return CompositionEncoder(
        space.components, space.columns[len(space.components) :], (shift.tolist(), scale.tolist())
    )


def site_encoder(space: StructureSpace, encoder: CHGNetEncoder | UMAEncoder, artifacts: Path) -> SiteEncoder:
    """The encoder of a structure space: the same one, with what it holds in memory, for the same space and folder."""
    from surrogates.encoders.cache import FeatureCache
    from surrogates.encoders.sites import SiteChoice
    from surrogates.encoders.structures import SiteEncoder

    key = (space.fingerprint(), encoder.model_dump_json(), artifacts)
    if key not in _kept:
        choice = SiteChoice(encoder.sites, encoder.cutoff)
        cache = FeatureCache(artifacts / "features")
        _kept[key] = SiteEncoder(space.structures, encoder.potential(), choice, cache, WORKERS)
    _kept[key] = _kept.pop(key)  # the latest comes last
    for old in list(_kept)[:-KEPT]:
        del _kept[old]
    return _kept[key]


def encode_ahead(
    encoder: Encoder, X: NDArray[np.float64], stage: Callable[[str], None] = lambda _: None, *, what: str = "structures"
) -> None:
    """Encode the structures of designs `n x d` at once, on all processes, and say how far it is; others need none.

    Args:
        encoder: of the campaign.
        X: designs.
        stage: told what is done and about how long the rest takes.
        what: what they are called.
    """
    import torch

    from surrogates.encoders.structures import SiteEncoder

    if not isinstance(encoder, SiteEncoder):
        return
    begun = time.monotonic()

    def told(done: int, _total: int | None) -> None:
        left = (time.monotonic() - begun) / max(done, 1) * (len(X) - done)
        stage(f"encoded {done:,} of {len(X):,} {what}" + (f", about {left:.0f} s more" if left > 1 else ""))

    encoder.encode(torch.from_numpy(X), told)


_kept: dict[tuple[str, str, Path], SiteEncoder] = {}
