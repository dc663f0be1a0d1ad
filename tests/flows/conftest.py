"""The command line in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from plate_files import HISTORY, PLATE

from flows.cli.app import run


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def siteloop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Callable[..., Said]:
    """Run a command in an empty folder: `siteloop("status", "oer-plate")`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SITELOOP_DB", raising=False)

    def call(*arguments: str) -> Said:
        capfd.readouterr()
        code = run(arguments)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call


@pytest.fixture
def plate(siteloop: Callable[..., Said]) -> Callable[..., Said]:
    """The same with a campaign `oer-plate` that has six measured samples."""
    Path("plate.yaml").write_text(PLATE)
    Path("history.csv").write_text(HISTORY)
    assert siteloop("start", "plate.yaml").code == 0
    assert siteloop("ingest", "oer-plate", "history.csv", "--commit").code == 0
    return siteloop
