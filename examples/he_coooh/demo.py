"""A campaign over doped CoOOH slabs: which dopants, and on which sites. Start, ingest, recommend, explain, report.

Run by `make demo`. It writes to `demo-out/he_coooh/` only, on an embedded SQLite database, without network or server.
About 115 slabs are encoded on the way, which is most of the time that it takes.
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

COMMANDS = (
    "python lab.py compute coooh.yaml 30 formation_energies.csv --seed 1",
    "siteloop validate coooh.yaml --count",
    "siteloop start coooh.yaml",
    "siteloop recommend he-coooh -n 32 -o batch1.csv",
    "python lab.py measure coooh.yaml batch1.csv results1.csv --seed 1",
    "siteloop ingest he-coooh results1.csv --commit",
    "siteloop recommend he-coooh -o batch2.csv",
    "siteloop explain he-coooh b2-02",
    "python lab.py measure coooh.yaml batch2.csv results2.csv --seed 2",
    "siteloop ingest he-coooh results2.csv --commit",
    "siteloop status he-coooh",
    "siteloop report he-coooh -o report.html",
)


def main() -> None:
    """Run the demo in `demo-out/he_coooh/` of the current folder, each command as a user would."""
    out = Path("demo-out", "he_coooh").resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in ("coooh.yaml", "lab.py"):
        shutil.copy(HERE / name, out)
    os.chdir(out)
    os.environ["SITELOOP_DB"] = "sqlite:///demo.db"
    for command in COMMANDS:
        print(f"\n$ {command}", flush=True)
        program, *arguments = command.split()
        if program == "python":
            lab.main(arguments[1:])
        elif code := run(arguments):
            sys.exit(code)


if __name__ == "__main__":
    main()
