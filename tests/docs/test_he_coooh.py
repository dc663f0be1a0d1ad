"""The example on doped CoOOH: its walk-through runs, small, and its lab does what it says."""

from __future__ import annotations

import csv
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from campaign.spaces import build_space
from campaign.spec import load_spec
from flows.cli.app import run

PLACE = Path(__file__).parents[2] / "examples" / "he_coooh"
SMALLER = {"-n 32": "-n 11", "compute coooh.yaml 30": "compute coooh.yaml 8"}


def module(name: str):
    spec = importlib.util.spec_from_file_location(f"he_coooh_{name}", PLACE / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def lab():
    return module("lab")


@pytest.fixture(scope="module")
def space():
    return build_space(load_spec(PLACE / "coooh.yaml").space)


def structure(space, text):
    return space.structures(int(space.x_of({"decoration": text})[0]))[0]


def commands() -> list[str]:
    page = (PLACE / "walkthrough.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ") for block in shown for line in block.splitlines() if line.startswith("$ ")]


def test_the_walk_through_runs(tmp_path, monkeypatch, capsys, lab):
    text = (PLACE / "coooh.yaml").read_text(encoding="utf-8")
    small = text.replace("dopants: [Ti, Fe, Zn]", "dopants: [Ti, Zn]").replace(
        "per_composition: 5 ", "per_composition: 2 "
    )
    assert len(small) < len(text)
    (tmp_path / "coooh.yaml").write_text(small, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SITELOOP_DB", "sqlite:///demo.db")
    monkeypatch.delenv("SITELOOP_ARTIFACTS", raising=False)
    for command in commands():
        for large, little in SMALLER.items():
            command = command.replace(large, little)
        program, *arguments = command.split()
        if program == "python":
            assert arguments.pop(0) == "lab.py"
            lab.main(arguments)
        else:
            assert (program, run(arguments)) == ("siteloop", 0), command
    said = capsys.readouterr().out
    assert "Site effects on overpotential" in said or "The prediction changes most" in said
    assert "formation_energy (computed)" in said
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_demo_and_the_walk_through_run_the_same(monkeypatch, lab):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "lab", lab)
    assert list(module("demo").COMMANDS) == commands()


def test_zinc_helps_beside_titanium_and_like_neighbours_cost(lab, space):
    far, near = lab.overpotential(structure(space, "Ti@M1 Zn@M7")), lab.overpotential(structure(space, "Ti@M1 Zn@M2"))
    assert near == pytest.approx(lab.UNDOPED_MV + 10 + lab.ACTIVE_MV, abs=1.5)
    assert near < far - 20
    alone, beside = structure(space, "Fe@M1 Fe@M7"), structure(space, "Fe@M1 Fe@M2")
    assert lab.overpotential(beside) == pytest.approx(lab.overpotential(alone) + lab.CLUSTER_MV)
    assert lab.formation_energy(beside) > lab.formation_energy(alone)


def test_a_measurement_scatters_as_stated_and_some_samples_fail(lab, space):
    made = [(f"b1-{i:02d}", "Fe@M2 Fe@M6", structure(space, "Fe@M2 Fe@M6")) for i in range(8)]
    truth = lab.overpotential(made[0][2])
    means, scatter, failed = [], [], 0
    for seed in range(200):
        rows = lab.measure(made, seed=seed)[1:]
        values = np.array([float(r[3]) for r in rows if r[4] == "ok"]).reshape(-1, lab.REPLICATES)
        means.append(values.mean() - truth)
        scatter.append(values.var(axis=1, ddof=1).mean())
        failures = [r for r in rows if r[4] == "failed"]
        assert {r[5] for r in failures} <= set(lab.FAILURES)
        assert not any(r[3] for r in failures)
        failed += len(failures)
    assert np.sqrt(np.mean(scatter)) == pytest.approx(lab.NOISE_MV, rel=0.06)
    assert np.std(means) == pytest.approx(np.hypot(lab.BATCH_SHIFT_MV, lab.NOISE_MV / 4), rel=0.2)
    assert failed / 1600 == pytest.approx(lab.FAILING, abs=4 * np.sqrt(lab.FAILING / 1600))


def test_computed_energies_are_a_table_of_the_candidates(lab, space, tmp_path):
    lab.main(["compute", str(PLACE / "coooh.yaml"), "5", str(tmp_path / "e.csv"), "--seed", "1"])
    with (tmp_path / "e.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    for row in rows:
        assert space.locate({"decoration": row["decoration"]}) is not None
        truth = lab.formation_energy(structure(space, row["decoration"]))
        assert float(row["formation_energy (eV/atom)"]) == pytest.approx(truth, abs=5 * lab.COMPUTED_SD)
