"""`kill -9` at any moment: the database verifies, and the repeated command ends as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
from plate_files import HISTORY, PLATE


def command(folder: str, arguments: tuple[str, ...]) -> None:
    os.chdir(folder)
    os.environ["SITELOOP_DB"] = f"sqlite:///{folder}/siteloop.db"
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    from flows.cli.app import run

    os._exit(run(arguments))


@pytest.fixture(scope="module")
def fork():
    """Runs a command in a process of its own; killed after `after` seconds if that is given."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["campaign.recommend", "campaign.campaign", "campaign.record", "flows.cli.app"])

    def call(folder: Path, *arguments: str, after: float | None = None) -> int | None:
        process = context.Process(target=command, args=(str(folder), arguments))
        process.start()
        if after is not None:
            process.join(after)
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
        process.join(120)
        return process.exitcode

    return call


def prepared(fork, folder: Path) -> Path:
    folder.mkdir()
    (folder / "plate.yaml").write_text(PLATE.replace("batch:", "model: gp\nbatch:"))
    (folder / "history.csv").write_text(HISTORY)
    assert fork(folder, "start", "plate.yaml") == 0
    return folder


def designs(folder: Path) -> list[dict[str, float]]:
    from campaign import Campaign

    campaign = Campaign.open("oer-plate", db=f"sqlite:///{folder}/siteloop.db")
    assert campaign._store.verify("oer-plate") == []
    return [dict(r.design) for r in campaign.state.recommendations]


def test_killed_commands_are_finished_by_repeating_them(fork, tmp_path):
    whole = prepared(fork, tmp_path / "whole")
    begun = time.monotonic()
    assert fork(whole, "ingest", "oer-plate", "history.csv", "--commit") == 0
    ingest_s = time.monotonic() - begun
    begun = time.monotonic()
    assert fork(whole, "recommend", "oer-plate") == 0
    recommend_s = time.monotonic() - begun
    expected = designs(whole)
    assert len(expected) == 8
    moments, killed = random.Random(5), 0
    for trial in range(4):
        folder = prepared(fork, tmp_path / f"killed{trial}")
        killed += (
            fork(folder, "ingest", "oer-plate", "history.csv", "--commit", after=moments.uniform(0, ingest_s)) == -9
        )
        assert designs(folder) == []
        assert fork(folder, "ingest", "oer-plate", "history.csv", "--commit") == 0
        killed += fork(folder, "recommend", "oer-plate", after=moments.uniform(0.2, 1) * recommend_s) == -9
        assert designs(folder) in ([], expected)
        assert fork(folder, "recommend", "oer-plate") == 0
        assert designs(folder) == expected
    assert killed >= 4
