"""What a surrogate sees of a design: elements with their fractions, or sites as an interatomic potential sees them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import threading
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from campaign.grammar import Choice, Frozen, Whole
from campaign.pace import Pace
from campaign.routes import route_encoder
from campaign.spaces import Space, StructureSpace
from campaign.spaces.product import route_of
from campaign.spaces.slab.composed import CompositionSpace
from campaign.spaces.slab.space import SlabSpace
from campaign.spaces.slab.spec import Length
from db.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from torch import Tensor

    from surrogates.encoders.base import Encoder
    from surrogates.encoders.potentials import Potential
    from surrogates.encoders.sites import SiteChoice
    from surrogates.encoders.structures import SiteEncoder

WORKERS = 2
"""Processes that encode structures."""
MOST_PARTS = 16
"""Decorations whose predictions can be averaged: a kernel compares all those of one candidate with all of another."""
KEPT = 2
"""Encoders kept in memory with what they encoded: those of the present campaign, for round after round."""


class _Sites(Frozen):
    """Which sites a surrogate sees."""

    sites: Literal["all", "sublattice", "dopants", "surface", "near"] | None = None
    """Which sites form the bag: `all`, the `sublattice` that takes dopants, the `dopants`, the `surface`, or those
    `near` a dopant or an adsorbate; adsorbates always belong to it. If left out, the sublattice of doped slabs, else
    all."""
    cutoff: Length = 3.5
    """With `near`: how near, in angstrom; 3.5 if left out."""
    ensemble: Literal["union", "mean"] = "union"
    """Where a candidate is a composition, what is predicted of its decorations: with `union`, the default, one value of
    the union of their sites; with `mean`, the mean of the values of each, at most 16."""

    survivors: Annotated[Whole, Field(ge=1)] | Literal["all"] = 2048
    """How many structures a batch or a screen of a space with more than 4,096 looks at closely, beside those of earlier
    batches; 2,048 if left out. They are the most promising to a Gaussian process on elements and neighbouring pairs of
    dopants, and a quarter drawn evenly from every stratum, so that it hides no region. With `all` every structure is
    encoded, as the filter `formation_energy_proxy` needs."""

    def choice(self, space: Space) -> SiteChoice:
        """The choice of sites on a space."""
        from surrogates.encoders.sites import SiteChoice

        return SiteChoice(self.sites or ("sublattice" if isinstance(space, SlabSpace) else "all"), self.cutoff)

    def anchored(self, folder: Path) -> Self:
        """The same with its files as seen from a folder; it has none."""
        return self

    def notes(self) -> tuple[str, ...]:
        """What a user should know of it; by default nothing."""
        return ()


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
    """A checkpoint file, found from the folder of the spec, or the name of a model to be downloaded, such as
    `uma-s-1p2`; a trusted one, for loading it runs code."""
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

    def anchored(self, folder: Path) -> UMAEncoder:
        """The same with the checkpoint's path as seen from a folder; a name of a model stays as it is."""
        path = folder / self.checkpoint
        if not (path.is_file() or path.suffix == ".pt" or Path(self.checkpoint).name != self.checkpoint):
            return self
        return self.model_copy(update={"checkpoint": str(path.resolve())})

    def notes(self) -> tuple[str, ...]:
        """Which file it is, where the spec does not say."""
        if self.sha256 is not None:
            return ()
        path = Path(self.checkpoint)
        if not path.is_file():
            how = "give the path of the file, and its `sha256`, under `encoder`"
            return (
                f"warning: the model {self.checkpoint} is downloaded by its name, whatever it holds; to pin it, {how}",
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return (f"warning: the checkpoint {path.name} is not pinned; write `sha256: {digest}` under `encoder`",)


AnyEncoder = Annotated[CHGNetEncoder | UMAEncoder, Field(discriminator="type"), Choice()]


def encoder_of(space: Space, encoder: CHGNetEncoder | UMAEncoder, artifacts: Path) -> Encoder:
    """The encoder of a space.

    Args:
        space: of the designs.
        encoder: what the spec says of structures.
        artifacts: folder in which features of structures (`features/`) and bags of candidates (`bags/`) are kept.
    """
    if isinstance(space, StructureSpace):
        return site_encoder(space, encoder, artifacts)
    if found := route_of(space):
        return route_encoder(space, *found)
    from surrogates.encoders.elements import CompositionEncoder

    shift, scale = space.side_scale()
    return CompositionEncoder(
        space.components, space.columns[len(space.components) :], (shift.tolist(), scale.tolist())
    )


def site_encoder(space: StructureSpace, encoder: CHGNetEncoder | UMAEncoder, artifacts: Path) -> SiteEncoder:
    """The encoder of a structure space: the same one, with what it holds in memory, for the same space and folder."""
    from surrogates.encoders.cache import FeatureCache
    from surrogates.encoders.shelf import BagShelf
    from surrogates.encoders.structures import SiteEncoder

    key = (space.fingerprint(), encoder.model_dump_json(exclude={"survivors"}), artifacts)
    with _one_at_a_time:
        found = _kept.pop(key, None)
        if found is None:
            cache = FeatureCache(artifacts / "features")
            parts = _parts(space, encoder)
            potential, choice = potential_of(encoder), encoder.choice(space)
            what = f"{importlib.metadata.version('siteloop')} {key[:2]} {potential.name} {choice}"
            shelf = BagShelf(artifacts / "bags" / hashlib.sha256(what.encode()).hexdigest())
            found = SiteEncoder(
                space.structures, potential, choice, cache, WORKERS, parts, outline=outline_of(space), shelf=shelf
            )
        _kept[key] = found  # the latest comes last
        for old in list(_kept)[:-KEPT]:
            del _kept[old]
    return found


def outline_of(space: StructureSpace) -> Callable[[Sequence[int]], tuple[Tensor, ...]]:
    """What can be told of structures without building them, as outlines of bags."""
    import torch

    from campaign.rough import rough

    told = rough(space)

    def outline(numbers: Sequence[int]) -> tuple[Tensor, ...]:
        shares = torch.from_numpy(told.shares(np.array(numbers, dtype=np.float64).reshape(-1, 1)))
        return shares.split(told.tables, dim=1)

    return outline


def _parts(space: StructureSpace, encoder: CHGNetEncoder | UMAEncoder) -> int | None:
    """Decorations that a candidate has at most, if the mean of their predictions is to be predicted."""
    return space.largest_ensemble if encoder.ensemble == "mean" and isinstance(space, CompositionSpace) else None


def potential_of(encoder: CHGNetEncoder | UMAEncoder) -> Potential:
    """The potential that a spec names.

    Raises:
        InvalidInput: it cannot be had.
    """
    try:
        return encoder.potential()
    except ValueError as error:
        raise InvalidInput(Problem("encoder", str(error), "correct the encoder in the spec")) from error


def check_encoder(space: Space, encoder: CHGNetEncoder | UMAEncoder) -> None:
    """Check that the encoder of a spec can be had, and that its choice of sites finds some in every structure.

    Raises:
        InvalidInput: it cannot, finds none in a first candidate or in what explaining one turns it into, or the mean
            would be of too many decorations.
    """
    if not isinstance(space, StructureSpace):
        return
    if (parts := _parts(space, encoder) or 1) > MOST_PARTS:
        what = f"a composition has up to {parts} decorations, and the mean can be of {MOST_PARTS}"
        fix = f"write `per_composition: {MOST_PARTS}` or less under space, or `ensemble: union`"
        raise InvalidInput(Problem("encoder.ensemble", what, fix))
    potential_of(encoder)
    first = int(space.X(np.zeros(1, dtype=np.int64))[0, 0])
    changed = [change.x for change in space.reversion(first)] if isinstance(space, SlabSpace) else []
    try:
        for x in (first, *changed):
            for structure in space.structures(x):
                encoder.choice(space).sites(structure)
    except ValueError as error:
        raise InvalidInput(Problem("encoder.sites", str(error), "choose `sublattice` or `all` sites")) from error


def encoder_notes(space: Space, encoder: CHGNetEncoder | UMAEncoder) -> tuple[str, ...]:
    """What a user should know of the encoder of a spec; nothing where the space needs none."""
    return encoder.notes() if isinstance(space, StructureSpace) else ()


def encode_ahead(
    encoder: Encoder, X: NDArray[np.float64], stage: Callable[[str], None] = lambda _: None, *, what: str = "structures"
) -> None:
    """Encode the structures of designs `n x d` at once, on all processes, and say how far it is; others need none.

    Args:
        encoder: of the campaign.
        X: designs.
        stage: told what is done and, once that is known, about how long the rest takes.
        what: what they are called.

    Raises:
        InvalidInput: a structure cannot be encoded.
        KeyboardInterrupt: from outside; a note of it says how many structures are kept.
    """
    import torch

    from surrogates.encoders.structures import SiteEncoder

    if not isinstance(encoder, SiteEncoder):
        return
    pace, kept = Pace(), f"no {what} are encoded yet"

    def told(done: int, total: int | None, new: int) -> None:
        nonlocal kept
        kept = f"{done:,} of {total:,} {what} are encoded and kept; the same command goes on from there"
        stage(f"encoded {done:,} of {total:,} {what}{pace.more(new, (total or done) - done)}")

    try:
        with _one_at_a_time:
            encoder.encode(torch.from_numpy(X), told)
    except KeyboardInterrupt as stop:
        stop.add_note(f"interrupted: {kept}")
        raise
    except (ValueError, BrokenProcessPool) as error:
        raise InvalidInput(
            Problem("encoder", str(error), "correct the encoder, or the structure, in the spec")
        ) from error


_one_at_a_time = threading.Lock()
_kept: dict[tuple[str, str, Path], SiteEncoder] = {}
