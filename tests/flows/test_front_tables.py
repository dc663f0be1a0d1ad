"""Tables of two objectives fit a terminal: no number is cut or broken, and the chance to be on the front is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

SPEC = """\
spec_version: 1
campaign: two
seed: 7
model: gp
explain: none
space: {type: composition_grid, elements: [Ni, Fe, Co, Mn, Cr], divisions: 8, max_elements: 4}
objectives:
  - {name: uts, goal: maximize, unit: MPa}
  - {name: elongation, goal: maximize, unit: "%"}
cost: {unit: EUR, sample: 3}
batch: {size: 2}
"""
HISTORY = """\
sample_id,Ni,Fe,Co,Mn,Cr,uts (MPa),elongation (%)
a,0.5,0.5,0,0,0,352,31
b,0,0.5,0.5,0,0,371,22
c,0.25,0.25,0.25,0.25,0,402,28
d,0,0,0,0.5,0.5,455,12
e,0.75,0.25,0,0,0,341,35
f,0,0.5,0,0,0.5,389,18
g,0.25,0,0.75,0,0,333,36
h,0.125,0,0,0.375,0.5,470,10
"""


@pytest.mark.parametrize("width", [80, 100])
def test_two_objectives_fit_a_terminal(siteloop, monkeypatch, width):
    def narrow():
        return Console(highlight=False, width=width)

    monkeypatch.setattr("flows.cli.campaigns.console", narrow)
    monkeypatch.setattr("flows.cli.insights.console", narrow)
    Path("two.yaml").write_text(SPEC)
    Path("history.csv").write_text(HISTORY)
    assert siteloop("start", "two.yaml").code == 0
    assert siteloop("ingest", "two", "history.csv", "--commit").code == 0
    batch = siteloop("recommend", "two", "--json").json["recommendations"]
    asked = [" ".join(f"{element}={x}" for element, x in r["composition"].items()) for r in batch]
    for command, key in ((["recommend", "two"], "recommendations"), (["whatif", "two", *asked], "designs")):
        said, told = siteloop(*command), siteloop(*command, "--json").json[key]
        assert said.code == 0, said.err
        table = said.out.partition("\n- ")[0]
        assert "…" not in table
        assert "P(on" in table
        for expected in (each for one in told for each in one["predictions"].values()):
            first = next(iter(expected["intervals"].values()))
            ends = "needs" if "withheld" in first else f"{first['lower']:.3g} to {first['upper']:.3g}"
            assert f"{expected['median']:.4g}" in table
            assert ends in table
