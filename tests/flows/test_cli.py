from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from plate_files import PLATE

HEAVY = ("torch", "botorch", "pandas", "pymatgen", "prefect", "sqlalchemy", "pint", "plotly", "numpy")


@pytest.mark.parametrize("command", [["--help"], ["recommend", "--help"]])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys; sys.argv = ['siteloop', *sys.argv[1:]]\n"
        "from flows.cli.app import run\n"
        f"run({command!r})\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert done.stderr.strip() == "[]"


def test_a_recommendation_as_json_has_all_that_was_promised(plate):
    said = plate("recommend", "oer-plate", "-n", "8", "--json")
    assert said.code == 0
    found = said.json["recommendations"]
    assert [r["rank"] for r in found] == list(range(1, 9))
    assert len({r["candidate"] for r in found}) == 8
    first = found[0]
    assert sum(first["composition"].values()) == pytest.approx(1)
    assert first["prediction"]["unit"] == "mV"
    assert set(first["prediction"]["intervals"]) == {"0.8", "0.95"}
    assert "withheld" in first["prediction"]["intervals"]["0.95"]
    for key in ("incumbent", "probability_of_beating", "acquisition_value", "stratum", "neighbours", "element_effects"):
        assert first[key] not in (None, [], {}), key
    assert any("95 %" in w for w in first["warnings"])


def test_the_loop_in_commands(plate):
    assert plate("recommend", "oer-plate", "-o", "b1.csv").code == 0
    assert "8 pending" in plate("status", "oer-plate").out
    lines = Path("b1.csv").read_text().splitlines()
    column = lines[0].split(",").index("overpotential (mV)")
    filled = [lines[0]]
    for i, line in enumerate(lines[1:]):
        cells = line.split(",")
        cells[column] = str(350 + i)
        filled.append(",".join(cells))
    Path("b1.csv").write_text("\n".join(filled))
    dry = plate("ingest", "oer-plate", "b1.csv")
    assert dry.code == 0
    assert "nothing was recorded" in dry.err
    assert "8 pending" in plate("status", "oer-plate").out
    assert plate("ingest", "oer-plate", "b1.csv", "--commit").code == 0
    status = plate("status", "oer-plate", "--json").json
    assert (status["measured"], status["pending"]) == (14, [])
    assert status["objectives"]["overpotential"]["coverage"][0]["n"] == 8
    assert plate("ingest", "oer-plate", "b1.csv", "--commit").code == 0  # the same bytes again
    assert plate("status", "oer-plate", "--json").json == status
    assert "verified" in plate("log", "oer-plate", "--verify").out


def test_a_worksheet_can_be_written_again(plate):
    plate("recommend", "oer-plate", "-o", "b1.csv")
    plate("recommend", "oer-plate", "--more")
    assert plate("worksheet", "oer-plate", "--batch", "1", "-o", "again.csv").code == 0
    assert Path("again.csv").read_bytes() == Path("b1.csv").read_bytes()
    assert plate("worksheet", "oer-plate", "--batch", "7", "-o", "no.csv").code == 3


def test_a_sheet_without_results_brings_nothing_and_says_what_is_pending(plate):
    plate("recommend", "oer-plate", "-n", "2", "-o", "b1.xlsx")
    before = plate("log", "oer-plate").out
    for options in ([], ["--commit"], ["--commit", "--json"]):
        said = plate("ingest", "oer-plate", "b1.xlsx", *options)
        assert said.code == 3
        assert "nothing was measured" in said.err
        assert "accepted" not in said.out or said.json["summary"]["accepted"] == 0
    assert said.json["committed"] is False
    assert said.json["still_pending"] == ["b1-01", "b1-02"]
    assert "2 pending" in plate("ingest", "oer-plate", "b1.xlsx").out
    assert plate("log", "oer-plate").out == before


def test_a_target_that_cannot_be_written_stops_before_anything_is_recorded(plate):
    for name in ("b.pdf", "nowhere/b.csv"):
        assert plate("recommend", "oer-plate", "-o", name).code == 3
    assert plate("recommend", "oer-plate", "--dry-run", "-o", "b.csv").code == 2
    assert "no batch yet" in plate("status", "oer-plate").out


def test_explain_says_what_the_prediction_does(plate):
    plate("recommend", "oer-plate")
    said = plate("explain", "oer-plate", "b1-01").out
    assert "The prediction changes most with" in said or "No single element changes the predicted" in said
    assert "active" not in said


def test_fail_and_void(plate):
    plate("recommend", "oer-plate")
    assert plate("fail", "oer-plate", "b1-01", "--mode", "no precipitate").code == 0
    voided = plate("void", "oer-plate", "a", "--reason", "mislabelled")
    assert voided.code == 0
    assert "its overpotential no longer counts" in voided.out + voided.err
    status = plate("status", "oer-plate", "--json").json
    assert (status["failed"], status["void"], len(status["pending"])) == (1, 1, 7)


def test_report_is_one_offline_file(plate):
    plate("recommend", "oer-plate")
    assert plate("report", "oer-plate", "-o", "r.html").code == 0
    page = Path("r.html").read_text()
    body = page[page.index("</script></head>" if "</script></head>" in page else "</head>") :]
    assert "b1-08" in body
    assert "src=" not in body
    assert "https://" not in body
    assert "the chain was verified" in body


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["status", "oer-plat"], 3, ["oer-plat", "oer-plate"]),
        (["start", "none.yaml"], 3, ["none.yaml"]),
        (["start", "plate.yaml"], 4, ["oer-plate"]),
        (["ingest", "oer-plate", "none.csv"], 3, ["none.csv"]),
        (["explain", "oer-plate", "b9-01"], 3, ["b9-01"]),
        (["fail", "oer-plate", "zz", "--mode", "x"], 3, ["zz"]),
        (["recommend", "oer-plate", "-n", "0"], 2, ["-n"]),
        (["recomend"], 2, ["recomend"]),
        (["status", "oer-plate", "--db", "nonsense"], 3, ["database address"]),
        (["status", "oer-plate", "--db", "sqlite:///missing/x.db"], 3, ["missing"]),
        (["ingest", "oer-plate", "history.csv", "--map", "eta"], 2, ["HEADER=VALUE"]),
        (["init", "--template", "plat"], 2, ["plate"]),
        (["report", "oer-plate", "-o", "nowhere/r.html"], 3, ["nowhere"]),
    ],
)
def test_bad_input_gets_one_message_and_its_code(plate, command, code, words):
    before = plate("log", "oer-plate").out
    said = plate(*command)
    assert said.code == code
    assert "Traceback" not in said.err
    assert all(word in said.err for word in words), said.err
    assert plate("log", "oer-plate").out == before


def test_debug_shows_the_traceback(plate):
    from db.errors import InvalidInput

    with pytest.raises(InvalidInput):
        plate("--debug", "status", "nobody")


def test_validate_counts_and_shows_defaults(siteloop):
    Path("plate.yaml").write_text(PLATE)
    assert siteloop("validate", "plate.yaml", "--count").out.strip() == "2121"
    said = siteloop("validate", "plate.yaml")
    assert "acquisition" in said.out
    assert siteloop("validate", "plate.yaml", "--json").json["count"] == 2121


@pytest.mark.parametrize("template", ["plate", "table", "alloy"])
def test_init_writes_a_spec_that_starts(siteloop, template):
    assert siteloop("init", "--template", template).code == 0
    assert siteloop("start", f"{template}.yaml").code == 0
    assert siteloop("list").out.count("no batch yet") == 1
    again = siteloop("init", "--template", template)
    assert again.code == 4
    assert "exists" in again.err


def test_schema_is_json_schema(siteloop):
    assert siteloop("schema").json["$schema"].startswith("https://json-schema.org")


def test_simulate_replays_and_reports(siteloop):
    Path("plate.yaml").write_text(
        "spec_version: 1\ncampaign: s\nseed: 1\nmodel: gp\n"
        "space: {type: composition_grid, elements: [Ni, Fe, Co], divisions: 8}\n"
        "objectives: [{name: eta, goal: minimize, unit: mV}]\n"
    )
    rows = [
        f"{a / 8},{b / 8},{(8 - a - b) / 8},{0.3 + (a / 8 - 0.5) ** 2 + (b / 8 - 0.2) ** 2}"
        for a in range(9)
        for b in range(9 - a)
        if (a, b) != (0, 0)
    ]
    Path("plate.csv").write_text("\n".join(rows))
    said = siteloop(
        *["simulate", "plate.yaml", "--table", "plate.csv", "--columns", "Ni,Fe,Co,eta", "--unit", "V", "--seeds", "2"],
        *["--initial", "5", "--batch", "3", "--budget", "17", "-o", "regret.html", "--json"],
    )
    assert said.code == 0, said.err
    found = said.json
    assert (found["candidates"], found["without_value"]) == (44, 1)
    assert found["siteloop"]["regret"]["mean"] < found["random"]["regret"]["mean"]
    assert found["coverage"]["n"] + found["coverage"]["withheld"] == 24
    assert "plotly" in Path("regret.html").read_text()
