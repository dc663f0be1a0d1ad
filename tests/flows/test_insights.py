"""diagnose, whatif and the rules for stopping, as commands."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_status_tells_each_rule_with_its_number(plate):
    plate("recommend", "oer-plate")
    said = plate("status", "oer-plate").out
    assert "stop: nothing speaks for stopping" in said
    assert "chance that anything open beats" in said
    rules = plate("status", "oer-plate", "--json").json["stopping"]["rules"]
    assert [rule["rule"] for rule in rules] == ["no gain", "improvement", "regret"]
    assert 0 <= rules[1]["value"] <= 1
    plate("report", "oer-plate", "-o", "r.html")
    assert "When to stop" in Path("r.html").read_text()


def test_diagnose_checks_and_shows_how_the_surrogate_predicts(plate):
    said = plate("diagnose", "oer-plate")
    assert said.code == 0, said.err
    for words in ("warning", "surrogate of overpotential: gp, 6 samples", "unseen samples", "worst predicted"):
        assert words in said.out
    found = plate("diagnose", "oer-plate", "--json").json
    assert {f["level"] for f in found["health"]} <= {"ok", "note", "warn"}
    assert found["models"]["overpotential"]["out_of_fold"]["n"] == 6


def test_whatif_compares_designs_and_records_nothing(plate):
    before = plate("log", "oer-plate").out
    one = plate("whatif", "oer-plate", "Ni=0.5", "Fe=0.5")
    assert one.code == 0, one.err
    assert "known: a: overpotential 352 mV" in one.out
    assert "than the best measured, e (341 mV)" in one.out
    Path("designs.csv").write_text("Ni,Fe,La\n0.3,0.7,\n0.25,0.25,0.5\n")
    several = plate("whatif", "oer-plate", "designs.csv", "Ni=0.1 Fe=0.9")
    assert several.out.count("Predicted overpotential") == 3
    assert "not a candidate" in several.out
    found = plate("whatif", "oer-plate", "designs.csv", "--json").json
    assert [d["in_space"] for d in found["designs"]] == [True, False]
    assert plate("log", "oer-plate").out == before


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["whatif", "oer-plate"], 2, ["DESIGN"]),
        (["whatif", "oer-plate", "Ni=0.5", "Xx=0.5"], 3, ["Xx", "Fix:"]),
        (["whatif", "oer-plate", "nickel"], 3, ["no label", "a design of this space is `Ni"]),
        (["whatif", "oer-plate", "Ni=0.5"], 3, ["sum to 0.5"]),
        (["diagnose", "oer-plat"], 3, ["oer-plate"]),
    ],
)
def test_bad_questions_get_one_message_and_their_code(plate, command, code, words):
    said = plate(*command)
    assert said.code == code
    assert "Traceback" not in said.err
    assert all(word in said.err for word in words), said.err


def test_screen_ranks_the_space_and_writes_all_of_it(plate):
    before = plate("log", "oer-plate").out
    said = plate("screen", "oer-plate", "--top", "3", "-o", "all.csv")
    assert said.code == 0, said.err
    assert "wrote all.csv" in said.out
    found = plate("screen", "oer-plate", "--top", "3", "--json").json["ranked"]
    assert len(found) == 3
    medians = [one["predictions"]["overpotential"]["median"] for one in found]
    assert medians == sorted(medians)
    header, *rows = Path("all.csv").read_text(encoding="utf-8-sig").splitlines()
    assert header.startswith("Ni,Fe,")
    assert len(rows) > 3
    assert plate("log", "oer-plate").out == before
    assert plate("screen", "oer-plate", "-o", "all.txt").code == 3
