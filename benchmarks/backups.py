"""Backups taken while another process records results, restored elsewhere: is what comes back the same to the last bit?

Two batches are recommended first. Then a process ingests one table after another while backups are taken. Each is
restored into databases of both kinds, where every chain must verify and the events must be those of the original up to
the moment of the backup. There the earlier batches are computed again, fitted anew and from the surrogates that were
kept, and a further batch is recommended, which must be that of the original as of that moment.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from common import RESULTS, finish, options
from databases import KINDS, Databases, databases

NAME = "backed-up"
SPEC = """\
spec_version: 1
campaign: backed-up
seed: 7
space: {type: composition_grid, elements: [Ni, Fe, Co], divisions: 30}
objectives: [{name: loss, goal: minimize, unit: mV}]
batch: {size: 4}
model: gp
"""
ELEMENTS = ("Ni", "Fe", "Co")
BEGUN = 12
"""Samples to begin with."""
BACKUPS = 4
"""Of each kind of database."""
SEED = 12
Replayed = tuple[tuple[int, bool], ...]
"""Batches that are computed again, and whether from the surrogates that were kept."""
REPLAYED: Replayed = ((1, False), (1, True), (2, False), (2, True))
ROWS = 300
"""Tables that are ready to be ingested, one sample each; a run ends long before the last."""


def designs(n: int) -> list[tuple[float, ...]]:
    """Different mixtures of the grid."""
    import numpy as np

    every = [(ni / 30, fe / 30, (30 - ni - fe) / 30) for ni in range(31) for fe in range(31 - ni)]
    return [every[int(row)] for row in np.random.default_rng(SEED).choice(len(every), n, replace=False)]


def table(samples: list[tuple[str, tuple[float, ...]]]) -> bytes:
    """Results of samples, by a formula."""
    lines = ["sample_id,Ni,Fe,Co,loss (mV)"]
    for label, (ni, fe, co) in samples:
        lines.append(f"{label},{ni:.9g},{fe:.9g},{co:.9g},{300 + 240 * (ni - 0.4) ** 2 - 54 * fe * co:.4f}")
    return ("\n".join(lines) + "\n").encode()


def prepare(address: str) -> None:
    """A campaign with two batches, the first of them measured."""
    from campaign import Campaign

    campaign = Campaign.start("spec.yaml", db=address, by="bench")
    begun = [(f"h{i}", design) for i, design in enumerate(designs(BEGUN))]
    campaign.ingest(table(begun), name="history.csv", commit=True)
    for number in (1, 2):
        batch = campaign.recommend()
        if number == 1:
            made = [(r.label, tuple(float(r.design.get(e, 0)) for e in ELEMENTS)) for r in batch]
            campaign.ingest(table(made), name="batch.csv", commit=True)
    campaign._store.close()


def write(address: str, begun: Any, enough: Any) -> None:
    """Ingest one table after another until it is enough."""
    from campaign import Campaign

    campaign = Campaign.open(NAME, db=address, by="writer")
    for i, design in enumerate(designs(ROWS)[BEGUN:]):
        campaign.ingest(table([(f"w{i}", design)]), name=f"w{i}.csv", commit=True)
        begun.set()
        if enough.is_set():
            break
    campaign._store.close()


def taken(address: str, folder: Path, n: int) -> tuple[list[dict[str, Any]], int | None]:
    """Take `n` backups of a database in which another process writes.

    Returns:
        Of each its path, manifest, and the newest event before and after it was written; the exit code of the writer.
    """
    from db.store import Store

    spawn = multiprocessing.get_context("spawn")
    begun, enough = spawn.Event(), spawn.Event()
    writer = spawn.Process(target=write, args=(address, begun, enough))
    writer.start()
    found = []
    with Store.open(address) as store:
        while not begun.wait(0.1) and writer.is_alive():
            pass
        for i in range(n):
            first = store.head(NAME).seq
            start = time.perf_counter()
            path, manifest = store.backup(folder / f"{i}.zip", artifacts=True)
            seconds = time.perf_counter() - start
            last = store.head(NAME).seq
            found.append({"path": path, "manifest": manifest, "first": first, "last": last, "seconds": seconds})
            while store.head(NAME).seq < last + 3 and writer.is_alive():
                time.sleep(0.01)
    enough.set()
    writer.join()
    return found, writer.exitcode


def examine(original: str, one: dict[str, Any], address: str, replayed: Replayed) -> dict[str, Any]:
    """Restore a backup, and compare what it holds and what follows from it with the original."""
    from campaign import Campaign
    from campaign.propose import propose
    from campaign.request import Request
    from db.restore import restore

    start = time.perf_counter()
    manifest = restore(one["path"], address)
    seconds = time.perf_counter() - start
    seq = manifest.campaigns[NAME]["seq"]
    there, here = Campaign.open(NAME, db=address, by="bench"), Campaign.open(NAME, db=original, as_of=seq)
    events = [e.hash for e in there._store.events(NAME)]
    replays = [there.replay(number, from_model=kept).verdict for number, kept in replayed]
    then = propose(here.state, Request(more=True))
    now = there.recommend(more=True)
    found = {
        "moment": one["first"] <= seq <= one["last"],
        "events": events == [e.hash for e in here._store.events(NAME, until=seq)],
        "verified": not there._store.verify(NAME),
        "replays": dict(Counter(replays)),
        "next": said(then.batch, then.recommendations) == said(now.batch, now),
        "restore_s": seconds,
    }
    there._store.close()
    here._store.close()
    return found


def said(batch: Any, items: Any) -> str:
    """All that a batch says, settings and predictions to the last bit."""
    from db.chain import canonical

    rows = [[r.label, r.candidate, dict(r.design), r.stratum, r.prediction, r.rationale] for r in items]
    return canonical([batch.snapshot, batch.spec_revision, batch.seed, dict(batch.settings), rows])


def run(made: Databases, kind: str, quick: bool) -> dict[str, Any]:
    """Backups of one kind of database."""
    n = 2 if quick else BACKUPS
    original = made.empty(kind)
    prepare(original)
    folder = made.folder / f"backups-{kind}"
    folder.mkdir()
    backups, code = taken(original, folder, n)
    restored = []
    for i, one in enumerate(backups):
        for to in KINDS:
            if quick and (to == kind) == (i % 2 == 0):
                continue
            replayed = ((2, i % 2 == 0),) if quick else REPLAYED
            restored.append({"to": to, "seq": one["manifest"].campaigns[NAME]["seq"]})
            restored[-1] |= examine(original, one, made.empty(to), replayed)
    verdicts = Counter[str]()
    for one in restored:
        verdicts.update(one["replays"])
    return {
        "backups": n,
        "events_meanwhile": [one["last"] - one["first"] for one in backups],
        "backup_s": max(one["seconds"] for one in backups),
        "restored": restored,
        "of_one_moment": sum(one["moment"] and one["events"] for one in restored),
        "verified": sum(one["verified"] for one in restored),
        "replays": dict(verdicts),
        "next_identical": sum(one["next"] for one in restored),
        "writer_exit": code,
    }


def sound(one: dict[str, Any]) -> bool:
    """Whether every restored database was that of one moment, and everything computed from it identical."""
    n = len(one["restored"])
    whole = one["of_one_moment"] == one["verified"] == one["next_identical"] == n
    return whole and set(one["replays"]) == {"identical"} and one["writer_exit"] == 0 and any(one["events_meanwhile"])


def main() -> None:
    arguments = options(__doc__ or "")
    found: dict[str, Any] = {"seed": SEED, "databases": {}}
    with databases() as made:
        folder, before = made.folder / "work", Path.cwd()
        folder.mkdir()
        (folder / "spec.yaml").write_text(SPEC)
        os.chdir(folder)  # artefacts of a PostgreSQL database lie in the current folder
        try:
            for kind in KINDS:
                found["databases"][kind] = run(made, kind, arguments.quick)
        finally:
            os.chdir(before)
    found["sound"] = all(sound(one) for one in found["databases"].values())
    lines = []
    for kind, one in found["databases"].items():
        m = len(one["restored"])
        replays = ", ".join(f"{count} {verdict}" for verdict, count in sorted(one["replays"].items()))
        meanwhile = ", ".join(map(str, one["events_meanwhile"]))
        lines.append(
            f"{kind:11} {one['backups']} backups while a process ingests, {m} restored: {one['of_one_moment']} of one "
            f"moment, {one['verified']} verified; replays: {replays}; next batch identical: {one['next_identical']} "
            f"of {m}; events recorded while a backup was written: {meanwhile}; a backup takes at most "
            f"{1000 * one['backup_s']:.0f} ms, a restore {1000 * max(r['restore_s'] for r in one['restored']):.0f} ms"
        )
    lines.append(f"everything identical: {'yes' if found['sound'] else 'NO'}")
    if not arguments.quick:
        figure(found)
    finish("backups", found, "\n".join(lines), arguments)


def figure(found: dict[str, Any]) -> None:
    """At which event each backup was taken, and how many came while it was written, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axis = pyplot.subplots(figsize=(5.0, 2.6))
    for kind, colour in zip(KINDS, ("#0072b2", "#d55e00"), strict=True):
        one = found["databases"][kind]
        seqs = sorted({r["seq"] for r in one["restored"]})
        axis.plot(seqs, one["events_meanwhile"], "o-", color=colour, label=kind)
    axis.set(xlabel="newest event in the backup", ylabel="events recorded\nwhile it was written", ylim=(0, None))
    axis.legend(frameon=False, fontsize=8)
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(RESULTS / "backups.png", dpi=110)


if __name__ == "__main__":
    main()
