"""Curves become measurements of a campaign: all or none, once, against the spec, and computable again."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from small_campaign import spec_of

from campaign import Campaign
from campaign.curve_list import Entry, Handed, from_options, handed_in
from campaign.curve_record import curves_on_record
from campaign.curves import check_curves
from db.errors import InvalidInput

OBJECTIVES = [
    {"name": "overpotential", "goal": "minimize", "unit": "mV", "at": {"j": "10 mA/cm^2", "area": "geometric"}},
    {"name": "eta_100", "goal": "minimize", "unit": "V", "at": {"j": "100 mA/cm^2"}},
    {"name": "tafel_slope", "goal": "minimize", "unit": "mV/dec"},
]
STATED = {
    "reference": "Hg/HgO 1 M NaOH", "offset_source": "nominal", "ph": 14.0, "rs": "5 ± 0.1", "compensation": 1.0,
    "area": "0.196 cm^2",
}  # fmt: skip


def csv(eta10: float = 0.224, b: float = 0.0392, top: float = 150.0, seed: int = 1) -> bytes:
    """A Tafel line as measured against Hg/HgO at pH 14, through 5 ohm."""
    eta = np.arange(eta10 - 3 * b, eta10 + b * np.log10(top / 10), 4e-4)
    i = 10 * 10 ** ((eta - eta10) / b) * 0.196
    i = i * (1 + 0.002 * np.random.default_rng(seed).standard_normal(len(eta)))
    E = eta + 1.229 - 0.098 - 14 * 0.0591597 + 1e-3 * i * 5
    return b"E/V,I/mA\n" + "".join(f"{e:.6f},{a:.6f}\n" for e, a in zip(E, i, strict=True)).encode()


def handed(content: bytes, sample: str = "s1", name: str = "s1.csv", **stated) -> Handed:
    given = STATED | {"sample": sample, "design": "Ni0.5 Fe0.5"} | stated
    return Handed(from_options(name, {k: v for k, v in given.items() if v is not None}), content)


@pytest.fixture
def oer(tmp_path: Path) -> Campaign:
    path = tmp_path / "oer.yaml"
    path.write_text(yaml.safe_dump(spec_of(campaign="oer", objectives=OBJECTIVES, model="gp")))
    return Campaign.start(path, db=f"sqlite:///{tmp_path}/oer.db", by="tests")


def said(checked) -> str:
    return "\n".join(str(p) for c in checked for p in c.problems)


def test_a_curve_becomes_measurements_that_can_be_computed_again(oer: Campaign) -> None:
    content = csv()
    oer.record_curves([handed(content)])
    state = oer.state
    values = {m.metric: m for m in state.measurements}
    assert values["overpotential"].value == pytest.approx(224, abs=0.5)
    assert values["eta_100"].value == pytest.approx(0.2632, abs=5e-4)
    assert values["tafel_slope"].value == pytest.approx(39.2, abs=0.3)
    assert [len(state.observations(o["name"])) for o in OBJECTIVES] == [1, 1, 1]
    conditions = values["overpotential"].conditions
    assert conditions["offset_source"] == "nominal"
    assert conditions["flags"] == ["nominal_reference"]
    assert conditions["reading_sd"] == pytest.approx(
        np.hypot(0.1 * 0.00196 * 1e3, conditions["reading_sd_mV"]["noise"])
    )
    stored = oer._store.source(values["overpotential"].source)
    assert (stored.content, stored.name) == (content, "s1.csv")
    told = curves_on_record(oer._store, "oer")
    assert told[0]["parameters"]["rs"] == "5 ± 0.1"
    assert all(a.same for a in oer.recompute_curves())
    assert len(oer.recompute_curves()) == 3
    assert oer._store.verify("oer") == []


def test_what_is_computed_again_is_compared(oer: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    oer.record_curves([handed(csv())])
    monkeypatch.setattr("lab_io.polarisation.per_ph", lambda celsius: 0.0592)
    differ = {a.metric for a in oer.recompute_curves() if not a.same}
    assert differ == {"overpotential", "eta_100"}


def test_the_same_curve_twice_is_a_no_op(oer: Campaign) -> None:
    oer.record_curves([handed(csv())])
    head = oer.state.head
    assert oer.record_curves([handed(csv())])[0].before
    assert oer.state.head == head


def test_another_reading_conflicts_repeats_or_corrects(oer: Campaign) -> None:
    oer.record_curves([handed(csv())])
    again = handed(csv(), ph=13.9)
    assert "on record" in said(oer.check_curves([again]))
    with pytest.raises(InvalidInput, match="replicate"):
        oer.record_curves([again])
    oer.record_curves([handed(csv(seed=2), replicate="2", name="again.csv")])
    assert oer.state.observations("overpotential")[0].n == 2
    oer.record_curves([handed(csv(), ph=13.9, correct="pH was 13.9")])
    state = oer.state
    assert state.observations("overpotential")[0].n == 2
    corrected = next(m for m in state.measurements if m.reason and m.metric == "overpotential")
    assert corrected.value == pytest.approx(224 - 5.9, abs=0.5)
    assert all(a.same for a in oer.recompute_curves())
    assert len(oer.recompute_curves()) == 9
    assert "to correct" in said(oer.check_curves([handed(csv(), replicate="7", correct="why")]))


def test_all_curves_or_none(oer: Campaign) -> None:
    good, bad = handed(csv()), handed(b"E/V,I/mA\n" + b"0.1,x\n" * 9, "s2", "s2.csv", design="Ni0.5 Co0.5")
    head = oer.state.head
    with pytest.raises(InvalidInput) as error:
        oer.record_curves([good, bad])
    assert all("s2.csv" in p.where for p in error.value.problems)
    assert oer.state.head == head
    clash = oer.check_curves([good, handed(csv(seed=3), name="other.csv")])
    assert "s1 has a curve in s1.csv already" in said(clash)


def test_doubts_about_the_parameters(oer: Campaign) -> None:
    def codes(**stated) -> set[str]:
        return {f.code for f in oer.check_curves([handed(csv(), **stated)])[0].flags}

    assert codes() == {"nominal_reference"}
    assert codes(offset="0.098 V vs SHE", offset_source="calibrated") == set()
    assert codes(temperature=60.0) >= {"reference_temperature", "temperature"}
    assert "temperature" not in codes(temperature=60.0, equilibrium="1.199 V")
    named = csv().replace(b"E/V", b"E vs Ag/AgCl 3 M KCl (V)")
    assert "says Ag/AgCl 3 M KCl" in said(oer.check_curves([handed(named)]))


def test_a_curve_that_is_too_short(oer: Campaign) -> None:
    short = csv(top=50)
    assert "does not reach 100 mA/cm^2" in said(oer.check_curves([handed(short)]))
    skipped = oer.check_curves([handed(short, not_reached="skip")])[0]
    assert [d.target.metric for d in skipped.values] == ["overpotential", "tafel_slope"]
    oer.record_curves([handed(short, not_reached="censor")])
    bound = next(m for m in oer.state.measurements if m.metric == "eta_100")
    assert bound.qualifier == ">"
    assert bound.value == pytest.approx(0.224 + 0.0392 * np.log10(5), abs=1e-3)
    assert oer.state.observations("eta_100")[0].censor == 1
    assert all(a.same for a in oer.recompute_curves())


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"sample": "b9-01", "design": None}, "there is no sample 'b9-01'"),
        ({"design": "Xx0.5 Fe0.5"}, "design"),
        ({"area": None}, "the area"),
        ({"basis": "ECSA"}, "wants the geometric area"),
        ({"at": {"overpotential": "20 mA/cm^2"}}, "the spec says 10 mA/cm^2"),
        ({"at": {"overpotentiel": "20 mA/cm^2"}}, "did you mean overpotential"),
        ({"anodic": "negative"}, "currents are negative"),
        ({"offset": "-0.4 V vs SHE", "offset_source": "calibrated"}, "negative"),
    ],
)
def test_what_stands_against_recording(oer: Campaign, stated, words: str) -> None:
    checked = oer.check_curves([handed(csv(), **stated)])
    assert words in said(checked)
    with pytest.raises(InvalidInput):
        oer.record_curves([handed(csv(), **stated)])
    assert oer.state.samples == ()


@pytest.mark.parametrize(
    ("stated", "where"),
    [
        ({"reference": None}, "--reference"),
        ({"reference": "Hg/HgO"}, "--reference"),
        ({"offset_source": None}, "--offset-source"),
        ({"offset_source": "guessed"}, "--offset-source"),
        ({"offset_source": "calibrated"}, "--offset"),
        ({"offset": "0.098 V"}, "--offset"),
        ({"offset": "98 K vs SHE"}, "--offset"),
        ({"ph": None}, "--ph"),
        ({"ph": "25"}, "--ph"),
        ({"ph": "alkaline"}, "--ph"),
        ({"rs": None}, "--rs"),
        ({"rs": "5 V"}, "--rs"),
        ({"compensation": None}, "--compensation"),
        ({"compensation": 85.0}, "--compensation"),
        ({"by_instrument": 0.9, "compensation": 0.85}, "--by-instrument"),
        ({"area": "0.196"}, "--area"),
        ({"area": "2 mg"}, "--area"),
        ({"area": "-1 cm^2"}, "--area"),
        ({"window": ["20 mA/cm^2", "1 mA/cm^2"]}, "--window"),
        ({"at": {"overpotential": "10"}}, "--at"),
        ({"colour": "blue"}, "--colour"),
        ({"temperature": "25 V"}, "--temperature"),
    ],
)
def test_parameters_that_cannot_be(stated, where: str) -> None:
    with pytest.raises(InvalidInput) as error:
        handed(csv(), **stated)
    assert [p.where for p in error.value.problems] == [where]
    assert error.value.problems[0].fix


def test_all_missing_parameters_are_said_at_once() -> None:
    with pytest.raises(InvalidInput) as error:
        from_options("x.csv", {})
    assert {p.where for p in error.value.problems} == {"--sample", "--reference", "--offset-source", "--compensation"}


def test_a_folder_of_curves(oer: Campaign, tmp_path: Path) -> None:
    folder = tmp_path / "curves"
    folder.mkdir()
    listed = [{"file": f"s{k}.csv", "sample": f"s{k}", "design": f"Ni0.5 {e}0.5"} for k, e in enumerate(("Fe", "Co"))]
    for k, one in enumerate(listed):
        (folder / one["file"]).write_bytes(csv(eta10=0.22 + 0.02 * k))
    (folder / "curves.yaml").write_text(yaml.safe_dump({"defaults": STATED, "curves": listed}))
    oer.record_curves(handed_in(folder, {}))
    assert [round(o.value) for o in oer.state.observations("overpotential")] == [220, 240]
    with pytest.raises(InvalidInput, match="under defaults"):
        handed_in(folder, {"ph": "14"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"curves": [{"file": "../x.csv", "sample": "a"}]}, "outside the folder"),
        ({"curves": [{"file": "none.csv", "sample": "a"}]}, "cannot be read"),
        ({"curves": []}, "curves"),
        ({"curves": [{"file": "x.csv"}]}, "`sample` is missing"),
        ({"defaults": {**STATED, "phh": 14}}, "did you mean ph"),
        ({"defaults": {**STATED, "ph": 99}}, "99"),
        ({"defaults": None}, "`reference` is missing"),
        ({"curves": [{"file": "x.csv", "sample": "a"}, {"file": "x.csv", "sample": "b"}]}, "listed twice"),
    ],
)
def test_lists_that_cannot_be(tmp_path: Path, changes, words: str) -> None:
    (tmp_path / "x.csv").write_bytes(csv())
    value = {"defaults": STATED, "curves": [{"file": "x.csv", "sample": "a"}]} | changes
    path = tmp_path / "curves.yaml"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(InvalidInput) as error:
        handed_in(path, {})
    assert words in str(error.value)


JUNK = [
    *("", "-1", "1e999", "nan", "No", "0,5", "5 ±", "± 5", "<5", "~5", "5 V vs", "=1+1", "\u0421", "9" * 400),
    *(-1, 1e300, True, None, [], {}, [1, 2], {"a": 1}, ["E/V"], ["1 mA/cm^2", "x"], {"overpotential": 5}),
]


def test_whatever_stands_in_a_list_is_read_or_refused(oer: Campaign, tmp_path: Path) -> None:
    """Every parameter with a third of all junk, through the file and the check: no other error, and words for each."""
    (tmp_path / "x.csv").write_bytes(csv())
    path = tmp_path / "curves.yaml"
    refused, state = 0, oer.state
    for k, key in enumerate(Entry.model_fields):
        for junk in JUNK[k % 3 :: 3]:
            stated = STATED | {"file": "x.csv", "sample": "a", "design": "Ni0.5 Fe0.5", key: junk}
            path.write_text(yaml.safe_dump({"curves": [stated]}))
            try:
                wrong = [p for c in check_curves(state, handed_in(path, {}), ()) for p in c.problems]
            except InvalidInput as error:
                wrong = list(error.problems)
            refused += bool(wrong)
            assert [p for p in wrong if not (p.what and p.fix)] == []
    assert refused > 0.2 * len(JUNK) * len(Entry.model_fields)


def test_a_binary_file_is_kept_beside_what_was_read(oer: Campaign, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    import sys

    text = tmp_path / "text.csv"
    text.write_bytes(csv())
    script = tmp_path / "convert.py"
    script.write_text(f"print(open({str(text)!r}).read())")
    monkeypatch.setenv("SITELOOP_MPR", f"{sys.executable} {script}")
    content = b"BIO-LOGIC MODULAR FILE\x1a" + bytes(100)
    oer.record_curves([handed(content, name="s1.mpr")])
    monkeypatch.delenv("SITELOOP_MPR")  # not needed any more: the text is on record
    assert all(a.same for a in oer.recompute_curves())
    assert oer._store.source(oer.state.measurements[0].source).content == content
    assert "set $SITELOOP_MPR" in said(oer.check_curves([handed(content + b"x", "s2", "s2.mpr")]))


def test_a_campaign_that_measures_nothing_of_a_curve(start) -> None:
    campaign = start(n=0, objectives=[{"name": "strength", "goal": "maximize", "unit": "MPa"}])
    assert "gives none of what the campaign measures" in said(campaign.check_curves([handed(csv())]))
    other = start(n=0, campaign="other", objectives=[{"name": "overpotential", "goal": "minimize", "unit": "mV"}])
    assert "at which current density" in said(other.check_curves([handed(csv())]))
    stated = other.check_curves([handed(csv(), at={"overpotential": "10 mA/cm^2"})])
    assert stated[0].values[0].value == pytest.approx(224, abs=0.5)
