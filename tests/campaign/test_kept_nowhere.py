"""What is derived is not kept where it cannot be written, and nothing else changes."""

import shutil

import numpy as np
import pytest
from safetensors import SafetensorError
from small_campaign import history, results, spec_of

import surrogates.fitted
from campaign import Campaign, streaming
from campaign.kept_models import FOLDER
from campaign.spec import load_spec
from campaign.streaming import Kept, Leaders


def test_a_piece_whose_folder_another_screen_clears_is_found_again(tmp_path, monkeypatch):
    kept, write = Kept.of(Leaders, tmp_path, "c", "key"), streaming.save_file

    def cleared(*given, **named):
        shutil.rmtree(kept.folder)
        write(*given, **named)

    monkeypatch.setattr(streaming, "save_file", cleared)
    kept.put(0, Leaders(np.arange(3), np.zeros(3), np.zeros(3, dtype=bool), 3))
    assert kept.get(0) is None
    monkeypatch.setattr(streaming, "save_file", write)
    kept.put(0, Leaders(np.arange(3), np.zeros(3), np.zeros(3, dtype=bool), 3))
    assert kept.get(0).indices.tolist() == [0, 1, 2]


@pytest.mark.parametrize("error", [OSError, SafetensorError])
def test_a_batch_is_recommended_on_a_full_disk(tmp_path, monkeypatch, error):
    def full(*given, **named):
        raise error("no space left on device")

    campaign = Campaign.start(load_spec(spec_of()), db=f"sqlite:///{tmp_path}/lab.db")
    campaign.ingest(results(history(campaign)), name="old.csv", commit=True)
    monkeypatch.setattr(surrogates.fitted, "save_file", full)
    assert len(campaign.recommend()) == 3
    assert not list((tmp_path / "lab.db.artifacts" / FOLDER).glob("*"))
