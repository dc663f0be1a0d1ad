import numpy as np
import pytest
import torch
from small_campaign import history, results, spec_of

from acquisition.shortlist import leading
from campaign import Campaign, screen, streaming
from campaign.belief import believe
from campaign.filters import Tally
from campaign.spec import load_spec
from campaign.streaming import Kept, Leaders, lead

GRID = {"type": "composition_grid", "elements": ["Ni", "Fe", "Co", "Mn"], "divisions": 12}


def look(piece: np.ndarray) -> Leaders:
    scores = np.sin(piece * 1.7)
    return Leaders(piece, scores, piece % 5 == 0, len(piece), Tally(len(piece), 1))


def pieces(total: int, size: int = 100) -> list[np.ndarray]:
    return [np.arange(first, min(first + size, total)) for first in range(0, total, size)]


def expected(total: int, count: int) -> list[int]:
    positions = np.arange(total)
    rows = leading(torch.from_numpy(np.sin(positions * 1.7)), torch.from_numpy(positions % 5 == 0), count)
    return rows.tolist()


@pytest.mark.parametrize("workers", [1, 3])
def test_leaders_are_those_of_the_whole_whoever_looks(workers):
    found = lead(pieces(1050), [look] * workers, total=1050, count=40)
    assert found.indices.tolist() == expected(1050, 40)
    assert (found.opened, found.tally.removed) == (1050, 11)


def test_all_are_kept_where_few_are_open():
    assert len(lead(pieces(230), [look], total=230, count=40, whole=230).indices) == 230
    assert len(lead(pieces(231), [look], total=231, count=40, whole=230).indices) == 40


def test_an_interrupted_look_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "KEPT_FROM", 1)
    monkeypatch.setattr(streaming, "PIECE", 100)
    kept, seen = Kept.of(Leaders, tmp_path, "c", "key"), []

    def watched(piece: np.ndarray) -> Leaders:
        seen.append(int(piece[0]))
        return look(piece)

    def stop(text: str) -> None:
        if text.startswith("screened 300 of 1,000"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lead(pieces(1000), [watched], total=1000, count=40, kept=kept, stage=stop)
    first = len(seen)
    torn = kept.folder / "1.safetensors"
    torn.write_bytes(torn.read_bytes()[:40])
    assert lead(pieces(1000), [watched], total=1000, count=40, kept=kept).indices.tolist() == expected(1000, 40)
    assert 3 <= first < 10
    assert len(seen) == 11
    assert not kept.folder.exists()


def start(tmp_path, **changes) -> Campaign:
    campaign = Campaign.start(load_spec(spec_of(space=GRID, **changes)), db=f"sqlite:///{tmp_path}/lab.db")
    campaign.ingest(results(history(campaign, 12)), name="old.csv", commit=True)
    return campaign


def test_a_streamed_campaign_gives_what_the_whole_gives(tmp_path, monkeypatch):
    campaign = start(tmp_path)
    whole, batch = campaign.screen(10), campaign.recommend(3, dry_run=True)
    monkeypatch.setattr(streaming, "KEPT_FROM", 1)
    monkeypatch.setattr(screen, "PIECE", 60)
    monkeypatch.setattr(screen, "CHUNK", 25)
    monkeypatch.setattr(streaming, "PIECE", 60)
    monkeypatch.setattr(screen, "JOINT_LIMIT", 100)
    monkeypatch.setattr(screen, "FINALISTS", 80)
    assert [f["candidate"] for f in campaign.screen(10)] == [f["candidate"] for f in whole]
    picked = campaign.recommend(3, dry_run=True)
    best, streamed = (found.items[0].rationale["acquisition_value"] for found in (batch, picked))
    assert streamed == pytest.approx(best, abs=0.15)  # in logarithms; joint samples of other rows are other samples
    monkeypatch.setattr(screen, "FINALISTS", campaign.state.space.count)
    everything = campaign.recommend(3, dry_run=True)
    assert [r.candidate for r in everything] == [r.candidate for r in batch]
    assert not (tmp_path / "lab.db.artifacts" / streaming.FOLDER / "small").exists()


def test_the_finalists_hold_what_is_predicted_to_be_best(tmp_path, monkeypatch):
    campaign = start(tmp_path, acquisition="greedy")
    whole = campaign.recommend(3, dry_run=True)
    for module, name, size in ((screen, "PIECE", 60), (streaming, "PIECE", 60), (screen, "JOINT_LIMIT", 100)):
        monkeypatch.setattr(module, name, size)
    monkeypatch.setattr(screen, "FINALISTS", 80)
    assert [r.candidate for r in campaign.recommend(3, dry_run=True)] == [r.candidate for r in whole]


def test_the_finalists_do_not_hang_on_the_workers(tmp_path, monkeypatch):
    campaign = start(tmp_path)
    monkeypatch.setattr(screen, "PIECE", 60)
    monkeypatch.setattr(screen, "JOINT_LIMIT", 100)
    monkeypatch.setattr(screen, "FINALISTS", 40)
    belief = believe(campaign.state, seed=1)
    found = []
    for workers in (1, 4):
        monkeypatch.setattr(screen, "WORKERS", workers)
        found.append(screen.screen(campaign.state, belief).tolist())
    assert found[0] == found[1]
    assert len(found[0]) == 40
