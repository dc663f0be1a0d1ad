"""`siteloop simulate` of a campaign with two objectives."""

from __future__ import annotations

from pathlib import Path

SPEC = """\
spec_version: 1
campaign: s
seed: 1
model: gp
space: {type: composition_grid, elements: [Ni, Fe, Co], divisions: 8}
objectives:
  - {name: eta, goal: minimize, unit: mV, reference_point: 700}
  - {name: life, goal: maximize, unit: h, reference_point: 0}
"""


def begin():
    Path("plate.yaml").write_text(SPEC)
    rows = [
        f"{a / 8},{b / 8},{(8 - a - b) / 8},{0.3 + (a / 8 - 0.5) ** 2 + (b / 8 - 0.2) ** 2},{1 + 20 * b + a}"
        for a in range(9)
        for b in range(9 - a)
    ]
    Path("plate.csv").write_text("\n".join(["Ni,Fe,Co,eta (V),life (h)", *rows]))
    return ["simulate", "plate.yaml", "--table", "plate.csv", "--seeds", "1", "--initial", "5", "--batch", "4"]


def test_the_hypervolume_is_told_beside_random(siteloop):
    said = siteloop(*begin(), "--budget", "13", "-o", "volume.html", "--json")
    assert said.code == 0, said.err
    found = said.json
    shares = found["volume"]["share"]
    assert len(shares["siteloop"]) == len(shares["random"]) == 13
    assert found["volume"]["reference"] == {"eta": 700.0, "life": 0.0}
    assert found["siteloop"]["found"]["mean"] == shares["siteloop"][-1] > shares["random"][-1]
    assert set(found["coverage"]) == {"eta", "life"}
    assert all(c["n"] + c["withheld"] == 8 for c in found["coverage"].values())
    assert "hypervolume not found yet" in Path("volume.html").read_text().lower()


def test_it_is_told_in_words(siteloop):
    said = siteloop(*begin(), "--budget", "9")
    assert said.code == 0, said.err
    assert "experiments to 90 % of the hypervolume" in said.out
    assert "share found after 4 experiments" in said.out
    assert "counted from eta 700, life 0" in said.out


def test_outcome_constraints_are_refused_and_told(siteloop):
    command = begin()
    Path("plate.yaml").write_text(SPEC + "outcome_constraints: [{name: pure, type: boolean}]\n")
    said = siteloop(*command)
    assert said.code != 0
    assert "the spec has outcome constraints, whose values it does not read" in said.err
