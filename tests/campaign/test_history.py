"""A campaign that learns from earlier ones and from tables: what it says, what it stores, and what it refuses."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from small_campaign import ELEMENTS, results, spec_of, truth

from campaign import Campaign
from campaign.history import past
from campaign.sentences import sentences
from db.errors import InvalidInput

THEIRS = ("Ni", "Fe", "Co", "Cr")
OFFSET = 120.0


def theirs(design: dict[str, Any]) -> float:
    return truth(design) + OFFSET + 60 * float(design.get("Cr", 0.0))


def table(rows: list[tuple[dict[str, Any], float]], elements: tuple[str, ...] = THEIRS, header: str = "loss (mV)"):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*elements, header])
    writer.writerows([[*(f"{d.get(e, 0):.6g}" for e in elements), f"{v:.9g}"] for d, v in rows])
    return text.getvalue().encode()


class Lab:
    """Campaigns in one database."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.db = folder, f"sqlite:///{folder}/lab.db"

    def start(self, **changes: Any) -> Campaign:
        path = self.folder / "spec.yaml"
        path.write_text(yaml.safe_dump(spec_of(**changes)))
        return Campaign.start(path, db=self.db, by="tests")

    def earlier(self, n: int = 30, name: str = "first") -> list[tuple[dict[str, Any], float]]:
        """A campaign with another element and an offset, measured."""
        space = spec_of()["space"] | {"elements": list(THEIRS)}
        first = self.start(campaign=name, space=space)
        found = first.state.space
        designs = [
            dict(found.candidate(int(i)).design) for i in np.random.default_rng(0).choice(found.count, n, replace=False)
        ]
        rows = [(d, round(theirs(d), 6)) for d in designs]
        first.ingest(table(rows), name="first.csv", commit=True)
        return rows


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_campaign_begins_with_what_an_earlier_one_tells(lab):
    rows = lab.earlier()
    second = lab.start(campaign="second", history=[{"campaign": "first"}])
    batch = second.recommend(3)
    assert [r.rationale["role"] for r in batch] == ["history"] * 3
    assert all(r.prediction == {} for r in batch)  # nothing is calibrated, so that nothing is promised
    assert any("learnt from campaign first: 30 measurements" in note for note in batch.notes)
    assert "on the scale of campaign first" in " ".join(sentences(batch[0]))
    expected = batch[0].rationale["history"]["loss"]
    assert expected["unit"] == "mV"
    assert abs(expected["mean"] - OFFSET - truth(batch[0].design)) < 2 * expected["sd"]
    space = second.state.space
    every = sorted(truth(space.candidate(i).design) for i in range(space.count))
    assert min(truth(r.design) for r in batch) <= every[space.count // 20]

    second.ingest(results([(r.label, r.design) for r in batch]), name="b1.csv", commit=True)
    following = second.recommend(3)
    model = following.batch.settings["models"]["loss"]
    (lesson,) = model["history"]
    assert (model["recipe"], model["without_history"]["type"], model["measured"]) == ("transfer", "gp", 3)
    assert lesson["used"]
    assert lesson["rows"] == len(rows)
    assert 0 < lesson["weight"] < 1.5
    assert lesson["hash"] == batch.batch.settings["history"]["loss"][0]["hash"]
    assert any(f"weight {lesson['weight']:.2g}" in note for note in following.notes)
    predicted = following[0].prediction["loss"]
    assert predicted["incumbent"]["sample"].startswith("b1-")  # its own, never one of the history
    assert predicted["intervals"]["0.8"]["withheld"] == "needs 1 more measurement"
    assert all(n["sample"].startswith("b1-") for n in following[0].rationale["neighbours"])
    assert second.status()["measured"] == 3


def test_a_table_tells_the_same_as_the_campaign_it_was_exported_from(lab):
    rows = lab.earlier()
    in_volts = [(design, value / 1000) for design, value in rows]
    (lab.folder / "prior.csv").write_bytes(table(in_volts, header="eta"))
    prior = {"file": "prior.csv", "metrics": {"loss": "eta"}, "units": {"loss": "V"}}
    second = lab.start(campaign="second", history=[{"campaign": "first"}, prior])
    one, two = past(second.state, second.state.objectives[0])
    assert (one.name, two.name) == ("campaign first", "prior.csv")
    assert one.components == (*ELEMENTS, "Cr") == two.components
    key = np.lexsort(one.X.T), np.lexsort(two.X.T)
    assert np.allclose(one.X[key[0]], two.X[key[1]])
    assert np.allclose(one.values[key[0]], two.values[key[1]])


def test_the_same_history_gives_the_same_batch_and_a_longer_one_another_hash(lab, tmp_path):
    rows = lab.earlier()
    (tmp_path / "a").mkdir()
    again = Lab(tmp_path / "a")
    again.earlier()
    batches = [where.start(campaign="second", history=[{"campaign": "first"}]).recommend(3) for where in (lab, again)]
    assert batches[0].items == batches[1].items
    assert batches[0].batch == batches[1].batch
    new = {"Ni": 1 / 12, "Fe": 11 / 12}
    Campaign.open("first", db=lab.db).ingest(table([(new, 500.0)]), name="more.csv", commit=True)
    third = lab.start(campaign="third", history=[{"campaign": "first"}]).recommend(3)
    (before,), (after,) = (b.batch.settings["history"]["loss"] for b in (batches[0], third))
    assert after["rows"] == len(rows) + 1
    assert after["hash"] != before["hash"]


def test_a_shuffled_history_is_left_aside_and_said_so(lab):
    rows = lab.earlier()
    values = np.random.default_rng(2).permutation([v for _, v in rows])
    (lab.folder / "prior.csv").write_bytes(table([(d, v) for (d, _), v in zip(rows, values, strict=True)]))
    cold = lab.start(campaign="cold").recommend(3)
    second = lab.start(campaign="second", history=[{"file": "prior.csv"}])
    batch = second.recommend(3)
    assert [r.design for r in batch] == [r.design for r in cold]
    assert [r.rationale["role"] for r in batch] == ["space-filling"] * 3
    assert any("nothing is learnt from prior.csv" in note for note in batch.notes)
    second.ingest(results([(r.label, r.design) for r in batch]), name="b1.csv", commit=True)
    model = second.recommend(3).batch.settings["models"]["loss"]
    assert model["recipe"] == "gp"
    assert not model["history"][0]["used"]


def test_what_is_measured_here_is_no_history(lab):
    space = lab.start(campaign="ours").state.space
    rows = [(dict(space.candidate(i).design), truth(space.candidate(i).design)) for i in range(12)]
    (lab.folder / "prior.csv").write_bytes(table(rows, elements=ELEMENTS))
    second = lab.start(campaign="second", history=[{"file": "prior.csv"}])
    second.ingest(table(rows[:4], elements=ELEMENTS), name="own.csv", commit=True)
    (held,) = past(second.state, second.state.objectives[0])
    assert len(held) == 8
    assert held.notes == ("4 rows of it that are measurements of this campaign left out",)


def test_processes_learn_from_processes_and_strange_words_are_left_out(lab):
    def write(name: str, solvents: tuple[str, ...]) -> list[tuple[float, str]]:
        rows = [(float(t), s) for t in range(100, 200, 10) for s in solvents]
        (lab.folder / name).write_text("T (degC),solvent\n" + "\n".join(f"{t},{s}" for t, s in rows) + "\n")
        return rows

    def space(name: str) -> dict[str, Any]:
        return {"type": "candidate_table", "file": name}

    rows = write("theirs.csv", ("water", "ethanol", "hexane"))
    write("ours.csv", ("water", "ethanol"))
    first = lab.start(campaign="first", space=space("theirs.csv"))
    values = "\n".join(f"{t},{s},{(t - 150) ** 2 / 100 + 5 * (s == 'water')}" for t, s in rows)
    first.ingest(f"T (degC),solvent,loss (mV)\n{values}\n".encode(), name="r.csv", commit=True)
    second = lab.start(campaign="second", space=space("ours.csv"), history=[{"campaign": "first"}])
    (held,) = past(second.state, second.state.objectives[0])
    assert len(held) == 20
    assert held.notes == ("10 rows of it with other words in the columns left out",)
    batch = second.recommend(3)
    assert min(abs(float(r.design["T"]) - 150) for r in batch) <= 10
    assert {r.rationale["role"] for r in batch} == {"history"}


@pytest.mark.parametrize(
    ("history", "changes", "message"),
    [
        ([{"campaign": "second"}], {}, "its own measurements in any case"),
        ([{"campaign": "nobody"}], {}, "nobody"),
        ([{"campaign": "first", "file": "x.csv"}], {}, "found both"),
        ([{}], {}, "found neither"),
        ([{"campaign": "first"}, {"campaign": "first"}], {}, "listed twice"),
        ([{"campaign": "first", "metrics": {"gain": "loss"}}], {}, "'gain' is not an objective"),
        ([{"campaign": "first", "metrics": {"loss": "los"}}], {}, "did you mean loss"),
        ([{"campaign": "first", "units": {"loss": "V"}}], {}, "knows the units"),
        ([{"campaign": "first"}], {"model": "forest"}, "forest has no use for a history"),
        ([{"campaign": "first"}], {"objectives": [{"name": "loss", "goal": "minimize", "unit": "MPa"}]}, "MPa"),
        ([{"campaign": "first"}], {"objectives": [{"name": "gain", "goal": "maximize"}]}, "holds none of gain"),
        ([{"file": "../x.csv"}], {}, "is not a file in the folder"),
        ([{"file": "bad.csv"}], {}, "B2"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_before_anything_is_written(lab, history, changes, message):
    lab.earlier(6)
    (lab.folder / "bad.csv").write_text("Ni,loss (mV)\n1,many\n")
    with pytest.raises(InvalidInput) as caught:
        lab.start(campaign="second", history=history, **changes)
    assert message in str(caught.value)
    with pytest.raises(InvalidInput):
        Campaign.open("second", db=lab.db)


def test_structures_say_that_they_do_not_learn_from_histories_yet(lab):
    host = {"builder": "coooh", "lateral": [4, 3]}
    space = {
        "type": "doped_slab",
        "host": host,
        "sites": {"element": "Co"},
        "dopants": ["Ti"],
        "count": {"min": 1, "max": 2},
    }
    with pytest.raises(InvalidInput, match="not yet on doped_slab"):
        lab.start(campaign="second", space=space, model="gated_attention", history=[{"campaign": "first"}])


def test_several_objectives_begin_together_or_fill_the_space(lab):
    lab.earlier()
    objectives = [spec_of()["objectives"][0], {"name": "gain", "goal": "maximize"}]
    first = lab.start(campaign="both", history=[{"campaign": "first"}], objectives=objectives)
    assert {r.rationale["role"] for r in first.recommend(2)} == {"space-filling"}  # nothing is known of gain
    twice = [spec_of()["objectives"][0], {"name": "also", "goal": "minimize", "unit": "mV"}]
    second = lab.start(
        campaign="twice", history=[{"campaign": "first", "metrics": {"loss": "loss", "also": "loss"}}], objectives=twice
    )
    batch = second.recommend(2)
    assert set(batch[0].rationale["history"]) == {"loss", "also"}
    assert batch.batch.settings["acquisition"] == "Thompson"
