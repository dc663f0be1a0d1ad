"""A history on the command line: told with the batch, and with every recommendation chosen by it."""

from __future__ import annotations

from pathlib import Path

import yaml
from plate_files import PLATE


def test_a_history_is_checked_told_and_explained(siteloop):
    spec = yaml.safe_load(PLATE)
    elements, objective = spec["space"]["elements"], spec["objectives"][0]
    pairs = [(a, b, f / 10) for i, a in enumerate(elements) for b in elements[i + 1 :] for f in (2, 5, 8)][:24]
    header = ",".join([*elements, f"{objective['name']} ({objective['unit']})"])
    rows = [{a: f, b: 1 - f} for a, b, f in pairs]
    lines = [
        ",".join([*(f"{d.get(e, 0):g}" for e in elements), f"{300 + 100 * d.get(elements[0], 0):g}"]) for d in rows
    ]
    Path("prior.csv").write_text("\n".join([header, *lines]) + "\n")
    Path("plate.yaml").write_text(yaml.safe_dump(spec | {"history": [{"file": "prior.csv"}]}))
    checked = siteloop("validate", "plate.yaml")
    assert checked.code == 0
    assert "learning from prior.csv" in " ".join(checked.out.split())
    name = spec["campaign"]
    assert siteloop("start", "plate.yaml").code == 0
    batch = siteloop("recommend", name, "-n", "2", "--json").json
    assert [card["role"] for card in batch["recommendations"]] == ["history"] * 2
    assert any("learnt from prior.csv: 24 measurements" in note for note in batch["notes"])
    told = siteloop("explain", name, "b1-01").out
    assert "on the scale of prior.csv" in " ".join(told.split())
    assert siteloop("report", name, "-o", "report.html").code == 0
    Path("prior.csv").write_text(header.replace("(", "(k") + "\nmany\n")
    refused = siteloop("validate", "plate.yaml")
    assert refused.code == 3
    assert "history[0], prior.csv" in refused.err
