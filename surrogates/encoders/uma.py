"""UMA as a site encoder, through fairchem-core's own loader: from a checkpoint file, or by the name of a model.

Loading a checkpoint unpickles it, which runs whatever code it holds: load trusted files only, best with the hash that
their source states.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pymatgen.core import Structure

from surrogates.encoders.potentials import SiteFeatures, one_thread, quiet, require_ordered

PAGE = "https://huggingface.co/facebook/UMA"
"""Where access to the weights is asked for."""
HELP = (
    f"UMA checkpoints are gated: request access at {PAGE}, log in with `huggingface-cli login` or set HF_TOKEN, "
    "download a checkpoint file (as uma-s-1p2.pt) and give its path"
)
"""What to do where there is no checkpoint."""


@dataclass(frozen=True)
class UMAPotential:
    """UMA (Wood et al., arXiv:2506.23971), frozen; a site's features are the backbone's L = 0 node embedding.

    The experts are not merged, since that would fit one composition only, and no forces are computed. Structures are
    encoded one by one in one thread, so that what is said of one does not depend on the others.

    Raises:
        ValueError: the path is no file, or sha256 is no hash. When it is first used: the model cannot be had, the
            checkpoint has another hash or cannot be loaded, it has no such task, or fairchem-core is not installed.
    """

    checkpoint: Path | str
    """Path of a checkpoint file, trusted; or the name of a model of the hub, as in `uma-s-1p2`, which is downloaded
    when it is first used and not kept already."""
    task: str = "oc20"
    """What the model was trained for: `oc20` catalysis, `omat` inorganic crystals, `omol`, `odac`, `omc`."""
    charge: int = 0
    """Total charge, in elementary charges; matters for `omol`."""
    spin: int = 0
    """Spin multiplicity for `omol`, else 0."""
    sha256: str | None = None
    """Hash that the checkpoint must have; checked before it is loaded."""

    def __post_init__(self) -> None:
        path = Path(self.checkpoint)
        named = isinstance(self.checkpoint, str) and path.name == self.checkpoint and path.suffix != ".pt"
        if not path.is_file() and not named:
            raise ValueError(f"there is no checkpoint file {path}. {HELP}")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 must be 64 hexadecimal digits in lower case, not {self.sha256!r}")

    @cached_property
    def path(self) -> Path:
        """The checkpoint file, downloaded where a model of the hub is named."""
        path = Path(self.checkpoint)
        return path if path.is_file() else _download(str(self.checkpoint))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the checkpoint file, checked against the one expected."""
        with self.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if self.sha256 not in (None, found):
            raise ValueError(f"the checkpoint {self.path} was not loaded: its sha256 is {found}, not {self.sha256}")
        return found

    @property
    def name(self) -> str:
        """The checkpoint's hash, the task, the charge and the spin: the embedding depends on all of them."""
        return f"uma {self.digest} {self.task} charge {self.charge} spin {self.spin}"

    @property
    def width(self) -> int:
        """Number of features of a site: the backbone's channels; loads the model."""
        return int(_unit(self.path, self.digest).model.module.backbone.sphere_channels)

    def __call__(self, structures: Sequence[Structure]) -> list[SiteFeatures]:
        """Encode structures one by one; the energy is the model's total energy for the task over the number of atoms.

        Raises:
            ValueError: as of the class, or a structure has partly occupied sites.
        """
        unit = _unit(self.path, self.digest)
        tasks = unit.dataset_to_tasks
        if self.task not in tasks:
            raise ValueError(f"the checkpoint {self.path} has no task {self.task!r}, only {', '.join(sorted(tasks))}")
        with one_thread(), quiet(), torch.inference_mode(), _own_random_state():
            said = [self._encode(unit, structure) for structure in structures]
        return [SiteFeatures(features.clone(), energy) for features, energy in said]

    def _encode(self, unit: Any, structure: Structure) -> tuple[torch.Tensor, float]:
        from ase import Atoms
        from fairchem.core.datasets.atomic_data import AtomicData, atomicdata_list_to_batch

        require_ordered(structure)
        atoms = Atoms(
            numbers=structure.atomic_numbers,
            positions=structure.cart_coords,
            cell=structure.lattice.matrix,
            pbc=True,
            info={"charge": self.charge, "spin": self.spin},
        )
        data = AtomicData.from_ase(atoms, task_name=self.task, r_edges=False, r_data_keys=["charge", "spin"])
        seen: list[torch.Tensor] = []
        watch = unit.model.module.backbone.register_forward_hook(lambda *call: seen.append(call[-1]["node_embedding"]))
        torch.manual_seed(0)  # the roll of each edge's frame is drawn, and moves the last digits
        try:
            energy = unit.predict(atomicdata_list_to_batch([data]))["energy"]
        finally:
            watch.remove()
        return seen[0][:, 0, :].float(), float(energy) / len(structure)


@lru_cache(maxsize=2)
def _unit(path: Path, digest: str) -> Any:
    """A loaded model, for energies alone; the hash is known to be that of the file."""
    _need_fairchem()
    with quiet(), _own_random_state():
        from fairchem.core.units.mlip_unit import load_predict_unit
        from fairchem.core.units.mlip_unit.api.inference import InferenceSettings

        settings = InferenceSettings(
            activation_checkpointing=False, merge_mole=False, compile=False, auto_add_default_untrained_tasks=False
        )
        no_forces = {"backbone": {"regress_forces": False, "regress_stress": False}}
        try:
            unit = load_predict_unit(path, inference_settings=settings, overrides=no_forces, device="cpu")
        except Exception as error:  # what is no checkpoint may raise anything
            raise ValueError(f"{path} cannot be loaded as a UMA checkpoint: {error}. {HELP}") from error
    for tasks in unit.dataset_to_tasks.values():
        tasks[:] = [task for task in tasks if task.property == "energy"]
    return unit


def _download(name: str) -> Path:
    _need_fairchem()
    with quiet():
        from fairchem.core.calculate import pretrained_mlip
        from huggingface_hub.errors import HfHubHTTPError
    known = pretrained_mlip.available_models
    if name not in known:
        raise ValueError(f"{name!r} is neither a file nor a model that fairchem knows ({', '.join(known)}). {HELP}")
    try:
        return Path(pretrained_mlip.pretrained_checkpoint_path_from_name(name))
    except (HfHubHTTPError, OSError) as error:
        raise ValueError(f"the model {name} could not be downloaded ({type(error).__name__}). {HELP}") from error


def _need_fairchem() -> None:
    from importlib.util import find_spec

    if find_spec("fairchem") is None:
        raise ValueError("UMA needs fairchem-core, which is not installed; run: pip install 'fairchem-core>=2.24,<3'")


@contextlib.contextmanager
def _own_random_state() -> Iterator[None]:
    """Leave all generators as they were: fairchem seeds them when it loads, and draws from them when it predicts."""
    plain, arrays = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(arrays)
