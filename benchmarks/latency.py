"""Cost of one recommendation on a lent plate: CPU seconds by stage, peak memory, and the start of the command line."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from common import PLATES, finish, lent, options, plate_spec

PLATE = "oer_plate_3496"


def results(rows: list[list[str]], prefix: str) -> bytes:
    """Rows of the plate as a lab would write them."""
    lines = [",".join(["sample_id", *PLATES[PLATE], "overpotential (mV)"])]
    lines += [",".join([f"{prefix}{i}", *row[:6], repr(1000 * float(row[6]))]) for i, row in enumerate(rows)]
    return "\n".join(lines).encode()


def recommend(measured: int) -> dict[str, Any]:
    """One campaign with `measured` random rows, then one recommendation of 8."""
    import numpy as np

    from campaign import Campaign

    plate = [line.split(",") for line in lent("data", f"{PLATE}.csv").read_text().splitlines()]
    rows = [plate[i] for i in np.random.default_rng(0).choice(len(plate), measured, replace=False)]
    marks: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "plate.yaml"
        spec.write_text(yaml.safe_dump(plate_spec(PLATE)))
        campaign = Campaign.start(spec, db=f"sqlite:///{folder}/run.db")
        begun = time.process_time()
        campaign.ingest(results(rows, "m"), name="results.csv", commit=True)
        ingest = time.process_time() - begun
        begun = time.process_time()
        batch = campaign.recommend(8, stage=lambda name: marks.append((name, time.process_time())))
        end = time.process_time()
    marks.append(("end", end))
    stages = {name: round(later - at, 3) for (name, at), (_, later) in pairwise(marks)}
    return {
        "measured": measured,
        "ingest_s": round(ingest, 3),
        "recommend_s": round(end - begun, 3),
        "stages_s": stages,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "model": {n: m["recipe"] for n, m in batch.batch.settings["models"].items()},
        "batch": [dict(r.design) for r in batch],
    }


def child_cpu(command: list[str]) -> float:
    """CPU seconds of a command, the least of five runs."""
    best = float("inf")
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def main() -> None:
    arguments = options(__doc__ or "")
    import torch

    torch.set_num_threads(1)
    begun = time.process_time()
    import campaign.recommend  # noqa: F401 - its import is what is timed

    imports = time.process_time() - begun
    runs = [recommend(20), recommend(100)]
    same = recommend(20)["batch"] == runs[0]["batch"]
    entry = Path(sys.executable).with_name("siteloop")
    found = {
        "imports_s": round(imports, 2),
        "help_s": round(child_cpu([str(entry), "--help"]), 3),
        "same_batch_on_two_fresh_databases": same,
        "runs": runs,
    }
    lines = [
        f"siteloop --help: {found['help_s']:.2f} CPU s; imports for a recommendation: {found['imports_s']:.1f} CPU s",
        f"the same batch on two fresh databases: {same}",
    ]
    for one in runs:
        stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in one["stages_s"].items())
        lines.append(
            f"{one['measured']} measured, 2,121 candidates, 8 recommended: {one['recommend_s']:.2f} CPU s ({stages}); "
            f"ingest {one['ingest_s']:.2f}; peak {one['peak_mb']} MB; model {one['model']}"
        )
    finish("latency", found, "\n".join(lines), arguments)


if __name__ == "__main__":
    main()
