"""CoOOH slabs with a planted target: the space, what encodes it, and which slabs are learned from and tested."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

HOST, ACTIVE, SECOND = "Co", "Zn", "Ti"
OWN = {"Ti": -0.10, "Fe": 0.05, "Ni": -0.05}
"""What the other dopants give, wherever they are."""
FLOOR, LENGTH = 0.4, 2.0
"""Share of the active effect that is left far from the second element, and decay in angstrom."""


@dataclass(frozen=True)
class Size:
    """How much is asked."""

    elements: tuple[str, ...]
    train: int
    test: int
    held: tuple[int, int]
    """Compositions that are not learned from, with and without the second element."""
    pairs: int
    """Slabs with two active atoms, at most."""
    two: tuple[int, int]
    """Slabs of 2 dopants that are learned from, at most, and tested."""


class Slabs:
    """The space, what encodes it, and the planted target."""

    def __init__(self, elements: Sequence[str]) -> None:
        from campaign.encoding import outline_of
        from campaign.spaces.slab.spec import DopedSlab
        from surrogates import CompositionEncoder
        from surrogates.encoders.cache import FeatureCache
        from surrogates.encoders.chgnet import CHGNetPotential
        from surrogates.encoders.sites import SiteChoice
        from surrogates.encoders.structures import SiteEncoder

        spec = {
            "type": "doped_slab",
            "host": {"builder": "coooh", "lateral": [4, 3]},
            "sites": {"element": HOST},
            "dopants": list(elements),
            "count": {"min": 2, "max": 3},
        }
        self.space: Any = DopedSlab.model_validate(spec).build({})
        cache = FeatureCache(features())
        sites = SiteEncoder(
            self.space.structures,
            CHGNetPotential(),
            SiteChoice("sublattice"),
            cache,
            workers=2,
            outline=outline_of(self.space),
        )
        self.encoders = {"sites": sites, "elements": CompositionEncoder((HOST, *elements))}
        host = self.space.host
        places = host.structure.frac_coords[list(host.sites)]
        apart = host.structure.lattice.get_all_distances(places, places)
        names = [host.site_name(i) for i in range(len(host.sites))]
        self.apart = {(a, b): apart[i, j] for i, a in enumerate(names) for j, b in enumerate(names)}
        self.nearest = min(d for d in self.apart.values() if d > 0.1)

    def of(self, dopants: int) -> list[int]:
        """The x of all slabs of so many dopants."""
        import numpy as np

        return [int(x) for x in self.space.X(np.arange(len(self.space)))[:, 0] if self.atoms(int(x)) == dopants]

    def atoms(self, x: int) -> int:
        return len(self.space.placed(x))

    def composition(self, x: int) -> tuple[str, ...]:
        return tuple(sorted(self.space.placed(x).values()))

    def distance(self, x: int, site: str) -> float:
        """From a site to the nearest atom of the second element; infinite if there is none."""
        others = [other for other, element in self.space.placed(x).items() if element == SECOND]
        return min((self.apart[site, other] for other in others), default=math.inf)

    def target(self, x: int) -> float:
        """Free of noise."""
        total = 0.0
        for site, element in self.space.placed(x).items():
            if element == ACTIVE:
                total += FLOOR + (1 - FLOOR) * math.exp((self.nearest - self.distance(x, site)) / LENGTH)
            else:
                total += OWN[element]
        return total

    def targets(self, numbers: Sequence[int]) -> Any:
        import torch

        return torch.tensor([self.target(x) for x in numbers], dtype=torch.float64)

    def designs(self, view: str, numbers: Sequence[int]) -> Any:
        """What the encoder of a view takes: numbers, or fractions."""
        import torch

        if view == "sites":
            return torch.tensor([[x] for x in numbers], dtype=torch.float64)
        sites = len(self.space.host.sites)
        held = [Counter(self.space.placed(x).values()) for x in numbers]
        metals = [dopants + Counter({HOST: sites - dopants.total()}) for dopants in held]
        rows = [[m[element] / sites for element in self.encoders[view].elements] for m in metals]
        return torch.tensor(rows, dtype=torch.float64)

    def bags(self, view: str, numbers: Sequence[int]) -> Any:
        strata = [self.space.candidate_of(x).stratum for x in numbers]
        return self.encoders[view](self.designs(view, numbers), stratum=strata)

    def changes(self, x: int) -> tuple[list[str], list[int], dict[str, Any]]:
        """Sites of the dopants, the slab and all that its rationale asks for, and the contrasts of each way."""
        import numpy as np

        back, swaps = self.space.reversion(x), self.space.swaps(x)
        reversion = np.zeros((len(back), 1 + len(back) + len(swaps)))
        reversion[:, 0] = -1
        mean = reversion.copy()
        for i, change in enumerate(back):
            reversion[i, 1 + i] = 1
            here = [1 + len(back) + j for j, swap in enumerate(swaps) if swap.site == change.site]
            mean[i, here] = 1 / len(here)
        numbers = [x, *(change.x for change in (*back, *swaps))]
        return [change.site for change in back], numbers, {"reversion": reversion, "swaps": mean}


def features() -> Path:
    """Folder of the features of structures."""
    from db.engines import ARTIFACTS

    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siteloop"
    return Path(os.environ.get(ARTIFACTS) or cached) / "features"


@lru_cache(maxsize=1)
def slabs_of(size: Size) -> Slabs:
    return Slabs(size.elements)


@dataclass(frozen=True)
class Plan:
    """Slabs of one seed."""

    train: list[int]
    test: list[int]
    pairs: list[int]
    train_two: list[int]
    test_two: list[int]

    @classmethod
    def draw(cls, slabs: Slabs, size: Size, seed: int) -> Plan:
        """Compositions held out, then slabs."""
        import torch

        from surrogates.splits import generator

        rng = generator("planted slabs", seed)

        def shuffled(items: Sequence[Any]) -> list[Any]:
            return [items[i] for i in torch.randperm(len(items), generator=rng).tolist()]

        three = slabs.of(3)
        one = sorted({c for c in map(slabs.composition, three) if c.count(ACTIVE) == 1})
        beside = shuffled([c for c in one if SECOND in c])[: size.held[0]]
        held = {*beside, *shuffled([c for c in one if SECOND not in c])[: size.held[1]]}
        test = shuffled([x for x in three if slabs.composition(x) in held])[: size.test]
        rest = shuffled([x for x in three if slabs.composition(x) not in held])
        twice = [x for x in rest[size.train :] if slabs.composition(x) == tuple(sorted((ACTIVE, ACTIVE, SECOND)))]
        pairs = [x for x in twice if len({round(slabs.distance(x, s), 1) for s in actives(slabs, x)}) == 2]
        two = shuffled(slabs.of(2))
        test_two = [x for x in two if slabs.composition(x).count(ACTIVE) == 1][: size.two[1]]
        train_two = [x for x in two if x not in test_two][: size.two[0]]
        return cls(rest[: size.train], test, pairs[: size.pairs], train_two, test_two)

    def asked(self, slabs: Slabs) -> set[int]:
        """All slabs that are encoded."""
        explained = (*self.test, *self.pairs, *self.test_two)
        return {*self.train, *self.train_two, *(n for x in explained for n in slabs.changes(x)[1])}


def actives(slabs: Slabs, x: int) -> list[str]:
    return [site for site, element in slabs.space.placed(x).items() if element == ACTIVE]
