"""`kill -9` at random moments in ingest, recommend and migration, on both databases: what is lost, and what comes next.

Victims are forked from this process, which has imported everything and opened no database. Half of the moments are
drawn over the whole run, half are a write (or a commit) chosen by its number. After each kill every event committed
before must be there, the chain must verify, the repeated command must succeed, and the result must be that of a run
that nobody killed: the same events with the same hashes of every row. Besides, the real command is killed.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import RESULTS, ROOT, finish, options
from databases import KINDS, Databases, databases

SEED = 11
MOMENTS, REAL = 200, 10
NAME = "killed"
COUNTERS = ("killed", "timed", "at_a_write", "real", "committed_before")
COUNTERS += ("lost", "unsound", "repeats_failed", "different")
COMMANDS = ("ingest", "recommend", "migration")
PRELOADED = ("campaign.recommend", "campaign.campaign", "campaign.record", "campaign.worksheet", "flows.cli.app")
PRELOADED += (
    "alembic.command",
    "psycopg",
    "pymatgen.core",
    "rich.console",
    "rich.table",
    "rich.progress",
    "lab_io.units",
)
SPEC = """\
spec_version: 1
campaign: killed
seed: 7
space: {type: composition_grid, elements: [Ni, Fe, Co, Mn], divisions: 6, max_elements: 3}
objectives: [{name: loss, goal: minimize, unit: mV}]
batch: {size: 4}
model: gp
"""


def history() -> str:
    """A table of 12 results."""
    draws = random.Random(SEED)
    lines = ["sample_id,Ni,Fe,Co,Mn,loss (mV)"]
    for i in range(12):
        ni = draws.randint(0, 6)
        fe = draws.randint(0, 6 - ni)
        lines.append(f"h{i},{ni / 6:.6f},{fe / 6:.6f},{(6 - ni - fe) / 6:.6f},0,{300 + 40 * ni - 9 * fe + i}")
    return "\n".join(lines) + "\n"


def words(command: str, address: str) -> list[str]:
    """A command as it is typed."""
    typed = {
        "ingest": ["ingest", NAME, "history.csv", "--commit"],
        "recommend": ["recommend", NAME],
        "migration": ["db-upgrade"],
    }[command]
    return [*typed, "--db", address]


def prepare(address: str, schema: str | None, measured: bool) -> int:
    """Start the campaign, at an old schema if it is given, and record what is measured."""
    from campaign import Campaign
    from db import migrations

    migrations.HEAD = schema or migrations.HEAD
    campaign = Campaign.start("spec.yaml", db=address)
    if measured:
        campaign.ingest("history.csv", commit=True)
    campaign._store.close()
    return 0


def command(name: str, address: str, at: int | None = None) -> int:
    """Run a command in this (forked) process; killed before its write number `at`, or it says how many there are."""
    import torch
    from sqlalchemy import Engine, event

    from flows.cli.app import run

    torch.set_num_threads(1)
    count = 0

    def write(*_: Any) -> None:
        nonlocal count
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    def statement(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.split(None, 1)[0].upper() in ("INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER"):
            write()

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", write)
    code = run(words(name, address))
    Path("writes").write_text(str(count))
    return code


def look(address: str, to: str) -> int:
    """Write down what a database holds, whatever its schema."""
    from db import migrations
    from db.errors import InvalidInput
    from db.store import Store

    try:
        store = Store.open(address)
    except InvalidInput:
        migrations.HEAD = "0001"
        store = Store.open(address)
    events = store.events(NAME)
    found = {
        "schema": migrations.HEAD,
        "hashes": [e.hash for e in events],
        "events": [[e.seq, e.kind, e.by, e.payload] for e in events],  # not when it was
        "values": len(store.measurements(NAME)),
        "problems": [str(p) for p in store.verify(NAME)],
    }
    Path(to).write_text(json.dumps(found, sort_keys=True))
    store.close()
    return 0


def fork(folder: Path, work: Callable[..., int], *arguments: Any, **options: Any) -> int:
    """Begin work in a child of this process, silently, in a folder."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.chdir(folder)
            null = os.open(os.devnull, os.O_WRONLY)
            errors = os.open("errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(null, 1)
            os.dup2(errors, 2)
            code = work(*arguments, **options)
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Exit code of a child, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@dataclass
class Bench:
    made: Databases
    folder: Path
    tally: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    moments: list[dict[str, Any]] = field(default_factory=list)

    def do(self, name: str, address: str, **options: Any) -> int:
        return ended(fork(self.folder, command, name, address, **options))

    def seen(self, address: str) -> dict[str, Any]:
        self.made.settle(address)
        (self.folder / "seen").unlink(missing_ok=True)
        code = ended(fork(self.folder, look, address, "seen"))
        if code:
            return {
                "problems": [f"it cannot be opened ({code})"],
                "hashes": [],
                "events": [],
                "schema": "",
                "values": 0,
            }
        return json.loads((self.folder / "seen").read_text())

    def errors(self) -> str:
        return (self.folder / "errors").read_text()[-2000:]

    def base(self, name: str, kind: str) -> str:
        """A database on which the command is due."""
        address = self.made.empty(kind)
        schema = "0001" if name == "migration" else None
        if code := ended(fork(self.folder, prepare, address, schema, name != "ingest")):
            sys.exit(f"preparing {name} on {kind} ended with {code}: {self.errors()}")
        self.made.settle(address)
        return address

    def kill(self, name: str, kind: str, n: int, draws: random.Random, real: bool = False) -> None:
        """Kill a command `n` times, and look what is left."""
        base = self.base(name, kind)
        before, whole = self.seen(base), self.made.copy(base)
        begun = time.perf_counter()
        if self._whole(name, whole, real):
            sys.exit(f"{name} on {kind} fails without being killed: {self.errors()}")
        seconds = time.perf_counter() - begun
        writes = 0 if real else int((self.folder / "writes").read_text())
        expected = self.seen(whole)
        self.made.drop(whole)
        row = self.tally.setdefault((name, kind), {})
        for counter in (
            "killed",
            "timed",
            "at_a_write",
            "real",
            "committed_before",
            "lost",
            "unsound",
            "repeats_failed",
        ):
            row.setdefault(counter, 0)
        row.setdefault("different", 0)
        done = tries = 0
        while done < n and tries < 4 * n + 8:
            tries += 1
            address = self.made.copy(base)
            at = None if real or len(self.moments) % 2 else draws.randrange(writes)
            moment = draws.uniform(0, 1) if at is None else at / writes
            code = self._victim(name, address, at, moment * seconds, real)
            if code == -signal.SIGKILL:
                left = self.seen(address)
                repeat = self._whole(name, address, real)
                after = self.seen(address)
                committed = left["hashes"] != before["hashes"] or left["schema"] != before["schema"]
                row["killed"] += 1
                row["real" if real else "timed" if at is None else "at_a_write"] += 1
                row["committed_before"] += committed
                row["lost"] += left["hashes"][: len(before["hashes"])] != before["hashes"] or (
                    left["values"] < before["values"]
                )
                row["unsound"] += bool(left["problems"] or after["problems"])
                row["repeats_failed"] += repeat != 0
                row["different"] += any(after[key] != expected[key] for key in ("events", "values", "schema"))
                self.moments.append({"command": name, "database": kind, "moment": moment, "committed": committed})
                done += 1
            self.made.drop(address)
        self.made.drop(base)

    def _whole(self, name: str, address: str, real: bool) -> int:
        return subprocess.run(**self._real(name, address)).returncode if real else self.do(name, address)

    def _victim(self, name: str, address: str, at: int | None, after: float, real: bool) -> int:
        if at is not None:
            return self.do(name, address, at=at)
        if real:
            process = subprocess.Popen(**self._real(name, address))
            time.sleep(after)
            process.kill()
            return process.wait()
        child = fork(self.folder, command, name, address)
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
        return ended(child)

    def _real(self, name: str, address: str) -> dict[str, Any]:
        script = "from flows.cli import main; main()"
        paths = os.pathsep.join(filter(None, [str(ROOT.parent), os.environ.get("PYTHONPATH")]))
        return {
            "args": [sys.executable, "-c", script, *words(name, address)],
            "cwd": self.folder,
            "env": os.environ | {"PYTHONPATH": paths},
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }


def main() -> None:
    arguments = options(__doc__ or "")
    for module in PRELOADED:
        importlib.import_module(module)  # inherited by every victim
    importlib.import_module("lab_io.units").convert(1.0, "mV", "V")
    draws = random.Random(SEED)
    moments, real = (6, 1) if arguments.quick else (MOMENTS, REAL)
    cells = [(name, kind) for name in COMMANDS for kind in KINDS]
    with databases() as made:
        folder = made.folder / "work"
        folder.mkdir()
        (folder / "spec.yaml").write_text(SPEC)
        (folder / "history.csv").write_text(history())
        bench = Bench(made, folder)
        for i, (name, kind) in enumerate(cells):
            bench.kill(name, kind, moments // len(cells) + (i < moments % len(cells)), draws)
        for i in range(min(len(cells), real)):
            name, kind = cells[-1 - i]
            bench.kill(name, kind, real // len(cells) + (i < real % len(cells)), draws, real=True)
    total = {key: sum(row[key] for row in bench.tally.values()) for key in next(iter(bench.tally.values()))}
    bad = ("lost", "unsound", "repeats_failed", "different")
    found = {
        "seed": SEED,
        "total": total,
        "sound": not any(total[key] for key in bad),
        "cells": [{"command": name, "database": kind, **row} for (name, kind), row in bench.tally.items()],
        "moments": bench.moments,
    }
    heads = ("killed", "timed", "at a write", "real", "committed", "lost", "unsound", "no repeat", "different")
    lines = [f"{'':22}" + "".join(f"{head:>11}" for head in heads)]
    for label, row in [*((f"{n} {k}", row) for (n, k), row in bench.tally.items()), ("all", total)]:
        lines.append(f"{label:22}" + "".join(f"{value:>11}" for value in row.values()))
    lines.append(
        "committed: the event was in the ledger already; lost: a row committed before is gone; unsound: the chain does "
        "not verify; no repeat: the repeated command fails; different: its result is not that of a run without a kill"
    )
    lines.append(f"nothing lost, unsound, refused or different: {'yes' if found['sound'] else 'NO'}")
    if not arguments.quick:
        figure(found)
    finish("kills", found, "\n".join(lines), arguments)


def figure(found: dict[str, Any]) -> None:
    """When the kills fell, and whether the event was committed by then, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axis = pyplot.subplots(figsize=(5.5, 3.0))
    cells = [(c["command"], c["database"]) for c in found["cells"]]
    for committed, colour in ((False, "#0072b2"), (True, "#d55e00")):
        seen = [m for m in found["moments"] if m["committed"] is committed]
        axis.scatter(
            [m["moment"] for m in seen],
            [cells.index((m["command"], m["database"])) for m in seen],
            s=14,
            color=colour,
            marker="|",
            label="committed before" if committed else "not yet",
        )
    axis.set_yticks(range(len(cells)), [f"{name}, {kind}" for name, kind in cells])
    axis.set(xlabel="moment of the kill, as a part of the run", xlim=(0, 1))
    axis.legend(frameon=False, fontsize=7)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "kills.png", dpi=110)


if __name__ == "__main__":
    main()
