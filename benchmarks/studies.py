"""Generators of the studies that the benchmarks share, as used for the reference figures.

A study with an easier generator or a weaker baseline says nothing: these are not to be changed.
"""

from __future__ import annotations

import numpy as np
import torch

Route = list[tuple[str, float]]


def _directions(n_content: int, n_marker: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What the content is weighed by, of norm 0.47, and where the marker points, of norm 1; the same for every seed."""
    w = torch.randn(n_content, generator=torch.Generator().manual_seed(999))
    u = torch.randn(n_marker, generator=torch.Generator().manual_seed(998))
    return 0.47 * w / w.norm(), u / u.norm()


def locality_bags(
    n_bags: int,
    bag: int,
    locality: float,
    seed: int,
    *,
    n_features: int = 16,
    marker_shift: float = 3.0,
    marker_noise: float = 0.1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bags with k = max(1, round(locality * bag)) signal instances.

    Returns x [n_bags, bag, n_features], signal mask [n_bags, bag], y [n_bags] (mean over signal instances of
    w . content). Reference: 400 train / 300 test bags, seeds s and 1000 + s for s in 0-4, no instance encoder before
    pooling.
    """
    g = torch.Generator().manual_seed(seed)
    c = n_features // 2
    w, u = _directions(c, n_features - c)
    x = torch.randn(n_bags, bag, n_features, generator=g)
    k = max(1, round(locality * bag))
    signal = torch.rand(n_bags, bag, generator=g).argsort(1) < k
    x[..., c:] *= marker_noise
    x[..., c:] += marker_shift * signal.unsqueeze(-1) * u
    y = ((x[..., :c] @ w) * signal).sum(1) / k
    return x, signal.float(), y


def spread_bags(
    n_bags: int,
    bag: int,
    locality: float,
    decay: float,
    seed: int,
    *,
    n_features: int = 16,
    marker_shift: float = 3.0,
    marker_noise: float = 0.1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """As locality_bags, with the signal leaking to neighbours within 3 places by decay ** distance.

    Returns x, core mask, mask of core and its +-2 neighbours, y (weighted mean). Reference: locality 0.10, bag 20.
    """
    g = torch.Generator().manual_seed(seed)
    c = n_features // 2
    w, u = _directions(c, n_features - c)
    x = torch.randn(n_bags, bag, n_features, generator=g)
    k = max(1, round(locality * bag))
    core = torch.rand(n_bags, bag, generator=g).argsort(1) < k
    distance = (torch.arange(bag)[:, None] - torch.arange(bag)[None]).abs().float()
    near = torch.where(distance <= 3, torch.tensor(float(decay)) ** distance, torch.zeros(()))
    kernel = near if decay > 0 else torch.eye(bag)
    weight = core.float() @ kernel
    x[..., c:] *= marker_noise
    x[..., c:] += marker_shift * weight.unsqueeze(-1) * u
    y = ((x[..., :c] @ w) * weight).sum(1) / weight.sum(1)
    extended = (core.float() @ (distance <= 2).float()).clamp(max=1)
    return x, core.float(), extended, y


STEPS = ("anneal", "quench", "roll", "age", "hip", "homogenize")
"""Processing steps of `ordered_routes`."""


def ordered_routes(n: int, seed: int) -> tuple[list[Route], np.ndarray]:
    """Processing routes in which an anneal counts only if a quench follows at once.

    Each route holds exactly two anneals, two quenches and three other steps in random order, each with a parameter
    t ~ U(0, 1); y = sum over anneals directly followed by a quench of (1 + t of that anneal), plus N(0, 0.05). Counts
    carry no information, so a bag of steps can learn nothing but the mean. Reference: 1,200 train (seed 0), 400 test
    (seed 1).
    """
    r = np.random.default_rng(seed)
    routes: list[Route] = []
    y = np.empty(n)
    for i in range(n):
        names = ["anneal", "anneal", "quench", "quench", *r.choice(STEPS[2:], 3)]
        r.shuffle(names)
        t = r.random(len(names))
        routes.append([(str(a), float(b)) for a, b in zip(names, t, strict=True)])
        decisive = (j for j in range(len(names) - 1) if names[j] == "anneal" and names[j + 1] == "quench")
        y[i] = sum(1 + t[j] for j in decisive) + 0.05 * r.standard_normal()
    return routes, y


def heteroscedastic(seed: int, n_labelled: int = 160, n_test: int = 1000) -> tuple[np.ndarray, ...]:
    """Five inputs, a two-level group, noise that depends on x and group, heavy tails (t with 6 degrees of freedom).

    Returns X, y, group of the labelled part and of the test part. Reference: seeds 0-19; networks train on targets
    scaled by the labelled part; split conformal gives a quarter of the labelled rows to calibration.
    """
    r = np.random.RandomState(7000 + seed)

    def make(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = r.uniform(-1, 1, (n, 5))
        group = (r.rand(n) < 0.5).astype(int)
        x[:, 4] = group * 2 - 1
        mean = 1.5 * np.sin(2.5 * x[:, 0]) + x[:, 1] ** 2 - x[:, 2] + 0.5 * x[:, 0] * x[:, 3]
        sd = (0.15 + 0.6 * (x[:, 1] > 0) * x[:, 1] + 0.2 * abs(x[:, 0])) * np.where(group == 1, 1.8, 0.8)
        return x, mean + sd * r.standard_t(6, n), group

    return (*make(n_labelled), *make(n_test))


REFRACTORY = ("Ta", "Nb", "Hf", "Zr", "Mo", "W", "V")
"""The two strata of the UTS study: compositions that contain one of these, or none.

UTS study: for s in 0-19, permutation by RandomState(s); the first 38 rows are the test set, the other 120 are labelled.
"""
