"""The main job end to end: start, ingest, recommend, ingest the batch, recommend again, report.

Run by `make demo`. It writes to `demo-out/` only, on an embedded SQLite database, without network or server.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import lab  # noqa: E402

from flows.cli.app import run  # noqa: E402


def siteloop(*arguments: str) -> None:
    """Run one command as a user would, and stop the demo if it fails."""
    print(f"\n$ siteloop {' '.join(arguments)}", flush=True)
    if code := run(arguments):
        sys.exit(code)


def main() -> None:
    """Run the demo in `demo-out/` of the current folder."""
    out = Path("demo-out").resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    shutil.copy(HERE / "plate.yaml", out)
    os.chdir(out)
    os.environ["SITELOOP_DB"] = "sqlite:///demo.db"

    Path("history.csv").write_bytes(lab.historical(14, seed=1))
    siteloop("validate", "plate.yaml", "--count")
    siteloop("start", "plate.yaml")
    siteloop("ingest", "oer-plate", "history.csv", "--commit")
    siteloop("recommend", "oer-plate", "-o", "batch1.xlsx")
    siteloop("explain", "oer-plate", "b1-01")

    from campaign import Campaign

    made = [(r.label, r.design) for r in Campaign.open("oer-plate").batch(1)]
    Path("batch1_results.csv").write_bytes(lab.measure(made, seed=2))
    siteloop("ingest", "oer-plate", "batch1_results.csv", "--commit")
    siteloop("recommend", "oer-plate")
    siteloop("status", "oer-plate")
    siteloop("report", "oer-plate", "-o", "report.html")
    siteloop("log", "oer-plate", "--verify")


if __name__ == "__main__":
    main()
