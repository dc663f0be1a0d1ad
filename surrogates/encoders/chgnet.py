"""CHGNet as a site encoder: its weights come with its package, so nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from pymatgen.core import Structure

from surrogates.encoders.potentials import SiteFeatures, one_thread, quiet, require_ordered

WEIGHTS = "0.3.0"
"""Version of the weights, trained on relaxations of the Materials Project."""


@lru_cache(maxsize=1)
def _model() -> Any:
    with quiet():
        from chgnet.model.model import CHGNet

        return CHGNet.load(model_name=WEIGHTS, use_device="cpu", check_cuda_mem=False, verbose=False)


@dataclass(frozen=True)
class CHGNetPotential:
    """CHGNet 0.3.0 (Deng et al., Nature Machine Intelligence 5, 1031, 2023), frozen, energies only.

    A site's 64 features are the atom's vector after the third interaction block, from which CHGNet reads magnetic
    moments. They are rotation invariant: rounding moves them by about 3e-5 on a scale of 14.
    """

    name: str = f"chgnet {WEIGHTS}"
    """Goes into the keys of cached features."""
    width: int = 64
    """Number of features of a site."""

    def __call__(self, structures: Sequence[Structure]) -> list[SiteFeatures]:
        """Encode structures one by one, in one thread: batches are no faster on a processor.

        Raises:
            ValueError: a structure has partly occupied sites, or atoms without a neighbour within 6 angstrom.
        """
        with one_thread():
            return [_encode(structure) for structure in structures]


def _encode(structure: Structure) -> SiteFeatures:
    model = _model()
    require_ordered(structure)
    try:
        graph = model.graph_converter(structure)
    except ValueError as error:
        raise ValueError(
            f"CHGNet says nothing of isolated atoms; every atom of {structure.formula} must have a neighbour "
            "within 6 angstrom"
        ) from error
    for tensor in (graph.atom_frac_coord, graph.lattice):
        tensor.requires_grad_(False)  # CHGNet wants gradients for forces, which nobody asks for here
    with torch.inference_mode():
        said = model.predict_graph(graph, task="e", return_atom_feas=True)
    return SiteFeatures(torch.from_numpy(said["atom_fea"]).clone(), float(said["e"]))
