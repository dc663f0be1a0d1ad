"""A real table nobody prepared: alloys as published, with a mapping, into a campaign on yield strength.

The lent table has 1,545 rows of formulas, kinds of test, temperatures and gaps. It is checked as it is (each row
accepted, in question, rejected or skipped, with a reason), recorded with what its owner would consent to, and
recorded again (nothing new); then a batch is recommended. A quick run checks and records only.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from common import RESULTS, finish, lent, options

MAPPING = b"""\
mapping_version: 1
description: yield strength in compression at room temperature
columns:
  FORMULA: formula
  "PROPERTY: YS (MPa)": yield_strength
  "PROPERTY: Processing method": keep processing
  "REFERENCE: doi": keep doi
where:
  "PROPERTY: Type of test": C
  'PROPERTY: Test temperature ($^\\circ$C)': {min: 20, max: 30}
  "PROPERTY: YS (MPa)": {filled: true}
"""
CONSENT = ("own-samples", "leave-out-rejected", "leave-out-questions")
SPEC: dict[str, Any] = {
    "spec_version": 1,
    "campaign": "alloys",
    "seed": 7,
    "space": {
        "type": "composition_grid",
        "elements": ["Al", "Co", "Cr", "Cu", "Fe", "Mn", "Mo", "Nb", "Ni", "Ti", "V", "Zr"],
        "divisions": 10,
        "max_elements": 5,
    },
    "objectives": [{"name": "yield_strength", "goal": "maximize", "unit": "MPa"}],
    "batch": {"size": 4},
}


def reasons(checked: Any, status: str) -> dict[str, int]:
    """What is said of the rows of a status, without cells, values and formulas, with how often."""
    said = [p.what for r in checked.rows if r.status == status for p in r.problems]
    said += [n for r in checked.rows if r.status == status for n in r.notes]
    plain = (re.sub(r"'[^']*#[^']*'|\b[A-Z]+#", "...", re.sub(r"[-+]?\d[\d.]*", "#", text)) for text in said)
    return dict(Counter(plain).most_common(12))


def main() -> None:
    arguments = options(__doc__ or "")
    content = lent("data", "mpea_dataset.csv").read_bytes()
    from campaign import Campaign
    from campaign.mapping import read_mapping
    from campaign.spec import load_spec

    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign.start(load_spec(SPEC), db=f"sqlite:///{folder}/lab.db")
        mapping = read_mapping(MAPPING, "alloys.yaml")
        begun = time.perf_counter()
        checked = campaign.check(content, name="mpea_dataset.csv", saved=mapping)
        seconds = time.perf_counter() - begun
        silent = [r.number for r in checked.rows if not (r.problems or r.notes or r.result)]
        recorded = campaign.ingest(content, commit=True, name="mpea_dataset.csv", saved=mapping, fixes=CONSENT)
        again = campaign.recorded(content, name="mpea_dataset.csv", saved=mapping, fixes=CONSENT)
        state = campaign.state
        found: dict[str, Any] = {
            "rows": len(checked.rows),
            "as_it_is": checked.summary(),
            "reasons": {s: reasons(checked, s) for s in ("question", "rejected", "skipped")},
            "rows_without_a_reason": len(silent),
            "seconds_of_a_check": round(seconds, 2),
            "with_consent": recorded.summary(),
            "samples": len(state.samples),
            "recorded_again": again,
        }
        lines = [
            f"{found['rows']:,} rows as they are: " + ", ".join(f"{n} {s}" for s, n in checked.summary().items() if n),
            *(f"  {s:<9} {n:>5} x {why}" for s, said in found["reasons"].items() for why, n in said.items()),
            f"rows without a reason: {len(silent)}; a check takes {seconds:.1f} s",
            f"with {', '.join(CONSENT)}: " + ", ".join(f"{n} {s}" for s, n in recorded.summary().items() if n),
            f"samples: {len(state.samples)}; the same reading again is {'a no-op' if again else 'NOT a no-op'}",
        ]
        if not arguments.quick:
            batch = campaign.recommend()
            found["batch"] = [
                {"design": dict(item.design), "median": item.prediction["yield_strength"]["median"]} for item in batch
            ]
            lines += [
                " ".join(f"{k}{v:g}" for k, v in b["design"].items()) + f": {b['median']:.0f} MPa"
                for b in found["batch"]
            ]
            figure(checked.summary())
    finish("alloy_table", found, "\n".join(lines), arguments)


def figure(summary: dict[str, int]) -> None:
    """What became of the rows, as a small PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn, axis = pyplot.subplots(figsize=(4.5, 2.4))
    axis.barh(list(summary), list(summary.values()), color="#0072b2")
    axis.invert_yaxis()
    axis.set_xlabel("rows")
    drawn.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    drawn.savefig(Path(RESULTS) / "alloy_table.png", dpi=110)


if __name__ == "__main__":
    main()
