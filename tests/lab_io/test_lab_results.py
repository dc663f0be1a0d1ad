"""Rows of results: accepted, skipped, in question or rejected."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messy_pack import text_table, workbook

from db.errors import InvalidInput
from lab_io.findings import Status
from lab_io.results import Check, Column, Expectation, Metric, check_results
from lab_io.tables import read_table

EXPECT = Expectation(
    elements=("Ni", "Fe", "Co"),
    metrics=(Metric("overpotential", "mV"), Metric("retention", "%")),
    labels={"b1-01": {"Ni": 0.5, "Fe": 0.5}, "b1-02": {"Ni": 0.2, "Co": 0.8}, "old": {"Co": 1.0}},
    pending=frozenset({"b1-01", "b1-02"}),
)
ROUTE = Expectation(
    columns=(Column("anneal_T", "number", "K"), Column("medium", "category", None, ("water", "air"))),
    metrics=(Metric("uts", "MPa"),),
    labels={"b1-01": {"anneal_T": 1273.0, "medium": "air"}},
)


def check(*rows: Any, expect: Expectation = EXPECT, separator: str = ",", **answers: Mapping[str, str]) -> Check:
    return check_results(read_table(text_table(*rows, separator=separator), "r.csv"), expect, **answers)  # type: ignore[arg-type]


def statuses(checked: Check) -> list[str]:
    return [str(row.status) for row in checked.rows]


def said(checked: Check) -> str:
    return "\n".join(map(str, checked.problems))


def test_a_value_in_the_unit_of_the_spec_with_its_origin() -> None:
    checked = check(("sample_id", "overpotential (V)"), ("b1-01", "0.27±0.005"))
    (result,) = checked.results
    value = result.values["overpotential"]
    assert checked.ok
    assert (value.value, value.sd) == (pytest.approx(270), pytest.approx(5))
    assert (value.qualifier, value.cell, value.text, value.unit) == ("=", "B2", "0.27±0.005", "V")
    assert result.label == "b1-01"
    assert result.design == {"Ni": 0.5, "Fe": 0.5}
    assert checked.still_pending == ("b1-02",)


def test_the_unit_in_a_cell_goes_before_the_header() -> None:
    checked = check(("sample_id", "overpotential (mV)"), ("b1-01", "0.3 V"), ("b1-02", "<250"))
    values = [r.values["overpotential"] for r in checked.results]
    assert [(v.value, v.qualifier) for v in values] == [(300, "="), (250, "<")]


def test_a_question_about_units_is_asked_once_and_can_be_answered() -> None:
    rows = (("sample_id", "overpotential"), ("b1-01", 0.263), ("b1-02", 0.3), ("old", "310 mV"))
    asked = check(*rows)
    assert statuses(asked) == ["question", "question", "accepted"]
    assert said(asked).count("no unit") == 1
    assert asked.table[0].problem.where == "r.csv, B1"
    answered = check(*rows, units={"overpotential": "V"})
    assert answered.ok
    assert [r.values["overpotential"].value for r in answered.results] == [pytest.approx(v) for v in (263, 300, 310)]


def test_volts_under_a_header_in_millivolts_are_asked_and_answered() -> None:
    rows = (("sample_id", "overpotential (mV)"), ("b1-01", 0.263), ("b1-02", 0.3))
    asked = check(*rows)
    assert statuses(asked) == ["question", "question"]
    assert "like values in V" in said(asked)
    assert check(*rows, units={"overpotential (mV)": "V"}).results[0].values["overpotential"].value == 263


@pytest.mark.parametrize(
    ("value", "status", "word"),
    [
        (-20, "rejected", "below 0"),
        (1500, "question", "1350 and 2000"),
        (1.49, "question", "1.35 and 2.0"),
        (0.3, "question", "values in V"),
    ],
)
def test_unlikely_overpotentials_are_asked_and_negative_ones_refused(value: float, status: str, word: str) -> None:
    checked = check(("sample_id", "overpotential (mV)"), ("b1-01", value), ("b1-02", 300))
    assert statuses(checked) == [status, "accepted"]
    assert word in said(checked)
    assert "B2" in said(checked)
    assert check(("sample_id", "retention (%)"), ("b1-01", -20)).ok


def test_a_mapping_names_columns_and_keeps_their_units() -> None:
    rows = (("probe", "eta@100 (V)", "Ni"), ("b1-01", 0.263, "junk"))
    checked = check(*rows, mapping={"probe": "sample_id", "eta@100 (V)": "overpotential", "Ni": "ignore"})
    assert checked.ok
    assert checked.results[0].values["overpotential"].value == 263


@pytest.mark.parametrize(
    ("answers", "word"),
    [
        ({"mapping": {"eta": "overpotential"}}, "no column 'eta'"),
        ({"mapping": {"x": "overpotental"}}, "did you mean overpotential?"),
        ({"units": {"y": "mV"}}, "no column 'y'"),
        ({"units": {"x": "mv"}}, "did you mean mV?"),
    ],
)
def test_wrong_answers_are_told(answers: dict[str, Any], word: str) -> None:
    checked = check(("sample_id", "x", "overpotential (mV)"), ("b1-01", 1, 263), **answers)
    assert not checked.ok
    assert word in said(checked)


def test_decimal_commas_hold_for_the_whole_file() -> None:
    header = ("sample_id", "Ni", "Fe", "formula", "overpotential (mV)")
    checked = check(header, ("b1-01", "0,5", "0,5", "Ni0,5Fe0,5", "263,5"), separator=";")
    assert checked.results[0].values["overpotential"].value == 263.5


def test_fractions_are_normalised_within_the_tolerance_only() -> None:
    checked = check(("Ni", "Fe", "Co", "overpotential (mV)"), (0.333, 0.333, 0.333, 300), (0.3, 0.3, 0.3, 300))
    assert statuses(checked) == ["accepted", "question"]
    assert checked.results[0].design == {e: pytest.approx(1 / 3) for e in ("Ni", "Fe", "Co")}
    assert "add up to 0.9" in said(checked)


@pytest.mark.parametrize(
    "header", ["measured Ni", "Ni measured", "Ni_meas", "Ni (ICP)", "Ni (ICP-OES)", "Ni (ICP, fraction)"]
)
def test_a_measured_composition_stands_beside_the_target(header: str) -> None:
    other = header.replace("Ni", "Fe")
    checked = check(("sample_id", header, other, "overpotential (mV)"), ("b1-01", 0.48, 0.52, 263), separator=";")
    assert checked.results[0].composition == {"Ni": 0.48, "Fe": 0.52}
    assert checked.results[0].design == {"Ni": 0.5, "Fe": 0.5}


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Ni0.5Fe0.5", {"Ni": 0.5, "Fe": 0.5}),
        ("Ni50Fe50", {"Ni": 0.5, "Fe": 0.5}),
        ("Ni3Fe", {"Ni": 0.75, "Fe": 0.25}),
        ("Co1 Fe1 Ni2", {"Co": 0.25, "Fe": 0.25, "Ni": 0.5}),
        ("Ni₀.₅Fe₀.₅", {"Ni": 0.5, "Fe": 0.5}),
        ("(Ni0.5Fe0.5)0.5Co0.5", {"Ni": 0.25, "Fe": 0.25, "Co": 0.5}),
        ("Ni", {"Ni": 1.0}),
    ],
)
def test_formulas(formula: str, expected: dict[str, float]) -> None:
    checked = check(("formula", "overpotential (mV)"), (formula, 300))
    assert checked.results[0].design == pytest.approx(expected)


@pytest.mark.parametrize(
    ("formula", "word"),
    [("NiFe2O4", "has O"), ("Ni0.5CO0.5", "did you mean Co?"), ("Ni0.5\u0421o0.5", "CYRILLIC"), ("((Ni", "formula")],
)
def test_formulas_that_are_refused(formula: str, word: str) -> None:
    checked = check(("formula", "overpotential (mV)"), (formula, 300))
    assert statuses(checked) == ["rejected"]
    assert word in said(checked)
    assert checked.problems[0].where == "r.csv, A2"


def test_a_label_with_another_composition_is_a_conflict() -> None:
    header = ("sample_id", "Ni", "Fe", "overpotential (mV)")
    checked = check(header, ("b1-01", 0.7, 0.3, 263), ("b1-02", 0.2, "", 263))
    assert statuses(checked) == ["rejected", "question"]
    assert "was to have Ni 0.5, Fe 0.5, the row says Ni 0.7, Fe 0.3" in said(checked)
    assert check(header, ("b1-01", 0.495, 0.505, 263)).ok


def test_a_row_without_a_label_is_tied_by_its_target() -> None:
    header = ("Ni", "Fe", "Co", "overpotential (mV)")
    checked = check(header, (0.2, "", 0.8, 263), (0.1, 0.9, 0, 300))
    assert [r.label for r in checked.results] == ["b1-02", None]
    assert checked.still_pending == ("b1-01",)
    twice = replace(EXPECT, labels={**EXPECT.labels, "old2": {"Co": 1.0}})
    assert "2 samples have this target: old, old2" in said(check(header, (0, 0, 1, 263), expect=twice))
    waiting = replace(twice, pending=frozenset({"old2"}))
    assert check(header, (0, 0, 1, 263), expect=waiting).results[0].label == "old2"


@pytest.mark.parametrize(
    ("label", "status", "word"),
    [
        ("B1_2", "question", "b1-02 is"),
        ("b1-03", "rejected", "did you mean"),
        ("", "rejected", "no label and no composition"),
        ("2-Jan", "question", "date"),
        ("x\x7f", "rejected", "printable"),
    ],
)
def test_labels_that_do_not_say_which_sample(label: str, status: str, word: str) -> None:
    checked = check(("sample_id", "overpotential (mV)"), (label, 263))
    assert statuses(checked) == [status]
    assert word in said(checked)


def test_a_new_label_with_a_composition_is_a_sample_made_by_hand() -> None:
    checked = check(("sample_id", "Ni", "Fe", "overpotential (mV)"), ("hand", 0.7, 0.3, 263))
    assert checked.results[0].label == "hand"
    assert checked.results[0].design == pytest.approx({"Ni": 0.7, "Fe": 0.3})


def test_a_new_label_has_one_target() -> None:
    header = ("sample_id", "Ni", "Fe", "overpotential (mV)", "replicate")
    checked = check(header, ("hand", 0.7, 0.3, 263, 1), ("hand", 0.3, 0.7, 270, 2), ("hand", 0.7, 0.3, 271, 3))
    assert statuses(checked) == ["accepted", "question", "accepted"]
    assert "'hand' is Ni 0.3 Fe 0.7 here and Ni 0.7 Fe 0.3 in row 2" in said(checked)


def test_a_replicate_of_another_sample_and_a_blank() -> None:
    header = ("sample_id", "overpotential (mV)", "replicate_of", "role", "operator", "batch", "instrument")
    checked = check(
        header,
        ("b1-01", 263, "", "candidate", "mk", "B1", "PGSTAT"),
        ("x7", 270, "b1-01", "replicate", "lw", "B1", "PGSTAT"),
        ("foam", 480, "", "blank", "lw", "B1", "PGSTAT"),
    )
    assert statuses(checked) == ["accepted", "accepted", "skipped"]
    assert [(r.label, r.replicate) for r in checked.results] == [("b1-01", None), ("b1-01", "x7")]
    assert checked.results[1].conditions == {
        "operator": "lw",
        "batch": "B1",
        "instrument": "PGSTAT",
        "role": "replicate",
    }
    assert "blank" in checked.rows[2].notes[0]


def test_tidy_and_wide_say_the_same() -> None:
    wide = check(
        ("sample_id", "overpotential (mV)", "overpotential_sd", "retention (%)", "replicate"), ("b1-01", 263, 4, 97, 2)
    )
    tidy = check(
        ("sample_id", "metric", "value", "unit", "sd", "replicate", "qualifier"),
        ("b1-01", "overpotential", 0.263, "V", 0.004, 2, "="),
        ("b1-01", "Retention", 97, "%", "", 2, "="),
    )
    assert wide.ok
    assert tidy.ok
    merged = {m: v for r in tidy.results for m, v in r.values.items()}
    for metric, value in wide.results[0].values.items():
        assert (merged[metric].value, merged[metric].sd) == (
            pytest.approx(value.value),
            None if value.sd is None else pytest.approx(value.sd),
        )
    assert {r.replicate for r in (*wide.results, *tidy.results)} == {"2"}


def test_tidy_qualifiers() -> None:
    header = ("sample_id", "metric", "value", "unit", "qualifier")
    checked = check(header, ("b1-01", "overpotential", 900, "mV", ">"), ("b1-02", "overpotential", ">900", "mV", "<"))
    assert statuses(checked) == ["accepted", "rejected"]
    assert checked.results[0].values["overpotential"].qualifier == ">"


def test_outcomes_other_than_a_value() -> None:
    header = ("sample_id", "overpotential (mV)", "status", "failure mode", "operator", "measured_at")
    checked = check(
        header,
        ("b1-01", "", "failed", "film gone", "mk", "2026-05-03"),
        ("b1-02", "", "ok", "", "", ""),
        ("old", "300", "void", "spill", "", ""),
    )
    assert checked.ok
    assert statuses(checked) == ["accepted", "pending", "accepted"]
    assert [r.status for r in checked.results] == ["failed", "void"]
    assert not checked.blank
    assert check(header, ("b1-02", "", "", "", "mk", "")).blank
    assert checked.results[0].failure_mode == "film gone"
    assert checked.results[0].conditions == {"operator": "mk", "measured_at": "2026-05-03"}
    assert checked.still_pending == ("b1-02",)


@pytest.mark.parametrize(
    ("cells", "word"),
    [
        (("263", "failed", ""), "is failed, and has a value"),
        (("263", "planned", ""), "is pending, and has a value"),
        (("263", "ok", "film gone"), "failure mode"),
        (("", "", "film gone"), "failure mode"),
    ],
)
def test_contradicting_outcomes_are_asked(cells: tuple[str, ...], word: str) -> None:
    checked = check(("sample_id", "overpotential (mV)", "status", "failure_mode"), ("b1-01", *cells))
    assert statuses(checked) == ["question"]
    assert word in said(checked)


def test_repetition_is_skipped_and_contradiction_asked() -> None:
    header = ("sample_id", "overpotential (mV)")
    checked = check(header, ("b1-01", 263), ("b1-01", "0.263 V"), ("b1-01", 280))
    assert statuses(checked) == ["accepted", "skipped", "question"]
    assert "280 here and 263 in B2" in said(checked)
    replicates = check((*header, "replicate"), ("b1-01", 263, 1), ("b1-01", 280, 2))
    assert [r.replicate for r in replicates.results] == ["1", "2"]
    split = check((*header, "status"), ("b1-01", 263, "ok"), ("b1-01", "", "failed"))
    assert statuses(split) == ["accepted", "question"]


def test_what_is_on_record_is_skipped_or_asked() -> None:
    recorded = {("b1-01", "overpotential", None): (263.0, "="), ("b1-02", "overpotential", "1"): (300.0, "=")}
    expect = replace(
        EXPECT, recorded=recorded, closed={"old": "failed"}, compositions={"b1-01": {"Ni": 0.48, "Fe": 0.52}}
    )
    header = ("sample_id", "overpotential (mV)", "replicate", "status", "Ni_meas", "Fe_meas")
    known = check(header, ("b1-01", 263, "", "", 0.48, 0.52), ("old", "", "", "failed", "", ""), expect=expect)
    assert statuses(known) == ["skipped", "skipped"]
    assert known.still_pending == ("b1-02",)
    late = replace(expect, compositions={})
    new = check(header, ("b1-01", 263, "", "", 0.48, 0.52), ("b1-02", 310, 2, "", "", ""), expect=late)
    assert statuses(new) == ["accepted", "accepted"]
    assert new.results[0].values == {}
    assert new.results[0].composition == {"Ni": 0.48, "Fe": 0.52}
    rows = ("b1-01", 264, "", "", "", ""), ("old", 300, "", "", "", ""), ("b1-01", "", "", "", 0.5, 0.5)
    other = check(header, *rows, expect=expect)
    assert statuses(other) == ["question", "question", "question"]
    assert "already measured as Ni 0.48, Fe 0.52" in said(other)
    assert "on record as 263" in said(other)
    assert "on record as failed" in said(other)


def test_a_composition_in_every_row_of_a_tidy_table_is_kept_once() -> None:
    header = ("sample_id", "metric", "value", "unit", "Ni_meas", "Fe_meas")
    rows = ("b1-01", "overpotential", 263, "mV", 0.48, 0.52), ("b1-01", "retention", 97, "%", 0.48, 0.52)
    checked = check(header, *rows)
    assert [r.composition for r in checked.results] == [{"Ni": 0.48, "Fe": 0.52}, None]
    other = check(header, rows[0], ("b1-01", "retention", 97, "%", 0.6, 0.4))
    assert statuses(other) == ["accepted", "question"]


def test_design_columns_with_units_and_categories() -> None:
    header = ("sample_id", "anneal_T (°C)", "medium", "uts (GPa)")
    checked = check(
        header, ("b1-01", 999.85, "air", 1.1), ("x", 900, "water", 1.2), ("y", 900, "oil", 1.2), expect=ROUTE
    )
    assert statuses(checked) == ["accepted", "accepted", "rejected"]
    assert checked.results[1].design == {"anneal_T": pytest.approx(1173.15), "medium": "water"}
    assert checked.results[0].values["uts"].value == pytest.approx(1100)
    conflict = check(header, ("b1-01", 800, "water", 1.1), expect=ROUTE)
    assert "anneal_T 1273 K, medium air" in said(conflict)
    partial = check(("sample_id", "medium", "uts (MPa)"), ("z", "air", 900), expect=ROUTE)
    assert "states no anneal_T" in said(partial)


def test_a_spec_without_a_unit_takes_bare_numbers_only() -> None:
    bare = Expectation(metrics=(Metric("score"),), labels={"a": {}})
    assert check(("id", "score"), ("a", 3), expect=bare).results[0].values["score"].value == 3
    assert "no unit for score" in said(check(("id", "score (mV)"), ("a", 3), expect=bare))
    assert "no unit for score" in said(check(("id", "score"), ("a", "3 mV"), expect=bare))


def test_columns_that_are_not_read_are_noticed() -> None:
    checked = check(("sample_id", "id", "colour", "rank", "overpotential (mV)"), ("b1-01", 7, "red", 1, 263))
    assert checked.ok
    assert [n.where for n in checked.notices] == ["r.csv, B1", "r.csv, C1"]


def test_every_problem_is_told_at_once() -> None:
    checked = check(
        ("sample_id", "Ni", "Fe", "overpotential (mV)", "retention"),
        ("b1-01", "x", 0.5, "y", 97),
        ("b1-02", 0.2, 0.7, 263, 97),
        ("avg", "", "", 263, ""),
    )
    assert {p.where for p in checked.problems} == {f"r.csv, {a}" for a in ("E1", "B2", "D2", "B3", "A4")}
    assert checked.summary() == {
        "accepted": 0,
        "fixed": 0,
        "skipped": 0,
        "pending": 0,
        "question": 2,
        "rejected": 1,
    }


def test_typed_labels_of_a_workbook_are_text() -> None:
    expect = replace(EXPECT, labels={"12": {"Ni": 1.0}}, pending=frozenset())
    content = workbook(("sample_id", "overpotential (mV)"), (12, 263))
    assert check_results(read_table(content, "r.xlsx"), expect).results[0].label == "12"


CELL = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["sample_id", "Ni", "overpotential (mV)", "metric", "value", "unit", "status", "formula", "b1-01"]),
    st.sampled_from(["263", "0,5", "1.234", "<5", "~3", "n.d.", "'=1", "avg", "mV", "Ni0.5Fe0.5", "=A1", "#REF!", ""]),
)


@settings(max_examples=150)
@given(st.lists(st.lists(CELL, min_size=1, max_size=6), min_size=1, max_size=6), st.sampled_from([",", ";", "\t"]))
def test_garbage_is_checked_or_refused(rows: list[list[str]], separator: str) -> None:
    content = "\n".join(separator.join(row) for row in rows).encode("utf-8", "surrogatepass")
    try:
        checked = check_results(read_table(content, "r.csv"), EXPECT)
    except InvalidInput:
        return
    assert len(checked.rows) == sum(checked.summary().values())
    assert checked.ok or checked.problems
    assert all((row.result is not None) == (row.status is Status.ACCEPTED) for row in checked.rows)


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_bytes_are_a_table_or_refused(content: bytes) -> None:
    for data in (content, b"PK\x03\x04" + content):
        with contextlib.suppress(InvalidInput):
            check_results(read_table(data, "r"), EXPECT)


def test_a_value_on_record_gets_no_other_sd_in_silence():
    key = ("b1-01", "overpotential", None)
    expect = replace(EXPECT, recorded={key: (263.0, "=")}, recorded_sd={key: 5.0})
    header = ["sample_id", "overpotential (mV)", "overpotential sd (mV)"]
    assert statuses(check(header, ["b1-01", 263, 5], expect=expect)) == ["skipped"]
    assert statuses(check(header, ["b1-01", 263, None], expect=expect)) == ["skipped"]
    other = check(header, ["b1-01", 263, 8], expect=expect)
    assert statuses(other) == ["question"]
    assert "with a standard deviation of 5" in said(other)
    none_yet = check(header, ["b1-01", 263, 8], expect=replace(expect, recorded_sd={}))
    assert "without a standard deviation" in said(none_yet)
    assert "amend" in said(none_yet)


def test_a_label_like_those_of_a_known_batch_is_asked_about():
    header = ["sample_id", "Ni", "Fe", "Co", "overpotential (mV)"]
    asked = check(header, ["b1-09", 0.5, 0.5, 0, 300])
    assert statuses(asked) == ["question"]
    assert "no such item" in said(asked)
    assert statuses(check(header, ["b7-09", 0.5, 0.5, 0, 300])) == ["accepted"]
    assert statuses(check(header, ["mine-9", 0.5, 0.5, 0, 300])) == ["accepted"]
