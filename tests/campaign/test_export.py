"""What leaves as a table comes back the same, and no cell of it is a formula."""

import csv
import io
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from small_campaign import results as table_of
from small_campaign import spec_of

from campaign import Campaign
from campaign.export import results
from campaign.spec import load_spec
from db.store import Store
from lab_io.exports import Export, ExportRow, to_csv, to_xlsx, vouched
from lab_io.results import check_results
from lab_io.schema import Column, Expectation, Metric
from lab_io.tables import ESCAPED, read_table
from lab_io.words import normalise

ELEMENTS = ("Ni", "Fe", "Co")
COLUMNS = (Column("anneal", "number", "K"), Column("medium", "category"))
floats = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)
METRICS = (
    Metric("overpotential", "mV", current_density=10),
    Metric("eta_100", "mV"),
    Metric("current", "A"),
    Metric("strength", "MPa"),
    Metric("pure", boolean=True),
    Metric("score"),
)
NUMBERS = {
    "overpotential": st.sampled_from([0.3, 250.0, 300.0, 1500.0]),
    "eta_100": st.sampled_from([0.25, 1.6, 230.0, 310.0]),
    "current": st.sampled_from([-2.0, 0.0015, 1.5]),
    "strength": floats,
    "pure": st.sampled_from([0.0, 1.0]),
    "score": floats,
}
UNITS = {m.name: m.unit for m in METRICS}
EXPECT = Expectation(ELEMENTS, COLUMNS, METRICS)
WRITERS = {"csv": to_csv, "xlsx": to_xlsx}

cells = st.text(st.sampled_from("=+-@'\"\t;,\n abzé1_x0Dµ"), min_size=1, max_size=12).map(normalise).filter(bool)
labels = cells.filter(str.isprintable)
CONDITIONS = ["operator", "batch", "instrument", "measured_at", "made_at", "method", "protocol", "notes", "role"]
conditions = st.dictionaries(st.sampled_from([*CONDITIONS, "laser (W)"]), cells)


@st.composite
def exports(draw):
    """Results as a ledger may hold them: samples that differ in more than spelling, replicates, limits, outcomes."""
    rows = []
    for n, prefix in enumerate(draw(st.lists(labels, max_size=6))):
        label = f"{prefix}-{n}q"
        ni = draw(st.integers(1, 7)) / 8
        design = {"Ni": ni, "Fe": 1 - ni, "anneal": draw(floats), "medium": draw(cells)}
        status = draw(st.sampled_from(["ok", "ok", "failed", "void"]))
        mode = draw(cells) if status != "ok" else None
        told = {"status": status, "failure_mode": mode}
        values = draw(st.lists(st.sampled_from(list(NUMBERS)), max_size=3)) if status != "failed" else []
        for i, metric in enumerate(values):
            answered = metric == "pure"
            rows.append(
                ExportRow(
                    *(label, design, metric, draw(NUMBERS[metric]), UNITS[metric]),
                    sd=None if answered else draw(st.none() | st.floats(0, 1e6)),
                    qualifier="=" if answered else draw(st.sampled_from("=<>")),
                    replicate=None if values.count(metric) == 1 else f"r{i}",
                    conditions=draw(conditions),
                    **told,
                )
            )
        if draw(st.booleans()):
            fe = draw(st.integers(1, 99)) / 100
            composition = {"Fe": fe, "Co": 1 - fe}
            rows.append(ExportRow(label, design, composition=composition, conditions=draw(conditions), **told))
        if status != "ok" and not any(row.sample_id == label for row in rows):
            rows.append(ExportRow(label, design, **told))
    return Export(ELEMENTS, COLUMNS, tuple(rows))


NOTHING = {"-", "–", "—", "n.d.", "na", "n/a", "none"}


def said(checked):
    """What a checked table says of each sample, whatever rows it took to say it."""
    found = {}
    for row in checked.results:
        one = found.setdefault(row.label, {"design": row.design, "values": {}, "composition": None})
        for metric, v in row.values.items():
            one["values"][metric, row.replicate] = (v.value, v.sd, v.qualifier, dict(row.conditions))
        if row.composition:
            one["composition"] = (pytest.approx(row.composition), dict(row.conditions))
        if row.status != "pending":
            one["status"], one["mode"] = row.status, row.failure_mode
    return found


def meant(export):
    found = {}
    for row in export.rows:
        one = found.setdefault(row.sample_id, {"design": dict(row.design), "values": {}, "composition": None})
        if row.metric:
            one["values"][row.metric, row.replicate] = (row.value, row.sd, row.qualifier, dict(row.conditions))
        if row.composition:
            one["composition"] = (dict(row.composition), dict(row.conditions))
        mode = row.failure_mode
        one["status"], one["mode"] = row.status, None if mode is None or mode.casefold() in NOTHING else mode
    return found


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(export=exports())
def test_what_is_exported_is_read_back_without_loss(kind, export):
    if not export.rows:
        return
    checked = check_results(read_table(WRITERS[kind](vouched(export, EXPECT)), f"out.{kind}"), EXPECT)
    assert checked.ok, checked.problems
    assert said(checked) == meant(export)


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(export=exports())
def test_no_cell_is_a_formula(kind, export):
    content = WRITERS[kind](export)
    if kind == "csv":
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        for cell in (cell for line in lines for cell in line):
            assert not cell.startswith(ESCAPED) or math.isfinite(float(cell))  # a number that is negative
    else:
        cells = [cell for row in load_workbook(io.BytesIO(content))["results"] for cell in row]
        assert {cell.data_type for cell in cells} <= {"s", "n"}
        assert not any(cell.data_type == "s" and str(cell.value).startswith(ESCAPED) for cell in cells)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_campaign_comes_back_from_its_own_export(start, tmp_path, kind):
    campaign = start()
    batch = campaign.recommend(3)
    content = table_of([(batch[0].label, batch[0].design)])
    campaign.ingest(content, name="one.csv", commit=True)
    campaign.ingest(
        b"sample_id,Ni,Fe,Co,Mn,measured Ni,measured Fe,loss (mV),replicate,operator,notes\n"
        b"x1,0.5,0.5,0,0,0.48,0.52,<305.25,1,=ada,\"a;b, 'c'\"\nx1,0.5,0.5,0,0,,,301.5\xc2\xb12.5,2,ada,-5\n",
        name="more.csv",
        commit=True,
    )
    campaign.fail(batch[1].label, mode="no precipitate")
    campaign.fail("old-3", mode="mislabelled")  # it had a value, which is set aside
    campaign.void("old-4", reason="spilt")
    path = campaign.export(tmp_path / f"results.{kind}")
    before = campaign.state
    again = Campaign.start(load_spec(spec_of()), db=Store.open(f"sqlite:///{tmp_path}/again.db", create=True))
    checked = again.ingest(path, commit=True)
    assert checked.ok, checked.problems
    values = [
        {o.sample.label: (o.value, o.variance, o.sd, o.censor, o.n) for o in state.observations("loss")}
        for state in (before, again.state)
    ]
    assert values[0] == values[1]
    kept = [row for row in results(before).rows if row.set_aside is None]
    assert [row for row in results(again.state).rows if row.metric or row.status == "ok"] == [
        row for row in kept if row.metric or row.status == "ok"
    ]
    here = {s.label: (s.candidate, before.status(s.id)) for s in before.samples}
    assert {s.label: (s.candidate, again.state.status(s.id)) for s in again.state.samples} == here
    assert again.state.tried().keys() == before.tried().keys() - {batch[2].candidate}
    same = campaign.check(path)  # into the campaign that it came from it brings nothing new
    assert {str(row.status) for row in same.rows} == {"skipped"}


ODD = """sample_id,Ni,Fe,Co,Mn,measured Ni,measured Fe,measured Co,loss (mV),laser,role,made_at
x1,0.5,0.5,0,0,,,,301,3 W,,2026-03-01
x1,0.5,0.5,0,0,0.5,0,0.5,,3 W,,
x2,0.5,0,0.5,0,0.5,0.01 ± 0.005,0.49,310,,control,
""".encode()


@pytest.mark.parametrize("kind", WRITERS)
def test_what_was_consented_to_is_not_asked_again_and_nothing_is_lost(start, tmp_path, kind):
    campaign = start(0)
    keep = {"laser": "keep"}
    (problem,) = campaign.check(ODD, name="odd.csv", mapping=keep).problems
    assert "exchanged" in problem.what
    campaign.ingest(ODD, name="odd.csv", mapping=keep, fixes=["as-stated"], commit=True)
    path, again = campaign.export(tmp_path / f"out.{kind}"), start(0)
    assert again.ingest(path, commit=True).ok
    assert again.export(tmp_path / f"again.{kind}").read_bytes() == path.read_bytes()
    conditions = [
        {(m.metric, str(sorted(m.conditions.items()))) for m in c.state.measurements} for c in (campaign, again)
    ]
    assert conditions[0] == conditions[1]
    assert "composition_sd" in str(conditions)
    assert [row.as_stated for row in results(again.state).rows] == [False, True, False, False]


def test_only_the_row_that_says_so_is_taken_as_stated():
    rows = [
        [f"a{i}", 0.75, 0.25, 0, 300, "pure", 0.25, 0.75, said] for i, said in enumerate(["yes", "no", "", "maybe"])
    ]
    head = "sample_id,Ni,Fe,anneal (K),overpotential (mV),medium,measured Ni,measured Fe,as stated"
    sheet = "\n".join([head, *(",".join(map(str, row)) for row in rows)]).encode()
    checked = check_results(read_table(sheet, "x.csv"), EXPECT)
    assert [str(row.status) for row in checked.rows] == ["accepted", "question", "question", "rejected"]
