"""Where the checkpoint of a spec is found, and what `validate` says of one that is not pinned."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from test_structures_loop import SPACE, Near
from typer.testing import CliRunner

from campaign import Campaign
from campaign.encoding import CHGNetEncoder, UMAEncoder, encoder_notes
from campaign.spaces import build_space
from campaign.spec import CampaignSpec, load_spec
from flows.cli.app import app

CONTENT = b"weights"
DIGEST = sha256(CONTENT).hexdigest()


def write(folder: Path, **encoder: str) -> Path:
    values = {
        "spec_version": 1,
        "campaign": "slabs",
        "seed": 3,
        "space": SPACE,
        "objectives": [{"name": "eta", "goal": "minimize"}],
        "encoder": {"type": "uma", **encoder},
    }
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "tiny.pt").write_bytes(CONTENT)
    path = folder / "spec.yaml"
    path.write_text(json.dumps(values))
    return path


def test_a_checkpoint_is_found_from_the_folder_of_the_spec(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = write(tmp_path, checkpoint="models/tiny.pt")
    spec = load_spec(path)
    assert spec.encoder.checkpoint == str(tmp_path / "models" / "tiny.pt")
    assert spec.encoder.potential().digest == DIGEST
    assert CampaignSpec.model_validate(spec.resolved()) == spec
    campaign = Campaign.start(Path("..") / "spec.yaml", db=f"sqlite:///{tmp_path}/lab.db")
    assert campaign.state.spec.encoder == spec.encoder
    given = load_spec(json.loads(path.read_text()))
    assert given.encoder.checkpoint == "models/tiny.pt"  # plain values have no folder, unless it is said
    assert given.anchored(tmp_path) == spec


@pytest.mark.parametrize("name", ["uma-s-1p2", "uma-m-1p1"])
def test_the_name_of_a_model_stays_as_it_is(tmp_path, name):
    assert load_spec(write(tmp_path, checkpoint=name)).encoder.checkpoint == name
    assert load_spec(write(tmp_path, checkpoint="none.pt")).encoder.checkpoint == str(tmp_path / "none.pt")


def test_validate_says_how_to_pin_a_checkpoint(tmp_path):
    path = write(tmp_path, checkpoint="models/tiny.pt")
    shown = CliRunner().invoke(app, ["validate", str(path)])
    assert shown.exit_code == 0
    assert f"tiny.pt is not pinned; write `sha256: {DIGEST}` under `encoder`" in shown.stdout
    machine = json.loads(CliRunner().invoke(app, ["validate", str(path), "--json"]).stdout)
    assert any(DIGEST in line for line in machine["notes"])
    pinned = CliRunner().invoke(app, ["validate", str(write(tmp_path, checkpoint="models/tiny.pt", sha256=DIGEST))])
    assert "not pinned" not in pinned.stdout


def test_only_what_can_be_pinned_is_remarked_on(monkeypatch):
    monkeypatch.setattr(CHGNetEncoder, "potential", lambda self: Near())
    space = build_space(load_spec(SPEC).space)
    assert encoder_notes(space, CHGNetEncoder()) == ()
    (note,) = encoder_notes(space, UMAEncoder(type="uma", checkpoint="uma-s-1p2"))
    assert "downloaded by its name" in note


SPEC = {
    "spec_version": 1,
    "campaign": "slabs",
    "seed": 3,
    "space": SPACE,
    "objectives": [{"name": "eta", "goal": "minimize"}],
}
