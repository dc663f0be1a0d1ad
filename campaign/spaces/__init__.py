"""Spaces of candidates: lazy, countable, numbered. To add one, write its file and name it in `AnySpace`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field

from campaign.files import read_inside
from campaign.grammar import Choice
from campaign.spaces.base import Space, SpaceSpec, ordered, units, variables
from campaign.spaces.cost import Estimate, estimate
from campaign.spaces.grid import CompositionGrid, GridSpace
from campaign.spaces.process import Process, ProcessSpace
from campaign.spaces.product import Product, ProductSpace
from campaign.spaces.route.space import SequenceSpace
from campaign.spaces.route.spec import ProcessSequence
from campaign.spaces.simplex import CompositionSimplex, SimplexSpace
from campaign.spaces.slab.spec import DopedSlab
from campaign.spaces.structure_files import StructureFiles
from campaign.spaces.structures import StructureSpace
from campaign.spaces.table import CandidateTable, TableSpace
from db.errors import InvalidInput, Problem

__all__ = [
    "AnySpace",
    "CandidateTable",
    "CompositionGrid",
    "CompositionSimplex",
    "DopedSlab",
    "Estimate",
    "GridSpace",
    "Process",
    "ProcessSequence",
    "ProcessSpace",
    "Product",
    "ProductSpace",
    "SequenceSpace",
    "SimplexSpace",
    "Space",
    "SpaceSpec",
    "StructureFiles",
    "StructureSpace",
    "TableSpace",
    "build_space",
    "estimate",
    "ordered",
    "read_sources",
    "units",
    "variables",
]

MAX_SOURCE_BYTES = 32 << 20

AnySpace = Annotated[
    CompositionGrid
    | CompositionSimplex
    | CandidateTable
    | DopedSlab
    | StructureFiles
    | Process
    | ProcessSequence
    | Product,
    Field(discriminator="type"),
    Choice(),
]
"""What can stand under `space:`, told apart by `type`."""


def build_space(spec: SpaceSpec, sources: Mapping[str, bytes] | None = None) -> Space:
    """The space of a spec.

    Args:
        spec: what stands under `space:`.
        sources: the bytes of each of its files, by name, as `read_sources` or the store gives them.

    Raises:
        InvalidInput: the space is empty (a smallest conflicting set is named), or a file is missing or cannot be used.
    """
    given = sources or {}
    missing = [
        Problem(name, "the file was not given", "read it with read_sources")
        for name in spec.files()
        if name not in given
    ]
    if missing:
        raise InvalidInput(missing)
    return spec.build(given)


class Sourced(Protocol):
    """What names the files that it is read from: a space, or a whole spec."""

    def files(self) -> tuple[str, ...]:
        """Their names, relative to the spec."""


def read_sources(spec: Sourced, folder: Path) -> dict[str, bytes]:
    """The bytes of each file that a space, or a whole spec, is read from.

    Args:
        spec: what stands under `space:`, or the spec.
        folder: the folder of the spec; files lie in it or below.

    Raises:
        InvalidInput: a file does not exist, lies elsewhere, or is larger than 32 MiB; all problems at once.
    """
    found: dict[str, bytes] = {}
    problems: list[Problem] = []
    for name in spec.files():
        try:
            found[name] = read_inside(folder, name, MAX_SOURCE_BYTES)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return found
