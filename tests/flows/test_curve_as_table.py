"""A raw curve that is handed to `ingest` is told as what it is, with the command that records it."""

from __future__ import annotations

import shlex
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
ETA = np.arange(0.1, 0.27, 2e-3)
POINTS = [(e + 0.3027, 10 * 10 ** ((e - 0.224) / 0.0392) * 0.196) for e in ETA]
ROWS = "".join(f"{e:.6f}\t{i:.6f}\n" for e, i in POINTS)
FILES = {
    "b1-02 LSV.mpt": "EC-Lab ASCII FILE\nNb header lines : 4\n\nEwe/V\t<I>/mA\n" + ROWS,
    "b1-02.DTA": "EXPLAIN\nTAG\tLSV\nCURVE\tTABLE\t85\n\tPt\tVf\tIm\n\t#\tV\tA\n"
    + "".join(f"\t{n}\t{e:.6f}\t{i / 1e3:.9f}\n" for n, (e, i) in enumerate(POINTS)),
    "b1-02.txt": "Linear Sweep Voltammetry\nInstrument Model:  CHI760E\n\nPotential/V, Current/A\n\n"
    + "".join(f"{e:.6f}, {i / 1e3:.6e}\n" for e, i in POINTS),
    "b1-02.csv": "E/V,I/mA\n" + ROWS.replace("\t", ","),
}


@pytest.fixture
def oer(siteloop):
    Path("oer.yaml").write_text(SPEC)
    assert siteloop("start", "oer.yaml").code == 0
    assert siteloop("recommend", "oer").code == 0
    return siteloop


@pytest.mark.parametrize("name", FILES)
def test_the_command_that_is_offered_records_the_curve(oer, name) -> None:
    name = f"raw data/{name}"
    Path("raw data").mkdir()
    Path(name).write_text(FILES[Path(name).name])
    for commit in ((), ("--commit",)):
        refused = oer("ingest", "oer", name, *commit)
        assert refused.code == 3
        assert "no table of results" in refused.err
    command = shlex.split(refused.err.partition("type `")[2].partition("`")[0])
    assert command[:6] == ["siteloop", "curve", "oer", name, "--sample", "b1-02"]
    assert oer(*command[1:]).code == 0
    assert oer("status", "oer", "--json").json["measured"] == 1


def test_a_table_with_a_misspelt_header_is_no_curve(oer) -> None:
    Path("a.csv").write_text("sample,Ni,Fe,overptential\n" + "".join(f"s{i},0.5,0.5,{i}\n" for i in range(30)))
    refused = oer("ingest", "oer", "a.csv")
    assert refused.code == 3
    assert "did you mean" in refused.out + refused.err
    assert "siteloop curve" not in refused.out + refused.err
