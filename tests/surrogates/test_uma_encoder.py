"""UMA through fairchem-core's own loader, on a small checkpoint of its architecture with random weights."""

import hashlib
import random
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from surrogates.encoders.sites import encode_sites
from surrogates.encoders.uma import UMAPotential

TASKS = ("oc20", "omat")
CHANNELS = 16


def model_config():
    backbone = {
        "model": "fairchem.core.models.uma.escn_moe.eSCNMDMoeBackbone",
        "sphere_channels": CHANNELS,
        "hidden_channels": CHANNELS,
        "edge_channels": CHANNELS,
        "num_layers": 2,
        "num_experts": 4,
        "num_distance_basis": 16,
        "lmax": 2,
        "mmax": 2,
        "moe_dropout": 0.0,
        "moe_layer_type": "pytorch",
        "use_composition_embedding": True,
        "use_global_embedding": False,
        "max_num_elements": 100,
        "otf_graph": True,
        "max_neighbors": 300,
        "use_pbc": True,
        "use_pbc_single": True,
        "cutoff": 6.0,
        "distance_function": "gaussian",
        "regress_forces": True,
        "regress_stress": True,
        "direct_forces": False,
        "norm_type": "rms_norm_sh",
        "act_type": "gate",
        "ff_type": "spectral",
        "chg_spin_emb_type": "rand_emb",
        "cs_emb_grad": True,
        "dataset_list": list(TASKS),
    }
    head = {
        "module": "fairchem.core.models.uma.escn_moe.DatasetSpecificSingleHeadWrapper",
        "head_cls": "fairchem.core.models.uma.escn_md.MLP_EFS_Head",
        "head_kwargs": {"wrap_property": False},
        "dataset_names": list(TASKS),
    }
    return {
        "_target_": "fairchem.core.models.base.HydraModel",
        "model_id": "UMA-S-TINY-RANDOM",
        "backbone": backbone,
        "heads": {"energyandforcehead": head},
        "pass_through_head_outputs": True,
        "supports_single_atoms": True,
    }


def task_configs():
    rooms = (("energy", "system", [1]), ("forces", "atom", [3]), ("stress", "system", [1, 9]))
    return [
        {
            "_target_": "fairchem.core.units.mlip_unit.mlip_unit.Task",
            "name": f"{task}_{name}",
            "level": level,
            "property": name,
            "loss_fn": {"_target_": "torch.nn.L1Loss"},
            "out_spec": {"dim": dim, "dtype": "float32"},
            "normalizer": {
                "_target_": "fairchem.core.modules.normalization.normalizer.Normalizer",
                "mean": 0.0,
                "rmsd": 1.423,
            },
            "datasets": [task],
            "metrics": ["mae"],
        }
        for task in TASKS
        for name, level, dim in rooms
    ]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    import hydra
    from fairchem.core.units.mlip_unit.api.inference import MLIPInferenceCheckpoint

    path = tmp_path_factory.mktemp("uma") / "tiny.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = hydra.utils.instantiate(model_config())
    averaged = torch.optim.swa_utils.AveragedModel(model)
    content = MLIPInferenceCheckpoint(
        model_config=model_config(),
        model_state_dict=model.state_dict(),
        ema_state_dict=averaged.state_dict(),
        tasks_config=task_configs(),
    )
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def structure():
    lattice = Lattice.orthorhombic(4.1, 4.3, 11.0)
    where = [[0.0, 0.0, 0.4], [0.5, 0.5, 0.42], [0.5, 0.0, 0.55], [0.03, 0.48, 0.61]]
    return Structure(lattice, ["Co", "Ti", "O", "H"], where)


def test_every_site_gets_its_vector_and_the_world_stays_as_it_was(checkpoint, structure, capfd):
    states = [torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()]
    threads = torch.get_num_threads()
    potential = UMAPotential(checkpoint)
    (encoded,) = potential([structure])
    assert encoded.features.shape == (4, CHANNELS)
    assert potential.width == CHANNELS
    assert encoded.features.dtype == torch.float32
    assert not encoded.features.is_inference()
    assert torch.pdist(encoded.features).min() > 1e-2 * encoded.features.abs().max()
    assert np.isfinite(encoded.energy)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]
    assert torch.get_num_threads() == threads
    assert capfd.readouterr() == ("", "")


def test_the_energy_is_fairchems_own(checkpoint, structure):
    from fairchem.core import FAIRChemCalculator
    from fairchem.core.units.mlip_unit import load_predict_unit

    with torch.random.fork_rng(devices=[]):
        unit = load_predict_unit(checkpoint, inference_settings="batch", device="cpu")
    atoms = structure.to_ase_atoms()
    atoms.info.update(charge=0, spin=0)
    atoms.calc = FAIRChemCalculator(unit, task_name="omat")
    (encoded,) = UMAPotential(checkpoint, task="omat")([structure])
    assert encoded.energy == pytest.approx(atoms.get_potential_energy() / 4, rel=1e-4)


def test_turns_moves_and_orders_of_atoms_change_nothing(checkpoint, structure):
    potential = UMAPotential(checkpoint)
    (plain,) = potential([structure])
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    turned = Structure(
        structure.lattice.matrix @ turn.T, structure.species, structure.cart_coords @ turn.T, coords_are_cartesian=True
    )
    moved = structure.copy().translate_sites(range(4), [0.3, 0.1, 0.2])
    order = [2, 0, 3, 1]
    mixed = Structure.from_sites([structure[i] for i in order])
    for other, rows in ((turned, slice(None)), (moved, slice(None)), (mixed, order)):
        (encoded,) = potential([other])
        assert float((encoded.features - plain.features[rows]).abs().max()) < 1e-4 * float(plain.features.abs().max())


def test_the_task_the_charge_and_the_spin_are_part_of_the_key(checkpoint, structure):
    variants = [
        UMAPotential(checkpoint),
        UMAPotential(str(checkpoint), task="omat"),
        UMAPotential(checkpoint, charge=1),
        UMAPotential(checkpoint, spin=1),
    ]
    cache = {}
    features = [encode_sites([structure], variant, cache)[0].features for variant in variants]
    assert len(cache) == len({variant.name for variant in variants}) == 4
    assert not torch.equal(features[0], features[1])
    copied = checkpoint.with_name("copy.pt")
    copied.write_bytes(checkpoint.read_bytes())
    assert UMAPotential(copied).name == variants[0].name


def test_what_is_said_of_a_structure_does_not_depend_on_the_others(checkpoint, structure):
    potential = UMAPotential(checkpoint)
    other = structure.copy().replace(0, "Ni")
    together = potential([other, structure])[1]
    (alone,) = potential([structure])
    assert torch.equal(alone.features, together.features)
    assert alone.energy == together.energy


def test_a_checkpoint_of_another_hash_is_not_loaded(checkpoint, structure, monkeypatch):
    right = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert UMAPotential(checkpoint, sha256=right).digest == right
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    wrong = UMAPotential(checkpoint, sha256="0" * 64)
    for ask in (lambda: wrong([structure]), lambda: wrong.name, lambda: wrong.width):
        with pytest.raises(ValueError, match=f"was not loaded: its sha256 is {right}, not 000"):
            ask()
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        UMAPotential(checkpoint, sha256="abc")


@pytest.mark.parametrize("path", ["missing.pt", "folder/uma-s-1p2"])
def test_a_missing_checkpoint_says_what_to_do(tmp_path, path):
    with pytest.raises(ValueError, match="there is no checkpoint file") as said:
        UMAPotential(tmp_path / path)
    for step in ("request access at https://huggingface.co/facebook/UMA", "huggingface-cli login", "give its path"):
        assert step in str(said.value)


def test_a_model_that_cannot_be_had_says_what_to_do(tmp_path, structure, monkeypatch):
    import huggingface_hub
    from fairchem.core.calculate import pretrained_mlip

    monkeypatch.setattr(pretrained_mlip, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"uma-s-1p2 could not be downloaded .*request access.*give its path"):
        UMAPotential("uma-s-1p2")([structure])
    refused = huggingface_hub.errors.GatedRepoError("403", response=Mock(headers={}))
    monkeypatch.setattr(pretrained_mlip, "pretrained_checkpoint_path_from_name", Mock(side_effect=refused))
    with pytest.raises(ValueError, match=r"could not be downloaded \(GatedRepoError\).*huggingface-cli login"):
        UMAPotential("uma-s-1p2")([structure])
    with pytest.raises(ValueError, match=r"'uma-xl' is neither a file nor a model that fairchem knows \(uma-s"):
        UMAPotential("uma-xl")([structure])


def test_what_is_no_checkpoint_and_what_has_no_such_task_is_said(checkpoint, structure, tmp_path):
    text = tmp_path / "text.pt"
    text.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ValueError, match=r"text\.pt cannot be loaded as a UMA checkpoint"):
        UMAPotential(text)([structure])
    with pytest.raises(ValueError, match="has no task 'omol', only oc20, omat"):
        UMAPotential(checkpoint, task="omol")([structure])
