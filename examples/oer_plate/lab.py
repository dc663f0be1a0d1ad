"""A simulated lab, for the demo only: no figure in it was measured.

The overpotential falls where Ni and Fe meet, falls further with some Ce, rises with La, and carries 4 mV of noise.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np

ELEMENTS = ("Ni", "Fe", "Co", "Mn", "Ce", "La")
NOISE_MV = 4.0


def overpotential(design: Mapping[str, float | str]) -> float:
    """Noise-free overpotential of a composition in mV."""
    ni, fe, co, mn, ce, la = (float(design.get(e, 0.0)) for e in ELEMENTS)
    pair = np.exp(-(((ni - 0.5) / 0.25) ** 2) - ((fe - 0.2) / 0.15) ** 2)
    return float(430 - 75 * pair - 60 * np.exp(-(((ce - 0.2) / 0.12) ** 2)) * (ni + co) + 70 * la + 25 * mn - 15 * co)


def measure(samples: Sequence[tuple[str, Mapping[str, float | str]]], *, seed: int) -> bytes:
    """Make and measure samples: a CSV table with one row a sample."""
    noise = np.random.default_rng(seed).normal(0, NOISE_MV, len(samples))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["sample_id", *ELEMENTS, "overpotential (mV)"])
    for (label, design), error in zip(samples, noise, strict=True):
        fractions = [f"{float(design.get(e, 0.0)):g}" for e in ELEMENTS]
        writer.writerow([label, *fractions, f"{overpotential(design) + error:.1f}"])
    return text.getvalue().encode()


def historical(n: int, *, seed: int) -> bytes:
    """Results of `n` mixtures that a lab happens to have measured before the campaign."""
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(n):
        parts = rng.multinomial(10, rng.dirichlet(np.ones(4)))
        chosen = rng.choice(ELEMENTS, 4, replace=False)
        samples.append((f"old-{i + 1:02d}", {str(e): p / 10 for e, p in zip(chosen, parts, strict=True)}))
    return measure(samples, seed=seed)
