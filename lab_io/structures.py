"""Structure files: CIF, POSCAR and extended XYZ, from bytes to pymatgen structures. Nothing is fetched or run."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from db.errors import InvalidInput, Problem
from lab_io.findings import CellError
from lab_io.words import count

if TYPE_CHECKING:
    from pymatgen.core import Structure

MAX_BYTES = 32 << 20
MAX_CRYSTAL_BYTES = 2 << 20
"""Of a CIF or POSCAR, which hold one structure or a few."""
MAX_STRUCTURES = 100_000
MAX_ATOMS = 2_000
MAX_LINES = 20_000
"""Lines of a CIF or POSCAR."""
CLOSEST = 0.5
"""Å: atoms closer than this are a mistake of the file."""

_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, ArithmeticError, OSError)
"""What the parsers raise at files that are no such files."""


@dataclass(frozen=True, slots=True)
class StructureRecord:
    """One structure of a file."""

    structure: Structure
    """Ordered and periodic, without site properties."""
    info: Mapping[str, str | float] = field(default_factory=dict)
    """Numbers and words from the comment line of extended XYZ: `{"eta_mV": 312.0}`."""


def read_structures(content: bytes, name: str) -> list[StructureRecord]:
    """All structures of a file, in its order.

    Args:
        content: bytes of the file.
        name: of the file; `.cif`, `.xyz` and `.extxyz` say what it is, `.vasp`, `.poscar` and names that begin with
            POSCAR or CONTCAR too.

    Raises:
        InvalidInput: the format is none of these; the file is too large, damaged or empty; or a structure has no cell,
            partly occupied sites, atoms of unknown elements, atoms on top of each other, or too many atoms.
    """
    try:
        read = _reader(name)
        limit = MAX_BYTES if read is _extxyz else MAX_CRYSTAL_BYTES
        if len(content) > limit:
            raise CellError(f"the file has {len(content) / 2**20:.1f} MiB", f"split it: at most {limit >> 20} MiB")
        text = _text(content)
        if read is not _extxyz and text.count("\n") > MAX_LINES:
            raise CellError("the file has too many lines", f"use a smaller cell: at most {MAX_LINES:,} lines")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parsers warn of rounding; what matters is checked below
            try:
                found = read(text)
            except _UNREADABLE as error:
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                raise CellError(f"the file cannot be read: {reason}", "open it in a viewer and save it again") from None
        if not found:
            raise CellError("the file holds no structure", "check that it is complete")
    except CellError as error:
        raise InvalidInput(Problem(name, error.what, error.fix)) from None
    wrong = []
    for number, record in enumerate(found, start=1):
        place = name if len(found) == 1 else f"{name}, structure {number}"
        if problem := _fault(record.structure):
            wrong.append(Problem(place, *problem))
    if wrong:
        raise InvalidInput(wrong)
    return found


def is_structure_file(name: str) -> bool:
    """Whether the name is that of a file which `read_structures` can read."""
    try:
        return bool(_reader(name))
    except CellError:
        return False


def _reader(name: str) -> Callable[[str], list[StructureRecord]]:
    base = name.replace("\\", "/").rsplit("/", 1)[-1].casefold()
    if base.endswith(".cif"):
        return _cif
    if base.endswith((".xyz", ".extxyz")):
        return _extxyz
    if base.endswith((".vasp", ".poscar")) or base.startswith(("poscar", "contcar")):
        return _poscar
    raise CellError("the name does not say which kind of structure file it is", "use .cif, .vasp or .extxyz")


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # names of authors in old CIFs
    if "\0" in text:
        raise CellError("the file is not text", "send a structure as .cif, .vasp or .extxyz")
    return text


def _cif(text: str) -> list[StructureRecord]:
    from pymatgen.io.cif import CifParser

    parser = CifParser.from_str(text)
    return [StructureRecord(_plain(s)) for s in parser.parse_structures(primitive=False, on_error="raise")]


def _poscar(text: str) -> list[StructureRecord]:
    from pymatgen.io.vasp.inputs import Poscar

    lines = text.splitlines()
    if len(lines) > 5 and not any(word.isalpha() for word in lines[5].split()):
        raise CellError("the file names no elements", "write their symbols in line 6, as VASP 5 does")
    return [StructureRecord(_plain(Poscar.from_str(text).structure))]


def _extxyz(text: str) -> list[StructureRecord]:
    from ase.io.extxyz import read_extxyz
    from pymatgen.core import Lattice, Structure

    found = []
    for number, atoms in enumerate(read_extxyz(io.StringIO(text), index=slice(None)), start=1):
        if number > MAX_STRUCTURES:
            raise CellError("the file has too many structures", f"split it: at most {MAX_STRUCTURES:,}")
        if not atoms.pbc.all() or atoms.cell.rank < 3:
            raise CellError(f"structure {number} has no periodic cell", 'add Lattice="..." and pbc="T T T" to its line')
        structure = Structure(
            Lattice(atoms.cell.array),
            atoms.get_chemical_symbols(),
            atoms.get_positions(),
            coords_are_cartesian=True,
            to_unit_cell=True,
        )
        results = atoms.calc.results if atoms.calc else {}
        info = {key: word for key, value in {**results, **atoms.info}.items() if (word := _scalar(value)) is not None}
        found.append(StructureRecord(structure, info))
    return found


def _scalar(value: Any) -> str | float | None:
    if isinstance(value, str):
        return value
    return float(value) if np.ndim(value) == 0 and np.isreal(value) else None


def _plain(structure: Structure) -> Structure:
    """The same without oxidation states and site properties, atoms within the cell; disorder is left to be found."""
    from pymatgen.core import Structure

    bare = structure.copy()
    bare.remove_oxidation_states()
    return Structure(bare.lattice, bare.species_and_occu, bare.frac_coords, to_unit_cell=True)


def _fault(structure: Structure) -> tuple[str, str] | None:
    """(what, fix) of a structure that cannot be used."""
    from pymatgen.core import Element

    if len(structure) > MAX_ATOMS:
        return f"{count(len(structure), 'atom')} are too many, at most {MAX_ATOMS:,} can be", "use a smaller cell"
    if not structure.is_ordered:
        mixed = next(site for site in structure if not site.is_ordered)
        return f"a site is partly occupied ({mixed.species})", "write an ordered structure, every site with one element"
    if not all(isinstance(site.specie, Element) for site in structure):
        return "it has atoms of unknown elements", "write symbols of chemical elements"
    if not np.isfinite(structure.frac_coords).all() or not structure.volume > len(structure):
        return f"the cell of {structure.volume:.3g} Å^3 cannot hold its atoms", "check lattice and coordinates"
    distance = structure.distance_matrix
    i, j = np.triu_indices(len(structure), 1)
    if len(i) and distance[i, j].min() < CLOSEST:
        at = int(distance[i, j].argmin())
        one, other = (f"{structure[k].specie.symbol} (atom {k + 1})" for k in (int(i[at]), int(j[at])))
        return f"{one} and {other} are {distance[i, j].min():.2f} Å apart", "remove atoms that are listed twice"
    return None
