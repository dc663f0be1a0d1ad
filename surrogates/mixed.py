"""A linear mixed model in closed form: a mean for each group, random effects of levels and samples, known variances.

    y = F f + Z u + S p + e,   u ~ N(0, G),   p ~ N(0, s_p^2),   e ~ N(0, s_e^2 + own)

F tells groups apart, S the samples, each of which lies in one group, Z whatever else varies. f is fixed, so that no
effect takes anything of it. With A the covariance of S p + e and M = A^-1 - A^-1 F (F^T A^-1 F)^-1 F^T A^-1, all else
follows from Z^T M Z and Z^T M y (Searle, Casella and McCulloch 1992, ch. 6.6 and 7.4; Henderson 1975, Biometrics 31:
423), and A and F^T A^-1 F are inverted sample by sample and group by group: the time is linear in the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

BOUND = 12.0
"""Largest distance of a log sd from the middle of its prior."""
STEP = 0.01
"""Of a log sd, for second differences."""
LEAST_CURVATURE = 0.1
"""Of a log density in log sds: below that of every prior."""
SAME = 1e-9
"""Singular values below this share of the largest are zero."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Means of like measurements, in an order in which samples, and groups of samples, stand together."""

    y: Array
    """`n`."""
    own: Array
    """Variance that is known of a measurement, `n`."""
    size: Array
    """Measurements in each mean, `n`."""
    Z: Array
    """`n x q`."""
    sample: Ints
    """Row at which each sample begins, `S`, ascending from 0."""
    group: Ints
    """Sample at which each group begins, ascending from 0."""
    scatter: tuple[Array, Array, Array]
    """Of measurements about means, these or others: known variance, degrees of freedom, sum of squares."""

    def of_samples(self, x: Array) -> Array:
        """Sums over the rows of each sample, `S x ...`."""
        return _sums(x, self.sample)

    def of_groups(self, x: Array) -> Array:
        """Sums over the samples of each group."""
        return _sums(x, self.group)

    def to_rows(self, x: Array) -> Array:
        """What is told of samples, told of their rows."""
        return np.repeat(x, np.diff(self.sample, append=len(self.y)), axis=0)

    def to_samples(self, x: Array) -> Array:
        """What is told of groups, told of their samples."""
        return np.repeat(x, np.diff(self.group, append=len(self.sample)), axis=0)

    def rank(self, columns: NDArray[np.bool_], *, within: str) -> int:
        """Rank of some columns of Z beside a mean for each sample, or each group."""
        Z = self.Z[:, columns]
        if not Z.size:
            return 0
        sums, sizes = self.of_samples(Z), self.of_samples(np.ones((len(Z), 1)))
        if within == "group":
            sums, sizes = (self.to_samples(self.of_groups(x)) for x in (sums, sizes))
        values = np.linalg.svd(Z - self.to_rows(sums / sizes), compute_uv=False)
        return int((values > SAME * max(float(np.abs(Z).max()), 1.0) * len(Z) ** 0.5).sum())


def _sums(x: Array, starts: Ints) -> Array:
    found: Array = np.add.reduceat(x, starts, axis=0) if len(x) else x
    return found


@dataclass(frozen=True, eq=False)
class Solution:
    """What follows for given variances."""

    log_density: float
    """Restricted log likelihood, up to a constant (Searle et al. 1992, eq. 6.67)."""
    effect: Array
    """Best linear unbiased prediction of u, `q`."""
    covariance: Array
    """Of u less its prediction, `q x q`."""
    leverage: Array
    """M Z times that covariance, `n x q`: minus it is A^-1 times the covariance of noise and error of prediction."""


def solve(rows: Rows, noise: float, sample: float, effects: Array) -> Solution:
    """Predict the effects.

    Args:
        rows: the measurements.
        noise: s_e^2.
        sample: s_p^2.
        effects: diagonal of G, `q`.
    """
    q = rows.Z.shape[1]
    w = rows.size / (noise + rows.own)
    S = rows.of_samples(w)
    shrunk = sample / (1 + sample * S)

    def inverse(x: Array) -> Array:
        wx = w[:, None] * x
        return wx - w[:, None] * rows.to_rows(shrunk[:, None] * rows.of_samples(wx))

    T = rows.of_groups(S / (1 + sample * S))
    X = np.column_stack([rows.Z, rows.y])
    AX = inverse(X)
    means = rows.of_groups(rows.of_samples(AX)) / T[:, None]
    MX = AX - inverse(rows.to_rows(rows.to_samples(means)))
    XMX = X.T @ MX
    root = np.sqrt(effects)
    H = np.eye(q) + root[:, None] * XMX[:q, :q] * root
    factor = np.linalg.cholesky((H + H.T) / 2)
    half = np.linalg.solve(factor, np.diag(root))
    covariance = half.T @ half
    effect = covariance @ XMX[:q, q]
    fit = float(XMX[q, q] - XMX[:q, q] @ effect)
    own, freedom, squares = rows.scatter
    within = freedom @ np.log(noise + own) + squares @ (1 / (noise + own))
    size = -np.log(w).sum() + np.log1p(sample * S).sum() + np.log(T).sum() + 2 * np.log(factor.diagonal()).sum()
    return Solution(-0.5 * (float(size + within) + fit), effect, covariance, MX[:, :q] @ covariance)


@dataclass(frozen=True)
class Prior:
    """Of an sd: log-normal."""

    median: float
    width: float
    """Sd of its logarithm."""


@dataclass(frozen=True, eq=False)
class Estimated:
    """Sds of noise, of samples and of each factor."""

    sd: Array
    """Where restricted likelihood times prior is largest."""
    error: Array
    """Sd of each, from the curvature of the log density in log sds."""
    points: Array
    """Sds that stand for all that are likely, one set a row."""
    weights: Array
    """Of these, with the sum 1."""


def estimate(
    rows: Rows, columns: Sequence[NDArray[np.bool_]], fixed: Array, priors: Sequence[Prior | None]
) -> Estimated:
    """Estimate the sds of noise, of samples, and of each factor.

    A weak prior keeps a variance off zero, which few levels would otherwise often put it at (Chung et al. 2013,
    Psychometrika 78:685), and makes the maximum of an sd that nothing tells its median. What hangs on the sds is to be
    averaged over cubature points of their normal approximation (Arasaratnam and Haykin 2009, IEEE Trans. Autom. Control
    54:1254), each weighted by its density over that of the approximation: with few levels an estimate alone would
    claim too much.

    Args:
        rows: the measurements.
        columns: of Z, those of each factor.
        fixed: variances of all columns of Z; those of factors are replaced.
        priors: of s_e, s_p and the factors' sds; None for one that is zero.
    """
    from scipy.optimize import minimize

    free = [i for i, prior in enumerate(priors) if prior is not None]
    told = [prior for prior in priors if prior is not None]
    middle = np.log([prior.median for prior in told])
    width = np.array([prior.width for prior in told])

    def sds(theta: Array) -> Array:
        found = np.zeros(len(priors))
        found[free] = np.exp(theta)
        return found

    def loss(theta: Array) -> float:
        penalty = 0.5 * float(np.square((theta - middle) / width).sum())
        return penalty - solve(rows, *variances(sds(theta), columns, fixed)).log_density

    bounds = [(m - BOUND, m + BOUND) for m in middle]
    theta = minimize(loss, middle, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12, "gtol": 1e-7}).x
    covariance = _covariance(loss, theta)
    error = np.zeros(len(priors))
    error[free] = np.exp(theta) * np.sqrt(covariance.diagonal())
    steps = np.sqrt(len(theta)) * np.linalg.cholesky(covariance).T
    around = np.concatenate([theta + steps, theta - steps])
    density = -np.array([loss(each) for each in around])
    weights = np.exp(density - density.max())
    return Estimated(sds(theta), error, np.array([sds(each) for each in around]), weights / weights.sum())


def variances(sds: Array, columns: Sequence[NDArray[np.bool_]], fixed: Array) -> tuple[float, float, Array]:
    """Sds as `solve` takes them."""
    effects = fixed.copy()
    for mask, sd in zip(columns, sds[2:], strict=True):
        effects[mask] = sd**2
    return float(sds[0] ** 2), float(sds[1] ** 2), effects


def _covariance(loss: Callable[[Array], float], theta: Array) -> Array:
    """Of the parameters at a minimum, from second differences."""
    k = len(theta)
    steps = STEP * np.eye(k)
    curvature = np.empty((k, k))
    for i in range(k):
        for j in range(i + 1):
            ends = [loss(theta + a * steps[i] + b * steps[j]) for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
            curvature[i, j] = curvature[j, i] = (ends[0] - ends[1] - ends[2] + ends[3]) / (4 * STEP**2)
    values, vectors = np.linalg.eigh(curvature)
    found: Array = (vectors / np.maximum(values, LEAST_CURVATURE)) @ vectors.T
    return found
