"""A small potential that counts, and two that fail; alone in a file, since worker processes import it."""

import os
from dataclasses import dataclass, field

import torch

from surrogates.encoders.potentials import SiteFeatures
from surrogates.encoders.sites import structure_key


@dataclass
class Distances:
    """Rotation-invariant toy features: atomic number, and two sums over the distances to all other sites."""

    fails_at: int = 10**9
    error: type = KeyboardInterrupt
    calls: list = field(default_factory=list)
    name: str = "distances"
    width: int = 3

    def __call__(self, structures):
        out = []
        for structure in structures:
            if len(self.calls) == self.fails_at:
                raise self.error("stopped")
            self.calls.append(structure_key(structure))
            d = torch.from_numpy(structure.distance_matrix).float()
            z = torch.tensor(structure.atomic_numbers).float()
            features = torch.stack([z, (d * z).sum(1), (d.square() * z).sum(1)], dim=1)
            out.append(SiteFeatures(features, float(features.mean())))
        return out


@dataclass
class Dies(Distances):
    def __call__(self, structures):
        os._exit(3)


@dataclass
class FailsOnZinc(Distances):
    def __call__(self, structures):
        if any("Zn" in structure.symbol_set for structure in structures):
            raise ValueError("no zinc, please")
        return super().__call__(structures)
