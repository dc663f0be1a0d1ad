"""An earlier batch computed again is the same to the last bit, and says so when it is not."""

import json
import random
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import fields

import numpy as np
import pytest
import torch
from small_campaign import ELEMENTS, results

from campaign import Campaign, replaying, surroundings
from campaign.request import Request
from campaign.spec import CampaignSpec
from db.errors import InvalidInput


@contextmanager
def own_generators_only():
    """What is done within draws from no global generator."""

    def states():
        numbers = np.random.get_state()
        return torch.random.get_rng_state().tolist(), random.getstate(), numbers[1].tolist(), numbers[2:]

    before = states()
    yield
    assert states() == before


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A campaign of three batches, the second with a pin and a veto; what they were computed from has changed since."""
    from small_campaign import history, spec_of

    from campaign.spec import load_spec

    folder = tmp_path_factory.mktemp("replay")
    campaign = Campaign.start(load_spec(spec_of()), db=f"sqlite:///{folder}/small.db", by="tests")
    campaign.ingest(results(history(campaign, 8)), name="history.csv", commit=True)
    campaign.recommend()
    campaign.recommend(2, pin=["b1-02"], veto=["b1-01"], reason="no stock")
    campaign.ingest(results([(r.label, r.design) for r in campaign.state.pending]), name="one.csv", commit=True)
    campaign.recommend(2, only=np.arange(0, campaign.state.space.count, 3))
    campaign.amend("old-1/loss", "999 mV", reason="digits swapped", commit=True)
    campaign.void("old-2", reason="mislabelled")
    campaign.expire(older_than=0, reason="never made")
    return campaign


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("from_model", [False, True])
def test_a_batch_is_the_same_whatever_happened_since(grown, number, from_model):
    head = grown.state.head
    with own_generators_only():
        found = grown.replay(number, from_model=from_model)
    assert found.differences == ()
    assert found.surroundings == ()
    assert found.verdict == "identical"
    assert grown.state.head == head


def test_another_process_with_other_threads_gives_the_same(grown):
    said = """
import json, sys, torch
from campaign import Campaign
torch.set_num_threads(2)
found = Campaign.open("small", db=sys.argv[1]).replay(3)
print(json.dumps([found.verdict, torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()]))
"""
    url = f"sqlite:///{grown.state.artifacts}".removesuffix(".artifacts")
    done = subprocess.run([sys.executable, "-c", said, url], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["identical", 2, False]


def test_what_a_batch_keeps_of_its_origin(grown):
    batch = grown.batch(2).batch
    origin = batch.settings["origin"]
    assert origin["asked"]["pin"] == ["b1-02"]
    assert origin["asked"]["reason"] == "no stock"
    assert origin["as_of"] == {"event": 3, "others": {}}
    kept = origin["surroundings"]
    assert kept["threads"] == surroundings.threads()
    assert kept["deterministic"] is True
    assert kept["packages"]["torch"] == torch.__version__
    assert len(kept["code"]["sha256"]) == 64
    assert batch.code_version.startswith(kept["code"]["version"])
    assert len(batch.settings["models"]["loss"]["artefact"]) == 64


def test_other_data_are_noticed(grown, monkeypatch):
    as_it_is = replaying.load_state
    monkeypatch.setattr(replaying, "load_state", lambda store, name, at: as_it_is(store, name))
    found = grown.replay(1)
    assert found.verdict == "different"
    assert {"snapshot", "seed"} <= {d.where for d in found.differences}


@pytest.mark.parametrize(("shift", "verdict"), [(1e-7, "within tolerance"), (1e-2, "different")])
def test_other_packages_are_told_and_numbers_compared(grown, monkeypatch, shift, verdict):
    propose = replaying.propose

    def shifted(*given, **options):
        found = propose(*given, **options)
        prediction = found.recommendations[0].prediction["loss"]
        prediction["median"] *= 1 + shift
        return found

    monkeypatch.setattr(replaying, "propose", shifted)
    now = surroundings.surroundings()
    other = {**now, "packages": {**now["packages"], "torch": "1.0"}}
    monkeypatch.setattr(replaying, "surroundings", lambda: other)
    found = grown.replay(1)
    assert found.verdict == verdict
    assert [d.where for d in found.surroundings] == ["packages.torch"]
    assert [d.where for d in found.differences] == ["b1-01.prediction.loss.median"]


def test_another_choice_is_never_within_tolerance(grown, monkeypatch):
    propose = replaying.propose

    def other(state, request, **options):
        return propose(state, Request(size=3, only=np.arange(20), dry_run=True), **options)

    monkeypatch.setattr(replaying, "propose", other)
    monkeypatch.setattr(replaying, "surroundings", lambda: {"code": {}, "packages": {}, "machine": {}})
    found = grown.replay(1)
    assert found.surroundings
    assert found.verdict == "different"


def test_surrogates_that_are_gone_or_altered_are_refused(grown, tmp_path):
    models = grown.state.artifacts / "models"
    key = grown.batch(1).batch.settings["models"]["loss"]["artefact"]
    shutil.copytree(models / key, tmp_path / key)
    try:
        told = models / key / "fitted.json"
        told.write_text(told.read_text().replace('"seed": ', '"seed": 1'))
        with pytest.raises(InvalidInput, match="altered"):
            grown.replay(1, from_model=True)
        shutil.rmtree(models / key)
        with pytest.raises(InvalidInput, match="without --from-model"):
            grown.replay(1, from_model=True)
        assert grown.replay(1).verdict == "identical"
    finally:
        shutil.rmtree(models / key, ignore_errors=True)
        shutil.copytree(tmp_path / key, models / key)


def test_a_batch_that_is_not_there_is_named(grown):
    with pytest.raises(InvalidInput, match="use a number from 1 to 3"):
        grown.replay(4)


@pytest.mark.parametrize(
    "changes",
    [
        {"objectives": [{"name": "loss", "goal": "minimize", "unit": "mV"}, {"name": "gain", "goal": "maximize"}]},
        {
            "outcome_constraints": [{"name": "gain", "min": 0.1, "source": "measured"}],
            "batch": {"size": 2, "replicates": 1},
            "acquisition": {"type": "qLogNEI"},
        },
    ],
)
def test_other_campaigns_replay_too(start, changes):
    campaign = start(0, **changes)
    space = campaign.state.space
    designs = [space.candidate(int(i)).design for i in np.random.default_rng(0).choice(space.count, 8, replace=False)]
    lines = [",".join(["sample_id", *ELEMENTS, "loss (mV)", "gain"])]
    for i, d in enumerate(designs):
        x = [float(d.get(e, 0)) for e in ELEMENTS]
        seen = [300 + 100 * (x[0] - 0.4) ** 2 + 9 * x[3], x[0] * x[1] + x[2]]
        lines.append(",".join([f"s{i}", *(f"{v:.6g}" for v in [*x, *seen])]))
    campaign.ingest("\n".join(lines).encode(), name="history.csv", commit=True)
    with own_generators_only():
        campaign.recommend()
        assert campaign.replay(1).differences == ()
        assert campaign.replay(1, from_model=True).differences == ()


def test_a_batch_that_learns_from_another_campaign_sees_it_as_it_was(start):
    first = start(8, campaign="first")
    spec = {**first.state.spec.resolved(), "campaign": "second", "history": [{"campaign": "first"}]}
    second = Campaign.start(CampaignSpec.model_validate(spec), db=first._store, by="tests")
    second.recommend()
    first.amend("old-0/loss", "111 mV", reason="digits swapped", commit=True)
    assert second.replay(1).differences == ()


def test_a_request_survives_its_plain_values():
    only = np.array([5, 3, 10**9], dtype=np.int64)
    asked = Request(4, True, False, True, only, ("b1-01", {"Ni": 0.5, "Fe": 0.5}), ("b1-02",), "no stock")
    back = Request.restored(json.loads(json.dumps(asked.as_json())))
    assert back.as_json() == asked.as_json()
    assert back.only.tolist() == only.tolist()
    assert back.dry_run
    assert asked.as_json().keys() == {f.name for f in fields(Request)} - {"dry_run"}
    assert Request.restored(Request().as_json()).only is None


def test_threads_and_determinism_are_as_before_afterwards():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with surroundings.reproducible({"torch": 1, "blas": 1}):
        assert torch.are_deterministic_algorithms_enabled()
        assert surroundings.threads() == {"torch": 1, "blas": 1}
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_code_outside_a_checkout_names_no_commit(tmp_path):
    assert surroundings._checkout(tmp_path) == {}
    (tmp_path / ".git").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    assert surroundings._checkout(tmp_path) == {}
