"""One recommendation of one method on one pool, in a process of its own: `pools_one.py METHOD FOLDER`, one JSON object.

`siteloop` and `siteloop-auto` run in the project's environment, the others are those of the lent `bench/methods.py` and
run in the peers'. CPU seconds and peak memory are counted from when everything is imported.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")


def siteloop(folder: Path, samples: int) -> Callable[[], list[int]]:
    import sklearn.ensemble  # noqa: F401 - as pymatgen, imported by what needs it
    import torch

    import acquisition.choose
    import campaign.recommend  # noqa: F401 - the campaign imports it when it recommends
    from campaign import Campaign

    torch.set_num_threads(1)
    acquisition.choose.N_SAMPLES = samples
    rows = np.load(folder / "pool.npz")["rows"]

    def run() -> list[int]:
        opened = Campaign.open("pool", db=f"sqlite:///{folder}/lab.db")
        batch = opened.recommend(only=rows, dry_run=True)
        found = [opened.state.space.locate(r.design) for r in batch]
        return np.searchsorted(rows, found).tolist()

    return run


def peer(name: str, folder: Path, bench: str) -> Callable[[], list[int]]:
    sys.path.insert(0, bench)
    import botorch.acquisition.logei
    import botorch.fit
    import botorch.models
    import botorch.optim  # noqa: F401
    import gpytorch.mlls  # noqa: F401
    import methods
    import torch

    if name == "baybe":
        import baybe
        import baybe.objectives
        import baybe.searchspace
        import baybe.targets  # noqa: F401
        import pandas as pd  # noqa: F401
    torch.set_num_threads(1)
    given = np.load(folder / "pool.npz")
    names = [str(i) for i in range(given["X"].shape[1])]

    def run() -> list[int]:
        chosen = methods.METHODS[name](given["X"], names, given["seen"].tolist(), given["y"], 5, 0)
        return [int(i) for i in chosen]

    return run


def peak() -> float:
    """Peak memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    own = name.startswith("siteloop")
    run = siteloop(folder, int(sys.argv[3])) if own else peer(name, folder, sys.argv[3])
    imported, begun, clock = peak(), time.process_time(), time.monotonic()
    chosen = run()
    found = {"cpu_seconds": time.process_time() - begun, "seconds": time.monotonic() - clock}
    print(json.dumps({**found, "peak_mb": peak() - imported, "imported_mb": imported, "chosen": chosen}))


if __name__ == "__main__":
    main()
