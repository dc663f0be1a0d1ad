"""A backup that is taken while another process records results comes back as the campaign was, to the last bit."""

import subprocess
import sys

import pytest

from campaign import Campaign
from campaign.propose import propose
from campaign.request import Request
from campaign.spec import load_spec
from db.chain import canonical
from db.restore import restore

SPEC = {
    "spec_version": 1,
    "campaign": "small",
    "seed": 3,
    "space": {"type": "composition_grid", "elements": ["Ni", "Fe", "Co"], "divisions": 12},
    "objectives": [{"name": "loss", "goal": "minimize", "unit": "mV"}],
    "batch": {"size": 3},
    "model": "gp",
}
HISTORY = b"""sample_id,Ni,Fe,Co,loss (mV)
a,0.5,0.5,0,352
b,0,0.5,0.5,371
c,0.5,0,0.5,402
d,1,0,0,455
e,0.25,0.5,0.25,330
"""
WRITING = """
import sys
from campaign import Campaign

campaign = Campaign.open("small", db=sys.argv[1], by="robot")
space = campaign.state.space
taken = {s.candidate for s in campaign.state.samples} | {r.candidate for r in campaign.state.recommendations}
for i in range(space.count):
    design = space.candidate(i).design
    if space.candidate(i).id not in taken:
        row = ",".join(str(design.get(e, 0)) for e in ("Ni", "Fe", "Co"))
        sheet = f"sample_id,Ni,Fe,Co,loss (mV)\\nw{i},{row},{300 + i}\\n"
        campaign.ingest(sheet.encode(), name=f"w{i}.csv", commit=True)
        print(i, flush=True)
"""


@pytest.fixture
def written(address, tmp_path, monkeypatch):
    """A campaign with a measured batch and an open one, and a process that goes on ingesting until the test ends."""
    monkeypatch.chdir(tmp_path)  # artefacts of a PostgreSQL database lie in the current folder
    campaign = Campaign.start(load_spec(SPEC), db=address, by="ada")
    campaign.ingest(HISTORY, name="history.csv", commit=True)
    first = campaign.recommend()
    for n, r in enumerate(first):
        campaign.record(r.label, {"loss": f"{320 + n} mV"}, commit=True)
    campaign.recommend()
    prologue = f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}\n"
    writer = subprocess.Popen([sys.executable, "-c", prologue + WRITING, address], stdout=subprocess.PIPE, text=True)
    yield campaign, writer
    writer.kill()
    writer.stdout.close()
    writer.wait()
    campaign._store.close()


def said(batch, items):
    """Everything about a batch, as the ledger would hold it."""
    rows = [[r.label, r.candidate, dict(r.design), r.prediction, r.rationale] for r in items]
    return canonical([batch.snapshot, batch.seed, dict(batch.settings), rows])


def test_what_is_restored_replays_and_recommends_the_same(written, make_address, tmp_path):
    campaign, writer = written
    backups = []
    for n in range(3):
        assert writer.stdout.readline()
        backups.append(campaign._store.backup(tmp_path / f"{n}.zip", artifacts=True))
    assert writer.stdout.readline()  # it went on
    writer.kill()
    moments = [manifest.campaigns["small"]["seq"] for _, manifest in backups]
    assert moments == sorted(set(moments))
    assert campaign.state.head.seq > moments[-1]
    for n, (path, manifest) in enumerate(backups):
        address = make_address(("sqlite", "postgresql")[n % 2])
        assert restore(path, address) == manifest
        restored = Campaign.open("small", db=address, by="ben")
        then = Campaign.open("small", db=campaign._store, as_of=moments[n])
        assert restored._store.verify("small") == []
        assert restored._store.events("small") == campaign._store.events("small", until=moments[n])
        assert restored.replay(1 + n % 2, from_model=n > 0).verdict == "identical"
        if n < 2:
            expected = propose(then.state, Request(more=True))
            found = restored.recommend(more=True)
            assert said(found.batch, found) == said(expected.batch, expected.recommendations)
        restored._store.close()
