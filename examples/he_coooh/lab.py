"""A simulated lab for doped CoOOH: no figure in it was measured or computed from first principles.

What is simulated, all of it invented so that a campaign has something to find:

- The overpotential of a decoration has one offset for each dopant; Zn lowers it, and the less so the farther the
  nearest Ti is; Fe beside Ni helps a little; each pair of neighbours of one kind costs.
- The formation energy has one term for each dopant and one for each pair of neighbours of one kind.
- A computation of the formation energy scatters by 2 meV/atom.
- A measurement scatters by 5 mV, and all of one batch is shifted together by about 4 mV, as another electrolyte or
  reference electrode would do. Each sample is measured twice. About 6 % of the samples fail.

    python lab.py compute coooh.yaml 48 formation_energies.csv --seed 1
    python lab.py measure coooh.yaml batch1.csv results1.csv --seed 1
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pymatgen.core import Structure

NOISE_MV = 5.0
"""Sd of one measurement."""
BATCH_SHIFT_MV = 4.0
"""Sd of what all measurements of one batch have in common."""
COMPUTED_SD = 0.002
"""Sd of a computed formation energy in eV/atom."""
REPLICATES = 2
FAILING = 0.06
"""Share of the samples that fail."""
FAILURES = ("no precipitate", "film delaminated")

UNDOPED_MV = 350.0
OFFSET_MV = {"Ti": 4.0, "V": 8.0, "Cr": 6.0, "Mn": 3.0, "Fe": -7.0, "Ni": -5.0, "Cu": 2.0, "Zn": 6.0, "Mo": 9.0}
"""Of each dopant atom, wherever it sits."""
ACTIVE_MV, ACTIVE_REACH = -45.0, 2.0
"""Of a Zn beside a Ti, and over how many angstrom it falls to a third."""
PAIR_MV, PAIR_REACH = -9.0, 1.5
"""Of a Fe beside a Ni, likewise."""
CLUSTER_MV = 8.0
"""Of two neighbours of one kind."""
ENERGY = {"Ti": -0.3, "V": 0.1, "Cr": 0.0, "Mn": 0.2, "Fe": 0.1, "Ni": 0.4, "Cu": 1.1, "Zn": 1.2, "Mo": 0.9}
"""Of each dopant atom in eV, over the host."""
CLUSTER_ENERGY = 0.25
"""Of two neighbours of one kind, in eV."""
BESIDE = 2.9
"""Distance of neighbours on the Co sublattice, rounded up, in angstrom."""


def dopants(structure: Structure) -> tuple[list[str], np.ndarray]:
    """Elements of the dopants, `k`, and their distances in angstrom, `k x k`."""
    sites = [i for i, dopant in enumerate(structure.site_properties["dopant"]) if dopant]
    places = structure.frac_coords[sites]
    return [structure[i].specie.symbol for i in sites], structure.lattice.get_all_distances(places, places)


def clusters(elements: Sequence[str], distance: np.ndarray) -> int:
    """Pairs of neighbours of one kind."""
    pairs = combinations(range(len(elements)), 2)
    return sum(elements[i] == elements[j] and distance[i, j] < BESIDE for i, j in pairs)


def overpotential(structure: Structure) -> float:
    """Noise-free overpotential in mV."""
    elements, distance = dopants(structure)
    found = UNDOPED_MV + sum(OFFSET_MV[e] for e in elements) + CLUSTER_MV * clusters(elements, distance)
    titanium = [i for i, e in enumerate(elements) if e == "Ti"]
    for i, element in enumerate(elements):
        if element == "Zn" and titanium:
            found += ACTIVE_MV * math.exp(-(min(distance[i, titanium]) - BESIDE) / ACTIVE_REACH)
    for i, j in combinations(range(len(elements)), 2):
        if {elements[i], elements[j]} == {"Fe", "Ni"}:
            found += PAIR_MV * math.exp(-(distance[i, j] - BESIDE) / PAIR_REACH)
    return float(found)


def formation_energy(structure: Structure) -> float:
    """Formation energy over the undoped host in eV/atom."""
    elements, distance = dopants(structure)
    total = sum(ENERGY[e] for e in elements) + CLUSTER_ENERGY * clusters(elements, distance)
    return float(total / len(structure))


def compute(structures: Iterable[tuple[str, Structure]], *, seed: int) -> list[list[str]]:
    """A table of computed formation energies.

    Args:
        structures: decoration and structure of each.
        seed: of the scatter.
    """
    rng = np.random.default_rng(seed)
    rows = [[text, f"{formation_energy(structure) + rng.normal(0, COMPUTED_SD):.4f}"] for text, structure in structures]
    return [["decoration", "formation_energy (eV/atom)"], *rows]


def measure(samples: Iterable[tuple[str, str, Structure]], *, seed: int) -> list[list[str]]:
    """The table of results of one batch: a row for each measurement, and one for each sample that failed.

    Args:
        samples: sample_id, decoration and structure of each.
        seed: of this batch.
    """
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, BATCH_SHIFT_MV)
    rows = [["sample_id", "decoration", "replicate", "overpotential (mV)", "status", "failure_mode"]]
    for label, text, structure in samples:
        failed, mode, noise = rng.random() < FAILING, rng.choice(FAILURES), rng.normal(0, NOISE_MV, REPLICATES)
        if failed:
            rows.append([label, text, "", "", "failed", str(mode)])
            continue
        value = overpotential(structure) + shift
        rows += [[label, text, str(r), f"{value + e:.1f}", "ok", ""] for r, e in enumerate(noise, start=1)]
    return rows


def structures_of(spec: Path) -> tuple[Callable[[str], Structure], list[str]]:
    """From the text of a decoration to its structure, and the texts of all candidates, for a spec."""
    from campaign.spaces import build_space
    from campaign.spec import load_spec

    space = build_space(load_spec(spec).space)
    texts = [space.candidate(i).design["decoration"] for i in range(space.count)]
    return lambda text: space.structures(int(space.x_of({"decoration": text})[0]))[0], texts


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute formation energies of some candidates, or measure a worksheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["compute", "measure"])
    parser.add_argument("spec", type=Path)
    parser.add_argument("given", help="how many candidates to compute, or the worksheet to measure")
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    told = parser.parse_args(arguments)
    structure, texts = structures_of(told.spec)
    if told.what == "compute":
        chosen = np.random.default_rng(told.seed).permutation(len(texts))[: int(told.given)]
        rows = compute([(texts[i], structure(texts[i])) for i in sorted(chosen)], seed=told.seed)
    else:
        with open(told.given, encoding="utf-8-sig", newline="") as sheet:
            made = [(row["sample_id"], row["decoration"]) for row in csv.DictReader(sheet)]
        rows = measure([(label, text, structure(text)) for label, text in made], seed=told.seed)
    with told.output.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main()
