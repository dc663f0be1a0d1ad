"""A recommendation of structures that is interrupted says how many are kept, and goes on from there."""

import re

import pytest
from test_structures_loop import SPACE, Near, history, spec_of

from campaign import Campaign
from campaign.encoding import CHGNetEncoder
from flows.cli.common import stages


@pytest.fixture(autouse=True)
def potential(monkeypatch):
    monkeypatch.setattr(CHGNetEncoder, "potential", lambda self: Near())
    monkeypatch.setattr("campaign.encoding.WORKERS", 1)
    monkeypatch.setattr("campaign.encoding._kept", {})
    Near.encoded.clear()


def start(folder):
    campaign = Campaign.start(spec_of(space=SPACE, batch={"size": 2}), db=f"sqlite:///{folder}.db")
    history(campaign, ("1 dopant", "2 dopants", "3 dopants"), n=6)
    return campaign


def test_it_says_what_is_kept_and_encodes_only_the_rest(tmp_path, monkeypatch, capsys):
    start(tmp_path / "whole").recommend()
    needed = len(Near.encoded)
    Near.encoded.clear()
    campaign = start(tmp_path / "stopped")

    def stop(text: str) -> None:
        if text.startswith("encoded 8 of"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), stages(1.0):
        campaign.recommend(stage=stop)
    said = capsys.readouterr().err
    assert re.search(r"interrupted: 8 of \d+ structures are encoded and kept; the same command goes on", said)
    assert 8 <= len(Near.encoded) < needed
    monkeypatch.setattr("campaign.encoding._kept", {})  # as in another process
    campaign.recommend()
    assert len(Near.encoded) == needed  # both times together


def test_an_interruption_elsewhere_says_nothing(capsys):
    with pytest.raises(KeyboardInterrupt), stages(1.0):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""
