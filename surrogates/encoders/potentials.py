"""What a site encoder asks of an interatomic potential: features of every atom that no rotation changes."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from pymatgen.core import Structure
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SiteFeatures:
    """What a frozen potential says of one structure of N sites."""

    features: Tensor
    """Of each site, in the structure's order, `N x width`, float32; rotations and translations do not change them."""
    energy: float
    """Potential energy, eV/atom."""


class Potential(Protocol):
    """A frozen interatomic potential.

    It is sent to worker processes with every chunk of structures, so it is small and does not hold its weights: these
    are loaded once by each process. What it says of a structure must not depend on the structures beside it.
    """

    @property
    def name(self) -> str:
        """All that its features depend on, the weights included; a part of the keys under which they are kept."""
        ...

    @property
    def width(self) -> int:
        """Number of features of a site."""
        ...

    def __call__(self, structures: Sequence[Structure]) -> list[SiteFeatures]:
        """Encode structures, in order."""
        ...


def require_ordered(structure: Structure) -> None:
    """Refuse partly occupied sites.

    Raises:
        ValueError: a site holds more or less than one atom.
    """
    if not structure.is_ordered:
        raise ValueError(f"{structure.formula} has partly occupied sites; every site must hold one element")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread, so that sums are taken in the same order everywhere and processes do not compete."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep to itself what a library prints and logs up to warnings; stdout is for data."""
    root, silent, disabled = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(silent)  # without any handler, logging would set up one of its own for good
    logging.disable(max(disabled, logging.WARNING))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
        root.removeHandler(silent)
