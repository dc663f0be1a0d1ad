"""The flows give what the plain functions give. They run in a process of their own, beside the server they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json
from flows.propose import propose_flow
from flows.record import record_flow
from flows.rounds import campaign_flow

ELEMENTS = ("Ni", "Fe", "Co", "Mn", "Ce", "La")

def measure(batch):
    lines = [",".join(["sample_id", *ELEMENTS, "overpotential (mV)"])]
    for r in batch:
        cells = [str(r.design.get(e, 0)) for e in ELEMENTS]
        lines.append(",".join([r.label, *cells, str(300 + 100 * float(r.design.get("La", 0)))]))
    return "\\n".join(lines).encode()

if __name__ == "__main__":
    first = propose_flow("oer-plate")  # left open, as by a run that was killed
    status = campaign_flow("oer-plate", measure, rounds=2)
    again = record_flow("oer-plate", measure(first), name="batch-1.csv")
    found = {"first": [dict(r.design) for r in first], "status": status, "skipped": again.summary()}
    print("FOUND" + json.dumps(found))
"""


def test_flows_recommend_the_same_go_on_where_they_were_and_repeat_nothing(plate, tmp_path):
    plain = plate("recommend", "oer-plate", "--dry-run", "--json").json
    Path("rounds.py").write_text(SCRIPT)
    environment = os.environ | {"PREFECT_HOME": str(tmp_path / "prefect")}
    done = subprocess.run([sys.executable, "rounds.py"], capture_output=True, text=True, env=environment)
    assert "FOUND" in done.stdout, done.stderr[-3000:]
    found = json.loads(done.stdout.partition("FOUND")[2])
    assert found["first"] == [r["composition"] for r in plain["recommendations"]]
    assert (found["status"]["batches"], found["status"]["measured"], found["status"]["pending"]) == (2, 6 + 16, [])
    assert found["skipped"]["skipped"] == 8
    stored = list((tmp_path / "prefect").rglob("storage/*"))
    assert stored == []  # no result was written anywhere, so none was pickled


def test_nothing_is_pickled():
    root = Path(__file__).parents[2]
    for package in ("campaign", "surrogates", "acquisition", "lab_io", "flows", "db"):
        for file in (root / package).rglob("*.py"):
            assert "import pickle" not in file.read_text(), file
