"""Candidates listed as structures in files: CIF, POSCAR and extended XYZ."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from campaign.grammar import Whole, faults
from campaign.spaces.base import ELEMENTS, Floats, Ints, SpaceSpec, index_chunks
from campaign.spaces.layers import layers_of, running_names, surfaces
from campaign.spaces.slab.spec import structure_file
from campaign.words import listed, shown, suggestion
from db.errors import InvalidInput, Problem
from db.records import Candidate, Design
from lab_io.schema import Column
from lab_io.structures import StructureRecord, read_structures
from lab_io.words import count

if TYPE_CHECKING:
    from pymatgen.core import Structure

MAX_WORDS = 200
"""With more structures than this a worksheet does not check their names."""


class StructureFiles(SpaceSpec):
    """The candidates are the structures in some files, one or many in each."""

    type: Literal["structure_files"]
    structures: Annotated[tuple[str, ...], Field(min_length=1)]
    """CIF, POSCAR or extended XYZ files, in the folder of the spec or below: `[slabs/a.cif, slabs/many.extxyz]`."""
    id: str | None = None
    """The key in the comment lines of extended XYZ that names a structure; file and number do if left out."""
    group: str | None = None
    """The key in these lines whose words divide the structures into strata; the elements do if left out."""
    host: tuple[str, ...] | None = None
    """Elements of the undoped host, `[Co, O, H]`: other atoms are dopants, and their number makes the stratum."""
    max_candidates: Annotated[Whole, Field(ge=1)] = 50_000
    """More structures than this are refused, for each is encoded; 50,000 if left out."""

    @field_validator("structures")
    @classmethod
    def _are_files(cls, structures: tuple[str, ...]) -> tuple[str, ...]:
        found = [
            ((i,), f"{shown(n)} is listed twice", "remove it") for i, n in enumerate(structures) if n in structures[:i]
        ]
        faults(found)
        return tuple(structure_file(name) for name in structures)

    @field_validator("host")
    @classmethod
    def _are_elements(cls, host: tuple[str, ...] | None) -> tuple[str, ...] | None:
        symbols = sorted(ELEMENTS)
        faults(
            ((i,), f"{shown(e)} is not the symbol of an element", suggestion(e, symbols))
            for i, e in enumerate(host or ())
            if e not in ELEMENTS
        )
        return host

    def build(self, sources: Mapping[str, bytes]) -> StructureFilesSpace:
        """The space, from the bytes of its files.

        Raises:
            InvalidInput: files cannot be read, structures are listed twice, or they are too many; all problems at once.
        """
        return StructureFilesSpace(self, sources)

    def files(self) -> tuple[str, ...]:
        """The files of structures."""
        return self.structures

    def design_names(self) -> tuple[str, ...]:
        """`structure`, the name."""
        return ("structure",)

    def describe(self, size: int) -> str:
        """`24 structures of slabs.extxyz`."""
        files = listed(self.structures) if len(self.structures) <= 3 else count(len(self.structures), "file")
        return f"{count(size, 'structure')} of {files}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """One structure as it was read."""

    name: str
    record: StructureRecord
    geometry: str
    """Hash of the lattice and the places of its atoms, whatever the elements."""
    content: str
    """Hash of the same with the elements."""


class StructureFilesSpace:
    """The structures in some files, in their order. X is the number of the structure, from 0.

    Raises:
        InvalidInput: files cannot be read, structures are listed twice, or they are too many; all problems at once.
    """

    columns: tuple[str, ...] = ("structure",)
    components: tuple[str, ...] = ()

    def __init__(self, spec: StructureFiles, sources: Mapping[str, bytes]) -> None:
        self.spec = spec
        self._sha256 = {name: hashlib.sha256(sources[name]).hexdigest() for name in spec.structures}
        self._entries = _entries(spec, sources)
        self._elements = sorted({s for entry in self._entries for s in set(_symbols(entry.record.structure))})
        self._rows = {entry.name: row for row, entry in enumerate(self._entries)}
        self._strata = [self._stratum(entry) for entry in self._entries]

    @property
    def count(self) -> int:
        """Number of structures."""
        return len(self._entries)

    def __len__(self) -> int:
        return self.count

    @property
    def structure_count(self) -> int:
        """The same."""
        return self.count

    def strata(self) -> dict[str, int]:
        """Number of structures by group, by number of dopants, or by number of elements; fewest first."""
        found = Counter(self._strata)
        return {name: found[name] for name in sorted(found, key=lambda name: (_leading(name), name))}

    def X(self, indices: Ints) -> Floats:  # noqa: N802 - the field's word for a design matrix
        """The numbers themselves, [n, 1]."""
        return np.array(indices, dtype=np.float64)[:, None]

    def stratum(self, indices: Ints) -> list[str]:
        """Stratum of each structure."""
        return [self._strata[i] for i in indices]

    def candidate(self, index: int) -> Candidate:
        """The structure at a position; its id is a hash of the structure, whatever it is called."""
        entry = self._entries[index]
        return Candidate(entry.content[:20], {"structure": entry.name}, self._strata[index])

    def chunks(self, size: int = 65_536) -> Iterator[Ints]:
        """All positions, in order, `size` at a time."""
        return index_chunks(self.count, size)

    def locate(self, design: Design) -> int | None:
        """Position of the structure with a name; None when there is none."""
        return self._rows.get(str(design.get("structure", "")).strip())

    def design_candidate(self, design: Design) -> Candidate:
        """The candidate with a name.

        Raises:
            InvalidInput: no structure is called that.
        """
        return self.candidate(int(self.x_of(design)[0]))

    def x_of(self, design: Design) -> Floats:
        """Number of the structure with a name, [1].

        Raises:
            InvalidInput: no structure is called that.
        """
        row = self.locate(design)
        if row is None:
            name = str(design.get("structure", ""))
            raise InvalidInput(
                Problem("structure", f"there is no structure {shown(name)}", suggestion(name, self._rows))
            )
        return np.array([float(row)])

    def neighbours(self, index: int) -> Ints:
        """Positions, ascending, of the structures with another element on one site and every atom at the same place."""
        here = self._entries[index]
        symbols = _symbols(here.record.structure)
        return np.array(
            [
                row
                for row, other in enumerate(self._entries)
                if other.geometry == here.geometry
                and sum(a != b for a, b in zip(symbols, _symbols(other.record.structure), strict=True)) == 1
            ],
            dtype=np.int64,
        )

    def side_scale(self) -> tuple[Floats, Floats]:
        """0 and 1: the number is a name, and nothing is measured along it."""
        return np.zeros(1), np.ones(1)

    def coordinates(self, X: Floats) -> Floats:
        """Halves of the fractions of all elements that occur."""
        amounts = [Counter(_symbols(self._structure(int(x)))) for x in X[:, 0]]
        shares = np.array([[n[e] / n.total() for e in self._elements] for n in amounts])
        return shares.reshape(len(X), len(self._elements)) / 2

    @property
    def elements(self) -> tuple[str, ...]:
        """All elements that occur, as in `coordinates`."""
        return tuple(self._elements)

    def constituents(self, x: Floats) -> tuple[str, ...]:
        """The elements present."""
        return tuple(dict.fromkeys(_symbols(self._structure(int(x[0])))))

    def side_columns(self) -> tuple[Column, ...]:
        """One column of text, `structure`; its words are the names where they are few."""
        return (Column("structure", "category", None, tuple(self._rows) if self.count <= MAX_WORDS else ()),)

    def numeric_ranges(self) -> tuple[tuple[str, float, float], ...]:
        """Empty: the number is a name."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def fingerprint(self) -> str:
        """SHA-256 of the specification and the bytes of the files."""
        text = json.dumps([self.spec.model_dump(mode="json"), self._sha256], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def structures(self, x: int) -> tuple[Structure, ...]:
        """The structure of a number; see `StructureSpace`. Layers are those of the metal atoms.

        Raises:
            ValueError: there is no such number.
        """
        from pymatgen.core import Element, Structure

        structure = self._structure(x)
        symbols = _symbols(structure)
        metal = np.array([Element(s).is_metal for s in symbols])
        layers, vacuum = layers_of(structure, metal)
        host = self.spec.host
        none = np.zeros(len(symbols), dtype=bool)
        dopant = [host is not None and s not in host for s in symbols]
        properties = {
            "label": running_names(symbols),
            "dopant": dopant,
            "sublattice": dopant,
            "surface": surfaces(layers, vacuum, none).tolist(),
            "adsorbate": none.tolist(),
            "layer": layers.tolist(),
        }
        return (Structure(structure.lattice, symbols, structure.frac_coords, site_properties=properties),)

    def formula(self, x: int) -> str:
        """All atoms of a structure: `Co10 Ti1 Zn1 O24 H12`, in the order of the file.

        Raises:
            ValueError: there is no such number.
        """
        return " ".join(f"{element}{n}" for element, n in Counter(_symbols(self._structure(x))).items())

    def substitutions(self, x: int) -> tuple[tuple[str, str], ...]:
        """Empty: the files do not say which atom stands for which."""
        return ()

    def _structure(self, x: int) -> Structure:
        if not 0 <= x < self.count:
            raise ValueError(f"{x} is no structure: they are numbered from 0 to {self.count - 1:,}")
        return self._entries[x].record.structure

    def _stratum(self, entry: _Entry) -> str:
        if self.spec.group is not None:
            return _word(entry.record.info[self.spec.group])
        symbols = _symbols(entry.record.structure)
        if self.spec.host is not None:
            return count(sum(s not in self.spec.host for s in symbols), "dopant")
        return count(len(set(symbols)), "element")


def _entries(spec: StructureFiles, sources: Mapping[str, bytes]) -> list[_Entry]:
    """All structures in order, with every problem found."""
    entries: list[_Entry] = []
    wrong: list[Problem] = []
    seen: dict[str, str] = {}
    for file in spec.structures:
        try:
            records = read_structures(sources[file], file)
        except InvalidInput as error:
            wrong += error.problems
            continue
        for number, record in enumerate(records, start=1):
            place = file if len(records) == 1 else f"{file}, structure {number}"
            absent = [key for key in (spec.id, spec.group) if key is not None and key not in record.info]
            wrong += [Problem(place, f"has no {shown(k)}", suggestion(k, record.info)) for k in absent]
            if absent:
                continue
            stem = str(PurePosixPath(file).with_suffix(""))
            stem = stem if len(records) == 1 else f"{stem}#{number}"
            entry = _Entry(_word(record.info[spec.id]) if spec.id else stem, record, *_hashes(record.structure))
            for same, what in ((entry.name, "name"), (entry.content, "structure")):
                if same in seen:
                    wrong.append(Problem(place, f"the same {what} as in {seen[same]}", "remove or rename one of them"))
                seen.setdefault(same, place)
            entries.append(entry)
    if len(entries) > spec.max_candidates:
        what = f"{len(entries):,} structures are more than max_candidates, {spec.max_candidates:,}"
        wrong.append(Problem("space.max_candidates", what, "list fewer, or allow more"))
    if wrong:
        raise InvalidInput(wrong)
    return entries


def _hashes(structure: Structure) -> tuple[str, str]:
    """Of lattice and places, to 0.001 Å or so, and of these with the elements."""
    places = np.rint(np.vstack([structure.lattice.matrix, structure.cart_coords]) * 1e3).astype(np.int64)
    geometry = hashlib.sha256(places.tobytes()).hexdigest()
    return geometry, hashlib.sha256(f"{geometry}|{' '.join(_symbols(structure))}".encode()).hexdigest()


def _symbols(structure: Structure) -> list[str]:
    return [site.specie.symbol for site in structure]


def _word(value: str | float) -> str:
    return value if isinstance(value, str) else str(int(value)) if value.is_integer() else repr(value)


def _leading(name: str) -> int:
    """The number that a stratum begins with, to put `2 dopants` before `10 dopants`."""
    first = name.split()[0] if name.split() else ""
    return int(first) if first.isdecimal() else 0
