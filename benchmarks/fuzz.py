"""Made-up tables, specs and mappings through the real commands: no traceback, no partial write, none slower than 5 s.

Hypothesis makes them (seed 11): good ones with a few things changed, and ones of any columns, words and bytes, with
answers that fit and answers that do not. Each goes to `siteloop ingest --commit`, `start` or `mapping save` against a
real database. After a refusal the database must hold what it held before; after an acceptance one event more, or none
where nothing new is said, with the rows of the ledger as its hash chain says.
"""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import yaml
from common import RESULTS, finish, options, plate_spec
from fuzz_cases import MAPPINGS, documents, tables
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

CASES, QUICK = 10_000, 250
SLOW = 5.0
"""Seconds that a command may take."""
SEED = 11
LEDGER = ("event", "source", "spec_revision", "candidate", "sample", "measurement", "campaign")


def specs() -> list[dict[str, Any]]:
    """Good specs of several kinds, small enough to be counted at once."""
    plate = plate_spec(
        "oer_plate_3496", campaign="other", batch={"size": 8, "controls": [{"design": {"Ni": 1.0}, "n": 1}]}
    )
    alloy = yaml.safe_load(Path(__file__).resolve().parents[1].joinpath("campaign/templates/alloy.yaml").read_text())
    process = plate | {
        "space": {
            "type": "process",
            "variables": [
                {"name": "anneal_T", "min": 300, "max": 900, "unit": "K"},
                {"name": "medium", "values": ["air", "water"]},
            ],
        },
        "batch": {"size": 2},
    }
    return [plate, alloy, process]


class Bench:
    """A folder with a database of one campaign, which every case finds as it was."""

    def __init__(self) -> None:
        from campaign import Campaign
        from flows.cli.app import run

        self.run = run
        Path("good.yaml").write_text(yaml.safe_dump(plate_spec("oer_plate_3496", campaign="fuzz")))
        campaign = Campaign.start(Path("good.yaml"))
        first = "sample_id,Ni,Fe,overpotential (mV)\ns1,0.5,0.5,300\n"
        campaign.ingest(first.encode(), commit=True, name="first.csv")
        campaign._store.close()
        with contextlib.closing(sqlite3.connect("fuzz.db")) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.template = Path("fuzz.db").read_bytes()
        self.before = self.rows()

    def rows(self) -> dict[str, int]:
        """Number of rows in each table of the ledger."""
        with contextlib.closing(sqlite3.connect("fuzz.db")) as database:
            return {t: database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in LEDGER}

    def restore(self) -> None:
        """Put the database back as it was."""
        for leftover in Path().glob("fuzz.db*"):
            if leftover.is_file():
                leftover.unlink()
        Path("fuzz.db").write_bytes(self.template)

    def attempt(self, command: list[str]) -> tuple[str, str, float]:
        """What became of a command, what it said, and how long it took."""
        said = io.StringIO()
        begun = time.perf_counter()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = self.run(command)
        except BaseException:
            return "traceback", traceback.format_exc(), time.perf_counter() - begun
        outcome = "accepted" if code == 0 else "refused" if code in (2, 3, 4) else "traceback"
        return outcome, said.getvalue(), time.perf_counter() - begun

    def partial(self, outcome: str) -> str:
        """What is wrong with the database after a command; puts it back where something was written."""
        now = self.rows()
        more = {t: n - self.before[t] for t, n in now.items() if n != self.before[t]}
        if not more:
            return ""
        wrong = f"refused, and wrote {more}" if outcome != "accepted" else ""
        if more.get("event", 0) != 1:
            wrong = wrong or f"{more.get('event', 0)} events: {more}"
        from db.store import Store

        with Store.open(None) as store:
            problems = [p for name in store.campaigns() for p in store.verify(name)]
        self.restore()
        return wrong or "; ".join(map(str, problems))


def main() -> None:
    arguments = options(__doc__ or "")
    n = QUICK if arguments.quick else CASES
    counts: dict[str, dict[str, int]] = {}
    tracebacks: list[str] = []
    partial: list[str] = []
    silent: list[str] = []
    slow: list[dict[str, Any]] = []
    seconds: list[float] = []
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # thousands of databases, none worth a disk
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        os.chdir(folder)
        os.environ["SITELOOP_DB"] = f"sqlite:///{folder}/fuzz.db"
        bench = Bench()

        @seed(SEED)
        @settings(
            max_examples=n,
            database=None,
            deadline=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(
            st.one_of(
                tables(), tables(), tables().map(list), documents(specs()), documents(MAPPINGS).map(lambda c: (c,))
            )
        )
        def probe(case: Any) -> None:
            if isinstance(case, bytes):
                kind, name, content, command = "spec", "spec.yaml", case, ["start", "spec.yaml"]
            elif len(case) == 1:
                kind, name, content = "mapping", "m.yaml", case[0]
                Path("t.csv").write_text("sample_id,Ni,Fe,overpotential (mV)\ns2,0.5,0.5,310\n")
                command = ["ingest", "fuzz", "t.csv", "--mapping", name, "--commit"]
            else:
                kind, (name, content, answers) = "table", case
                command = ["ingest", "fuzz", name, "--commit", *answers]
            Path(name).write_bytes(content)
            outcome, said, took = bench.attempt(command)
            seconds.append(took)
            tally = counts.setdefault(kind, {"accepted": 0, "refused": 0, "traceback": 0})
            tally[outcome] += 1
            if outcome == "traceback":
                tracebacks.append(f"{command} {content[:600]!r}\n{said[-1500:]}")
            if outcome == "refused" and not said.strip():
                silent.append(f"{command} {content[:300]!r}")
            if took > SLOW:
                slow.append({"seconds": round(took, 2), "command": command, "content": repr(content[:300])})
            if wrong := bench.partial(outcome):
                partial.append(f"{wrong}: {command} {content[:300]!r}")

        probe()
    seconds.sort()
    found: dict[str, Any] = {
        "cases": len(seconds),
        "counts": counts,
        "tracebacks": len(tracebacks),
        "partial_writes": len(partial),
        "silent": len(silent),
        "slower_than_5_s": len(slow),
        "seconds": {
            "median": round(seconds[len(seconds) // 2], 4),
            "p99": round(seconds[int(len(seconds) * 0.99)], 3),
            "slowest": round(seconds[-1], 3),
        },
        "examples": {"tracebacks": tracebacks[:5], "partial": partial[:5], "silent": silent[:5], "slow": slow[:5]},
        "seed": SEED,
    }
    lines = [f"{kind}: " + ", ".join(f"{k} {v:,}" for k, v in tally.items()) for kind, tally in sorted(counts.items())]
    lines += [
        f"{len(seconds):,} cases: {len(tracebacks)} tracebacks, {len(partial)} partial writes, {len(silent)} refused "
        f"without a word, {len(slow)} slower than {SLOW:g} s",
        f"seconds of a command: median {found['seconds']['median']}, 99 % {found['seconds']['p99']}, slowest "
        f"{found['seconds']['slowest']}",
        *tracebacks[:3],
        *partial[:3],
    ]
    if not arguments.quick:
        figure(seconds)
    finish("fuzz", found, "\n".join(lines), arguments)


def figure(seconds: list[float]) -> None:
    """How long the commands took, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    drawn, axis = pyplot.subplots(figsize=(4.5, 3.2))
    axis.hist(seconds, bins=np.geomspace(1e-3, 2 * SLOW, 60), color="#0072b2")
    axis.axvline(SLOW, color="#8a8a8a", linestyle="--")
    axis.set(xscale="log", yscale="log", xlabel="seconds of a command", ylabel="commands")
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "fuzz.png", dpi=110)


if __name__ == "__main__":
    main()
