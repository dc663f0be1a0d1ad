"""The command that reads curves: a dry run unless told otherwise, with every doubt, and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

SPEC = """
spec_version: 1
campaign: oer
seed: 3
space: {type: composition_grid, elements: [Ni, Fe, Co], divisions: 4}
objectives:
  - {name: overpotential, goal: minimize, unit: mV, at: {j: 10 mA/cm^2}}
batch: {size: 2}
"""
STATED = (
    *("--reference", "Hg/HgO 1 M NaOH", "--offset-source", "nominal", "--ph", "14", "--rs", "5 ± 0.1"),
    *("--compensation", "0.85", "--area", "0.196 cm^2"),
)


@pytest.fixture
def oer(siteloop):
    Path("oer.yaml").write_text(SPEC)
    assert siteloop("start", "oer.yaml").code == 0
    assert siteloop("recommend", "oer").code == 0
    eta = np.arange(0.1, 0.27, 5e-4)
    i = 10 * 10 ** ((eta - 0.224) / 0.0392) * 0.196
    rows = (f"{e:.6f};{a:.6f}".replace(".", ",") for e, a in zip(eta + 0.3027 + i * 5e-3, i, strict=True))
    Path("b1-01.csv").write_text("E/V;I/mA\n" + "\n".join(rows))
    return siteloop


def test_dry_run_commit_and_again(oer) -> None:
    dry = oer("curve", "oer", "b1-01.csv", "--sample", "b1-01", *STATED, "--plot", "plots")
    assert dry.code == 0
    assert "225." in dry.out
    assert "Tafel slope 39." in dry.out
    assert "doubt (nominal_reference)" in dry.err
    assert "dry run" in dry.err
    assert Path("plots/b1-01.csv.png").read_bytes().startswith(b"\x89PNG")
    assert "2 pending" in oer("status", "oer").out
    done = oer("curve", "oer", "b1-01.csv", "--sample", "b1-01", *STATED, "--commit", "--json").json
    assert done["committed"]
    assert done["curves"][0]["values"][0]["value"] == pytest.approx(225.5, abs=0.3)
    status = oer("status", "oer", "--json").json
    assert (status["measured"], len(status["pending"])) == (1, 1)
    again = oer("curve", "oer", "b1-01.csv", "--sample", "b1-01", *STATED, "--commit")
    assert again.code == 0
    assert "on record already" in again.err
    recomputed = oer("curve", "oer", "--recompute")
    assert recomputed.code == 0
    assert "1 values computed again" in recomputed.out
    assert "verified" in oer("log", "oer", "--verify").out


def test_what_is_refused(oer) -> None:
    said = oer("curve", "oer", "b1-01.csv", "--sample", "b1-01")
    assert said.code == 3
    assert {line.split(":")[1].strip() for line in said.err.splitlines()} == {
        "--reference",
        "--offset-source",
        "--compensation",
    }
    assert oer("curve", "oer").code == 2
    assert oer("curve", "oer", "b1-01.csv", "--at", "overpotential", *STATED).code == 2
    assert oer("curve", "oer", "none.csv", "--sample", "b1-01", *STATED).code == 3
    assert oer("curve", "oer", ".", *STATED).code == 3
    wrong = oer("curve", "oer", "b1-01.csv", "--sample", "b1-09", *STATED, "--commit")
    assert wrong.code == 3
    assert "b1-09" in wrong.out
    assert "2 pending" in oer("status", "oer").out
