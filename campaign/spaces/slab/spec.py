"""What a user writes under `space: {type: doped_slab}`."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from campaign.files import stays_inside
from campaign.grammar import Flag, Frozen, Number, Whole, fault, faults
from campaign.quantities import NUMBER_OR_QUANTITY, difference
from campaign.spaces.base import ELEMENTS, SpaceSpec
from campaign.words import listed, shown, suggestion
from db.errors import InvalidInput, Problem
from lab_io.findings import CellError
from lab_io.structures import is_structure_file, read_structures
from lab_io.words import count

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from campaign.spaces.slab.hosts import Host
    from campaign.spaces.slab.space import SlabSpace

MOST_DOPANTS = 8
"""Dopant atoms in one decoration."""
_SITES = {"fcc111": ("ontop", "bridge", "fcc", "hcp"), "fcc100": ("ontop", "bridge", "hollow")}


def _angstrom(value: Any) -> Any:
    """`15 angstrom` and `1.5 nm` as a number of ångström."""
    try:
        return difference(value, "angstrom") if isinstance(value, str) else value
    except CellError as error:
        raise fault(error.what, error.fix) from None


Length = Annotated[Number, Field(gt=0, le=200), BeforeValidator(_angstrom), NUMBER_OR_QUANTITY]
"""A length in ångström, as a number or with its unit."""
Cells = Annotated[Whole, Field(ge=1, le=12)]


def _symbol(element: str) -> str:
    if element not in ELEMENTS:
        raise fault(f"{shown(element)} is not the symbol of an element", suggestion(element, sorted(ELEMENTS)))
    return element


class Range(Frozen):
    """From how many to how many."""

    min: Annotated[Whole, Field(ge=0)]
    """The fewest."""
    max: Annotated[Whole, Field(ge=1, le=MOST_DOPANTS)]
    """The most."""

    @model_validator(mode="after")
    def _ascending(self) -> Range:
        if self.min > self.max:
            faults([(("min",), f"{self.min} is more than max, {self.max}", "exchange the two")])
        return self

    def __str__(self) -> str:
        return f"{self.min}" if self.min == self.max else f"{self.min} to {self.max}"


class SlabSource(Frozen, ABC):
    """Where a slab comes from."""

    @abstractmethod
    def slab_of(self, sources: Mapping[str, bytes]) -> tuple[Structure, int]:
        """The slab, and how many of its last atoms are an adsorbate.

        Raises:
            InvalidInput: its file cannot be used.
        """

    def made_from(self, sources: Mapping[str, bytes]) -> dict[str, Any]:
        """All that decides what the slab is, as plain JSON values."""
        return self.model_dump(mode="json")

    def files(self) -> tuple[str, ...]:
        """The files that it is read from."""
        return ()

    @abstractmethod
    def describe(self) -> str:
        """The slab in a few words."""


class CoOOHHost(SlabSource):
    """A (001) slab of beta-CoOOH (heterogenite-3R), stoichiometric: every second row of hydroxyls on either face."""

    builder: Literal["coooh"]
    """`coooh`."""
    lateral: tuple[Cells, Cells]
    """Cells along a and b, one of them even; `[4, 3]` has 12 Co and 48 atoms in one layer."""
    layers: Annotated[Whole, Field(ge=1, le=3)] = 1
    """CoO2 layers, from 1 to 3; 1 if left out."""
    vacuum: Length = 15.0
    """Empty height, in angstrom; 15 if left out."""

    @field_validator("lateral")
    @classmethod
    def _halves(cls, lateral: tuple[int, int]) -> tuple[int, int]:
        if all(n % 2 for n in lateral):
            what = f"{lateral[0]} x {lateral[1]} hydroxyls cannot be shared by two faces in whole rows"
            raise fault(what, "make one of the two even")
        return lateral

    def slab_of(self, sources: Mapping[str, bytes]) -> tuple[Structure, int]:
        """By recipe."""
        from campaign.spaces.slab.builders import coooh

        return coooh(self.lateral, self.layers, self.vacuum), 0

    def describe(self) -> str:
        """`beta-CoOOH (001), 4 x 3, 1 layer`."""
        return f"beta-CoOOH (001), {self.lateral[0]} x {self.lateral[1]}, {count(self.layers, 'layer')}"


class Adsorbate(Frozen):
    """What sits on the surface of the host in every structure."""

    species: Literal["H", "CO", "O"]
    """H, CO (carbon down) or O."""
    site: Literal["ontop", "bridge", "fcc", "hcp", "hollow"]
    """Where: ontop or bridge; fcc or hcp on fcc111; hollow on fcc100."""


class MetalHost(SlabSource):
    """A slab of an fcc metal with the experimental lattice constant, bare or with an adsorbate on top."""

    builder: Literal["fcc111", "fcc100"]
    """Which facet: `fcc111` or `fcc100`."""
    metal: str
    """An element that is face-centred cubic, such as Pt."""
    size: tuple[Cells, Cells, Cells]
    """Cells along a and b, and layers: `[3, 3, 3]`."""
    vacuum: Length = 15.0
    """Empty height, in angstrom; 15 if left out."""
    adsorbate: Adsorbate | None = None
    """What sits on it; nothing if left out."""

    @field_validator("metal")
    @classmethod
    def _is_fcc(cls, metal: str) -> str:
        from campaign.spaces.slab.builders import fcc_metals

        if metal not in (known := fcc_metals()):
            raise fault(f"{shown(metal)} is not an fcc metal", suggestion(metal, known))
        return metal

    @model_validator(mode="after")
    def _has_site(self) -> MetalHost:
        if self.adsorbate and self.adsorbate.site not in (known := _SITES[self.builder]):
            what = f"{self.builder} has no site {self.adsorbate.site}"
            faults([(("adsorbate", "site"), what, f"use one of {', '.join(known)}")])
        return self

    def slab_of(self, sources: Mapping[str, bytes]) -> tuple[Structure, int]:
        """By recipe."""
        from campaign.spaces.slab.builders import fcc

        on_it = (self.adsorbate.species, self.adsorbate.site) if self.adsorbate else None
        return fcc(self.builder, self.metal, self.size, self.vacuum, on_it)

    def describe(self) -> str:
        """`Pt(111), 3 x 3, 3 layers, with CO ontop`."""
        a, b, layers = self.size
        on_it = f", with {self.adsorbate.species} {self.adsorbate.site}" if self.adsorbate else ""
        return f"{self.metal}({self.builder[3:]}), {a} x {b}, {count(layers, 'layer')}{on_it}"


class Slab(Frozen):
    """How to cut a slab from a crystal."""

    miller: tuple[Whole, Whole, Whole]
    """Indices of the plane: `[0, 0, 1]`."""
    min_thickness: Length = 10.0
    """Least height of the slab, in angstrom; 10 if left out."""
    vacuum: Length = 15.0
    """Empty height, in angstrom, at least; 15 if left out."""

    @field_validator("miller")
    @classmethod
    def _is_plane(cls, miller: tuple[int, int, int]) -> tuple[int, int, int]:
        if not any(miller):
            raise fault("[0, 0, 0] is no plane", "write indices such as [0, 0, 1]")
        return miller


class StructureHost(SlabSource):
    """A host from a CIF, POSCAR or extended XYZ file: a slab as it is, or a crystal and how to cut it."""

    builder: Literal["structure"] = "structure"
    """`structure`; may be left out."""
    file: str
    """The file, in the folder of the spec or below: `hosts/coooh_001.cif`."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """SHA-256 that the file must have, 64 hexadecimal digits; not checked if left out."""
    slab: Slab | None = None
    """How to cut the slab; the file holds a slab already if left out."""
    supercell: tuple[Cells, Cells, Cells] = (1, 1, 1)
    """How often to repeat it along a, b and c, after cutting; not at all if left out."""

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        return structure_file(file)

    def slab_of(self, sources: Mapping[str, bytes]) -> tuple[Structure, int]:
        """From its file, cut and repeated.

        Raises:
            InvalidInput: the file has another SHA-256, cannot be read, holds more than one structure, or the slab has
                more than 500 atoms.
        """
        from campaign.spaces.slab.builders import cut
        from campaign.spaces.slab.hosts import check_size

        digest = hashlib.sha256(sources[self.file]).hexdigest()
        if self.sha256 not in (None, digest):
            what = f"{self.file} has the SHA-256 {digest}, another one than the spec says"
            raise InvalidInput(Problem("space.host.sha256", what, "find the file that was meant, or correct it"))
        records = read_structures(sources[self.file], self.file)
        if len(records) > 1:
            what = f"the file has {len(records):,} structures, a host is one"
            raise InvalidInput(Problem(self.file, what, "write the host to a file of its own"))
        structure = records[0].structure
        if self.slab is not None:
            structure = cut(structure, self.slab.miller, self.slab.min_thickness, self.slab.vacuum)
        check_size(len(structure) * math.prod(self.supercell))
        return structure * self.supercell, 0

    def made_from(self, sources: Mapping[str, bytes]) -> dict[str, Any]:
        """The content of the file, whatever it is called, and what is done to it."""
        digest = hashlib.sha256(sources[self.file]).hexdigest()
        return {**super().made_from(sources), "file": "", "sha256": digest}

    def files(self) -> tuple[str, ...]:
        """The one file."""
        return (self.file,)

    def describe(self) -> str:
        """`hosts/coooh.cif`."""
        return self.file


_HOSTS = {"coooh": CoOOHHost, "fcc111": MetalHost, "fcc100": MetalHost, "structure": StructureHost}


class Sites(Frozen):
    """The sublattice that takes dopants."""

    element: str
    """Its element in the host: Co."""
    layers_from_top: Annotated[Whole, Field(ge=1)] | None = None
    """How many of its layers, from the top; all of them if left out."""

    @field_validator("element")
    @classmethod
    def _is_element(cls, element: str) -> str:
        return _symbol(element)


class DopedSlab(SpaceSpec):
    """A slab in which some atoms of a sublattice are replaced by dopants."""

    type: Literal["doped_slab"]
    host: Annotated[CoOOHHost | MetalHost | StructureHost, Field(discriminator="builder")]
    """The slab: `{builder: coooh, lateral: [4, 3]}`, `{builder: fcc111, metal: Pt, size: [3, 3, 3]}`, `{file: a.cif}`.
    """
    sites: Sites
    """Which atoms may be replaced."""
    dopants: Annotated[tuple[str, ...], Field(min_length=1)]
    """Symbols of the elements that may take their place: `[Ti, V, Cr]`."""
    count: Range
    """How many dopant atoms: `{min: 2, max: 4}`, at most 8."""
    distinct_elements: Range | None = None
    """How many different elements they are: `{min: 2, max: 4}`; any number if left out."""
    repeats: Flag = True
    """Whether one element may take several sites; true if left out, and with false every dopant atom differs."""
    per_composition: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    """How many decorations of each composition, drawn at random; all that symmetry leaves different if left out."""
    candidate: Literal["decoration", "composition"] = "decoration"
    """What is recommended: one `decoration`, the default, or a `composition`, which is an ensemble of decorations that
    differ by symmetry, each counted alike."""
    max_candidates: Annotated[Whole, Field(ge=1)] = 50_000
    """More structures than this are refused, for each is encoded; 50,000 if left out."""

    @field_validator("host", mode="before")
    @classmethod
    def _tell_apart(cls, host: Any) -> Any:
        """A host from a file needs no `builder`."""
        if isinstance(host, BaseModel):
            return host
        if not isinstance(host, Mapping):
            raise fault(f"found {shown(host)}", "write `{builder: coooh, lateral: [4, 3]}` or `{file: host.cif}`")
        given = {"builder": "structure", **host} if "file" in host else host
        builder = given.get("builder")
        if not isinstance(builder, str) or builder not in _HOSTS:
            what = "the host has neither `builder` nor `file`" if builder is None else f"{shown(builder)} is no builder"
            raise fault(what, suggestion(str(builder), [name for name in _HOSTS if name != "structure"]))
        return given

    @field_validator("dopants")
    @classmethod
    def _are_elements(cls, dopants: tuple[str, ...]) -> tuple[str, ...]:
        symbols = sorted(ELEMENTS)
        faults(
            [
                ((i,), f"{shown(e)} is not the symbol of an element", suggestion(e, symbols))
                for i, e in enumerate(dopants)
                if e not in ELEMENTS
            ]
            + [((i,), f"{e} is listed twice", "keep one of the two") for i, e in enumerate(dopants) if e in dopants[:i]]
        )
        return dopants

    @field_validator("dopants")
    @classmethod
    def _replace_another(cls, dopants: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        sites = info.data.get("sites")
        what = "{} is the element of the sites, not a dopant"
        faults(((i,), what.format(e), "remove it") for i, e in enumerate(dopants) if sites and e == sites.element)
        return dopants

    @model_validator(mode="after")
    def _possible(self) -> DopedSlab:
        found: list[tuple[tuple[str, ...], str, str]] = []
        if self.distinct_elements and self.distinct_elements.min > min(self.count.max, len(self.dopants)):
            what = f"{count(self.count.max, 'atom')} of {count(len(self.dopants), 'dopant')} cannot be "
            what += f"{self.distinct_elements.min} different elements"
            found.append((("distinct_elements", "min"), what, "write less, or allow more atoms or dopants"))
        if not self.repeats and self.count.min > len(self.dopants):
            what = f"{self.count.min} different elements out of {len(self.dopants)} are impossible"
            found.append((("repeats",), what, "list more dopants, or allow repeats"))
        faults(found)
        return self

    def build(self, sources: Mapping[str, bytes]) -> SlabSpace:
        """The space, its host from a builder or from `sources`.

        Raises:
            InvalidInput: the host cannot be used, or the candidates are none or too many.
        """
        from campaign.spaces.slab.composed import CompositionSpace
        from campaign.spaces.slab.decorated import DecorationSpace

        kind = DecorationSpace if self.candidate == "decoration" else CompositionSpace
        return kind(self, self.build_host(sources))

    def build_host(self, sources: Mapping[str, bytes]) -> Host:
        """The slab before doping.

        Raises:
            InvalidInput: the file cannot be used, or the slab has no such sites.
        """
        from campaign.spaces.slab.hosts import host_of

        structure, adsorbed = self.host.slab_of(sources)
        made_from = {"host": self.host.made_from(sources), "sites": self.sites.model_dump(mode="json")}
        fingerprint = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
        return host_of(structure, adsorbed, self.sites.element, self.sites.layers_from_top, fingerprint)

    def files(self) -> tuple[str, ...]:
        """The file of the host, if it has one."""
        return self.host.files()

    def design_names(self) -> tuple[str, ...]:
        """`decoration`, or `dopants` where candidates are compositions."""
        return ("decoration",) if self.candidate == "decoration" else ("dopants",)

    def patterns(self) -> list[tuple[int, ...]]:
        """Atoms of each different element, for every composition that the space may hold: `(2, 1)` and `(1, 2)`."""
        return [parts for k in range(self.count.min, self.count.max + 1) for parts in splits(k) if self.allows(parts)]

    def allows(self, parts: Sequence[int]) -> bool:
        """Whether compositions of this pattern belong to the space."""
        distinct = self.distinct_elements
        return (
            self.count.min <= sum(parts) <= self.count.max
            and len(parts) <= len(self.dopants)
            and (distinct is None or distinct.min <= len(parts) <= distinct.max)
            and (self.repeats or max(parts, default=1) == 1)
        )

    def describe(self, size: int) -> str:
        """`16,800 decorations of 705 compositions: 2 to 4 dopants among 9 (Ti, V, ...) on the Co sites of ...`."""
        compositions = sum(math.comb(len(self.dopants), len(parts)) for parts in self.patterns())
        taken = "all decorations" if self.per_composition is None else f"at most {self.per_composition}"
        limits = "" if self.repeats else ", all different,"
        if self.distinct_elements:
            limits += f", {self.distinct_elements} of them different,"
        layers = self.sites.layers_from_top
        top = "" if layers is None else " of the top layer" if layers == 1 else f" of the top {layers} layers"
        where = f"the {self.sites.element} sites{top}"
        chosen = f"{self.count} dopants among {len(self.dopants)} ({listed(self.dopants)}){limits}"
        body = f"{chosen} on {where} of {self.host.describe()}"
        if self.candidate == "composition":
            plural = " decorations" if self.per_composition else ""
            return f"{count(size, 'composition')}: {body}, each an ensemble of {taken}{plural}"
        return (
            f"{count(size, 'decoration')} of {count(compositions, 'composition')}: {body}, {taken} of each composition"
        )


def splits(k: int) -> list[tuple[int, ...]]:
    """All ways to write k as an ordered sum: 3 -> (1, 1, 1), (1, 2), (2, 1), (3,)."""
    return [(first, *rest) for first in range(1, k + 1) for rest in splits(k - first)] if k else [()]


def structure_file(file: str) -> str:
    """The name itself.

    Raises:
        PydanticCustomError: it does not stay in the folder of the spec, or is no structure file.
    """
    if not stays_inside(file):
        raise fault(f"{shown(file)} is not a file in the folder of the spec", "copy it there and write its name")
    if not is_structure_file(file):
        raise fault(f"{shown(file)} is not a structure file", "save it as .cif, .vasp (POSCAR) or .extxyz")
    return file
