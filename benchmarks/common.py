"""What the benchmarks share: options, lent data, versions, and where results go."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
warnings.filterwarnings("ignore", message="`torch.jit")

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
PLATES = {
    "oer_plate_3496": ("Ni", "Fe", "Co", "Mn", "Ce", "La"),
    "oer_plate_3851": ("Ni", "Fe", "Co", "Ta", "Mn", "Cu"),
}
"""Lent plates and the elements of their columns; the last column is the overpotential in V."""


def options(description: str, *, seeds: int | None = None) -> argparse.Namespace:
    """`--quick` and `--json`, the options of every benchmark; with `seeds`, their number, also `--seeds`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a small run, under 50 s")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    if seeds is not None:
        parser.add_argument("--seeds", type=int, default=seeds, help=f"the first so many of the {seeds} seeds")
    return parser.parse_args()


def lent(*parts: str) -> Path:
    """A lent file below `$SITELOOP_DATA` (default `../shared`); one line and the end of the run if it is missing."""
    base = Path(os.environ.get("SITELOOP_DATA", ROOT.parent.parent / "shared"))
    path = base.joinpath(*parts)
    if not path.exists():
        sys.exit(f"missing: {'/'.join(parts)} below $SITELOOP_DATA (default ../shared)")
    return path


def versions() -> dict[str, str]:
    """Versions that the figures depend on."""
    names = ("siteloop", "torch", "botorch", "gpytorch", "numpy", "scikit-learn")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}


def plate_spec(plate: str, **changes: Any) -> dict[str, Any]:
    """The spec of a lent plate: every mixture of at most four of its six elements in tenths."""
    return {
        "spec_version": 1,
        "campaign": plate.replace("_", "-"),
        "seed": 7,
        "space": {"type": "composition_grid", "elements": list(PLATES[plate]), "divisions": 10, "max_elements": 4},
        "objectives": [{"name": "overpotential", "goal": "minimize", "unit": "mV"}],
        "batch": {"size": 8},
    } | changes


def finish(name: str, found: dict[str, Any], table: str, arguments: argparse.Namespace) -> None:
    """Print the result and, after a full run, write it to `benchmarks/results/` with command and versions beside it."""
    command = " ".join(["python", f"benchmarks/{name}.py", *(told for told in sys.argv[1:] if told != "--json")])
    full = {"command": command, "versions": versions()} | found
    print(json.dumps(full, indent=1) if arguments.json else table)
    if not arguments.quick:
        RESULTS.mkdir(exist_ok=True)
        packages = ", ".join(f"{k} {v}" for k, v in versions().items())
        (RESULTS / f"{name}.md").write_text(f"# {name}\n\n`{command}`; {packages}\n\n```\n{table}\n```\n")
        (RESULTS / f"{name}.json").write_text(json.dumps(full, indent=1) + "\n")
