"""A file that is written is whole, and what the lab filled in is never written over."""

from pathlib import Path

import pytest

from campaign.files import write_file
from db.errors import Conflict, InvalidInput


def test_a_worksheet_that_was_filled_in_is_not_written_over(start, tmp_path):
    campaign = start(n=0)
    campaign.recommend(2)
    path = campaign.worksheet(tmp_path / "b.csv")
    fresh = path.read_bytes()
    assert campaign.worksheet(path) == path  # it is what would be written
    filled = fresh.replace(b"\r\n", b"filled\r\n")
    path.write_bytes(filled)
    with pytest.raises(Conflict, match="filled in"):
        campaign.worksheet(path)
    assert path.read_bytes() == filled
    assert [p.name for p in tmp_path.glob("b.csv*")] == ["b.csv"]


def test_a_file_that_cannot_be_written_whole_stays_what_it_was(tmp_path, monkeypatch):
    path = tmp_path / "r.csv"
    path.write_bytes(b"of last week")
    full, write = OSError(28, "No space left on device"), Path.write_bytes

    def half(self, content):
        write(self, content[:3])
        raise full

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(InvalidInput, match="the results cannot be written"):
        write_file(path, b"of this week", "the results")
    assert path.read_bytes() == b"of last week"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InvalidInput, match="Is a directory"):
        write_file(tmp_path, b"x", "the results")
