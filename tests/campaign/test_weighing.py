"""The loop of weighing: what to weigh goes out with the batch, the masses come back with the samples."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
import yaml
from small_campaign import results, spec_of

from campaign import Campaign
from campaign.export import results as exported
from campaign.failures import LearnedFeasibility
from campaign.spec import load_spec
from campaign.syntheses import syntheses
from campaign.synthesis_spec import Synthesis
from campaign.weighing import metals, plan_of, weighed_masses
from db.errors import InvalidInput
from flows.cli.app import run

INVENTORY = """element,precursor,assay (%),lot,stock (g),price (EUR/g),hazards
Ni,Ni(NO3)2·6H2O,98,N1,25,0.4,H350
Fe,Fe(NO3)3·9H2O,98,F1,25,0.3,H272
Co,Co(NO3)2·6H2O,98,C1,25,0.5,H302
Mn,MnCl2·4H2O,99,M1,25,0.2,
"""
SYNTHESIS = {"inventory": "inventory.csv", "amount": "2 mmol"}


@pytest.fixture
def weighing(tmp_path: Path) -> Campaign:
    """A campaign that weighs, with a batch that is open."""
    (tmp_path / "inventory.csv").write_text(INVENTORY, encoding="utf-8")
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec_of(synthesis=SYNTHESIS)))
    campaign = Campaign.start(path, db=f"sqlite:///{tmp_path}/w.db", by="tests")
    campaign.recommend()
    return campaign


def book_of(campaign: Campaign, path: Path) -> Any:
    return openpyxl.load_workbook(campaign.worksheet(path))


def cells(sheet: Any) -> list[dict[str, Any]]:
    """Rows of a sheet: header -> cell."""
    header = [c.value for c in sheet[1]]
    return [dict(zip(header, row, strict=True)) for row in sheet.iter_rows(min_row=2)]


def saved(book: Any) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def filled(campaign: Campaign, path: Path, label: str = "b1-01", factor: float = 1.0) -> bytes:
    """The workbook of the batch with the masses of one sample filled in, the first of them times `factor`."""
    book = book_of(campaign, path)
    for row in [r for r in cells(book["weighing"]) if r["sample_id"].value == label]:
        row["actual mass (mg)"].value = row["target mass (mg)"].value * factor
        factor = 1.0
    return saved(book)


def test_the_workbook_says_what_to_weigh_and_masses_come_back(weighing: Campaign, tmp_path: Path) -> None:
    book = book_of(weighing, tmp_path / "b1.xlsx")
    assert book.sheetnames == ["batch", "weighing", "about"]
    rows = cells(book["weighing"])
    planned = plan_of(weighing.state, weighing.batch().items)
    assert [r["sample_id"].value for r in rows] == [w.label for w in planned.weighings for _ in w.portions]
    assert all(r["actual mass (mg)"].value is None for r in rows)
    assert any("no assessment of safety" in str(row[1].value) for row in book["about"].rows)

    content = filled(weighing, tmp_path / "b1.xlsx", factor=1.2)
    dry = weighing.check(content, name="b1.xlsx")
    assert dry.ok
    (told,) = [r for r in dry.rows if r.result and r.result.weighed]
    assert told.notes == ("the surrogate learns from the composition weighed, until one is measured",)
    assert weighing.state.samples == ()
    weighing.ingest(content, name="b1.xlsx", commit=True)
    state = weighing.state
    (sample,) = state.samples
    assert sample.recommendation is not None
    first, *_ = (p for w in planned.weighings if w.label == "b1-01" for p in w.portions)
    element = first.precursor.element
    assert told.result is not None
    assert told.result.weighed is not None
    made = state.composition(sample)
    assert made == told.result.weighed.composition
    share = 1.2 * sample.design[element] / (1 + 0.2 * sample.design[element])  # type: ignore[operator]
    assert made[element] == pytest.approx(share, abs=2e-3)
    assert sum(made.values()) == pytest.approx(1)  # type: ignore[arg-type]
    masses = weighed_masses(state)["b1-01"]
    assert [m.lot for m in masses] == [p.precursor.lot for w in planned.weighings[:1] for p in w.portions]
    assert "b1-01" in {r.label for r in state.pending}  # made, and not measured
    assert isinstance(state.spec.feasibility, LearnedFeasibility)
    assert syntheses(state, state.spec.feasibility).made == ()  # what is weighed may still fail

    before = len(state.measurements)
    assert weighing.recorded(content, name="b1.xlsx")
    weighing.ingest(content, name="b1.xlsx", commit=True)
    assert len(weighing.state.measurements) == before
    assert weighing.recommend().repeated  # masses ask for no new batch


def test_a_measured_composition_counts_before_the_weighed_one(weighing: Campaign, tmp_path: Path) -> None:
    weighing.ingest(filled(weighing, tmp_path / "a.xlsx", factor=1.3), name="a.xlsx", commit=True)
    weighed = weighing.state.composition(weighing.state.samples[0])
    weighing.ingest(b"sample_id,loss (mV),measured Ni,measured Fe\nb1-01,250,0.5,0.5\n", name="icp.csv", commit=True)
    state = weighing.state
    (sample,) = state.samples
    assert state.composition(sample) == {"Ni": 0.5, "Fe": 0.5} != weighed
    assert {m.metric for m in state.measurements} == {"loss", "composition", "weighed"}
    assert all(row.metric != "weighed" for row in exported(state).rows)


def test_the_surrogate_is_given_what_was_weighed(weighing: Campaign, tmp_path: Path) -> None:
    batch = weighing.batch()
    weighing.ingest(filled(weighing, tmp_path / "a.xlsx", factor=1.3), name="a.xlsx", commit=True)
    loss = results([(r.label, r.design) for r in batch])
    weighing.ingest(loss, name="loss.csv", commit=True)
    state = weighing.state
    (sample,) = [s for s in state.samples if s.label == "b1-01"]
    assert state.space.design_candidate(state.composition(sample)).id != sample.candidate
    assert weighing.recommend().batch.number == 2


def test_half_a_sample_and_slips_are_not_taken(weighing: Campaign, tmp_path: Path) -> None:
    book = book_of(weighing, tmp_path / "a.xlsx")
    rows = [r for r in cells(book["weighing"]) if r["sample_id"].value == "b1-01"]
    assert len(rows) > 1
    rows[0]["actual mass (mg)"].value = rows[0]["target mass (mg)"].value
    half = weighing.check(saved(book), name="a.xlsx")
    assert not half.ok
    assert "actual mass of" in half.problems[0].what
    assert half.problems[0].where == f"a.xlsx, weighing!{rows[1]['actual mass (mg)'].coordinate}"
    for row in rows[1:]:
        row["actual mass (mg)"].value = 10 * row["target mass (mg)"].value
    slip = weighing.check(saved(book), name="a.xlsx")
    assert not slip.ok
    assert "far from the target" in slip.problems[0].what
    with pytest.raises(InvalidInput):
        weighing.ingest(saved(book), name="a.xlsx", commit=True)
    assert weighing.state.samples == ()
    assert weighing.check(saved(book), name="a.xlsx", fixes=["as-stated"]).ok


def test_another_hydrate_is_written_where_it_was_used(weighing: Campaign, tmp_path: Path) -> None:
    book = book_of(weighing, tmp_path / "a.xlsx")
    items = weighing.batch().items
    label = next(r.label for r in items if 0 < float(r.design.get("Fe", 0.0)) < 1)
    for row in [r for r in cells(book["weighing"]) if r["sample_id"].value == label]:
        row["actual mass (mg)"].value = row["target mass (mg)"].value
        if row["element"].value == "Fe":
            row["precursor"].value = "Fe(NO3)3·6H2O"
    checked = weighing.check(saved(book), name="a.xlsx")
    (weighed,) = [r.result.weighed.composition for r in checked.rows if r.result and r.result.weighed]
    target = next(float(r.design["Fe"]) for r in items if r.label == label)
    assert weighed["Fe"] == pytest.approx(1.1545 * target / (1 + 0.1545 * target), abs=2e-3)


def test_a_wrong_sheet_is_voided_and_handed_in_again(weighing: Campaign, tmp_path: Path) -> None:
    weighing.ingest(filled(weighing, tmp_path / "a.xlsx", factor=1.3), name="a.xlsx", commit=True)
    again = book_of(weighing, tmp_path / "b.xlsx")
    rows = [r for r in cells(again["weighing"]) if r["sample_id"].value == "b1-01"]
    assert {r["remarks"].value for r in rows} == {"on record"}
    rows[0]["actual mass (mg)"].value += 1
    (asked,) = weighing.check(saved(again), name="b.xlsx").problems
    assert "other masses of b1-01 are on record" in asked.what
    with pytest.raises(InvalidInput, match="not amended one by one"):
        weighing.amend("b1-01/weighed", "Ni0.5Fe0.5", reason="wrong line")
    weighing.void_measurement("b1-01/weighed", reason="wrong line")
    weighing.ingest(filled(weighing, tmp_path / "c.xlsx", factor=1.1), name="c.xlsx", commit=True)
    assert len([m for m in weighing.state.measurements if m.metric == "weighed"]) == 1


def test_masses_on_record_are_written_out_and_read_back_as_the_same(weighing: Campaign, tmp_path: Path) -> None:
    weighing.ingest(filled(weighing, tmp_path / "a.xlsx", factor=1.3), name="a.xlsx", commit=True)
    again = weighing.check(weighing.worksheet(tmp_path / "b.xlsx"))
    assert [r.notes for r in again.rows if r.status == "skipped"] == [("the masses are on record",)]


def test_the_command(weighing: Campaign, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITELOOP_DB", f"sqlite:///{tmp_path}/w.db")
    monkeypatch.chdir(tmp_path)
    assert run(["weigh", "small", "-o", "weigh.html", "--worklist", "robot.csv"]) == 0
    said = capsys.readouterr()
    assert "b1-01" in said.out
    assert "no assessment of safety" in said.err
    page = Path("weigh.html").read_text(encoding="utf-8")
    assert "Ni(NO3)2·6H2O" in page
    assert Path("robot.csv").read_text().startswith("well,sample_id,precursor,lot,source,mass_mg,volume_uL")
    assert run(["weigh", "small", "-o", "weigh.csv", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["amount_mmol"], told["currency"], len(told["samples"])) == (2, "EUR", 3)
    assert told["cost"] == pytest.approx(sum(s["cost"] for s in told["samples"]))
    lines = Path("weigh.csv").read_text(encoding="utf-8-sig").splitlines()
    at = [lines[0].split(",").index(name) for name in ("target mass (mg)", "actual mass (mg)")]
    table = [line.split(",") for line in lines]
    for row in table[1:]:
        row[at[1]] = row[at[0]] if row[0] == "b1-02" else ""
    Path("weigh.csv").write_text("\n".join(",".join(row) for row in table), encoding="utf-8")
    assert run(["ingest", "small", "weigh.csv", "--commit"]) == 0
    assert "weighed " in capsys.readouterr().out
    assert set(weighed_masses(weighing.state)) == {"b1-02"}
    Path("today.csv").write_text("precursor\nNiCl2\n")
    assert run(["weigh", "small", "--inventory", "today.csv"]) == 3
    assert "there is no precursor of" in capsys.readouterr().err
    assert run(["weigh", "small", "-o", "weigh.pdf"]) == 3


class Slab:
    """What weighing asks of a structure space."""

    components: tuple[str, ...] = ()

    def x_of(self, design: Any) -> Any:
        return np.array([0.0])

    def formula(self, x: int) -> str:
        return "Co10 Ti1 Zn1 O24 H12"

    def substitutions(self, x: int) -> tuple[tuple[str, str], ...]:
        return (("Co", "Ti"), ("Co", "Zn"))


def test_of_a_slab_all_metals_are_weighed_and_neither_water_nor_air() -> None:
    slab: Any = Slab()
    found = metals(slab, {}, Synthesis(inventory="inventory.csv", amount=2))
    assert found == pytest.approx({"Co": 10 / 12, "Ti": 1 / 12, "Zn": 1 / 12})
    assert set(metals(slab, {}, Synthesis(inventory="i.csv", amount=2, free=("H", "O", "Zn")))) == {"Co", "Ti"}


def test_cards_and_the_report_say_what_to_weigh(
    weighing: Campaign, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITELOOP_DB", f"sqlite:///{tmp_path}/w.db")
    assert run(["explain", "small", "b1-01", "--json"]) == 0
    make = json.loads(capsys.readouterr().out)["make"]
    assert make[0].startswith("Weigh ")
    assert any(line.startswith("As rounded to the balance: ") for line in make)
    page = weighing.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<summary>what to weigh</summary>") == 3
    assert weighing.weighing(tmp_path / "weigh.xlsx").read_bytes().startswith(b"PK")


def test_what_a_spec_may_not_say(tmp_path: Path) -> None:
    for wrong, told in (
        ({"amount": "2 mg"}, "mmol"),
        ({"amount": 0}, "greater than 0|above"),
        ({"inventory": "/etc/passwd"}, "not a file in the folder"),
        ({"balance": {"readability": "1 V"}}, "mg"),
        ({"balance": {"minimum": "0.01 mg"}}, "below the readability"),
        ({"free": ["Xx"]}, "no chemical element"),
    ):
        with pytest.raises(InvalidInput, match=told):
            load_spec(spec_of(synthesis=SYNTHESIS | wrong))
    (tmp_path / "inventory.csv").write_text("precursor\nLa(NO3)3·xH2O\n", encoding="utf-8")
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec_of(synthesis=SYNTHESIS)))
    with pytest.raises(InvalidInput, match="how many molecules of water"):
        Campaign.start(tmp_path / "spec.yaml", db=f"sqlite:///{tmp_path}/w.db")


def test_without_synthesis_nothing_is_weighed(start: Any, tmp_path: Path) -> None:
    campaign = start(0)
    campaign.recommend()
    assert book_of(campaign, tmp_path / "a.xlsx").sheetnames == ["batch", "about"]
    with pytest.raises(InvalidInput, match="does not say what samples are made from"):
        plan_of(campaign.state, campaign.batch().items)
